"""Notes what a recorded run gets from its surroundings, by wrapping whoever gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pygenvm.executor.record.seeded_random import seeded_random

if TYPE_CHECKING:
    from pygenvm.executor.record.recorder import Recorder
    from pygenvm.executor.runner.actions import RunnerSource
    from pygenvm.executor.runner.archive import Archive
    from pygenvm.executor.subvm.random import RandomSource
    from pygenvm.executor.subvm.services import Entropy


class RecordedEntropy:
    """Random bytes that can come again, and the time of another :class:`executor.subvm.services.Entropy`, noted."""

    def __init__(self, real: Entropy, recorder: Recorder) -> None:
        self._real = real
        self._recorder = recorder
        self._sources = seeded_random(recorder.seed)

    def random(self) -> RandomSource:
        return self._sources()

    def runtime(self, microseconds: int) -> int:
        told = self._real.runtime(microseconds)
        self._recorder.note("runtime", told)
        return told


class ValidatorGate(Protocol):
    """That of :mod:`executor.run.validators`, which stands above this."""

    def validates(self, call_no: int, lowest: int | None) -> bool: ...


class RecordedGate:
    """Another gate, noted where it is open."""

    def __init__(self, real: ValidatorGate, recorder: Recorder) -> None:
        self._real = real
        self._recorder = recorder

    def validates(self, call_no: int, lowest: int | None) -> bool:
        runs = self._real.validates(call_no, lowest)
        if runs:
            self._recorder.note("validator")
        return runs


class RecordedRunners:
    """Another source of runners; what references mean there is noted."""

    def __init__(self, real: RunnerSource, recorder: Recorder) -> None:
        self._real = real
        self._recorder = recorder

    def resolve(self, reference: str) -> str:
        resolved = self._real.resolve(reference)
        self._recorder.note("runner", reference, resolved)
        return resolved

    def load(self, resolved: str) -> Archive:
        return self._real.load(resolved)
