"""Sub-VMs: what they see, which state they read, how their ends reach their callers (spec executor/03, 04, 05)."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.limits import VM_DEPTH
from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.supervisor import Supervisor
from tests.support.execution import wat
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost, RefusingReads
from tests.support.machine import Answer, Script, machine, traffic

CALLEE = Address(bytes([3]) + bytes(19))
THIRD = Address(bytes([4]) + bytes(19))
ORIGIN = Address(bytes([5]) + bytes(19))
SLOT = bytes(range(32))
MESSAGE = {"value": 7, "is_init": True, "origin": ORIGIN, "chain_id": "61999", "datetime": "2026-01-02T03:04:05.67Z"}
SEEN_BY_ALL = {
    "chain_id": 61999,
    "datetime": "2026-01-02T03:04:05.670Z",
    "origin_address": ORIGIN,
    "sender_address": SENDER,
}


def hosting(*addresses: Address, **arguments: Any) -> InMemoryHost:
    host = InMemoryHost(**arguments)
    for address in addresses:
        host.put_code(machine(), address)
    return host


def decoded(program: Script, answer: Answer, index: int = 0) -> Any:
    """The message that the sub-VM of ``program`` put out as its item ``index``."""
    return calldata.decode(program.inside(answer)[index])


# --- messages ----


def test_message_of_the_main_vm() -> None:
    program = Script().message()
    (message,) = program.run(message=MESSAGE).answers
    assert calldata.decode(message) == SEEN_BY_ALL | {
        "contract_address": CONTRACT,
        "entry_data": program.code,
        "entry_kind": 0,
        "entry_stage_data": None,
        "is_init": True,
        "stack": [],
        "value": 7,
    }


def test_calldata_of_the_host_is_not_decoded() -> None:
    host = InMemoryHost()
    program = Script().message()
    program.code += b"\xff\xff"  # no operations, and no calldata either
    (message,) = program.run(host=host).answers
    assert calldata.decode(message)["entry_data"] == program.code


def test_message_of_a_called_contract() -> None:
    program = Script().message()
    run = Script().call(CALLEE, program).run(host=hosting(CALLEE), message=MESSAGE)
    assert decoded(program, run.answers[0]) == SEEN_BY_ALL | {
        "contract_address": CALLEE,
        "entry_data": calldata.encode(program.code),
        "entry_kind": 0,
        "entry_stage_data": None,
        "is_init": False,
        "stack": [CONTRACT],
        "value": 0,
    }


def test_the_stack_grows_with_each_call_and_stays_in_sandboxes() -> None:
    probe = Script().message()
    second = Script().sandbox(probe).call(THIRD, probe)
    run = Script().call(CALLEE, second).run(host=hosting(CALLEE, THIRD), message=MESSAGE)
    sandbox, third = second.inside(run.answers[0])
    message = decoded(probe, sandbox)
    assert (message["stack"], message["contract_address"], message["entry_kind"]) == ([CONTRACT], CALLEE, 1)
    message = decoded(probe, third)
    assert (message["stack"], message["contract_address"]) == ([CONTRACT, CALLEE], THIRD)
    assert message["sender_address"] == SENDER


def test_a_contract_may_call_itself() -> None:
    probe = Script().message()
    run = Script().call(CONTRACT, probe).run(message=MESSAGE)
    message = decoded(probe, run.answers[0])
    assert (message["contract_address"], message["stack"]) == (CONTRACT, [CONTRACT])


def test_message_of_a_sandbox() -> None:
    program = Script().message()
    run = Script().sandbox(program).run(message=MESSAGE)
    assert decoded(program, run.answers[0]) == SEEN_BY_ALL | {
        "contract_address": CONTRACT,
        "entry_data": program.code,
        "entry_kind": 1,
        "entry_stage_data": None,
        "is_init": False,
        "stack": [],
        "value": 7,
    }


def test_message_of_a_leader_block() -> None:
    program = Script().message()
    run = Script().nondet(program).run(message=MESSAGE)
    assert decoded(program, run.answers[0]) == SEEN_BY_ALL | {
        "contract_address": CONTRACT,
        "entry_data": program.code,
        "entry_kind": 2,
        "entry_stage_data": None,
        "is_init": False,
        "stack": [],
        "value": 7,
    }


def test_the_entry_data_of_a_call_is_encoded_canonically() -> None:
    """The callee gets the encoding of the value, with sorted keys."""
    host = InMemoryHost()
    host.put_code(
        wat(
            """(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\\10\\00\\00\\00\\00\\04\\00\\00")
            (data (i32.const 0x1000) "\\0e\\06Return\\83\\0f")
            (func (export "_start")
              (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
              (memory.copy (i32.const 0x100a) (i32.const 16) (i32.const 240))
              (drop (call $gl_call (i32.const 0x1000) (i32.const 250) (i32.const 0)))))"""
        ),
        CALLEE,
    )
    value = {"b": [1, None], "a": b"x"}
    run = Script().gl_call({"CallContract": {"address": CALLEE, "calldata": value, "state": 2}}).run(host=host)
    content = run.answers[0].content
    encoded = calldata.encode(value)
    assert encoded == bytes.fromhex("1601610b780162150900")
    assert b"\x0aentry_data" + bytes([len(encoded) << 3 | 3]) + encoded in content


# --- state modes ----


@pytest.mark.parametrize(
    ("state", "storage_type"),
    [(0, StorageType.LATEST_NON_FINAL), (1, StorageType.LATEST_FINAL), (2, StorageType.LATEST_NON_FINAL)],
)
def test_a_called_contract_reads_code_and_storage_of_the_asked_state(state: int, storage_type: StorageType) -> None:
    host = hosting(CALLEE)
    program = Script().storage_read(SLOT, 1, 2)
    run = Script().call(CALLEE, program, state).run(host=host)
    assert program.inside(run.answers[0]) == [Answer(0), bytes(2)]
    size = len(machine())
    assert [request.fields for request in traffic(host)] == [
        {"storage_type": storage_type, "address": CALLEE, "slot": slot, "index": index, "length": length}
        for slot, index, length in ((CODE_SLOT, 0, 4), (CODE_SLOT, 4, size), (SLOT, 1, 2))
    ]


def test_sees_finalized_and_other_state() -> None:
    host = InMemoryHost(finalized={})
    host.put_code(machine(), CALLEE)
    host.finalized[CALLEE, CODE_SLOT] = host.slot(CODE_SLOT, CALLEE)
    host.slot(SLOT, CALLEE)[:] = b"new"
    host.finalized[CALLEE, SLOT] = bytearray(b"old")
    program = Script().storage_read(SLOT, 0, 3)
    run = Script().call(CALLEE, program, 1).call(CALLEE, program, 2).call(CALLEE, program, 0).run(host=host)
    assert [program.inside(answer)[1] for answer in run.answers] == [b"old", b"new", b"new"]


def test_code_is_loaded_once_per_address_whatever_the_state() -> None:
    host = hosting(CALLEE)
    Script().call(CALLEE, Script(), 1).call(CALLEE, Script(), 2).call(CONTRACT, Script()).run(host=host)
    assert [request.fields["storage_type"] for request in traffic(host)] == [StorageType.LATEST_FINAL] * 2


def test_a_contract_that_changes_its_code_keeps_running_the_old_one() -> None:
    probe = Script().storage_write(CODE_SLOT, 0, bytes(8))
    run = Script().sandbox(probe, True).sandbox(probe, True).call(CONTRACT, Script().message()).run()
    assert probe.inside(run.answers[0]) == probe.inside(run.answers[1]) == [Answer(0)]
    assert run.answers[2].errno == 0


def test_writes_of_a_sandbox_stay_also_when_it_fails() -> None:
    program = Script().storage_write(SLOT, 0, b"kept").trap("UnreachableCodeReached")
    run = Script().sandbox(program, True).storage_read(SLOT, 0, 4).run()
    assert run.answers == [Answer(0, b"\x02wasm_trap UnreachableCodeReached"), Answer(0), b"kept"]


# --- how sub-VMs end ----

RETURNING = Script().gl_call({"Return": {"a": 1}})
ROLLING_BACK = Script().gl_call({"Rollback": 'nö"'})
FAILING = {
    "wasm_trap IntegerDivisionByZero": Script().trap("IntegerDivisionByZero"),
    "wasm_trap StackOverflow": Script().trap("StackOverflow"),
    "exit_code 3": Script().exit(3),
    "exit_code 125": Script().exit(126),
    "absent": Script().get_balance(CALLEE),
}
ENTER = {
    "sandbox": lambda outer, inner: outer.sandbox(inner),
    "call": lambda outer, inner: outer.call(CALLEE, inner),
    "nondet": lambda outer, inner: outer.nondet(inner),
}


@pytest.mark.parametrize("kind", ENTER)
def test_return_and_user_error_are_data_for_the_caller(kind: str) -> None:
    outer = ENTER[kind](ENTER[kind](Script(), RETURNING), ROLLING_BACK)
    run = outer.run(host=hosting(CALLEE))
    assert run.answers == [Answer(0, bytes.fromhex("000e016109")), Answer(0, b'\x01n\xc3\xb6"')]


@pytest.mark.parametrize("kind", ENTER)
@pytest.mark.parametrize("program", [Script().leave(), Script().exit(0)])
def test_leaving_the_entry_function_and_exit_0_are_null(kind: str, program: Script) -> None:
    assert ENTER[kind](Script(), program).run(host=hosting(CALLEE)).answers == [Answer(0, b"\x00\x00")]


@pytest.mark.parametrize("kind", ENTER)
@pytest.mark.parametrize("message", FAILING)
def test_vm_errors_are_data_for_the_caller_of_a_sandbox_only(kind: str, message: str) -> None:
    host = hosting(CALLEE, refusals={HostMethod.GET_BALANCE: HostErrorCode.ABSENT})
    run = ENTER[kind](Script(), FAILING[message]).run(host=host)
    if kind == "sandbox":
        assert run.answers == [Answer(0, b"\x02" + message.encode())]
    else:
        assert run.outcome == VMError(message)
        assert [frame["module_name"] for frame in run.execution.fingerprint["frames"]] == ["machine"]
    if kind == "nondet":
        (posted,) = host.fields_of(HostMethod.POST_NONDET_RESULT)
        assert posted["result"] == b"\x02" + message.encode()


@pytest.mark.parametrize("kind", ENTER)
def test_internal_errors_end_the_whole_run(kind: str) -> None:
    run = ENTER[kind](Script(), Script().gl_call_at(0xFFFF_FFFF, 1, 0)).run(host=hosting(CALLEE))
    assert isinstance(run.outcome, InternalError)


def test_an_internal_error_passes_through_the_sandboxes_around_it() -> None:
    bad = Script().gl_call_at(0xFFFF_FFFF, 1, 0)
    assert isinstance(Script().sandbox(Script().sandbox(bad)).run().outcome, InternalError)


def test_a_vm_error_passes_through_the_calls_around_it() -> None:
    run = Script().call(CALLEE, Script().call(THIRD, Script().exit(9))).run(host=hosting(CALLEE, THIRD))
    assert run.outcome == VMError("exit_code 9")


def test_the_caller_of_a_contract_without_code_fails_with_its_error() -> None:
    assert Script().call(CALLEE, Script()).run().outcome == VMError("invalid_contract absent_runner_comment")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"\xff", "invalid_contract not_utf8_text"),
        (b"# { }", "invalid_contract"),
        (b'# v9.0.0\n# {"Depends": "x:y"}', "version_too_big"),
        (b"# very nice", "invalid_contract"),
    ],
)
def test_the_caller_of_a_contract_that_cannot_be_set_up_fails_with_its_error(code: bytes, message: str) -> None:
    host = InMemoryHost()
    host.put_code(code, CALLEE)
    assert Script().call(CALLEE, Script()).run(host=host).outcome == VMError(message)


def test_a_callee_whose_storage_the_host_refuses_ends_the_caller() -> None:
    host = RefusingReads(lambda address, _: address == CALLEE, HostErrorCode.ABSENT)
    assert Script().call(CALLEE, Script()).run(host=host).outcome == VMError("absent")


def test_rollback_of_the_callee_does_not_stop_the_caller() -> None:
    run = Script().call(CALLEE, ROLLING_BACK).storage_write(SLOT, 0, b"x").run(host=hosting(CALLEE))
    assert [answer.errno for answer in run.answers] == [0, 0]


def test_return_and_rollback_end_the_main_vm() -> None:
    assert RETURNING.run().outcome == Return(bytes.fromhex("0e016109"))
    assert ROLLING_BACK.run().outcome == UserError('nö"')


# --- every VM starts afresh ----


def test_file_numbers_and_memory_of_a_sub_vm_start_afresh() -> None:
    probe = Script().peek(0x300, 4).gl_call({"Trace": {"RuntimeMicroSec": None}})
    time = {"Trace": {"RuntimeMicroSec": None}}
    run = Script().poke(0x300, b"used").gl_call(time).gl_call(time).sandbox(probe).run()
    assert [answer.fd for answer in run.answers] == [4, 5, 6]
    memory, answer = probe.inside(run.answers[2])
    assert (memory, answer.fd) == (bytes(4), 4)


def test_output_of_every_vm_goes_to_the_streams_of_the_process() -> None:
    program = (
        Script()
        .write(1, b"main ")
        .sandbox(Script().write(1, b"sandbox "))
        .call(CALLEE, Script().write(1, b"callee "))
        .nondet(Script().write(2, b"block"))
        .write(1, b"end")
    )
    run = program.run(host=hosting(CALLEE))
    assert run.execution.stdout == b"main sandbox callee end"
    assert run.execution.stderr == b"block"


@pytest.mark.parametrize(("levels", "innermost"), [(VM_DEPTH, b"\x00\x03"), (VM_DEPTH + 1, b"\x02OOM")])
def test_nesting_ends_with_out_of_memory(levels: int, innermost: bytes) -> None:
    """RAM would end it by the specification; our own limit comes first and has the same name."""
    programs = [Script()]
    for _ in range(levels):
        programs.append(Script().sandbox(programs[-1]))
    items = programs.pop().run().answers
    while len(programs) > 1:
        items = programs.pop().inside(items[0])
    assert items == [Answer(0, innermost)]


@pytest.mark.parametrize(
    "program",
    [
        Script().sandbox(Script().message()),
        Script().call(CALLEE, Script().message()),
        Script().nondet(Script().message()),
    ],
    ids=["sandbox", "call", "leader"],
)
def test_nobody_goes_on_with_the_result_of_a_vm_that_a_signal_cut_off(
    program: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract that took the sandbox's `timeout` for a result could return a success."""
    original = Supervisor._run_vm

    def cut(self: Supervisor, spec: Any) -> Any:
        if spec.depth:
            self.ending.signal()
        return original(self, spec)

    monkeypatch.setattr(Supervisor, "_run_vm", cut)
    assert program.run(host=hosting(CONTRACT, CALLEE)).outcome == VMError("timeout")


def test_a_validator_that_a_signal_cuts_off_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Supervisor._run_vm

    def cut(self: Supervisor, spec: Any) -> Any:
        if spec.depth:
            self.ending.signal()
        return original(self, spec)

    monkeypatch.setattr(Supervisor, "_run_vm", cut)
    host = hosting(CONTRACT, leader_results=[bytes([0]) + b"\x00"])
    Script().nondet(Script(), Script()).run(host=host)
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
