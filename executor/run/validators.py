"""Validator functions of nondet blocks, run beside the deterministic part (spec executor/04 "RunNondet")."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pygenvm.executor import limits
from pygenvm.executor.machine import stacks_of
from pygenvm.executor.outcome import ContractOutcome, InternalErrorRaised, Return, VMErrorRaised, blame_of
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.turns import Turns
from pygenvm.executor.stream import validated_block

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: Calldata `true`, and nothing else, is agreement.
_AGREES = Return(b"\x10")


class ValidatorGate(Protocol):
    """Decides which validators have to run. Which of them do in the end is chance, but for the verdict."""

    def validates(self, call_no: int, lowest: int | None) -> bool:
        """Whether the validator of block ``call_no`` has to run; ``lowest`` is the lowest block that disagreed so far.

        Asked once per block, on the thread of its validator, when its turn has come. True for every block before the
        lowest that will have disagreed in the end.
        """
        ...


class UntilDisagreement:
    """Blocks behind one that disagreed need no verdict."""

    def validates(self, call_no: int, lowest: int | None) -> bool:
        return lowest is None or call_no < lowest


class ValidatorTasks:
    """The validators of one run.

    The verdict does not depend on timing: a task is skipped only if a block before it disagreed.
    """

    def __init__(self, gate: ValidatorGate, ending: Ending) -> None:
        """Tasks whose turn comes when the run is interrupted are dropped."""
        self._gate = gate
        self._ending = ending
        self._pool: ThreadPoolExecutor | None = None
        self._tasks: list[tuple[int, Future[bool]]] = []
        #: Tasks that have not ended, and the bytes of their messages.
        self._unfinished = 0
        self._bytes = 0
        self._ended = threading.Condition()
        self.turns = Turns()

    def add(self, call_no: int, size: int, run: Callable[[], ContractOutcome]) -> None:
        """Queue a task, whose message has ``size`` bytes; waits until there is room for it among the others.

        :raises InternalErrorRaised: the machine has no thread for it.
        """
        if self._pool is None:
            # Most runs have no nondet block.
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(limits.VALIDATOR_WORKERS, thread_name_prefix="validator")
        with self._ended:
            self._ended.wait_for(lambda: self._has_room(size))
            self._unfinished += 1
            self._bytes += size
        with stacks_of(limits.VM_THREAD_STACK_BYTES):
            self._tasks.append((call_no, self._pool.submit(self._judge, call_no, size, run)))

    def _has_room(self, size: int) -> bool:
        return not self._unfinished or (
            self._unfinished < limits.VALIDATOR_QUEUE and self._bytes + size <= limits.VALIDATOR_MESSAGE_BYTES
        )

    def _judge(self, call_no: int, size: int, run: Callable[[], ContractOutcome]) -> bool:
        validated_block.set(call_no)
        try:
            with self.turns.taken():
                return self._verdict(call_no, run)
        finally:
            with self._ended:
                self._unfinished -= 1
                self._bytes -= size
                self._ended.notify()

    def _verdict(self, call_no: int, run: Callable[[], ContractOutcome]) -> bool:
        if self._ending.interrupted or not self._gate.validates(call_no, self._ending.disagreement):
            return True
        try:
            agrees = run() == _AGREES
        except VMErrorRaised:
            return True  # Cut off by a signal: no verdict.
        if not agrees:
            self._ending.disagreement_known(call_no)
        return agrees

    def finish(self) -> int | None:
        """Wait for all tasks; the lowest call number that disagreed, if any.

        :raises InternalErrorRaised: a task met an internal error, and no block before it disagreed.
        """
        for call_no, task in self._tasks:
            error = task.exception()
            lowest = self._ending.disagreement
            if lowest is not None and lowest < call_no:
                continue
            if isinstance(error, InternalErrorRaised):
                raise error
            if error is not None:
                text = f"validator task: {type(error).__name__}: {error}"
                raise InternalErrorRaised(text, blame_of(error)) from error
        if self._pool is not None:
            self._pool.shutdown()
        return self._ending.disagreement
