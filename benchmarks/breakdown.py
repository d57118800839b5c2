"""Where the time of one call goes: a storage write in this process, and by a pre-started executor.

Rounds with observers and rounds without take turns. Of both the middle half counts, by the time of the whole call: the
stages are means over the observed ones, and their sum is compared with the mean of those that nobody observed.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import contracts
from benchmarks.measure import interleaved
from benchmarks.observing import CONNECT, Stages, seconds_by_stage
from benchmarks.support import InProcess, Node, Pool, call, node, on_vm_thread, pool
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.linking import new_host_linker

TOLERANCE = 0.10
_MS = 1e3

HAND_OVER = "hand-over: client, template, executor; message"
GONE = "until the executor is gone"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """All in milliseconds."""

    name: str
    title: str
    whole: float
    """Without observers."""
    stages: list[tuple[str, float]]
    """In the order of the call."""
    afterwards: list[tuple[str, float]]
    """What the caller does not wait for; not part of the whole."""

    @property
    def total(self) -> float:
        return sum(value for _, value in self.stages)

    @property
    def difference(self) -> float:
        """Of the sum of the stages, as a share of the whole."""
        return self.total / self.whole - 1

    @property
    def adds_up(self) -> bool:
        return abs(self.difference) <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "total": self.total, "difference": self.difference, "adds_up": self.adds_up}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Breakdown:
        stages, afterwards = ([(name, value) for name, value in values[key]] for key in ("stages", "afterwards"))
        return cls(values["name"], values["title"], values["whole"], stages, afterwards)


def breakdowns(rounds: int) -> list[Breakdown]:
    with node(contracts.marked_storage(), call("update", "another text")) as host:
        return [_in_process(host, rounds), _pooled(host, rounds)]


def _middle(values: list[float]) -> float:
    """Mean of the middle half, in milliseconds."""
    quarter = len(values) // 4
    return statistics.fmean(sorted(values)[quarter : len(values) - quarter]) * _MS


def _middle_stages(found: list[dict[str, float]]) -> list[tuple[str, float]]:
    quarter = len(found) // 4
    middle = sorted(found, key=lambda one: sum(one.values()))[quarter : len(found) - quarter]
    return [(stage, statistics.fmean(one.get(stage, 0.0) for one in middle) * _MS) for stage in max(found, key=len)]


def _in_process(host: Node, rounds: int) -> Breakdown:
    stages = Stages()
    plain = InProcess(host)
    watched = InProcess(host, observer=stages, host_functions=new_host_linker(engine(), stages.watched))
    found: list[dict[str, float]] = []

    def one() -> float:
        stages.begin(CONNECT)
        begun = time.perf_counter()
        seconds = watched.run()
        found.append(seconds_by_stage(stages.marks, begun + seconds))
        return seconds

    # The first runs load modules.
    samples = on_vm_thread(lambda: interleaved({"plain": plain.run, "watched": one}, rounds, warm_up=2))
    return Breakdown(
        "in-process",
        "a storage write in this process",
        _middle(samples["plain"]),
        _middle_stages(found[2:]),
        [],
    )


def _pooled(host: Node, rounds: int) -> Breakdown:
    found: list[dict[str, float]] = []
    gone: list[float] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        command = [sys.executable, "-P", "-m", "benchmarks.observed_executor", str(folder)]
        plain, watched = stack.enter_context(pool()), stack.enter_context(pool(command))

        def without() -> float:
            done = plain.call(host)
            gone.append(done.ended - done.result_at)
            return done.result_at - done.begun

        def one() -> float:
            seconds, stages = _observed_call(watched, host, folder)
            found.append(stages)
            return seconds

        samples = interleaved({"plain": without, "watched": one}, rounds, warm_up=2)
    return Breakdown(
        "pooled",
        "a storage write by a pre-started executor",
        _middle(samples["plain"]),
        _middle_stages(found[2:]),
        [(GONE, _middle(gone[2:]))],
    )


def _observed_call(executors: Pool, host: Node, folder: Path) -> tuple[float, dict[str, float]]:
    done = executors.call(host)
    marks = [(at, stage) for at, stage in json.loads((folder / f"{done.pid}.json").read_text())]
    return done.result_at - done.begun, seconds_by_stage([(done.begun, HAND_OVER), *marks], done.result_at)
