"""The message of a run, and the extended message that a VM reads from its fd 0 (spec executor/10)."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pygenvm.executor.frozen import frozen, replaced
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import MESSAGE_JSON_CHARS_MAX, MESSAGE_JSON_DEPTH_MAX
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import EntryKind
from pygenvm.executor.primitives.address import Address

DEFAULT_DATETIME = "2024-11-26T06:42:42.424242Z"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS = 1_000_000_000
_VALUE_MAX = (1 << 256) - 1
_CHAIN_ID_MAX = (1 << 256) - 1
_DECIMAL = re.compile(r"[0-9]+")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


class MessageError(ValueError):
    """The message is not what spec executor/10 says; the text names the key and what is wrong with it."""


@frozen
class Message:
    """What ``--message`` says. The time is ``unix_seconds`` and, on top, ``nanoseconds`` (0 to 999999999)."""

    contract_address: Address
    sender_address: Address
    origin_address: Address
    chain_id: int
    value: int
    is_init: bool
    unix_seconds: int
    nanoseconds: int

    @classmethod
    def parse(cls, text: str) -> Message:
        """Read the JSON text of a message; unknown keys are ignored.

        :raises MessageError: not JSON, or a key is missing or has a wrong value.
        """
        try:
            items = parse_json(text, max_chars=MESSAGE_JSON_CHARS_MAX, max_depth=MESSAGE_JSON_DEPTH_MAX)
        except ValueError as error:
            raise MessageError(f"the message is not valid JSON: {error}") from error
        if not isinstance(items, dict):
            raise MessageError("the message must be a JSON object")
        seconds, nanoseconds = _datetime(items)
        return cls(
            contract_address=_address(items, "contract_address"),
            sender_address=_address(items, "sender_address"),
            origin_address=_address(items, "origin_address"),
            chain_id=_chain_id(items),
            value=_value(items),
            is_init=_is_init(items),
            unix_seconds=seconds,
            nanoseconds=nanoseconds,
        )


@frozen
class ExtendedMessage:
    """What stays of the message while a VM runs; those of other VMs are derived with :meth:`call` and :meth:`enter`."""

    contract_address: Address
    sender_address: Address
    origin_address: Address
    chain_id: int
    value: int
    is_init: bool
    unix_seconds: int
    nanoseconds: int
    stack: tuple[Address, ...]

    @classmethod
    def main(cls, message: Message) -> ExtendedMessage:
        """For the main VM."""
        return cls(
            contract_address=message.contract_address,
            sender_address=message.sender_address,
            origin_address=message.origin_address,
            chain_id=message.chain_id,
            value=message.value,
            is_init=message.is_init,
            unix_seconds=message.unix_seconds,
            nanoseconds=message.nanoseconds,
            stack=(),
        )

    def call(self, callee: Address) -> ExtendedMessage:
        """For CallContract: the sender stays, the caller goes onto the stack, no value is carried."""
        return replaced(
            self,
            contract_address=callee,
            value=0,
            is_init=False,
            stack=(*self.stack, self.contract_address),
        )

    def enter(self) -> ExtendedMessage:
        """For a sandbox or a nondet block of the same contract (spec executor/04)."""
        return replaced(self, is_init=False)

    @property
    def clock_ns(self) -> int:
        """Nanoseconds since the epoch, what ``clock_time_get`` returns."""
        return self.unix_seconds * _NANOSECONDS + self.nanoseconds

    def encode(self, kind: EntryKind, entry_data: bytes | memoryview, stage_data: Any = None) -> bytes:
        """Calldata map of spec executor/10, the content of fd 0; the main VM's ``entry_data`` are the host's calldata.

        The data are in it and nowhere else: they may be as big as a request.
        """
        return calldata.encode(
            {
                "chain_id": self.chain_id,
                "contract_address": self.contract_address,
                "datetime": datetime_text(self.unix_seconds, self.nanoseconds),
                "entry_data": entry_data,
                "entry_kind": kind,
                "entry_stage_data": stage_data,
                "is_init": self.is_init,
                "origin_address": self.origin_address,
                "sender_address": self.sender_address,
                "stack": self.stack,
                "value": self.value,
            }
        )


def parse_datetime(text: str) -> tuple[int, int]:
    """Whole seconds since the epoch and nanoseconds of an RFC 3339 text with any offset.

    Digits after the ninth of the fraction are dropped.

    :raises ValueError: another form, or a time outside the years 1 to 9999 in UTC.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not an RFC 3339 time such as {DEFAULT_DATETIME}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    offset = timedelta(0)
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError(f"{text!r} has an impossible offset")
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes)) * (-1 if sign == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} does not exist: {error}") from error
    return (moment - _EPOCH) // timedelta(seconds=1), int((fraction or "")[:9].ljust(9, "0"))


def datetime_text(unix_seconds: int, nanoseconds: int) -> str:
    """RFC 3339 in UTC with ``Z`` and a fraction of 0, 3, 6 or 9 digits, as few as are needed."""
    moment = _EPOCH + timedelta(seconds=unix_seconds)
    digits = f"{nanoseconds:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return moment.replace(tzinfo=None).isoformat() + ("." + digits if digits else "") + "Z"


def _required(items: dict[str, Any], key: str) -> Any:
    if key not in items:
        raise MessageError(f"the message lacks {key}")
    return items[key]


def _address(items: dict[str, Any], key: str) -> Address:
    text = _required(items, key)
    if not isinstance(text, str):
        raise MessageError(f"{key} must be a string with the base64 of 20 bytes")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MessageError(f"{key} is not base64: {error}") from error
    if len(raw) != Address.SIZE:
        raise MessageError(f"{key} has {len(raw)} bytes instead of {Address.SIZE}")
    if base64.b64encode(raw).decode("ascii") != text:
        raise MessageError(f"{key} is not canonical base64")
    return Address(raw)


def _chain_id(items: dict[str, Any]) -> int:
    text = _required(items, "chain_id")
    # The length bound keeps the conversion short; 2**256 has 78 digits.
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text) or len(text) > 78 or int(text) > _CHAIN_ID_MAX:
        raise MessageError("chain_id must be a string with a decimal number below 2^256")
    return int(text)


def _value(items: dict[str, Any]) -> int:
    value = items.get("value")
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _VALUE_MAX:
        raise MessageError("value must be an integer from 0 to 2^256-1, or null")
    return value


def _is_init(items: dict[str, Any]) -> bool:
    flag = _required(items, "is_init")
    if not isinstance(flag, bool):
        raise MessageError("is_init must be true or false")
    return flag


def _datetime(items: dict[str, Any]) -> tuple[int, int]:
    text = items.get("datetime", DEFAULT_DATETIME)
    if not isinstance(text, str):
        raise MessageError("datetime must be a string")
    try:
        return parse_datetime(text)
    except ValueError as error:
        raise MessageError(f"datetime: {error}") from error
