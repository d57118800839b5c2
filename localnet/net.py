"""The local network for programs that are no coroutines: names, JSON arguments, schemas.

:class:`LocalNet` is a façade of :class:`localnet.chain.chain.Chain`, which does the work in an event loop of its own
(:mod:`localnet.background`). It may be used from any thread, and in one that has an event loop too, which stands still
meanwhile; so coroutines had better use :mod:`localnet.chain` itself.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pygenvm.executor.frozen import replaced
from pygenvm.executor.outcome import InternalError, Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import background, limits, values
from pygenvm.localnet.arguments import check_arguments, surely_fits
from pygenvm.localnet.building import BeforeRun, needs_nothing
from pygenvm.localnet.chain import Chain, Execution, Receipt, Verdict, accounts, calldata_of_call
from pygenvm.localnet.chain.model import AccountInfo, ContractInfo, Kind, Node, Settling
from pygenvm.localnet.chain.run_host import EthCall
from pygenvm.localnet.errors import BadValue, NotFound
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.names import (
    CONSTRUCTOR,
    RECEIVE,
    check_contract_name,
    find_address,
    find_contract,
    find_sender,
    short_name,
)
from pygenvm.localnet.schema import NoSchema, SchemaDocument, schema_of_code, schema_of_contract
from pygenvm.localnet.sources import Source

# What failures mean is loaded with the first one.
if TYPE_CHECKING:
    from pygenvm.localnet.chain.hints import Explanation
    from pygenvm.localnet.chain.state import StateDump

#: Arguments as values, or as JSON text in the notation of :mod:`localnet.values`.
Arguments = Sequence[values.Value] | str
KeywordArguments = Mapping[str, values.Value] | str

T = TypeVar("T")


class _First(Exception):
    """Something has to be done before a contract can be run."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action


class LocalNet:
    """A local network in the file ``db_path``. Every method is one command; none keeps the file open.

    A contract is given as its address, the start of one, its name, or None for the last deployed, if nobody has tried
    to deploy another one since (:mod:`localnet.names`).
    """

    def __init__(
        self,
        db_path: Path | str,
        *,
        executor: Executor | None = None,
        timeout: float = limits.RUN_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        lock_seconds: float = limits.LOCK_SECONDS,
        on_wait: Callable[[], None] | None = None,
        node_address: str = "0x",
        eth_call: EthCall | None = None,
        durable: bool = True,
        only_user: bool = False,
        strict_views: bool = False,
        validators: int = 0,
        settling: Settling | None = None,
        before_run: BeforeRun = needs_nothing,
    ) -> None:
        """
        :param executor: what runs contracts; by default a ``genvm run`` process per run.
        :param timeout: seconds of wall time for each run.
        :param clock: the datetime of messages.
        :param node_address: what LLM and web services are told about this node.
        :param eth_call: answers calls of EVM contracts, for which this network has no machine.
        :param lock_seconds: how long to wait for another command on the same file; ``on_wait`` is called then.
        :param durable: no transaction is lost in a power cut. Waiting for the disk takes a third of a short call.
        :param only_user: nobody else uses the file, so it stays open until :meth:`close`.
        :param strict_views: in transactions, contracts that are called can neither send nor emit events. Nodes let them
            do both in the name of the caller.
        :param validators: how many judge each transaction besides the leader (:mod:`localnet.chain.consensus`).
        :param settling: operators with stake decide instead (:mod:`localnet.chain.settling`).
        :param before_run: asked before a contract is run. What it says is done in the thread of the caller, who may be
            interrupted meanwhile.
        """
        chain = Chain(
            db_path,
            executor=executor,
            timeout=timeout,
            clock=clock,
            lock_seconds=lock_seconds,
            on_wait=on_wait,
            node_address=node_address,
            eth_call=eth_call,
            durable=durable,
            only_user=only_user,
            strict_views=strict_views,
            validators=_validators(validators),
            settling=settling,
        )
        self._begin(chain, Path(db_path).absolute().parent, before_run)

    def _begin(self, chain: Chain, folder: Path, before_run: BeforeRun = needs_nothing) -> None:
        """Everything that the other methods use, for those with another chain too.

        :param folder: where the paths of the authors' files in the database begin.
        """
        self._chain, self._folder = chain, folder
        self._before_run = before_run

    @property
    def stored(self) -> int | None:
        """Number of the last transaction that was asked for here and is stored, whatever has become of the rest."""
        return self._chain.stored

    def close(self) -> None:
        """Waits until all commands are done, and refuses new ones. Only needed by an ``only_user``."""
        background.run(self._chain.close())

    def _run(self, work: Callable[[BeforeRun], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``, which gives the code of the contract that it is about to run to its parameter."""

        def ask(code: bytes) -> None:
            action = self._before_run(code)
            if action is not None:
                raise _First(action)

        try:
            return background.run(work(ask))
        except _First as first:
            action = first.action
        action()
        return background.run(work(needs_nothing))

    # --- commands that write ----------------------------------------------------------------------

    def deploy(
        self,
        code: bytes,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        value: int = 0,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
        salt: int = 0,
        name: str = "",
        path: Path | None = None,
    ) -> Execution:
        """Deploys a contract; its address is ``execution.receipt.transaction.contract``.

        :param path: the file or folder that the code is from, which failures are told with.
        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :param salt: below 2**256; not 0 makes the address depend on the sender and the salt alone.
        :raises BadRequest: impossible arguments, value, sender, salt or name.
        """
        if name:
            check_contract_name(name)
        account, started_by = _parties(sender, origin)
        source = Source(code, path, name)

        async def constructor() -> Mapping[str, Any]:
            found: Mapping[str, Any] = (await schema_of_code(self._chain, code)).get("ctor", {})
            return found

        async def deploy(ask: BeforeRun) -> Execution:
            await self._chain.check_sender(account, origin=started_by, value=value)
            ask(code)
            data = await self._calldata(None, args, kwargs, source, constructor, called=CONSTRUCTOR)
            execution = await self._chain.deploy(
                code,
                data,
                value=value,
                sender=account,
                origin=started_by,
                salt=salt,
                name=name,
                kept_at=os.path.relpath(path, self._folder) if path else "",
            )
            return await self._explained(execution, source)

        return self._run(deploy)

    def call(
        self,
        contract: str | Address | None,
        method: str | None,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        value: int = 0,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
    ) -> Execution:
        """Calls a method in a transaction.

        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :param method: None or empty calls ``__receive__``.
        :raises BadRequest: impossible arguments, value, sender or contract.
        """
        account, started_by = _parties(sender, origin)

        async def call(ask: BeforeRun) -> Execution:
            async with self._chain.reading_once():
                await self._chain.check_sender(account, origin=started_by, value=value)
                info = await self._find(contract)
                ask(await self._chain.code(info.address))
                source = await self._source(info) if _is_text(args, kwargs) else None
                data = await self._calldata(method, args, kwargs, source, lambda: self._signature(info, method))
            execution = await self._chain.call(info.address, data, value=value, sender=account, origin=started_by)
            return await self._explained(execution, source)

        return self._run(call)

    def restore(self, snapshot: bytes) -> None:
        """Goes back, or forward, to the state of a :meth:`snapshot`.

        :raises DatabaseError: not a snapshot.
        """
        background.run(self._chain.restore(snapshot))

    def deal(self, account: str | Address, balance: int) -> None:
        """Gives an account or contract a balance out of nothing, which no transaction can; for tests.

        :raises BadValue: all balances together would not fit 256 bits.
        """

        async def deal() -> None:
            await self._chain.deal(await self._address(account), balance)

        background.run(deal())

    # --- commands that read -----------------------------------------------------------------------

    def view(
        self,
        contract: str | Address | None,
        method: str | None,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
    ) -> Receipt:
        """Calls a method without effect: it can neither write nor send, and nothing is recorded.

        :raises BadRequest: impossible arguments, sender or contract.
        """
        account, started_by = _parties(sender, origin)

        async def view(ask: BeforeRun) -> Receipt:
            async with self._chain.reading_once():
                info = await self._find(contract)
                ask(await self._chain.code(info.address))
                source = await self._source(info) if _is_text(args, kwargs) else None
                data = await self._calldata(method, args, kwargs, source, lambda: self._signature(info, method))
                receipt = await self._chain.view(info.address, data, sender=account, origin=started_by)
                return await self._with_cause(receipt, source)

        return self._run(view)

    def validate(
        self, receipt: Receipt, before: bytes, *, code: bytes = b"", leader_results: Sequence[bytes] | None = None
    ) -> Verdict:
        """Runs a transaction again as a validator does: the results of nondet blocks are given, and judged.

        :param receipt: what became of the transaction on the leader's node, which is this one.
        :param before: a :meth:`snapshot` of the state in which it was executed.
        :param code: the contract, for a deployment.
        :param leader_results: what the leader claims instead of ``receipt.nondet_results``.
        """
        return background.run(self._chain.validate(receipt, before, code=code, leader_results=leader_results))

    def snapshot(self) -> bytes:
        """The whole state, for :meth:`restore` and :meth:`validate`."""
        return background.run(self.snapshot_here())

    async def snapshot_here(self) -> bytes:
        """:meth:`snapshot` for what runs in the event loop of the network, such as the host of a run."""
        return await self._chain.snapshot()

    def balance(self, account: str | Address) -> int:
        """Balance of an account, a contract, or any other address."""

        async def balance() -> int:
            return await self._chain.balance(await self._address(account))

        return background.run(balance())

    def schema(self, contract: str | Address | None) -> SchemaDocument:
        """The schema of a deployed contract (spec sdk/03 §4).

        :raises NoSchema: the contract has none.
        """

        async def schema(ask: BeforeRun) -> SchemaDocument:
            async with self._chain.reading_once():
                info = await self._find(contract)
                ask(await self._chain.code(info.address))
                try:
                    return await schema_of_contract(self._chain, info.address)
                except NoSchema as error:
                    raise error.of(await self._source(info)) from None

        return self._run(schema)

    def schema_of_code(self, code: bytes, *, path: Path | None = None) -> SchemaDocument:
        """The schema of a contract that is not deployed; the database is not used.

        :param path: the file or folder that the code is from, which failures are told with.
        :raises NoSchema: the contract has none.
        """

        async def schema(ask: BeforeRun) -> SchemaDocument:
            ask(code)
            try:
                return await schema_of_code(self._chain, code)
            except NoSchema as error:
                raise error.of(Source(code, path)) from None

        return self._run(schema)

    def code(self, contract: str | Address | None) -> bytes:
        """The code of a contract."""

        async def code() -> bytes:
            async with self._chain.reading_once():
                return await self._chain.code((await self._find(contract)).address)

        return background.run(code())

    def accounts(self) -> list[AccountInfo]:
        """Balances of the named accounts, of contracts, and of every other address that has one."""
        return background.run(self._chain.accounts())

    def log(self, count: int = limits.LOG_TRANSACTIONS) -> list[Receipt]:
        """The last ``count`` recorded transactions and failed commands, oldest first."""
        return background.run(self._chain.log(count))

    def failed_deployment(self) -> Receipt | None:
        """The deployment that the user tried last, if it failed."""
        return background.run(self._chain.failed_deployment())

    def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        return background.run(self._chain.contracts())

    def contract(self, word: str | Address | None) -> ContractInfo:
        """The contract that ``word`` means (:mod:`localnet.names`).

        :raises NotFound: there is none.
        """
        return background.run(self._find(word))

    # --- names and arguments ----------------------------------------------------------------------

    async def _find(self, contract: str | Address | None) -> ContractInfo:
        failed = await self._chain.failed_deployment() if contract is None else None
        return find_contract(await self._chain.contracts(), contract, failed)

    async def _address(self, account: str | Address) -> Address:
        return account if isinstance(account, Address) else find_address(await self._chain.contracts(), account)

    async def _signature(self, contract: ContractInfo, method: str | None) -> Mapping[str, Any]:
        document = await schema_of_contract(self._chain, contract.address)
        found: Mapping[str, Any] = document.get("methods", {}).get(method or "", {})
        return found

    async def _source(self, contract: ContractInfo) -> Source:
        kept_at = await self._chain.kept_at(contract.address)
        path = Path(os.path.normpath(self._folder / kept_at)) if kept_at else None
        return Source(await self._chain.code(contract.address), path, contract.name)

    async def _calldata(
        self,
        method: str | None,
        args: Arguments,
        kwargs: KeywordArguments | None,
        source: Source | None,
        signature: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        called: str = "",
    ) -> bytes:
        """Calldata of a call; ``signature`` asks for the types of the parameters, which costs a run.

        :param source: needed for arguments in text.
        :param called: what is called without a method.

        :raises BadValue: arguments that a person wrote do not fit the method. A program may send what it likes.
        """
        kwargs = {} if kwargs is None else kwargs
        is_text = _is_text(args, kwargs)
        contracts = await self._chain.contracts() if is_text else []
        positional, named = _parsed(contracts, args, list, "args"), _parsed(contracts, kwargs, dict, "kwargs")
        from_text = [value for value, given in ((positional, args), (named, kwargs)) if isinstance(given, str)]
        # Only a string that starts with 0x can mean something else than itself.
        is_converted = any(values.may_need_schema(value) for value in from_text)
        name = method or called
        is_doubtful = is_text and source and name and not surely_fits(source, name, positional, named)
        if is_converted or is_doubtful:
            try:
                document = await signature()
            except NoSchema:
                # Without a schema a string is a string.
                document = {}
            if document:
                if is_converted:
                    converted = values.apply_schema_to_call(positional, named, document)
                    positional = converted[0] if isinstance(args, str) else positional
                    named = converted[1] if isinstance(kwargs, str) else named
                if is_text and source is not None:
                    check_arguments(source, name, positional, named, document)
        try:
            return calldata_of_call(method or None, positional, named)
        except (TypeError, ValueError) as error:
            raise BadValue(f"arguments that calldata cannot hold: {error}") from error

    # --- failures ---------------------------------------------------------------------------------

    async def _explained(self, execution: Execution, source: Source | None) -> Execution:
        """What is needed to tell why runs failed: of the command itself, and of the messages that it delivered."""
        receipt = await self._with_cause(execution.receipt, source)
        delivered = [await self._with_cause(one) for one in execution.delivered]
        return replaced(execution, receipt=receipt, delivered=tuple(delivered))

    async def _with_cause(self, receipt: Receipt, source: Source | None = None) -> Receipt:
        """A failed receipt with the code that failed, and a cause if the contract cannot be called like that.

        :param source: of the contract that was called, if it is known already.
        """
        if receipt.outcome is None or isinstance(receipt.outcome, Return | InternalError):
            return receipt
        async with self._chain.reading_once():
            contracts = await self._chain.contracts()
            info = next((info for info in contracts if info.address == receipt.transaction.contract), None)
            source = source or (await self._source(info) if info else None)
            if source is None:
                return receipt
            from pygenvm.localnet.failure import fits

            receipt = replaced(receipt, source=source)
            stderr = receipt.stderr.text()
            if not fits(source, stderr):
                return replaced(receipt, source=await self._source_of(contracts, stderr))
            return replaced(receipt, cause=await self._cause(receipt, source, info))

    async def _source_of(self, contracts: Sequence[ContractInfo], stderr: str) -> Source | None:
        """The code of the contract whose traceback ends ``stderr``: one that was called by the one that was called."""
        from pygenvm.localnet.failure import fits

        for info in list(reversed(contracts))[: limits.SEARCHED_CONTRACTS]:
            source = await self._source(info)
            if fits(source, stderr):
                return source
        return None

    async def _cause(self, receipt: Receipt, source: Source, contract: ContractInfo | None) -> Explanation | None:
        """What the schema knows of a call that failed."""
        from pygenvm.localnet.arguments import explain_arguments
        from pygenvm.localnet.chain.explain import explain_method, may_be_wrong_arguments, may_be_wrong_method
        from pygenvm.localnet.failure import call_of

        stderr, (method, args, kwargs) = receipt.stderr.text(), call_of(receipt)
        may_be_wrong = may_be_wrong_method(receipt.outcome, stderr) or (
            may_be_wrong_arguments(receipt.outcome, stderr) and not surely_fits(source, method, args, kwargs)
        )
        if not may_be_wrong:
            return None
        try:
            if contract is None or receipt.transaction.kind is Kind.DEPLOY:
                constructor = (await schema_of_code(self._chain, source.code))["ctor"]
                return explain_arguments(source, method, args, kwargs, constructor, stderr)
            methods = (await schema_of_contract(self._chain, contract.address))["methods"]
        except NoSchema:
            return None
        is_view = receipt.transaction.kind is Kind.VIEW
        called = "" if method == RECEIVE else method
        found = explain_method(stderr, short_name(contract), called, methods, is_view=is_view)
        return found or explain_arguments(source, method, args, kwargs, methods.get(method, {}), stderr)


def read_state(net: LocalNet, word: str | Address | None) -> StateDump:
    """The storage of the contract that ``word`` means.

    :raises NotFound: there is none.
    """

    async def state() -> StateDump:
        async with net._chain.reading_once():
            return await net._chain.state((await net._find(word)).address)

    return background.run(state())


def _validators(count: int) -> tuple[Node, ...]:
    if not count:
        return ()
    # Imported here: most networks have none.
    from pygenvm.localnet.chain.consensus import validators

    return validators(count)


def _parties(sender: str | Address, origin: str | Address | None) -> tuple[Address, Address | None]:
    return find_sender(sender), None if origin is None else find_sender(origin)


def _is_text(args: Arguments, kwargs: KeywordArguments | None) -> bool:
    """Whether a person wrote some of it."""
    return isinstance(args, str) or isinstance(kwargs, str)


def _parsed(contracts: Sequence[ContractInfo], given: Any, kind: type[T], option: str) -> T:
    if not isinstance(given, str):
        return kind(given)  # type: ignore[call-arg]
    example = '["hello", 5]' if kind is list else '{"name": "hello"}'
    write = f"Write --{option} '{example}', with the single quotes around it."
    try:
        parsed = values.parse_json(given, resolve=lambda word: find_address(contracts, word))
    except NotFound as error:
        raise NotFound(f"--{option}: {error}") from error
    except BadValue as error:
        is_bare = not given.lstrip().startswith(("[", "{"))
        fix = write if is_bare or not error.fix else error.fix
        raise BadValue(f"--{option}: {error}", picture=error.picture, fix=fix) from error
    if not isinstance(parsed, kind):
        raise BadValue(f"--{option}: {option} must be a JSON {'array' if kind is list else 'object'}", fix=write)
    return parsed
