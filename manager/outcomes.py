"""How runs ended, as people and metrics are told; nodes get the result itself through their host socket."""

from __future__ import annotations

import re
import signal
from typing import Literal

from pygenvm.manager.executions.registry import Run

Outcome = Literal["", "return", "user_error", "vm_error", "internal_error", "done", "crashed", "stopped", "not_started"]

#: The last line of an executor's output, if its client asked for it (spec executor/10 "run").
_RESULT = re.compile(r"executed with `(Return|UserError|VMError|InternalError)\((.{0,200})", re.DOTALL)
#: Characters at the end of each stream.
_LOOKED_AT = 4096
_KINDS: dict[str, Outcome] = {
    "Return": "return",
    "UserError": "user_error",
    "VMError": "vm_error",
    "InternalError": "internal_error",
}


def outcome_of(run: Run) -> tuple[Outcome, str]:
    """The kind and a few words more; nothing for a run that goes on. ``done``: it ended, and did not say with what."""
    if run.state != "ended":
        return "", ""
    if run.ended is None:
        return "not_started", run.failure
    if run.job.notes.blame is not None:
        return "internal_error", f"to blame: {run.job.notes.blame}"
    lines = run.ended.stdout[-_LOOKED_AT:].rstrip("\n").rpartition("\n")[2]
    if match := _RESULT.fullmatch(lines) or _RESULT.match(lines):
        detail = match[2].removesuffix("`").removesuffix(")")
        return _KINDS[match[1]], "" if match[1] == "Return" else detail[:120]
    if run.ended.status < 0:
        name = signal.Signals(-run.ended.status).name if -run.ended.status in signal.valid_signals() else "a signal"
        return ("stopped" if run.stopped else "crashed"), name
    if run.ended.status:
        said = run.ended.stderr[-_LOOKED_AT:].strip().rpartition("\n")[2]
        return "crashed", f"exit code {run.ended.status}{': ' if said else ''}{said[:120]}"
    return "done", ""
