"""An executor that a command forks of itself as soon as it starts: what runs need is loaded beside what commands need.

It carries out a series of runs (:mod:`executor.pool.series`), as those of a template do. Nothing that takes time to
load is loaded here.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    import socket as _socket
    from typing import NoReturn
else:
    import _signal

#: What the executor takes over as soon as it can; before that they wait.
_HELD_BACK = (_signal.SIGTERM, _signal.SIGINT)


class ForkedExecutor:
    """An executor that is a child of this process, for :class:`executor.spawn.series.SeriesExecutor`.

    Whatever it does, it ends with this process.
    """

    def __init__(self, config: str | None) -> None:
        """Only where this process has a single thread.

        :param config: the file of the configuration.
        :raises OSError: the system has no room for it, or no pools, which carry out what it does not.
        """
        if not TYPE_CHECKING:
            import _socket

        os.close(os.pidfd_open(os.getpid()))
        self.connection, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self.stderr = os.memfd_create("stderr")
        """Where it writes when it breaks."""
        parent = os.getpid()
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _HELD_BACK)
        try:
            self.pid = os.fork()
            if not self.pid:
                _become_executor(theirs, self.stderr, parent, config)
        except OSError:
            self.connection.close()
            os.close(self.stderr)
            raise
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
            theirs.close()
        self._status: int | None = None

    def signal(self, number: int) -> None:
        """Send a signal to it, if it is still there."""
        if self._status is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and everything that it has started, at once."""
        if self._status is not None:
            return
        # Before it has a group of its own there is nothing else to be ended.
        for end in (os.kill, os.killpg):
            try:  # noqa: SIM105 (contextlib is not loaded)
                end(self.pid, _signal.SIGKILL)
            except OSError:
                pass

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended it; only where it ends at once."""
        return self.reap()

    def reap(self) -> int:
        """The same for who is no coroutine."""
        if self._status is None:
            # As long as nobody has asked for the exit code, its number is not given to another process or group.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.kill()
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


def _become_executor(connection: _socket.socket, stderr: int, parent: int, config: str | None) -> NoReturn:
    """In the child: let go of everything that belongs to the command, and carry out runs."""
    status = 1
    try:
        # A session of its own, so that what it starts can be ended with it, and a terminal's signals do not reach it.
        os.setsid()
        os.dup2(stderr, 2)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(nothing, standard)
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        # As in a process of its own (executor.interpreter): nothing of the author's can take the place of the library.
        sys.path.sort(key=lambda folder: not folder.startswith((sys.base_prefix, sys.prefix)))
        import gc

        # What is loaded from here on stays; the first run turns collections on again.
        gc.disable()
        from pygenvm.executor.lifetime import die_with_parent

        die_with_parent()
        if os.getppid() == parent:
            status = _carry_out(connection, config)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # Whatever it has of the command's is not its to end.
        os._exit(status)


def _carry_out(connection: _socket.socket, config: str | None) -> int:
    from pygenvm.executor.run import termination

    termination.install()
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _HELD_BACK)
    # What a run loads when it has come so far; this one is there before it.
    import pygenvm.executor.run.console
    import pygenvm.executor.run.parts
    import pygenvm.executor.run.world  # noqa: F401
    from pygenvm.executor.config import load_config
    from pygenvm.executor.pool import series
    from pygenvm.executor.pool.setup import Setup
    from pygenvm.executor.subvm.linking import host_linker

    host_linker()
    return series.serve(connection, Setup(lambda: load_config(config), None, None, None))
