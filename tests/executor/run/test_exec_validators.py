"""When validators of nondet blocks run, and what comes of it; the blocks themselves are in test_exec_nondet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pygenvm.executor.outcome import ContractOutcome, InternalErrorRaised, ModuleFault, Return, UserError, VMErrorRaised
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.validators import UntilDisagreement, ValidatorTasks
from pygenvm.executor.stream import validated_block

TRUE, FALSE = Return(b"\x10"), Return(b"\x08")


class Gate:
    """Keeps what it is asked, and where; lets through all blocks but those that are ``closed``."""

    def __init__(self, *closed: int) -> None:
        self._closed = closed
        self.asked: list[tuple[int, int | None]] = []
        self.blocks: list[int | None] = []

    def validates(self, call_no: int, lowest: int | None) -> bool:
        self.asked.append((call_no, lowest))
        self.blocks.append(validated_block.get())
        return call_no not in self._closed


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.executor.limits.VALIDATOR_WORKERS", 1)


def answering(outcome: ContractOutcome) -> Callable[[], ContractOutcome]:
    return lambda: outcome


def test_only_true_is_agreement() -> None:
    for outcome, verdict in ((TRUE, None), (FALSE, 0), (Return(b"\x00"), 0), (UserError("no"), 0)):
        tasks = ValidatorTasks(UntilDisagreement(), Ending())
        tasks.add(0, 0, answering(outcome))
        assert tasks.finish() == verdict


def test_the_gate_decides_on_the_thread_of_the_block() -> None:
    gate = Gate(1)
    tasks = ValidatorTasks(gate, Ending())
    for call_no, outcome in enumerate((TRUE, FALSE, FALSE, TRUE)):
        tasks.add(call_no, 0, answering(outcome))
    assert tasks.finish() == 2, "nobody asked the validator of block 1"
    assert gate.asked == [(0, None), (1, None), (2, None), (3, 2)]
    assert gate.blocks == [0, 1, 2, 3]
    assert validated_block.get() is None


def test_blocks_before_a_disagreement_are_still_validated() -> None:
    gate = UntilDisagreement()
    assert gate.validates(5, None)
    assert gate.validates(1, 2)
    assert not gate.validates(2, 2)
    assert not gate.validates(3, 2)


def test_an_interruption_drops_what_has_not_begun() -> None:
    gate, ending = Gate(), Ending()
    tasks = ValidatorTasks(gate, ending)

    def cut_off() -> ContractOutcome:
        ending.signal()
        raise VMErrorRaised("timeout")

    tasks.add(0, 0, cut_off)
    tasks.add(1, 0, answering(FALSE))
    assert tasks.finish() is None
    assert gate.asked == [(0, None)]


def test_an_internal_error_counts_unless_an_earlier_block_disagreed() -> None:
    def failing() -> ContractOutcome:
        raise ModuleFault("the module is gone")

    for first, lost in ((TRUE, True), (FALSE, False)):
        tasks = ValidatorTasks(Gate(), Ending())
        tasks.add(0, 0, answering(first))
        tasks.add(1, 0, failing)
        if lost:
            with pytest.raises(InternalErrorRaised, match="the module is gone"):
                tasks.finish()
        else:
            assert tasks.finish() == 0
