"""The message of a run, and the extended message that a VM reads from its fd 0 (spec executor/10)."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import Any

from pygenvm.executor.frozen import Frozen, replaced
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import MESSAGE_JSON_CHARS_MAX, MESSAGE_JSON_DEPTH_MAX
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import EntryKind
from pygenvm.executor.primitives.address import Address

DEFAULT_DATETIME = "2024-11-26T06:42:42.424242Z"

_NANOSECONDS = 1_000_000_000
_DAY_SECONDS = 86_400
#: Of the years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
#: Days from the first of March of the year 0 to 1970.
_MARCH_OF_YEAR_0 = 719_468
_VALUE_MAX = (1 << 256) - 1
_CHAIN_ID_MAX = (1 << 256) - 1
_DIGITS = "0123456789"


class MessageError(ValueError):
    """The message is not what spec executor/10 says; the text names the key and what is wrong with it."""


class Message(metaclass=Frozen):
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


class ExtendedMessage(metaclass=Frozen):
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
    (year, month, day, hour, minute, second), fraction, zone = _fields(text)
    offset = 0
    if zone not in ("Z", "z"):
        offset_hours, offset_minutes = int(zone[1:3]), int(zone[4:])
        if offset_hours > 23 or offset_minutes > 59:
            raise ValueError(f"{text!r} has an impossible offset")
        offset = (offset_hours * 3600 + offset_minutes * 60) * (-1 if zone[0] == "-" else 1)
    days = _days(year, month, day)
    seconds = days * _DAY_SECONDS + hour * 3600 + minute * 60 + second - offset
    exists = year and _date(days) == (year, month, day) and hour < 24 and minute < 60 and second < 60
    if not exists or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise ValueError(f"{text!r} does not exist, or is outside the years 1 to 9999 in UTC")
    return seconds, int(fraction[:9].ljust(9, "0"))


def _fields(text: str) -> tuple[list[int], str, str]:
    """Six numbers, the digits of the fraction, and the zone: ``Z``, ``z`` or as in ``+01:00``.

    :raises ValueError: another form.
    """
    behind = text[19:]
    # To compile an expression takes longer than all the rest of a message.
    zone = behind[1:].lstrip(_DIGITS) if behind[:1] == "." else behind
    fraction = behind[1 : len(behind) - len(zone)]
    pieces = [text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19]]
    signs = text[4:5] + text[7:8] + text[13:14] + text[16:17]
    digits = "".join(pieces)
    if zone not in ("Z", "z"):
        digits += zone[1:3] + zone[4:]
        signs += zone[3:4]
        formed = len(zone) == 6 and zone[0] in "+-" and signs == "--:::"
    else:
        formed = signs == "--::"
    if behind[:1] == "." and not fraction:
        formed = False
    if not formed or text[10] not in "Tt " or digits.strip(_DIGITS) or len(text) < 20:
        raise ValueError(f"{text[:64]!r} is not an RFC 3339 time such as {DEFAULT_DATETIME}")
    return [int(piece) for piece in pieces], fraction, zone


def datetime_text(unix_seconds: int, nanoseconds: int) -> str:
    """RFC 3339 in UTC with ``Z`` and a fraction of 0, 3, 6 or 9 digits, as few as are needed."""
    days, seconds = divmod(unix_seconds, _DAY_SECONDS)
    year, month, day = _date(days)
    digits = f"{nanoseconds:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{time}" + ("." + digits if digits else "") + "Z"


# By hand, because `datetime` takes longer to load than anything else that a message needs. Years begin in March here:
# then a leap day is their last one.


def _days(year: int, month: int, day: int) -> int:
    """Of a date, since 1970-01-01."""
    year -= month <= 2
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + in_year - _MARCH_OF_YEAR_0


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day; the inverse of :func:`_days`."""
    era, in_era = divmod(days + _MARCH_OF_YEAR_0, 146_097)
    year = (in_era - in_era // 1_460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    month = (5 * in_year + 2) // 153
    day = in_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return era * 400 + year + (month <= 2), month, day


def _required(items: dict[str, Any], key: str) -> Any:
    if key not in items:
        raise MessageError(f"the message lacks {key}")
    return items[key]


def _address(items: dict[str, Any], key: str) -> Address:
    text = _required(items, key)
    if not isinstance(text, str):
        raise MessageError(f"{key} must be a string with the base64 of 20 bytes")
    try:
        raw = a2b_base64(text, strict_mode=True)
    except (Error, ValueError) as error:
        raise MessageError(f"{key} is not base64: {error}") from error
    if len(raw) != Address.SIZE:
        raise MessageError(f"{key} has {len(raw)} bytes instead of {Address.SIZE}")
    if b2a_base64(raw, newline=False).decode("ascii") != text:
        raise MessageError(f"{key} is not canonical base64")
    return Address(raw)


def _chain_id(items: dict[str, Any]) -> int:
    text = _required(items, "chain_id")
    # The length bound keeps the conversion short; 2**256 has 78 digits.
    if (
        not isinstance(text, str)
        or not (text.isascii() and text.isdigit())
        or len(text) > 78
        or int(text) > _CHAIN_ID_MAX
    ):
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
