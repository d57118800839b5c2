"""Order and bytes of host traffic, locked slots and upgraders (spec executor/02, 03)."""

from __future__ import annotations

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import GuestFault, Return, VMErrorRaised
from pygenvm.executor.primitives.abi import (
    CODE_SLOT,
    LOCKED_SLOTS_SLOT,
    UPGRADERS_SLOT,
    HostErrorCode,
    HostMethod,
    StorageType,
)
from pygenvm.executor.primitives.address import Address
from tests.support.execution import execute, execute_process, wat
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost, RefusingReads, expect, expect_end, scripted_host, send
from tests.support.machine import Answer, Script, machine, traffic

NOTHING = wat('(module (func (export "_start")))')
SLOT = bytes(range(32))
OTHER = Address(bytes([7]) * 20)
CALLEE = Address(bytes([3]) + bytes(19))
OK, FORBIDDEN = Answer(0), Answer(6)


def reads(host: InMemoryHost) -> list[tuple[bytes, int, int]]:
    return [(fields["slot"], fields["index"], fields["length"]) for fields in host.fields_of(HostMethod.STORAGE_READ)]


# --- order ----


def test_slots_of_the_protocol() -> None:
    assert CODE_SLOT.hex() == "e1ae23412792df6b6a98fb7c9839701fb8b02b6fc7ed022810f78346494685e7"
    assert LOCKED_SLOTS_SLOT.hex() == "ba005630745acf3014aaf162e9933040302ca0bef3f56fe2d73c0a08f82c610b"
    assert UPGRADERS_SLOT.hex() == "21b9e013f74608b92947861287b3de76c2c076fe839b7994761bd950cc2e7566"


def test_order_of_a_plain_run() -> None:
    host = InMemoryHost()
    execute(NOTHING, host=host)
    assert host.methods == [HostMethod.STORAGE_READ] * 3 + [HostMethod.GET_CALLDATA] + [
        HostMethod.STORAGE_READ,
        HostMethod.STORAGE_READ,
        HostMethod.CONSUME_RESULT,
    ]
    assert reads(host) == [
        (UPGRADERS_SLOT, 0, 4),
        (LOCKED_SLOTS_SLOT, 0, 4),
        (LOCKED_SLOTS_SLOT, 4, 0),
        (CODE_SLOT, 0, 4),
        (CODE_SLOT, 4, len(NOTHING)),
    ]
    assert {fields["storage_type"] for fields in host.fields_of(HostMethod.STORAGE_READ)} == {StorageType.DEFAULT}
    assert {fields["address"] for fields in host.fields_of(HostMethod.STORAGE_READ)} == {CONTRACT}


def test_bytes_of_a_plain_run_of_the_real_command() -> None:
    """Examples of the specification, the first three reads to the result."""
    contract = CONTRACT.as_bytes

    def read(slot: bytes, index: int, length: int) -> bytes:
        return b"\1\0" + contract + slot + index.to_bytes(4, "little") + length.to_bytes(4, "little")

    size = len(NOTHING).to_bytes(4, "little")
    steps = [
        *(expect(read(UPGRADERS_SLOT, 0, 4)), send(bytes(5))),
        *(expect(read(LOCKED_SLOTS_SLOT, 0, 4)), send(bytes(5), chunk=1)),
        *(expect(read(LOCKED_SLOTS_SLOT, 4, 0)), send(b"\0")),
        *(expect(b"\0"), send(bytes.fromhex("00 0c000000 0e066d6574686f641c666f6f"), chunk=3)),
        *(expect(read(CODE_SLOT, 0, 4)), send(b"\0" + size)),
        *(expect(read(CODE_SLOT, 4, len(NOTHING))), send(b"\0" + NOTHING, chunk=7)),
        *(expect(bytes.fromhex("03 02000000 00 00")), send(b"\x2a")),
        expect_end(),
    ]
    for tcp in (False, True):
        with scripted_host(*steps, tcp=tcp) as address:
            run = execute_process(address=address)
        assert (run.exit_code, run.stdout) == (0, b""), run.stderr


def test_an_empty_code_slot_is_read_all_the_same() -> None:
    host = InMemoryHost()
    execute(host=host)
    assert reads(host)[-2:] == [(CODE_SLOT, 0, 4), (CODE_SLOT, 4, 0)]


def test_a_disagreement_comes_directly_before_the_result() -> None:
    host = InMemoryHost(leader_results=[b"\x00\x00"])
    program = Script().nondet(Script(), Script().exit(1)).storage_write(SLOT, 0, b"x")
    program.run(host=host)
    assert host.methods[-3:] == [
        HostMethod.STORAGE_WRITE,
        HostMethod.NOTIFY_NONDET_DISAGREEMENT,
        HostMethod.CONSUME_RESULT,
    ]


# --- upgraders and locked slots ----


def test_upgraders_are_read_one_by_one_until_the_sender() -> None:
    host = InMemoryHost()
    host.put_upgraders([OTHER, SENDER, CALLEE])
    host.put_locked_slots([SLOT])
    run = Script().storage_write(SLOT, 0, b"x").run(host=host)
    assert run.answers == [OK]
    assert reads(host)[:4] == [
        (UPGRADERS_SLOT, 0, 4),
        (UPGRADERS_SLOT, 4, 20),
        (UPGRADERS_SLOT, 24, 20),
        (CODE_SLOT, 0, 4),
    ]


def test_locked_slots_are_read_when_the_sender_is_no_upgrader() -> None:
    host = InMemoryHost()
    host.put_upgraders([OTHER, CALLEE])
    host.put_locked_slots([SLOT, bytes(32)])
    run = Script().storage_write(SLOT, 0, b"x").storage_write(bytes(32), 0, b"x").run(host=host)
    assert run.answers == [FORBIDDEN, FORBIDDEN]
    assert reads(host)[:5] == [
        (UPGRADERS_SLOT, 0, 4),
        (UPGRADERS_SLOT, 4, 20),
        (UPGRADERS_SLOT, 24, 20),
        (LOCKED_SLOTS_SLOT, 0, 4),
        (LOCKED_SLOTS_SLOT, 4, 64),
    ]
    assert HostMethod.STORAGE_WRITE not in host.methods


def test_more_upgraders_than_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract is to blame, unless the sender is one of those that are looked at."""
    monkeypatch.setattr(limits, "UPGRADERS_MAX", 2)
    host = InMemoryHost()
    host.put_upgraders([OTHER, CALLEE, SENDER])
    with pytest.raises(GuestFault, match="the contract has 3 upgraders, at most 2 are looked at"):
        execute(NOTHING, host=host)
    assert reads(host) == [(UPGRADERS_SLOT, 0, 4), (UPGRADERS_SLOT, 4, 20), (UPGRADERS_SLOT, 24, 20)]
    for upgraders in ([OTHER, SENDER, CALLEE], [OTHER, CALLEE]):
        host.put_upgraders(upgraders)
        assert execute(NOTHING, host=host).outcome == Return(b"\0")


def test_the_origin_is_no_upgrader() -> None:
    host = InMemoryHost()
    host.put_upgraders([OTHER])
    host.put_locked_slots([SLOT])
    run = Script().storage_write(SLOT, 0, b"x").run(host=host, message={"origin": OTHER})
    assert run.answers == [FORBIDDEN]


def test_locks_apply_to_sandboxes_and_can_be_read() -> None:
    host = InMemoryHost()
    host.put_locked_slots([SLOT])
    inner = Script().storage_write(SLOT, 0, b"x").storage_write(bytes(32), 0, b"x")
    run = Script().sandbox(inner, True).storage_read(SLOT, 0, 1).run(host=host)
    assert inner.inside(run.answers[0]) == [FORBIDDEN, OK]
    assert run.answers[1:] == [OK, b"\0"]


def test_locks_made_during_a_run_take_effect_in_the_next_one() -> None:
    host = InMemoryHost()
    content = b"\1\0\0\0" + SLOT
    program = Script().storage_write(LOCKED_SLOTS_SLOT, 0, content).storage_write(SLOT, 0, b"x")
    assert program.run(host=host).answers == [OK, OK]
    assert Script().storage_write(SLOT, 0, b"y").run(host=host).answers == [FORBIDDEN]


def test_locks_are_those_of_the_contract_of_the_run() -> None:
    host = InMemoryHost()
    host.put_code(machine(), CALLEE)
    host.slot(LOCKED_SLOTS_SLOT, CALLEE)[:] = b"\1\0\0\0" + SLOT
    assert Script().storage_write(SLOT, 0, b"x").run(host=host).answers == [OK]


def test_unlocked_slots_next_to_a_locked_one_may_be_written() -> None:
    host = InMemoryHost()
    host.put_locked_slots([SLOT])
    near = SLOT[:31] + b"\0"
    assert Script().storage_write(near, 0, b"x").run(host=host).answers == [OK]


# --- failures of the host at start-up ----


@pytest.mark.parametrize("refused", [UPGRADERS_SLOT, LOCKED_SLOTS_SLOT], ids=["upgraders", "locked"])
def test_a_refused_read_at_start_up_stops_the_start(refused: bytes) -> None:
    host = RefusingReads(lambda _, slot: slot == refused, HostErrorCode.FORBIDDEN)
    with pytest.raises(VMErrorRaised, match="forbidden"):
        execute(NOTHING, host=host)
    assert host.methods[-1] is HostMethod.STORAGE_READ


def test_a_host_that_goes_away_at_start_up_stops_the_start() -> None:
    with scripted_host() as address:
        run = execute_process(address=address)
    assert run.exit_code == 1
    assert run.stderr.startswith(b"Error: ")


# --- what the executor does not do ----


def test_nothing_is_undone_when_the_run_fails() -> None:
    host = InMemoryHost()
    program = Script().storage_write(SLOT, 0, b"x").gl_call({"EmitEvent": {"topics": [], "blob": {}}})
    program.gl_call({"Rollback": "no"}).run(host=host)
    assert [request.method for request in traffic(host)] == [HostMethod.STORAGE_WRITE, HostMethod.POST_EVENT]


def test_requests_of_sub_vms_are_in_the_order_of_execution() -> None:
    host = InMemoryHost()
    host.put_code(NOTHING, CALLEE)
    program = (
        Script()
        .storage_write(SLOT, 0, b"1")
        .sandbox(Script().storage_write(SLOT, 1, b"2"), True)
        .gl_call({"CallContract": {"address": CALLEE, "calldata": None, "state": 1}})
        .storage_write(SLOT, 2, b"3")
    )
    program.run(host=host)
    assert [
        (request.method, request.fields.get("index"), request.fields.get("address")) for request in traffic(host)
    ] == [
        (HostMethod.STORAGE_WRITE, 0, None),
        (HostMethod.STORAGE_WRITE, 1, None),
        (HostMethod.STORAGE_READ, 0, CALLEE),
        (HostMethod.STORAGE_READ, 4, CALLEE),
        (HostMethod.STORAGE_WRITE, 2, None),
    ]
