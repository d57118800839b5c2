"""Schemas of contracts (spec sdk/03 §4): asked for, and checked, for they are a contract's own idea of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from pygenvm.executor.frozen import replaced
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import visible
from pygenvm.localnet import limits
from pygenvm.localnet.chain import Receipt, accounts, calldata_of_call
from pygenvm.localnet.chain.runs import READ_PERMISSIONS
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.sources import Source

SchemaDocument: TypeAlias = dict[str, Any]

_CALL = calldata_of_call(SpecialMethod.GET_SCHEMA)


class NoSchema(BadRequest):
    """A contract gives no schema; ``receipt`` is the run in which it failed, if it did."""

    kind = "no_schema"

    def __init__(self, text: str, receipt: Receipt | None = None) -> None:
        super().__init__(text)
        self.receipt = receipt

    def of(self, source: Source) -> NoSchema:
        """The same, with the code that failed."""
        return NoSchema(str(self), self.receipt and replaced(self.receipt, source=source))


class Views(Protocol):
    """A network that can be asked."""

    async def view(
        self, contract: Address, data: bytes, *, sender: Address, permissions: str = ..., sync: bool = ...
    ) -> Receipt:
        """Calls a contract without effect."""
        ...

    async def view_code(
        self, code: bytes, data: bytes, *, sender: Address, permissions: str = ..., sync: bool = ...
    ) -> Receipt:
        """Calls a contract that is not deployed."""
        ...


async def schema_of_contract(chain: Views, contract: Address) -> SchemaDocument:
    """The schema of a deployed contract.

    :raises NoSchema: it has none.
    """
    return _schema(await chain.view(contract, _CALL, sender=_sender(), permissions=READ_PERMISSIONS, sync=True))


async def schema_of_code(chain: Views, code: bytes) -> SchemaDocument:
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


# --- text -------------------------------------------------------------------------------------------


def parameters_text(method: Mapping[str, Any]) -> str:
    """Parameters of a method of a schema: ``to: address, *, amount: int``."""
    positional = [f"{name}: {type_text(of)}" for name, of in method.get("params", [])]
    named = [f"{name}: {type_text(of)}" for name, of in method.get("kwparams", {}).items()]
    return visible(", ".join([*positional, *(["*", *named] if named else [])]))


def type_text(of: Any) -> str:
    """A schema type in the notation of Python."""
    match of:
        case str():
            return visible(of)
        case [{"$rep": item}]:
            return f"list[{type_text(item)}]"
        case list():
            return f"tuple[{_types(of)}]"
        case {"$or": [*options]}:
            return " | ".join(type_text(option) for option in options)
        case {"$dict": item}:
            return f"dict[str, {type_text(item)}]"
        case {"$rep": item}:
            return f"*{type_text(item)}"
        case dict():
            return "{" + ", ".join(f"{visible(str(name))}: {type_text(item)}" for name, item in of.items()) + "}"
    return visible(str(of))


def _types(of: Iterable[Any]) -> str:
    return ", ".join(type_text(item) for item in of)
