"""Validator functions of nondet blocks, run beside the deterministic part (spec executor/04 "RunNondet")."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pygenvm.executor import limits
from pygenvm.executor.machine import start_thread
from pygenvm.executor.outcome import ContractOutcome, InternalErrorRaised, Return, VMErrorRaised, blame_of
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.turns import Turns

# What is behind `queue`, which takes longer to load.
if TYPE_CHECKING:
    from queue import SimpleQueue
else:
    from _queue import SimpleQueue

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


class _Task:
    """A validator that waits, runs or has ended; what it runs is kept elsewhere, and not for longer."""

    def __init__(self, call_no: int, size: int) -> None:
        self.call_no = call_no
        self.size = size
        self.error: BaseException | None = None
        #: Taken until it has ended.
        self.unfinished = threading.Lock()
        self.unfinished.acquire()


class ValidatorTasks:
    """The validators of one run.

    The verdict does not depend on timing: a task is skipped only if a block before it disagreed.
    """

    def __init__(self, gate: ValidatorGate, ending: Ending) -> None:
        """Tasks whose turn comes when the run is interrupted are dropped."""
        self._gate = gate
        self._ending = ending
        self._workers = 0
        self._tasks: list[_Task] = []
        #: With what is to be run; None ends a worker.
        self._queue: SimpleQueue[tuple[_Task, Callable[[], ContractOutcome]] | None] = SimpleQueue()
        #: Tasks that have not ended, and the bytes of their messages.
        self._unfinished = 0
        self._bytes = 0
        self._ended = threading.Condition()
        self.turns = Turns()

    def add(self, call_no: int, size: int, run: Callable[[], ContractOutcome]) -> None:
        """Queue a task, whose message has ``size`` bytes; waits until there is room for it among the others.

        :raises InternalErrorRaised: the machine has no thread for it.
        """
        with self._ended:
            self._ended.wait_for(lambda: self._has_room(size))
            self._unfinished += 1
            self._bytes += size
            all_work = self._unfinished > self._workers
        if all_work and self._workers < limits.VALIDATOR_WORKERS:
            start_thread(self._work, limits.VM_THREAD_STACK_BYTES)
            self._workers += 1
        task = _Task(call_no, size)
        self._tasks.append(task)
        self._queue.put((task, run))

    def _has_room(self, size: int) -> bool:
        return not self._unfinished or (
            self._unfinished < limits.VALIDATOR_QUEUE and self._bytes + size <= limits.VALIDATOR_MESSAGE_BYTES
        )

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            task, run = item
            try:
                self._judge(task, run)
            except BaseException as error:
                task.error = error
            finally:
                del item, run
                task.unfinished.release()

    def _judge(self, task: _Task, run: Callable[[], ContractOutcome]) -> None:
        from pygenvm.executor.stream import validated_block

        validated_block.set(task.call_no)
        try:
            with self.turns.taken():
                self._find_verdict(task.call_no, run)
        finally:
            with self._ended:
                self._unfinished -= 1
                self._bytes -= task.size
                self._ended.notify()

    def _find_verdict(self, call_no: int, run: Callable[[], ContractOutcome]) -> None:
        if self._ending.interrupted or not self._gate.validates(call_no, self._ending.disagreement):
            return
        try:
            agrees = run() == _AGREES
        except VMErrorRaised:
            return  # Cut off by a signal: no verdict.
        if not agrees:
            self._ending.disagreement_known(call_no)

    def finish(self) -> int | None:
        """Wait for all tasks; the lowest call number that disagreed, if any.

        :raises InternalErrorRaised: a task met an internal error, and no block before it disagreed.
        """
        for task in self._tasks:
            task.unfinished.acquire()
            error, lowest = task.error, self._ending.disagreement
            if lowest is not None and lowest < task.call_no:
                continue
            if isinstance(error, InternalErrorRaised):
                raise error
            if error is not None:
                text = f"validator task: {type(error).__name__}: {error}"
                raise InternalErrorRaised(text, blame_of(error)) from error
        for _ in range(self._workers):
            self._queue.put(None)
        return self._ending.disagreement
