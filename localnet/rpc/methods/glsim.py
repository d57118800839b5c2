"""Helpers that only one of the reference simulators has (spec localnet-rpc/01 §4.6).

Arguments and results are JSON in the notation of :mod:`localnet.values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import values
from pygenvm.localnet.chain.model import calldata_of_call
from pygenvm.localnet.chain.network.types import Submission, TxKind
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.errors import invalid
from pygenvm.localnet.rpc.lookup import document_of
from pygenvm.localnet.rpc.methods import eth, gen
from pygenvm.localnet.rpc.registry import INT, OBJECT, Methods, Node
from pygenvm.localnet.rpc.values import (
    ADDRESS,
    ANY,
    CODE,
    DATETIME,
    FLAG,
    HASH,
    SECONDS,
    TEXT,
    Kind,
    Param,
    parse_object,
)

METHODS = Methods()


def _parse_arguments(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise invalid("an array is expected")
    return [values.from_json(one) for one in value]


def _parse_named_arguments(value: Any) -> dict[str, Any]:
    return {name: values.from_json(one) for name, one in parse_object(value).items()}


_ARGS: Final = Param("args", Kind(_parse_arguments, {"type": "array"}), default=())
_KWARGS: Final = Param("kwargs", Kind(_parse_named_arguments, {"type": "object"}), default=None)
_SENDER: Final = Param("sender", ADDRESS, default=Address(bytes(20)))
_CONTRACT: Final = Param("contract_address", ADDRESS)


@METHODS.add("sim_deploy", Param("code", CODE), _ARGS, _KWARGS, _SENDER, result=OBJECT)
async def deploy(node: Node, code: bytes, args: list[Any], kwargs: Any, sender: Address) -> dict[str, Any]:
    """Deploys a contract in the name of any account, and waits until that is decided."""
    data = calldata_of_call(None, args, kwargs)
    id = await node.submit(Submission(TxKind.DEPLOY, sender, code=code, calldata=data))
    transaction = await node.network.wait(id)
    return {
        "tx_id": objects.hex_of(id),
        "contract_address": transaction.recipient.as_hex,
        "status": str(transaction.status),
    }


@METHODS.add("sim_read", _CONTRACT, Param("method", TEXT), _ARGS, _KWARGS, _SENDER, result={}, stops=True)
async def read(node: Node, contract: Address, method: str, args: list[Any], kwargs: Any, sender: Address) -> Any:
    """Calls a method without effect; what it returns."""
    async with node.running():
        receipt = await node.network.read(contract, calldata_of_call(method, args, kwargs), sender=sender)
    if not isinstance(receipt.outcome, Return):
        raise gen.failed(receipt, known=await gen.wrong_method(node, receipt))
    return values.to_json(calldata.decode(receipt.outcome.calldata))


@METHODS.add("sim_getBalance", Param("account_address", ADDRESS), result=INT)
async def get_balance(node: Node, address: Address) -> int:
    """Balance of an account or a contract, as a number."""
    return await node.network.balance(address)


@METHODS.add("sim_getTransactionByHash", Param("transaction_hash", HASH), result=OBJECT)
async def get_transaction(node: Node, id: bytes) -> Any:
    """As eth_getTransactionByHash."""
    return await document_of(node, await node.network.transaction(id))


@METHODS.add("sim_getTransactionReceipt", Param("transaction_hash", HASH), result=OBJECT)
async def get_receipt(node: Node, id: bytes) -> Any:
    """As eth_getTransactionReceipt."""
    return await eth.transaction_receipt(node, id)


@METHODS.add("sim_getContractSchema", _CONTRACT, result=OBJECT, stops=True)
async def get_schema(node: Node, address: Address) -> Any:
    """As gen_getContractSchema."""
    return await gen.contract_schema(node, address)


@METHODS.add(
    "sim_installMocks",
    Param("llm_mocks", ANY, default=None),
    Param("web_mocks", ANY, default=None),
    Param("strict", FLAG, default=False),
    result=OBJECT,
)
async def install_mocks(node: Node, llm: Any, web: Any, strict: bool) -> dict[str, Any]:
    """Answers of all models and of the web from now on; how many of each there are."""
    numbers = await node.network.install_mocks(llm, web, strict=strict)
    return {"llm": numbers[0], "web": numbers[1], "strict": strict}


@METHODS.add("sim_getMocks", result=OBJECT)
async def get_mocks(node: Node) -> dict[str, Any]:
    """What was installed."""
    llm, web, strict = await node.network.mocks()
    return {"llm_mocks": _plain(llm), "web_mocks": _plain(web), "strict": strict}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


@METHODS.add("sim_increaseTime", Param("seconds", SECONDS), result=OBJECT)
async def increase_time(node: Node, seconds: float) -> dict[str, Any]:
    """Puts the clock of the network forward."""
    return objects.time_object(await node.network.increase_time(seconds))


@METHODS.add("sim_setTime", Param("datetime", DATETIME, default=None), result=OBJECT)
async def set_time(node: Node, moment: datetime | None) -> dict[str, Any]:
    """Sets the clock of the network, from where it goes on; null: the wall clock again."""
    return objects.time_object(await node.network.set_time(moment))


@METHODS.add("sim_getTime", result=OBJECT)
async def get_time(node: Node) -> dict[str, Any]:
    """The clock of the network."""
    return objects.time_object(await node.network.time())
