"""``genvm pool`` whose executors note their stages (:mod:`benchmarks.observing`).

    python -m benchmarks.observed_executor FOLDER pool --idle=N --fd=N

Each executor leaves ``FOLDER/<pid>.json`` when its run ends: a list of times and stages.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
from functools import partial
from pathlib import Path

from benchmarks.observing import Stages
from pygenvm.executor.observer import Observer
from pygenvm.executor.pool.prepare import prepare
from pygenvm.executor.pool.template import Template
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.linking import new_host_linker


class _Writer(Observer):
    def __init__(self, stages: Stages, folder: Path) -> None:
        self._stages = stages
        self._folder = folder

    def ended(self, how: str) -> None:
        self._folder.joinpath(f"{os.getpid()}.json").write_text(json.dumps(self._stages.marks))


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", choices=["pool"])
    parser.add_argument("--idle", type=int, required=True)
    parser.add_argument("--fd", type=int, required=True)
    options = parser.parse_args()
    control = socket.socket(fileno=options.fd)
    control.set_inheritable(False)
    stages = Stages()
    Template(
        control,
        None,
        "error",
        options.idle,
        observers=[stages, _Writer(stages, options.folder)],
        prepare=partial(prepare, host_functions=new_host_linker(engine(), stages.watched)),
    ).serve()


if __name__ == "__main__":
    main()
