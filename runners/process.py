"""Programs that the build starts: a clean environment, output into a log file, errors that say where to look."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pygenvm.runners.errors import BuildError, ToolFailed

SHOWN_LINES = 30
SHOWN_LINE_MAX = 1000
# What configure and make call. Nothing else of the machine is on PATH, so that no other compiler, pkg-config or
# optimiser can slip into a build.
NEEDED_TOOLS = (
    *("sh", "make", "sed", "grep", "awk", "cat", "cp", "mv", "rm", "ln", "ls", "mkdir", "chmod", "touch", "expr"),
    *("tr", "sort", "uname", "wc", "head", "cut", "dirname", "basename", "date", "sleep", "env"),
)
OPTIONAL_TOOLS = (
    *("egrep", "fgrep", "rmdir", "tail", "uniq", "cmp", "diff", "find", "xargs", "tee", "hostname", "arch"),
    *("install", "readlink", "mktemp", "true", "false", "echo", "printf", "test", "[", "pwd", "getconf", "sw_vers"),
    *("bash", "xcrun"),
)


def link_tools(folder: Path) -> None:
    """Fills a folder, the only one on PATH of the build, with links to the tools of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: shutil.which(name) for name in (*NEEDED_TOOLS, *OPTIONAL_TOOLS)}
    missing = [name for name in NEEDED_TOOLS if found[name] is None]
    if missing:
        raise BuildError(
            f"The build of the runners needs these programs, which are not on PATH: {', '.join(missing)}.\n"
            "Install them with the system's package manager (usually the package `make`) and start again."
        )
    for name, path in found.items():
        if path is not None:
            (folder / name).symlink_to(path)


def clean_environment(path: Path, home: Path) -> dict[str, str]:
    """The environment of every program of the build: nothing of the user's, everything fixed."""
    return {
        "PATH": str(path),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "0",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PKG_CONFIG_LIBDIR": "/nonexistent",
    }


def run_tool(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path, title: str, timeout_s: float
) -> None:
    """Runs a program to its end; its output is appended to `log`.

    :raises ToolFailed: it cannot be started, ends with an error, or takes longer than `timeout_s` seconds.
    """
    words = [str(word) for word in command]
    with log.open("ab") as output:
        output.write(f"\n$ cd {shlex.quote(str(cwd))} && {shlex.join(words)}\n".encode())
        output.flush()
        signals = _DeferredSignals()
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its children end with it
            )
        except OSError as error:
            signals.deliver()
            raise ToolFailed(failure_text(title, words, f"cannot be started: {error}", log)) from error
        try:
            signals.deliver()
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            reason = f"did not end within {timeout_s:.0f} s"
            raise ToolFailed(failure_text(title, words, reason, log)) from error
        finally:
            _end_group(process)
    if code != 0:
        raise ToolFailed(failure_text(title, words, f"ended with {code}", log))


class _DeferredSignals:
    """Holds signals back that would end us, from its making to :meth:`deliver`: a program that is being started
    when one arrives would be left behind."""

    def __init__(self) -> None:
        self._arrived: list[int] = []
        self._before: dict[int, Any] = {}
        # Handlers run on the main thread, so only there they come in between.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, lambda number, _: self._arrived.append(number))

    def deliver(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._arrived:
            signal.raise_signal(self._arrived[0])


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def failure_text(title: str, words: Sequence[str], reason: str, log: Path) -> str:
    """What a person reads when a program failed: the step, the command, the end of its output, what to do."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        tail = deque((line[:SHOWN_LINE_MAX].rstrip("\n") for line in lines), SHOWN_LINES)
    command = shlex.join(words)
    return "\n".join(
        [
            f"Step failed: {title}",
            f"Command {reason}: {command[:SHOWN_LINE_MAX]}",
            f"Last lines of its output ({log}):",
            *(f"  {line}" for line in tail),
            "What to do: finished steps are kept, so `genvm runners build` continues here. If it fails again the same "
            "way, check free disk space and memory, and try `genvm runners build --jobs 1`.",
        ]
    )
