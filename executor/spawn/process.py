"""A new ``genvm run`` process for a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from pygenvm.executor import interpreter
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.lifetime import die_with_parent
from pygenvm.executor.spawn import SpawnError, StartedExecutor


def own_command(options: Sequence[str] = ()) -> list[str]:
    """This installation's own ``genvm`` with global ``options`` (spec executor/10), such as ``--config=PATH``."""
    return interpreter.command("pygenvm.cli.main", *options)


def run_words(arguments: RunArguments) -> list[str]:
    """``run`` and its options as they stand on a command line."""
    words = ["run", "--host", arguments.host, "--message", arguments.message]
    words += ["--permissions", arguments.permissions, "--host-data", arguments.host_data]
    words += ["--debug-mode"] * arguments.debug_mode + ["--sync"] * arguments.sync
    if arguments.record is not None:
        words += ["--record", str(arguments.record.absolute())]
    return words + [f"--print={what}" for what in sorted(arguments.printed)]


async def start_process(
    command: Sequence[str], words: Sequence[str], *, stdout: int, stderr: int, log: int
) -> StartedExecutor:
    """``command`` with a log descriptor and ``words``: in a process group of its own, and gone when we are.

    :raises SpawnError: it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            f"--log-fd={log}",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(log,),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except (OSError, ValueError) as error:
        raise SpawnError(f"cannot start the executor: {error}") from error
    return _Process(process)


class _Process:
    """A :class:`StartedExecutor` that is a child of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        return await self._process.wait()
