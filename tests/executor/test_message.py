"""The message and the extended message against spec executor/10."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import message as message_module
from pygenvm.executor.limits import MESSAGE_JSON_CHARS_MAX
from pygenvm.executor.message import (
    DEFAULT_DATETIME,
    ExtendedMessage,
    Message,
    MessageError,
    datetime_text,
    parse_datetime,
)
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import EntryKind
from pygenvm.executor.primitives.address import Address
from tests.support.properties import examples

CONTRACT = Address(b"\x01" + bytes(19))
SENDER = Address(b"\x02" + bytes(19))

PLAIN: dict[str, Any] = {
    "contract_address": CONTRACT.as_b64,
    "sender_address": SENDER.as_b64,
    "origin_address": SENDER.as_b64,
    "chain_id": "0",
    "value": None,
    "is_init": False,
}


def parse(**changes: Any) -> Message:
    return Message.parse(json.dumps(PLAIN | changes))


def test_first_vector() -> None:
    data = calldata.encode({"method": "foo"})
    assert data.hex() == "0e066d6574686f641c666f6f"
    encoded = ExtendedMessage.main(parse()).encode(EntryKind.MAIN, data)
    assert encoded.hex() == (
        "5e08636861696e5f69640110636f6e74726163745f6164647265737318010000000000000000000000000000"
        "0000000000086461746574696d65dc01323032342d31312d32365430363a34323a34322e3432343234325a0a"
        "656e7472795f64617461630e066d6574686f641c666f6f0a656e7472795f6b696e640110656e7472795f7374"
        "6167655f64617461000769735f696e6974080e6f726967696e5f616464726573731802000000000000000000"
        "000000000000000000000e73656e6465725f6164647265737318020000000000000000000000000000000000"
        "000005737461636b050576616c756501"
    )
    assert len(encoded) == 236


def test_second_vector() -> None:
    message = parse(chain_id="61999", value=7, datetime="2025-01-02T03:04:05Z")
    assert ExtendedMessage.main(message).encode(EntryKind.MAIN, calldata.encode({"method": "f"})).hex() == (
        "5e08636861696e5f6964f9a21e10636f6e74726163745f616464726573731801000000000000000000000000"
        "00000000000000086461746574696d65a401323032352d30312d30325430333a30343a30355a0a656e747279"
        "5f64617461530e066d6574686f640c660a656e7472795f6b696e640110656e7472795f73746167655f646174"
        "61000769735f696e6974080e6f726967696e5f61646472657373180200000000000000000000000000000000"
        "0000000e73656e6465725f616464726573731802000000000000000000000000000000000000000573746163"
        "6b050576616c756539"
    )


def test_entry_data_is_not_looked_at() -> None:
    encoded = ExtendedMessage.main(parse()).encode(EntryKind.MAIN, b"\xff\xff")
    assert calldata.decode(encoded)["entry_data"] == b"\xff\xff"


def test_contract_call() -> None:
    main = ExtendedMessage.main(parse(value=9, is_init=True))
    callee, deeper = Address(b"\x03" + bytes(19)), Address(b"\x04" + bytes(19))
    called = calldata.decode(main.call(callee).encode(EntryKind.MAIN, b"data"))
    assert called == calldata.decode(main.encode(EntryKind.MAIN, b"main")) | {
        "contract_address": callee,
        "value": 0,
        "is_init": False,
        "entry_data": b"data",
        "stack": [CONTRACT],
    }
    again = main.enter().call(callee).call(deeper)
    assert again.stack == (CONTRACT, callee)
    assert again.sender_address == SENDER


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (EntryKind.SANDBOX, None),
        (EntryKind.CONSENSUS_STAGE, None),
        (EntryKind.CONSENSUS_STAGE, {"leaders_result": b"\x00\x10"}),
    ],
)
def test_other_vms_of_the_same_contract(kind: EntryKind, stage: Any) -> None:
    main = ExtendedMessage.main(parse(value=9, is_init=True))
    inner = main.call(SENDER).enter().encode(kind, memoryview(b"data"), stage)
    assert calldata.decode(inner) == calldata.decode(main.encode(EntryKind.MAIN, b"main")) | {
        "contract_address": SENDER,
        "value": 0,
        "is_init": False,
        "entry_data": b"data",
        "entry_kind": int(kind),
        "entry_stage_data": stage,
        "stack": [CONTRACT],
    }
    assert main.enter().value == 9


def test_defaults() -> None:
    text = json.dumps({key: value for key, value in PLAIN.items() if key != "value"} | {"gas": 1, "$schema": "x"})
    message = Message.parse(text)
    assert message == parse()
    assert (message.value, message.unix_seconds, message.nanoseconds) == (0, 1732603362, 424242000)
    assert ExtendedMessage.main(message).clock_ns == 1732603362424242000


def test_values_at_their_ends() -> None:
    assert parse(value=2**256 - 1).value == 2**256 - 1
    assert parse(value=0).value == 0
    assert parse(chain_id=str(2**256 - 1)).chain_id == 2**256 - 1
    assert parse(chain_id="007").chain_id == 7
    assert parse(is_init=True).is_init is True


@pytest.mark.parametrize("key", ["contract_address", "sender_address", "origin_address", "chain_id", "is_init"])
def test_required_keys(key: str) -> None:
    with pytest.raises(MessageError, match=f"^the message lacks {key}$"):
        Message.parse(json.dumps({name: value for name, value in PLAIN.items() if name != key}))


B64 = CONTRACT.as_b64


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("contract_address", None, "contract_address must be a string"),
        ("sender_address", 5, "sender_address must be a string"),
        ("origin_address", CONTRACT.as_hex, "origin_address "),
        ("contract_address", "", "contract_address has 0 bytes instead of 20"),
        ("contract_address", "AAAA", "contract_address has 3 bytes instead of 20"),
        ("contract_address", B64 + "AAAA", "contract_address "),
        ("contract_address", B64[:-1], "contract_address is not base64"),
        ("contract_address", B64.rstrip("=")[:-1] + "B=", "contract_address is not canonical base64"),
        ("contract_address", " " + B64, "contract_address is not base64"),
        ("contract_address", B64.replace("A", "_", 1), "contract_address is not base64"),
        ("contract_address", "é" + B64, "contract_address is not base64"),
        ("chain_id", 1, "chain_id must be a string"),
        ("chain_id", "", "chain_id must be a string"),
        ("chain_id", "0x1", "chain_id must be a string"),
        ("chain_id", "-1", "chain_id must be a string"),
        ("chain_id", "+1", "chain_id must be a string"),
        ("chain_id", "1_0", "chain_id must be a string"),
        ("chain_id", " 1", "chain_id must be a string"),
        ("chain_id", "1\n", "chain_id must be a string"),
        ("chain_id", "\u0661", "chain_id must be a string"),
        ("chain_id", str(2**256), "chain_id must be a string"),
        ("chain_id", "0" * 79, "chain_id must be a string"),
        ("value", -1, "value must be an integer"),
        ("value", 2**256, "value must be an integer"),
        ("value", True, "value must be an integer"),
        ("value", 1.0, "value must be an integer"),
        ("value", "1", "value must be an integer"),
        ("is_init", 1, "is_init must be true or false"),
        ("is_init", None, "is_init must be true or false"),
        ("is_init", "true", "is_init must be true or false"),
        ("datetime", None, "datetime must be a string"),
        ("datetime", 0, "datetime must be a string"),
        ("datetime", "2024-11-26", "datetime: '2024-11-26' is not an RFC 3339 time"),
    ],
)
def test_wrong_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse(**{key: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("{", "not valid JSON"),
        (json.dumps(PLAIN) + "x", "not valid JSON"),
        (json.dumps(PLAIN)[:-1] + ', "is_init": false}', "'is_init' occurs twice"),
        ('{"gas": {"a": 1, "b": 2, "a": 3}}', "'a' occurs twice"),
        ('{"value": NaN}', "NaN is not JSON"),
        ('{"value": -Infinity}', "-Infinity is not JSON"),
        ('{"value": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"gas": ' + "[" * 65 + "]" * 65 + "}", "nested more than 64 levels deep"),
        ("[" * 500_000, "nested more than 64 levels deep"),
        ('{"a": "' + "[" * 100 + '"}', "the message lacks contract_address"),
        ('{"a": "\\"' + "[" * 100 + '"}', "the message lacks contract_address"),
        ('"' + " " * MESSAGE_JSON_CHARS_MAX + '"', "characters, the limit is"),
    ],
    ids=range(15),
)
def test_wrong_json(text: str, message: str) -> None:
    with pytest.raises(MessageError) as caught:
        Message.parse(text)
    assert message in str(caught.value)


def test_depth_counts_only_what_is_open() -> None:
    assert parse(gas=[[]] * 1000) == parse()
    assert parse(gas=json.loads("[" * 63 + "]" * 63)) == parse()


# Time


@pytest.mark.parametrize(
    ("text", "seconds", "nanoseconds", "rendered"),
    [
        (DEFAULT_DATETIME, 1732603362, 424242000, DEFAULT_DATETIME),
        ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.5Z", -1, 500000000, "1969-12-31T23:59:59.500Z"),
        ("2025-01-02T03:04:05.1Z", 1735787045, 100000000, "2025-01-02T03:04:05.100Z"),
        ("2025-01-02T03:04:05.1230Z", 1735787045, 123000000, "2025-01-02T03:04:05.123Z"),
        ("2025-01-02T03:04:05.000001Z", 1735787045, 1000, "2025-01-02T03:04:05.000001Z"),
        ("2025-01-02T03:04:05.000000001Z", 1735787045, 1, "2025-01-02T03:04:05.000000001Z"),
        ("2025-01-02T03:04:05.9999999999Z", 1735787045, 999999999, "2025-01-02T03:04:05.999999999Z"),
        ("2025-01-02T03:04:05.000Z", 1735787045, 0, "2025-01-02T03:04:05Z"),
        ("2025-01-02T05:34:05+02:30", 1735787045, 0, "2025-01-02T03:04:05Z"),
        ("2025-01-01T19:04:05-08:00", 1735787045, 0, "2025-01-02T03:04:05Z"),
        ("2025-01-02t03:04:05z", 1735787045, 0, "2025-01-02T03:04:05Z"),
        ("2025-01-02 03:04:05-00:00", 1735787045, 0, "2025-01-02T03:04:05Z"),
        ("2024-02-29T23:59:59+23:59", 1709164859, 0, "2024-02-29T00:00:59Z"),
        ("0001-01-01T00:00:00Z", -62135596800, 0, "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", 253402300799, 0, "9999-12-31T23:59:59Z"),
    ],
)
def test_datetimes(text: str, seconds: int, nanoseconds: int, rendered: str) -> None:
    assert parse_datetime(text) == (seconds, nanoseconds)
    assert datetime_text(seconds, nanoseconds) == rendered
    assert parse(datetime=text).unix_seconds == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "2025-01-02T03:04:05", "2025-01-02T03:04Z", "2025-1-2T03:04:05Z", "2025-01-02T03:04:05.Z",
        "2025-01-02T03:04:05+0200", "2025-01-02T03:04:05+2:00", "2025-01-02T03:04:05+24:00",
        "2025-01-02T03:04:05+00:60", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z", "2025-01-01T00:00:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00", "0000-12-31T23:00:00-23:59",
        "2025-01-02T03:04:05Z\n", " 2025-01-02T03:04:05Z", "+2025-01-02T03:04:05Z",
        "\u0662\u0660\u0662\u0665-01-02T03:04:05Z",
    ],
)  # fmt: skip
def test_wrong_datetimes(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|impossible offset|does not exist"):
        parse_datetime(text)


_DIGITS = st.integers(0, 99)


def _year_from(year: int) -> range:
    first = date(year, 1, 1).toordinal()
    return range(first, first + 367)


@examples(500)
@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.integers(0, 25), _DIGITS, _DIGITS)
def test_times_are_those_of_the_library(year: int, month: int, day: int, hour: int, minute: int, second: int) -> None:
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        with pytest.raises(ValueError, match="does not exist"):
            parse_datetime(text)
    else:
        seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
        assert parse_datetime(text) == (seconds, 0)
        assert datetime_text(seconds, 0) == text


def test_days_are_those_of_the_library() -> None:
    around_leap_days = (day for year in (1, 4, 100, 400, 1900, 2000, 9996) for day in _year_from(year))
    for number in (*range(1, date.max.toordinal() + 1, 17), *around_leap_days):
        day = date.fromordinal(number)
        days = number - date(1970, 1, 1).toordinal()
        assert message_module._days(day.year, day.month, day.day) == days
        assert message_module._date(days) == (day.year, day.month, day.day)


@examples(200)
@given(st.integers(-62135596800, 253402300799), st.integers(0, 999_999_999))
def test_rendered_time_is_read_back(seconds: int, nanoseconds: int) -> None:
    text = datetime_text(seconds, nanoseconds)
    assert parse_datetime(text) == (seconds, nanoseconds)
    assert len(text) in (20, 24, 27, 30)
