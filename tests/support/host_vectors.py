"""Every byte example of spec executor/02, as (method, field values, request bytes, reply bytes, reply)."""

from __future__ import annotations

from typing import Any, NamedTuple

from pygenvm.executor.host_protocol.codec import Reply
from pygenvm.executor.primitives import abi
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address

CONTRACT_HEX = "0100000000000000000000000000000000000000"
CONTRACT = Address(bytes.fromhex(CONTRACT_HEX))
RECEIVER = Address(bytes([3]) + bytes(19))
OK = Reply(HostErrorCode.OK)


class Example(NamedTuple):
    name: str
    method: HostMethod
    values: dict[str, Any]
    request: bytes
    answer: bytes
    reply: Reply | None


def _example(
    name: str, method: HostMethod, values: dict[str, Any], request: str, answer: str, reply: Reply | None
) -> Example:
    return Example(name, method, values, bytes.fromhex(request), bytes.fromhex(answer), reply)


def _read(slot: bytes, index: int, length: int) -> dict[str, Any]:
    storage_type = StorageType.DEFAULT
    return {"storage_type": storage_type, "address": CONTRACT, "slot": slot, "index": index, "length": length}


def _value(value: bytes | int) -> Reply:
    return Reply(HostErrorCode.OK, value)


EXAMPLES = [
    _example(
        "upgraders",
        HostMethod.STORAGE_READ,
        _read(abi.UPGRADERS_SLOT, 0, 4),
        f"01 00 {CONTRACT_HEX} 21b9e013f74608b92947861287b3de76c2c076fe839b7994761bd950cc2e7566 00000000 04000000",
        "00 00000000",
        _value(bytes(4)),
    ),
    _example(
        "locked slots, none",
        HostMethod.STORAGE_READ,
        _read(abi.LOCKED_SLOTS_SLOT, 4, 0),
        f"01 00 {CONTRACT_HEX} ba005630745acf3014aaf162e9933040302ca0bef3f56fe2d73c0a08f82c610b 04000000 00000000",
        "00",
        _value(b""),
    ),
    _example(
        "code length",
        HostMethod.STORAGE_READ,
        _read(abi.CODE_SLOT, 0, 4),
        f"01 00 {CONTRACT_HEX} e1ae23412792df6b6a98fb7c9839701fb8b02b6fc7ed022810f78346494685e7 00000000 04000000",
        "00 04030201",
        _value(b"\4\3\2\1"),
    ),
    _example(
        "calldata",
        HostMethod.GET_CALLDATA,
        {},
        "00",
        "00 0c000000 0e066d6574686f641c666f6f",
        _value(bytes.fromhex("0e066d6574686f641c666f6f")),
    ),
    _example(
        "write",
        HostMethod.STORAGE_WRITE,
        {"slot": bytes(32), "index": 5, "data": b"\xab\xcd"},
        "02" + "00" * 32 + "05000000 02000000 abcd",
        "00",
        OK,
    ),
    _example(
        "event",
        HostMethod.POST_EVENT,
        {"topics": [b"\x11" * 32], "blob": bytes.fromhex("0e016109")},
        "07 01" + "11" * 32 + "04000000 0e016109",
        "00",
        OK,
    ),
    _example(
        "leader result",
        HostMethod.GET_LEADER_NONDET_RESULT,
        {"call_no": 0},
        "04 00000000",
        "00 03000000 00 d102",
        _value(b"\x00\xd1\x02"),
    ),
    _example(
        "I am the leader",
        HostMethod.GET_LEADER_NONDET_RESULT,
        {"call_no": 0},
        "04 00000000",
        "03",
        Reply(HostErrorCode.I_AM_LEADER),
    ),
    _example(
        "post result",
        HostMethod.POST_NONDET_RESULT,
        {"call_no": 0, "result": b"\x00\x14ok"},
        "05 00000000 04000000 00 146f6b",
        "00",
        OK,
    ),
    _example("fuel", HostMethod.CONSUME_FUEL, {"amount": 1000}, "08 e803000000000000", "", None),
    _example(
        "balance",
        HostMethod.GET_BALANCE,
        {"address": CONTRACT},
        f"0c {CONTRACT_HEX}",
        "00 0201" + "00" * 30,
        _value(0x0102),
    ),
    _example("disagreement", HostMethod.NOTIFY_NONDET_DISAGREEMENT, {"call_no": 2}, "0e 02000000", "", None),
    _example(
        "message",
        HostMethod.POST_MESSAGE,
        {
            "receiver": RECEIVER,
            "calldata": bytes.fromhex("0e066d6574686f640c66"),
            "data": b'{"on":"finalized","value":"0x5"}',
        },
        "06 0300000000000000000000000000000000000000 0a000000 0e066d6574686f640c66"
        "20000000 7b226f6e223a2266696e616c697a6564222c2276616c7565223a22307835227d",
        "00",
        OK,
    ),
    # Not in the examples of the specification; the bytes follow from its table.
    _example(
        "deployment",
        HostMethod.DEPLOY_CONTRACT,
        {"calldata": b"\x0e\x00", "code": b"code", "data": b'{"on":"finalized","salt_nonce":"0x1","value":"0x0"}'},
        "09 02000000 0e00 04000000 636f6465 33000000" + b'{"on":"finalized","salt_nonce":"0x1","value":"0x0"}'.hex(),
        "00",
        OK,
    ),
    _example(
        "eth call",
        HostMethod.ETH_CALL,
        {"address": CONTRACT, "calldata": b"\x12\x34"},
        f"0a {CONTRACT_HEX} 02000000 1234",
        "00 01000000 ff",
        _value(b"\xff"),
    ),
    _example(
        "eth send",
        HostMethod.ETH_SEND,
        {"address": CONTRACT, "calldata": b"", "data": b'{"value":"0x5"}'},
        f"0b {CONTRACT_HEX} 00000000 0f000000" + b'{"value":"0x5"}'.hex(),
        "00",
        OK,
    ),
    _example("fuel left", HostMethod.REMAINING_FUEL_AS_GEN, {}, "0d", "00 ffffffffffff1f00", _value(2**53 - 1)),
]

#: Complete consume_result messages.
CONSUMED = {
    "Return(null)": "03 02000000 00 00",
    "Return(42)": "03 03000000 00 d102",
    "UserError no": "03 34000000 01 160b66696e6765727072696e7416066672616d657305106d6f64756c655f696e7374616e63657306"
    "076d657373616765146e6f",
    "VMError version_too_big": "03 41000000 02 160b66696e6765727072696e7416066672616d657305106d6f64756c655f696e737461"
    "6e63657306 076d6573736167657c76657273696f6e5f746f6f5f626967",
    "VMError timeout": "03 1f000000 02 160b66696e6765727072696e7400076d6573736167653c74696d656f7574",
    "VMError exit_code 1": "03 7f000000 02 160b66696e6765727072696e7416066672616d65730d160466756e63190b6d6f64756c655f"
    "6e616d6504106d6f64756c655f696e7374616e6365730e000e086d656d6f726965730d83023bdeaf8f8e98780b318106aafd"
    "c3ca257f73df123d97b69112b26044c91a7d56076d6573736167655c657869745f636f64652031",
    "internal error boom": "03 05000000 02 626f6f6d",
}
