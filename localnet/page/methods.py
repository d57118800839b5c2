"""``local_*``: what the page asks and does, and whoever else wants a network with names and without keys.

The named accounts of a local network send without a signature, so these methods are for loopback clients alone
(:mod:`localnet.rpc.server` sees to that). Arguments are JSON texts in the notation of :mod:`localnet.values`, so that
integers of any size stay exact in browsers too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pygenvm.executor.outcome import InternalError, Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import values
from pygenvm.localnet.chain import accounts, calldata_of_call
from pygenvm.localnet.chain.model import ContractInfo
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.types import NetworkTransaction, Submission, TxKind, Variant
from pygenvm.localnet.documents import state_document, view_document
from pygenvm.localnet.errors import BadRequest, BadValue, NotFound
from pygenvm.localnet.names import check_contract_name, find_address, find_contract, find_sender
from pygenvm.localnet.page import documents, source
from pygenvm.localnet.page.feed import Feed
from pygenvm.localnet.schema import NoSchema
from pygenvm.localnet.sources import Source
from pygenvm.localnet.values import bytes_from_text, integer_from_text

Params: TypeAlias = Sequence[Any]
Handler: TypeAlias = Callable[[Params], Awaitable[Any]]


class LocalMethods:
    """The methods of one network."""

    def __init__(self, network: Network, feed: Feed) -> None:
        self._network = network
        self._feed = feed

    def table(self) -> dict[str, Handler]:
        """By name; each takes the positional parameters.

        :raises BadRequest: they are not right; the text says how.
        """
        return {
            "local_overview": self.overview,
            "local_contract": self.contract,
            "local_deploy": self.deploy,
            "local_write": self.write,
            "local_read": self.read,
            "local_transaction": self.transaction,
            "local_receipt": self.receipt,
            "local_appeal": self.appeal,
            "local_finalize": self.finalize,
            "local_fund": self.fund,
        }

    async def overview(self, params: Params) -> Any:
        """``[]``: contracts, accounts, validators, models, clock, snapshots, and the latest transactions."""
        return await self._feed.state()

    async def contract(self, params: Params) -> Any:
        """``[address or name]``: schema, decoded state, and source in pieces."""
        info = await self._contract(_text(params, 0, "contract"))
        code = await self._network.code(info.address)
        try:
            schema, why = await self._network.schema(info.address), ""
        except NoSchema as error:
            schema, why = None, str(error)
        state = state_document(await self._network.state(info.address))
        files = Source(code).files
        return {
            "address": info.address.as_hex,
            "name": info.name,
            "schema": schema,
            "schema_error": why,
            "state": {"fields": state["fields"], "note": state["note"], "slots": state["slots"]},
            "balance": str(await self._network.balance(info.address)),
            "source": await asyncio.to_thread(source.pieces, files) if files else None,
        }

    async def deploy(self, params: Params) -> Any:
        """``[{code, args?, kwargs?, sender?, value?, name?}]``: the id of the transaction."""
        given = _given(params)
        name = str(given.get("name") or "")
        if name:
            check_contract_name(name)
        calldata = await self._calldata(None, given)
        code = bytes_from_text(str(given.get("code", "")))
        submission = Submission(
            TxKind.DEPLOY, _sender(given), value=_value(given), calldata=calldata, code=code, name=name
        )
        return "0x" + (await self._network.submit(submission)).hex()

    async def write(self, params: Params) -> Any:
        """``[{contract, method, args?, kwargs?, sender?, value?}]``: the id of the transaction."""
        given = _given(params)
        info = await self._contract(str(given.get("contract", "")))
        calldata = await self._calldata(_method(given), given)
        submission = Submission(TxKind.CALL, _sender(given), info.address, _value(given), calldata)
        return "0x" + (await self._network.submit(submission)).hex()

    async def read(self, params: Params) -> Any:
        """``[{contract, method, args?, kwargs?, sender?, variant?}]``: as ``genvm local view --json``."""
        given = _given(params)
        info = await self._contract(str(given.get("contract", "")))
        calldata = await self._calldata(_method(given), given)
        try:
            variant = Variant(given.get("variant", Variant.ACCEPTED))
        except ValueError:
            raise BadValue(f"variant is {' or '.join(Variant)}") from None
        receipt = await self._network.read(info.address, calldata, sender=_sender(given), variant=variant)
        return view_document(receipt, documents.names_of(await self._network.contracts()))

    async def transaction(self, params: Params) -> Any:
        """``[id]``: everything that is known of a transaction."""
        transaction = await self._network.transaction(_id(params))
        contracts = await self._network.contracts()
        return documents.detail(
            transaction,
            documents.names_of(contracts),
            await self._source(transaction, contracts),
            self._feed.states.changes(transaction.id),
        )

    async def receipt(self, params: Params) -> Any:
        """``[id]``: the document of the last round for ``genvm receipt verify``, and what that says of it."""
        transaction = await self._network.transaction(_id(params))
        settled = [one.intent_id for one in transaction.rounds if one.intent_id is not None]
        document = await self._network.settlement_receipt(settled[-1]) if settled else None
        if document is None:
            raise NotFound("this transaction is not settled")
        return {"document": document.decode(), "checks": await asyncio.to_thread(_checked, document.decode())}

    async def appeal(self, params: Params) -> Any:
        """``[id]``: true, or false where it cannot be appealed now."""
        return await self._network.appeal(_id(params))

    async def finalize(self, params: Params) -> Any:
        """``[id]``: true, or false where it is not decided, or final already."""
        return await self._network.finalize(_id(params))

    async def fund(self, params: Params) -> Any:
        """``[account or contract, amount]``: the id of the transfer."""
        contracts = await self._network.contracts()
        address = find_address(contracts, _text(params, 0, "account"))
        amount = _integer(params[1] if len(params) > 1 else None, "the amount")
        return "0x" + (await self._network.fund(address, amount)).hex()

    # --- what was given ---

    async def _contract(self, word: str) -> ContractInfo:
        return find_contract(await self._network.contracts(), word)

    async def _calldata(self, method: str | None, given: Mapping[str, Any]) -> bytes:
        contracts = await self._network.contracts()
        args = _parsed(contracts, given.get("args", "[]"), list, "args")
        kwargs = _parsed(contracts, given.get("kwargs", "{}"), dict, "kwargs")
        try:
            return calldata_of_call(method, args, kwargs)
        except (TypeError, ValueError) as error:
            raise BadValue(f"arguments that calldata cannot hold: {error}") from error

    async def _source(self, transaction: NetworkTransaction, contracts: Sequence[ContractInfo]) -> Source | None:
        leader = transaction.leader
        if leader is None or leader.outcome is None or isinstance(leader.outcome, Return | InternalError):
            return None
        if transaction.code:
            return Source(transaction.code)
        info = next((one for one in contracts if one.address == transaction.recipient), None)
        return None if info is None else Source(await self._network.code(info.address), None, info.name)


def _checked(document: str) -> list[dict[str, Any]]:
    from pygenvm.settlement.verifier.checks import Verdict, check
    from pygenvm.settlement.verifier.document import read

    holds = {Verdict.HOLDS: True, Verdict.FAILS: False, Verdict.UNKNOWN: None}
    return [{"text": one.sentence, "holds": holds[one.verdict]} for one in check(read(document))]


def _given(params: Params) -> Mapping[str, Any]:
    if len(params) != 1 or not isinstance(params[0], dict):
        raise BadRequest("one parameter, an object")
    return params[0]


def _text(params: Params, index: int, name: str) -> str:
    if len(params) <= index or not isinstance(params[index], str):
        raise BadRequest(f"parameter {index + 1}, {name}, is a text")
    return str(params[index])


def _id(params: Params) -> bytes:
    id = bytes_from_text(_text(params, 0, "the id of a transaction"))
    if len(id) != 32:
        raise BadValue("the id of a transaction has 32 bytes")
    return id


def _method(given: Mapping[str, Any]) -> str | None:
    method = given.get("method")
    if method is not None and not isinstance(method, str):
        raise BadRequest("method is a text")
    return method or None


def _sender(given: Mapping[str, Any]) -> Address:
    return find_sender(str(given.get("sender") or accounts.DEFAULT_SENDER))


def _value(given: Mapping[str, Any]) -> int:
    return _integer(given.get("value", 0), "value")


def _integer(given: Any, name: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise BadRequest(f"{name} is an integer, or the text of one")
    number = integer_from_text(given) if isinstance(given, str) else given
    if number < 0:
        raise BadValue(f"{name} is negative")
    return number


def _parsed(contracts: Sequence[ContractInfo], given: Any, kind: type, name: str) -> Any:
    if not isinstance(given, str):
        raise BadRequest(f"{name} is JSON text")
    parsed = values.parse_json(given, resolve=lambda word: find_address(contracts, word))
    if not isinstance(parsed, kind):
        raise BadValue(f"{name} is the text of a JSON {'array' if kind is list else 'object'}")
    return parsed
