"""A new ``genvm run`` process for each run."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from pygenvm.executor import interpreter
from pygenvm.executor.arguments import RunArguments
from pygenvm.localnet import limits
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.base import StartedExecutor, StartingExecutor

_PR_SET_PDEATHSIG = 1


def own_command(options: Sequence[str] = ()) -> list[str]:
    """This installation's own ``genvm`` with global ``options`` (spec executor/10), such as ``--config=PATH``."""
    return interpreter.command("pygenvm.cli.main", *options)


class ExecutorProcess(StartingExecutor):
    """``genvm run`` as a process of its own, in its own process group, that ends when we end."""

    def __init__(
        self,
        command: Sequence[str] = (),
        *,
        options: Sequence[str] = (),
        grace: float = limits.RUN_GRACE_SECONDS,
    ) -> None:
        """
        :param command: an executor; by default this installation's own ``genvm``.
        :param options: global options for it (spec executor/10), such as ``--config=PATH``.
        """
        super().__init__(grace)
        self._command = [*command, *options] if command else own_command(options)

    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                f"--log-fd={log}",
                *_command_line(arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(log,),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise ExecutorError(f"cannot start the executor: {error}") from error
        return _Process(process)


class _Process:
    """A :class:`StartedExecutor` that is a child of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        return await self._process.wait()


def _command_line(arguments: RunArguments) -> list[str]:
    words = ["run", "--host", arguments.host, "--message", arguments.message]
    words += ["--permissions", arguments.permissions, "--host-data", arguments.host_data]
    words += ["--debug-mode"] * arguments.debug_mode + ["--sync"] * arguments.sync
    return words + [f"--print={what}" for what in sorted(arguments.printed)]


def _die_with_parent() -> None:
    """Linux: an executor must not outlive a killed command; a contract may loop for ever."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# Looked up before any fork: the child must not load libraries.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
