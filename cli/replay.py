"""``genvm replay``: run a recorded execution again, or compare two records."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygenvm.executor.terminal_text import one_line

if TYPE_CHECKING:
    from pygenvm.executor.config import Config
    from pygenvm.executor.replay.player import Verdict

#: How long an interrupted run may go on behind its last recorded reply.
_EPILOGUE_SECONDS = 1.0
#: Unless the command line says otherwise: the verdict is the output, not the metrics of the run.
_LOG_LEVEL = "warn"
_UNUSABLE = 3
_INTERRUPTED = 130

_EPILOG = """\
`genvm run --record FILE …` makes a record. A replay needs no host and no modules; contract output appears again.
Log lines are those of warnings and errors; `genvm --log-level info replay FILE` shows more.

exit codes: 0 the same; 1 something differs; 2 bad command line; 3 a record or the installation cannot be used;
            4 the same, but that could not be printed
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "replay",
        help="run a recorded execution again, or compare two records",
        description="Run a recorded execution again, offline, and check that requests, result and fingerprint are "
        "the same; or show the first difference of two records.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a record to run again")
    what.add_argument("--diff", nargs=2, type=Path, metavar=("A", "B"), help="compare two records, without running")


def run(options: argparse.Namespace) -> int:
    from pygenvm.executor import shortage
    from pygenvm.executor.config import ConfigError, load_config
    from pygenvm.executor.record.format import RecordError
    from pygenvm.executor.replay.player import ReplayError

    try:
        config = load_config(options.config)
        return _diff(*options.diff) if options.diff else _replay(options, config)
    except (ConfigError, RecordError, ReplayError) as error:
        if options.interrupted():
            return _INTERRUPTED
        print(f"Error: {one_line(shortage.explained(error))}", file=sys.stderr)
    except Exception as error:
        if options.interrupted() or shortage.advice(error) is not None:
            raise
        # A bug of ours. Exit code 1 would be a verdict.
        traceback.print_exc()
    return _UNUSABLE


def _diff(a: Path, b: Path) -> int:
    from pygenvm.executor.record.reading import read_record
    from pygenvm.executor.replay.compare import first_difference

    difference = first_difference(read_record(a), read_record(b))
    print(one_line(difference or "the same"))
    return 1 if difference else 0


def _replay(options: argparse.Namespace, config: Config) -> int:
    from pygenvm.executor.log import Logger
    from pygenvm.executor.record.reading import read_record
    from pygenvm.executor.replay.player import Player, replay
    from pygenvm.executor.run.process import artefacts_dir, start_vm_thread

    log = Logger.from_config(config, fd=options.log_fd, level=options.log_level or _LOG_LEVEL)
    player = Player(read_record(options.file))
    finished = threading.Event()
    outcome: list[Verdict | BaseException] = []

    def work() -> None:
        try:
            outcome.append(replay(player, config, log, artefacts_dir(config)))
        except BaseException as error:
            outcome.append(error)
        finished.set()

    start_vm_thread(work)
    try:
        while not finished.wait(0.05):
            if player.exhausted.is_set() and not finished.wait(_EPILOGUE_SECONDS):
                return _leave(_tell(player.verdict()))
    except KeyboardInterrupt:
        return _leave(_INTERRUPTED)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return _tell(outcome[0])


def _tell(verdict: Verdict) -> int:
    for remark in verdict.remarks:
        print(f"note: {one_line(remark)}", file=sys.stderr)
    exchanges = f"{verdict.exchanges} exchange{'' if verdict.exchanges == 1 else 's'}"
    # Much of it stands in the record, which may be a stranger's.
    text = one_line(verdict.text)
    print(f"same: {text} ({exchanges})" if verdict.same else f"DIFFERENT after {exchanges}: {text}")
    return 0 if verdict.same else 1


def _leave(status: int) -> int:
    """The VM thread cannot be stopped, so the interpreter cannot be shut down."""
    from pygenvm.cli import streams

    os._exit(streams.settled(status))
