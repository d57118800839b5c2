"""Schemas of contracts (spec sdk/03 §4): asked for, and checked, for they are a contract's own idea of itself."""

from __future__ import annotations

from typing import Any, TypeAlias

from pygenvm.executor.json_text import parse_json
from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import Chain, Receipt, accounts, calldata_of_call
from pygenvm.localnet.chain.runs import READ_PERMISSIONS
from pygenvm.localnet.errors import BadRequest

SchemaDocument: TypeAlias = dict[str, Any]

_CALL = calldata_of_call(SpecialMethod.GET_SCHEMA)


class NoSchema(BadRequest):
    """A contract gives no schema; ``receipt`` is the run in which it failed, if it did."""

    kind = "no_schema"

    def __init__(self, text: str, receipt: Receipt | None = None) -> None:
        super().__init__(text)
        self.receipt = receipt


async def schema_of_contract(chain: Chain, contract: Address) -> SchemaDocument:
    """The schema of a deployed contract.

    :raises NoSchema: it has none.
    """
    return _schema(await chain.view(contract, _CALL, sender=_sender(), permissions=READ_PERMISSIONS, sync=True))


async def schema_of_code(chain: Chain, code: bytes) -> SchemaDocument:
    """The schema of a contract that is not deployed.

    :raises NoSchema: it has none.
    """
    return _schema(await chain.view_code(code, _CALL, sender=_sender(), permissions=READ_PERMISSIONS, sync=True))


def _sender() -> Address:
    return accounts.named()[accounts.DEFAULT_SENDER]


def _schema(receipt: Receipt) -> SchemaDocument:
    if not receipt.ok:
        raise NoSchema("the contract fails when it is asked for its schema", receipt)
    try:
        document = parse_json(receipt.value, max_chars=limits.SCHEMA_CHARACTERS, max_depth=limits.SCHEMA_DEPTH)
    except (TypeError, ValueError) as error:
        raise NoSchema(f"the contract answers #get-schema with something else than a schema: {error}") from error
    if not _is_schema(document):
        raise NoSchema("the contract answers #get-schema with something else than a schema")
    schema: SchemaDocument = document
    return schema


def _is_schema(document: Any) -> bool:
    """Whether it has the shape of spec sdk/03 §4, down to the types of parameters."""
    match document:
        case {"ctor": constructor, "methods": {**methods}}:
            return all(_is_signature(item) for item in (constructor, *methods.values()))
    return False


def _is_signature(document: Any) -> bool:
    match document:
        case {"params": [*params], "kwparams": {}}:
            return all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in params)
    return False
