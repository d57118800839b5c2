"""``genvm`` whose pooled executors note their stages (:mod:`benchmarks.observing`).

    python -m benchmarks.observed_executor FOLDER pool …

Each executor leaves ``FOLDER/<pid>.json`` when it ends: a list of times and stages. The template adds a line to
``FOLDER/template`` for each job: when it began to pass it on, and to which process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.observing import OTHER, Timeline, observed
from pygenvm.cli.main import main
from pygenvm.executor.pool import template, worker
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.run.process import _Run, leave


def observe(folder: Path, timeline: Timeline) -> None:
    receive, hand_over = Channel.receive, template.Template._hand_over

    def watched_receive(channel: Channel) -> Any:
        received = receive(channel)
        timeline.clear()
        timeline.mark(OTHER)
        return received

    def watched_leave(status: int) -> NoReturn:
        if timeline.marks:
            folder.joinpath(f"{os.getpid()}.json").write_text(json.dumps(timeline.marks))
        leave(status)

    def watched_hand_over(self: Any, job: Any) -> Any:
        begun = time.perf_counter()
        executor = hand_over(self, job)
        with folder.joinpath("template").open("a") as file:
            file.write(f"{begun!r} {executor.pid}\n")
        return executor

    work = _Run._work

    def watched_work(run: Any) -> None:
        timeline.enter(OTHER)
        try:
            work(run)
        finally:
            timeline.leave()

    places: list[tuple[Any, str, Any]] = [
        (Channel, "receive", watched_receive),
        (worker, "leave", watched_leave),
        (template.Template, "_hand_over", watched_hand_over),
        (_Run, "_work", watched_work),
    ]
    for owner, name, function in places:
        setattr(owner, name, function)


if __name__ == "__main__":
    timeline = Timeline()
    observe(Path(sys.argv[1]), timeline)
    with observed(timeline):
        sys.exit(main(sys.argv[2:]))
