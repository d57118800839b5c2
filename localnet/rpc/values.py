"""Parameters of methods: what is accepted, what it becomes, and how it is described to programs.

Clients write the same thing in several ways (spec localnet-rpc/01 §4); each :class:`Kind` knows all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.types import Model, TxStatus, Variant, VirtualValidator
from pygenvm.localnet.rpc.errors import RpcError, invalid

#: A group for each pair of digits would be remembered: gigabytes for a large contract.
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]*)")
_INTEGER = re.compile(r"-?[0-9]{1,100}|0[xX][0-9a-fA-F]{1,80}")
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_HASH = re.compile(r"0[xX][0-9a-fA-F]{64}")
_MAX: Final = (1 << 256) - 1
_STATUSES: Final = {str(status): status for status in TxStatus}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of parameter."""

    parse: Callable[[Any], Any]
    """Raises :class:`RpcError`; the text follows the parameter's name."""
    schema: Mapping[str, Any]
    """JSON Schema, for ``rpc.discover``."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a method. With a ``default`` it may be left out, or be null."""

    name: str
    kind: Kind
    default: Any = field(default=...)

    @property
    def required(self) -> bool:
        return self.default is ...

    def read(self, value: Any) -> Any:
        """:raises RpcError: it cannot be used."""
        if value is None:
            if self.required:
                raise invalid(f"{self.name} is missing")
            return self.default
        try:
            return self.kind.parse(value)
        except RpcError as error:
            raise RpcError(error.code, f"{self.name}: {error.message}", error.data) from None


def quoted(value: Any) -> str:
    """A value from outside, short."""
    text = repr(value)
    return text if len(text) <= limits.RPC_QUOTED else f"{text[: limits.RPC_QUOTED]}…"


# --- parsers ---


def parse_address(value: Any) -> Address:
    """Checksums are not looked at: clients send every letter case."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise invalid(f"an address is 0x and 40 hex digits, not {quoted(value)}")
    return Address(bytes.fromhex(value[2:]))


def parse_hash(value: Any) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise invalid(f"a hash is 0x and 64 hex digits, not {quoted(value)}")
    return bytes.fromhex(value[2:])


def parse_bytes(value: Any) -> bytes:
    digits = _hex_digits(value) if isinstance(value, str) else None
    if digits is None:
        raise invalid(f"bytes are 0x and an even number of hex digits, not {quoted(value)}")
    return bytes.fromhex(digits)


def _hex_digits(text: str) -> str | None:
    """Without ``0x``; None if it is not the hex of bytes."""
    match = _HEX.fullmatch(text)
    return match[1] if match and not len(match[1]) % 2 else None


def parse_integer(value: Any) -> int:
    """An integer, a decimal or hex text, or what JavaScript makes of a large number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value, 16 if value[1:2] in ("x", "X") else 10)
    raise invalid(f"a whole number is expected (an integer, a decimal text or 0x…), not {quoted(value)}")


def parse_number(value: Any) -> int:
    """The number of a row in the database."""
    number = parse_integer(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise invalid("a number has at most 64 bits")
    return number


def parse_amount(value: Any) -> int:
    number = parse_integer(value)
    if not 0 <= number <= _MAX:
        raise invalid("an amount is from 0 to 2^256 - 1")
    return number


def parse_seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        value = parse_integer(value)
    if abs(value) > 1e12:
        raise invalid("too many seconds")
    return float(value)


def parse_datetime(value: Any) -> datetime:
    """RFC 3339; without an offset it is UTC."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise invalid(f"a date and time is a text such as 2030-01-01T00:00:00Z, not {quoted(value)}")


def parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid(f"a text is expected, not {quoted(value)}")
    return value


def parse_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"true or false is expected, not {quoted(value)}")
    return value


def parse_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"an object is expected, not {quoted(value)}")
    return value


def parse_texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid(f"an array of texts is expected, not {quoted(value)}")
    return value


def parse_code(value: Any) -> bytes:
    """The bytes of a contract in hex, or its source."""
    text = parse_text(value)
    digits = _hex_digits(text) if text[:2] in ("0x", "0X") else None
    return text.encode("utf-8", "surrogatepass") if digits is None else bytes.fromhex(digits)


def parse_block(value: Any) -> int | bytes | None:
    """None: the newest one. Nothing here is older or newer than that."""
    if value in ("latest", "pending", "safe", "finalized"):
        return None
    if value == "earliest":
        return 0
    if isinstance(value, dict):
        # EIP-1898.
        return parse_hash(value["blockHash"]) if "blockHash" in value else parse_block(value.get("blockNumber"))
    if isinstance(value, str) and _HASH.fullmatch(value):
        return parse_hash(value)
    number = parse_integer(value)
    if number < 0:
        raise invalid("a block has a number from 0 on")
    return number


def parse_status(value: Any) -> TxStatus:
    found = _STATUSES.get(parse_text(value))
    if found is None:
        raise invalid(f"a status is one of {', '.join(TxStatus)}, not {quoted(value)}")
    return found


def parse_variant(value: Any) -> Variant:
    try:
        return Variant(parse_text(value))
    except ValueError:
        raise invalid(f"a variant is one of {', '.join(Variant)}, not {quoted(value)}") from None


def parse_model(value: Any) -> Model:
    document = parse_object(value)
    return Model(
        provider=_named("provider", parse_text, document.get("provider")),
        model=_named("model", parse_text, document.get("model")),
        config=_named("config", parse_object, document.get("config") or {}),
        plugin=_named("plugin", parse_text, document.get("plugin") or ""),
        plugin_config=_named("plugin_config", parse_object, document.get("plugin_config") or {}),
    )


@dataclass(frozen=True, slots=True)
class SimConfig:
    """Who executes one transaction, and when (spec localnet-rpc/01 §5)."""

    virtual: tuple[VirtualValidator, ...] = ()
    datetime: datetime | None = None


_OF_VALIDATOR: Final = ("provider", "model", "config", "plugin", "plugin_config")


def parse_sim_config(value: Any) -> SimConfig:
    document = parse_object(value)
    unknown = document.keys() - {"validators", "genvm_datetime", "stake", *_OF_VALIDATOR}
    if unknown:
        raise invalid(f"sim_config has validators and genvm_datetime, not {quoted(sorted(unknown)[0])}")
    entries = document.get("validators") or []
    if not isinstance(entries, list) or len(entries) > limits.RPC_VIRTUAL_VALIDATORS:
        raise invalid(f"validators must be an array of at most {limits.RPC_VIRTUAL_VALIDATORS} objects")
    if not entries and (old := {name: document[name] for name in _OF_VALIDATOR if document.get(name) is not None}):
        # The older form: one model for everybody.
        if ("provider" in old) != ("model" in old):
            raise invalid("provider and model must come together")
        entries = [old]
    given = document.get("genvm_datetime")
    moment = None if given is None else _named("genvm_datetime", parse_datetime, given)
    return SimConfig(tuple(_virtual(entry) for entry in entries), moment)


def _virtual(value: Any) -> VirtualValidator:
    document = parse_object(value)

    def of(name: str, parse: Callable[[Any], Any]) -> Any:
        given = document.get(name)
        return None if given is None else _named(f"validators[].{name}", parse, given)

    return VirtualValidator(
        stake=of("stake", parse_amount),
        provider=of("provider", parse_text),
        model=of("model", parse_text),
        config=of("config", parse_object),
        plugin=of("plugin", parse_text),
        plugin_config=of("plugin_config", parse_object),
    )


def _named(name: str, parse: Callable[[Any], Any], value: Any) -> Any:
    return Param(name, Kind(parse, {})).read(value)


# --- kinds ---

_HEX_TEXT: Final = "^0x([0-9a-fA-F]{2})*$"

ADDRESS: Final = Kind(parse_address, {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"})
HASH: Final = Kind(parse_hash, {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"})
BYTES: Final = Kind(parse_bytes, {"type": "string", "pattern": _HEX_TEXT})
INTEGER: Final = Kind(parse_integer, {"type": ["integer", "string"]})
NUMBER: Final = Kind(parse_number, {"type": ["integer", "string"]})
AMOUNT: Final = Kind(parse_amount, {"type": ["integer", "string"], "description": "an integer, decimal or 0x…"})
SECONDS: Final = Kind(parse_seconds, {"type": ["number", "string"]})
DATETIME: Final = Kind(parse_datetime, {"type": "string", "format": "date-time"})
TEXT: Final = Kind(parse_text, {"type": "string"})
FLAG: Final = Kind(parse_flag, {"type": "boolean"})
OBJECT: Final = Kind(parse_object, {"type": "object"})
TEXTS: Final = Kind(parse_texts, {"type": "array", "items": {"type": "string"}})
CODE: Final = Kind(parse_code, {"type": "string", "description": "0x and hex digits of the bytes, or the source"})
BLOCK: Final = Kind(parse_block, {"description": "latest, earliest, a number or a hash"})
STATUS: Final = Kind(parse_status, {"enum": list(TxStatus)})
VARIANT: Final = Kind(parse_variant, {"enum": list(Variant)})
MODEL: Final = Kind(
    parse_model,
    {
        "type": "object",
        "required": ["provider", "model"],
        "properties": {
            "provider": {"type": "string"},
            "model": {"type": "string"},
            "config": {"type": "object"},
            "plugin": {"type": "string"},
            "plugin_config": {"type": "object"},
        },
    },
)
SIM_CONFIG: Final = Kind(
    parse_sim_config,
    {
        "type": "object",
        "properties": {
            "validators": {"type": "array", "items": {"type": "object"}},
            "genvm_datetime": {"type": "string", "format": "date-time"},
        },
    },
)
ANY: Final = Kind(lambda value: value, {})
