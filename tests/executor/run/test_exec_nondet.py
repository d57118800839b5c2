"""RunNondet: leader, validator and sync mode, verdicts, order of traffic (spec executor/02, 04, 05)."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.limits import VALIDATOR_QUEUE
from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.supervisor import Supervisor
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import Answer, Script, machine, traffic

CALLEE = Address(bytes([3]) + bytes(19))
OK, FORBIDDEN = Answer(0), Answer(6)
AGREE = Script().gl_call({"Return": True})
DISAGREE = Script().gl_call({"Return": False})
PRINTING = Script().print_message().gl_call({"Return": True})
FORTY_TWO = b"\x00\xd1\x02"


def notifications(host: InMemoryHost) -> list[int]:
    return [fields["call_no"] for fields in host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT)]


def validating(*leader_results: bytes | HostErrorCode, **others: Any) -> InMemoryHost:
    return InMemoryHost(leader_results=leader_results, **others)


# --- leader ----


def test_a_leader_runs_its_function_posts_the_result_and_uses_it() -> None:
    run = Script().nondet(Script().gl_call({"Return": 42}), AGREE).nondet(Script().gl_call({"Return": "ok"})).run()
    assert run.answers == [Answer(0, FORTY_TWO), Answer(0, b"\x00\x14ok")]
    assert [(request.method, request.fields) for request in traffic(run.host)] == [
        (HostMethod.GET_LEADER_NONDET_RESULT, {"call_no": 0}),
        (HostMethod.POST_NONDET_RESULT, {"call_no": 0, "result": FORTY_TWO}),
        (HostMethod.GET_LEADER_NONDET_RESULT, {"call_no": 1}),
        (HostMethod.POST_NONDET_RESULT, {"call_no": 1, "result": b"\x00\x14ok"}),
    ]


@pytest.mark.parametrize(
    ("program", "posted", "outcome"),
    [
        (Script().gl_call({"Rollback": "no"}), b"\x01no", None),
        (Script().exit(7), b"\x02exit_code 7", VMError("exit_code 7")),
        (Script().trap("IntegerOverflow"), b"\x02wasm_trap IntegerOverflow", VMError("wasm_trap IntegerOverflow")),
    ],
)
def test_errors_of_the_leader_are_posted_like_results(program: Script, posted: bytes, outcome: Any) -> None:
    run = Script().nondet(program).run()
    assert run.host.fields_of(HostMethod.POST_NONDET_RESULT) == [{"call_no": 0, "result": posted}]
    if outcome is None:
        assert run.answers == [Answer(0, posted)]
    else:
        assert run.outcome == outcome


def test_floats_are_allowed_in_nondet() -> None:
    run = Script().nondet(Script().trap("DeterministicMode")).run()
    assert run.answers == [Answer(0, b"\x00\x03")]


def test_call_numbers_are_counted_over_the_whole_run() -> None:
    """Main VM and called contracts share the counter, in the order of execution."""
    host = InMemoryHost()
    host.put_code(machine(), CALLEE)
    block = Script().nondet(Script())
    run = Script().nondet(Script()).call(CALLEE, block).nondet(Script()).run(host=host)
    assert [answer.errno for answer in run.answers] == [0, 0, 0]
    assert [fields["call_no"] for fields in host.fields_of(HostMethod.GET_LEADER_NONDET_RESULT)] == [0, 1, 2]


def test_forbidden_blocks_take_no_number_and_ask_nothing() -> None:
    program = Script().nondet(Script())
    run = Script().sandbox(program, True).nondet(program).run()
    assert program.inside(run.answers[0]) == program.inside(run.answers[1]) == [FORBIDDEN]
    assert [fields["call_no"] for fields in run.host.fields_of(HostMethod.GET_LEADER_NONDET_RESULT)] == [0]


@pytest.mark.parametrize("error", [HostErrorCode.ABSENT, HostErrorCode.FORBIDDEN, HostErrorCode.OUT_OF_STORAGE_GAS])
def test_other_errors_of_the_host_end_the_calling_vm(error: HostErrorCode) -> None:
    assert Script().nondet(Script()).run(host=validating(error)).outcome == VMError(error.name.lower())


# --- validator ----


def test_a_validator_uses_the_leaders_result_and_tells_nothing_when_it_agrees() -> None:
    run = Script().nondet(DISAGREE, AGREE).run(host=validating(FORTY_TWO))
    assert run.answers == [Answer(0, FORTY_TWO)]
    assert notifications(run.host) == []
    assert HostMethod.POST_NONDET_RESULT not in run.host.methods


def test_message_of_a_validator_holds_the_leaders_result() -> None:
    """It is visible through what the task writes: a result of a validator is only a verdict."""
    run = Script().nondet(Script(), PRINTING).run(host=validating(b"\x01no"), message={"value": 7})
    message = calldata.decode(run.execution.stdout)
    assert message["entry_stage_data"] == {"leaders_result": b"\x01no"}
    assert (message["entry_kind"], message["is_init"], message["value"]) == (2, False, 7)
    assert message["contract_address"] == CONTRACT
    assert message["entry_data"] == PRINTING.code


NOT_AGREEING = {
    "false": DISAGREE,
    "null": Script().leave(),
    "one": Script().gl_call({"Return": 1}),
    "text": Script().gl_call({"Return": "true"}),
    "map": Script().gl_call({"Return": {"": True}}),
    "user error": Script().gl_call({"Rollback": "x"}),
    "exit": Script().exit(1),
    "trap": Script().trap("UnreachableCodeReached"),
    "deep": Script().gl_call({"Return": [True]}),
}


@pytest.mark.parametrize("name", NOT_AGREEING)
def test_everything_but_true_is_a_disagreement_and_the_run_goes_on(name: str) -> None:
    host = validating(FORTY_TWO)
    run = Script().nondet(Script(), NOT_AGREEING[name]).storage_write(bytes(32), 0, b"x").run(host=host)
    assert run.answers == [Answer(0, FORTY_TWO), OK]
    assert notifications(host) == [0]
    assert host.methods[-2:] == [HostMethod.NOTIFY_NONDET_DISAGREEMENT, HostMethod.CONSUME_RESULT]
    assert run.execution.result.disagreement == 0


def test_the_lowest_disagreeing_number_is_told_once() -> None:
    program = Script()
    for validator in (AGREE, DISAGREE, AGREE, DISAGREE, DISAGREE):
        program.nondet(Script(), validator)
    assert notifications(program.run(host=validating(*[FORTY_TWO] * 5)).host) == [1]


def test_more_tasks_than_the_queue_holds() -> None:
    blocks = VALIDATOR_QUEUE + 20
    program = Script()
    for number in range(blocks):
        program.nondet(Script(), DISAGREE if number == blocks - 1 else AGREE)
    assert notifications(program.run(host=validating(*[FORTY_TWO] * blocks)).host) == [blocks - 1]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (Script().gl_call({"Rollback": "no"}), UserError("no")),
        (Script().exit(3), VMError("exit_code 3")),
        (Script().gl_call({"Return": 1}), Return(b"\x09")),
    ],
)
def test_a_disagreement_is_told_whatever_the_kind_of_result(end: Script, outcome: Any) -> None:
    program = Script().nondet(Script(), DISAGREE)
    program.code += end.code
    run = program.run(host=validating(FORTY_TWO))
    assert run.outcome == outcome
    assert notifications(run.host) == [0]


def test_a_disagreement_is_not_told_after_an_internal_error() -> None:
    program = Script().nondet(Script(), DISAGREE).gl_call_at(0xFFFF_FFFF, 1, 0)
    run = program.run(host=validating(FORTY_TWO))
    assert isinstance(run.outcome, InternalError)
    assert notifications(run.host) == []


def test_the_leaders_vm_error_ends_the_calling_vm_and_is_validated_all_the_same() -> None:
    host = validating(b"\x02exit_code 4")
    run = Script().nondet(Script(), DISAGREE).run(host=host)
    assert run.outcome == VMError("exit_code 4")
    assert notifications(host) == [0]


def test_the_leaders_return_is_not_validated() -> None:
    assert Script().nondet(Script(), AGREE).run(host=validating(b"\x00\xff\xff")).answers == [
        Answer(0, b"\x00\xff\xff")
    ]


@pytest.mark.parametrize("result", [b"", b"\x03", b"\x03boom", b"\xff", b"\x01\xff", b"\x02\xc0\x80"])
def test_a_malformed_result_of_the_leader_is_an_internal_error(result: bytes) -> None:
    run = Script().nondet(Script(), AGREE).run(host=validating(result))
    assert isinstance(run.outcome, InternalError)


def test_an_internal_error_in_a_task_makes_the_whole_run_one() -> None:
    run = Script().nondet(Script(), Script().gl_call_at(0xFFFF_FFFF, 1, 0)).run(host=validating(FORTY_TWO))
    assert isinstance(run.outcome, InternalError)
    assert "out of bounds" in run.outcome.message


def test_what_happens_in_tasks_behind_a_disagreement_is_no_matter() -> None:
    """The second task fails while the first one is still running."""
    slow = Script()
    for _ in range(40):
        slow.sandbox(Script())
    slow.code += DISAGREE.code
    host = validating(FORTY_TWO, FORTY_TWO)
    run = Script().nondet(Script(), slow).nondet(Script(), Script().gl_call_at(0xFFFF_FFFF, 1, 0)).run(host=host)
    assert len(run.answers) == 2
    assert notifications(host) == [0]


def test_an_internal_error_before_a_disagreement_wins() -> None:
    host = validating(FORTY_TWO, FORTY_TWO)
    run = Script().nondet(Script(), Script().gl_call_at(0xFFFF_FFFF, 1, 0)).nondet(Script(), DISAGREE).run(host=host)
    assert isinstance(run.outcome, InternalError)
    assert notifications(host) == []


def test_tasks_may_use_the_host_but_not_the_storage() -> None:
    task = Script().get_balance(CALLEE).storage_read(bytes(32), 0, 4).gl_call({"Return": True})
    host = validating(FORTY_TWO, balances={CALLEE: 5})
    run = Script().nondet(Script(), task).get_balance(CALLEE).run(host=host)
    assert run.answers == [Answer(0, FORTY_TWO), OK, b"\x05" + bytes(31)]
    assert notifications(host) == []
    assert host.methods.count(HostMethod.GET_BALANCE) == 1


def test_a_task_may_start_sandboxes() -> None:
    task = Script().sandbox(Script().exit(3)).gl_call({"Return": True})
    run = Script().nondet(Script(), task).run(host=validating(FORTY_TWO))
    assert notifications(run.host) == []


def test_tasks_of_called_contracts_run_the_callees_code() -> None:
    host = validating(FORTY_TWO)
    host.put_code(machine(), CALLEE)
    run = Script().call(CALLEE, Script().nondet(Script(), PRINTING)).run(host=host)
    message = calldata.decode(run.execution.stdout)
    assert (message["contract_address"], message["stack"]) == (CALLEE, [CONTRACT])
    assert notifications(host) == []


# --- sync ----


def test_sync_takes_the_leaders_result_without_running_anything() -> None:
    host = validating(FORTY_TWO, b"\x01no")
    run = Script().nondet(DISAGREE, DISAGREE).nondet(Script(), Script().exit(1)).run(host=host, sync=True)
    assert run.answers == [Answer(0, FORTY_TWO), Answer(0, b"\x01no")]
    assert notifications(host) == []


def test_sync_passes_the_leaders_vm_error_on() -> None:
    assert Script().nondet(Script()).run(host=validating(b"\x02OOM"), sync=True).outcome == VMError("OOM")


def test_sync_needs_a_result_of_the_leader() -> None:
    run = Script().nondet(Script()).run(sync=True)
    assert isinstance(run.outcome, InternalError)


# --- verdicts do not depend on timing ----


def test_a_task_is_skipped_once_an_earlier_block_disagreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one worker tasks run in order, so what comes after the disagreement does not run."""
    monkeypatch.setattr("pygenvm.executor.limits.VALIDATOR_WORKERS", 1)
    started: list[int] = []
    original = Supervisor._run_block

    def run_block(self: Supervisor, spec: Any) -> Any:
        started.append(len(spec.input))
        return original(self, spec)

    monkeypatch.setattr(Supervisor, "_run_block", run_block)
    program = Script()
    for number, validator in enumerate((AGREE, DISAGREE, AGREE, DISAGREE)):
        padded = Script().poke(0x300, bytes(number))
        padded.code += validator.code
        program.nondet(Script(), padded)
    host = validating(*[FORTY_TWO] * 4)
    program.run(host=host)
    assert notifications(host) == [1]
    assert len(started) == 2
