"""What the first six examples leave in storage, slot by slot and byte for byte (spec sdk/02)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, UserError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, INSTANCE_SLOT, LOCKED_SLOTS_SLOT, UPGRADERS_SLOT
from pygenvm.executor.primitives.address import Address
from tests.support.execution import execute
from tests.support.hosts import SENDER, InMemoryHost
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")

OTHER = Address(bytes([7]) * 20)
ME, YOU = SENDER.as_bytes.hex(), OTHER.as_bytes.hex()
LOCKED = b"\4\0\0\0" + bytes(32) + CODE_SLOT + LOCKED_SLOTS_SLOT + UPGRADERS_SLOT


def slot(*offsets: int) -> bytes:
    """The slot to which these offsets lead from the contract's own."""
    found = INSTANCE_SLOT
    for offset in offsets:
        found = hashlib.sha3_256(found + offset.to_bytes(4, "little")).digest()
    return found


def number(value: int, size: int) -> str:
    return value.to_bytes(size, "little", signed=value < 0).hex()


@dataclass(frozen=True)
class Case:
    """Calls to a contract, and what its slots hold then, by the offsets that lead there."""

    args: tuple[Any, ...]
    calls: tuple[tuple[Any, ...], ...]
    slots: dict[tuple[int, ...], str]


TREE_OF_ONE = "01000000 01000000 00000000"
NO_CHILDREN = "00000000 00000000 00"
CASES = {
    # text: str. What a longer text has left behind stays.
    "storage": Case(("hello",), (("update_storage", "hé"),), {(): "03000000", (0,): "68c3a9 6c6f"}),
    # steps: u32, low: i64, total: u256, product: bigint
    "counter": Case(
        (5,),
        (("add", 2**200), ("multiply", -3)),
        {(): f"02000000 ffffffffffffffff {number(2**200, 32)} 03000000", (44,): "f1ffff"},
    ),
    # notes: TreeMap[Address, str]. Two nodes; then the root goes, and its number is free.
    "user_map": Case(
        (),
        ((SENDER, "set_note", "n"), (OTHER, "set_note", "mm"), (SENDER, "remove_note")),
        {
            (): "02000000 02000000 01000000",
            (4,): f"{ME} 01000000 00000000 02000000 01 {YOU} 02000000 {NO_CHILDREN}",
            (4, 20): "6e",
            (4, 53): "6d6d",
            (8,): "00000000",
        },
    ),
    # total_supply: u256, balances: TreeMap[Address, u256], deposits: TreeMap[Address, u256]
    "token": Case(
        (100,),
        (("transfer", OTHER, 5),),
        {
            (): f"{number(100, 32)} 01000000 02000000 00000000 00000000 00000000 00000000",
            (36,): f"{ME} {number(95, 32)} 00000000 02000000 01 {YOU} {number(5, 32)} {NO_CHILDREN}",
        },
    ),
    # people: TreeMap[Address, Person], history: DynArray[str], scores: Array[u32, 4], groups: a map of maps
    "nested": Case(
        (),
        (("join", "eve"), ("add_task", "t", 3), ("finish_task", 0), ("count", "g", "k", 9)),
        {
            (): f"{TREE_OF_ONE} 02000000 03000000 00000000 00000000 00000000 {TREE_OF_ONE}",
            # name, joined (seconds, micros, has_tz, offset), tasks
            (4,): f"{ME} 03000000 {number(1795132800, 8)} 00000000 01 {'00' * 12} 01000000 {NO_CHILDREN}",
            (4, 20): b"eve".hex(),
            # title, done, points
            (4, 49): "01000000 01 0300",
            (4, 49, 0): b"t".hex(),
            (12,): "0a000000 0a000000",
            (12, 0): b"eve joined".hex(),
            (12, 4): b"eve took t".hex(),
            (36,): f"01000000 {TREE_OF_ONE} {NO_CHILDREN}",
            (36, 0): b"g".hex(),
            (36, 8): f"01000000 {number(9, 8)} {NO_CHILDREN}",
            (36, 8, 0): b"k".hex(),
        },
    ),
    # touched: u32, small: u8. This host keeps what a failed run has written.
    "failures": Case((), (("user_error",), ("does_not_fit",)), {(): "02000000 00"}),
}


@pytest.mark.parametrize("name", CASES)
def test_storage_after_some_calls(name: str) -> None:
    case = CASES[name]
    host = InMemoryHost(calldata=calldata.encode({"args": case.args}))
    code = (EXAMPLES / f"{name}.py").read_bytes()
    run = execute(code, host=host, built=True, message={"is_init": True})
    assert run.outcome == Return(b"\0"), run.stderr.decode()
    for call in case.calls:
        sender, method, *args = call if isinstance(call[0], Address) else (SENDER, *call)
        host.calldata = calldata.encode({"method": method, "args": args})
        run = execute(host=host, built=True, message={"sender": sender})
        if name != "failures":
            assert isinstance(run.outcome, Return), (call, run.stderr.decode())
        elif method == "user_error":
            assert isinstance(run.outcome, UserError)
    found = {
        slot_id: bytes(content).rstrip(b"\0").hex()
        for (address, slot_id), content in host.storage.items()
        if address == host.contract and content.strip(b"\0") and slot_id != CODE_SLOT
    }
    assert found.pop(LOCKED_SLOTS_SLOT) == LOCKED.hex()
    expected = {slot(*path): bytes.fromhex(text).rstrip(b"\0").hex() for path, text in case.slots.items()}
    assert found == {slot_id: text for slot_id, text in expected.items() if text}
