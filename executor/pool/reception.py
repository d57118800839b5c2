"""A pool for commands of the same user (:mod:`executor.pool.handover` has what they tell each other).

It carries out what a process of its own would have carried out in the same way, and refuses the rest: another program,
other rights, limits or surroundings, another configuration. Who is refused carries it out by himself.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import os
import selectors
import signal
import socket
import sys
import time
from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.cache_folder import check_trusted
from pygenvm.executor.cache_root import make_private
from pygenvm.executor.config import ConfigError
from pygenvm.executor.log import Logger
from pygenvm.executor.pool import circumstances, frames, handover
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import FrameError
from pygenvm.executor.pool.setup import Commands
from pygenvm.executor.pool.template import Template, _Client, _ClientGone, _Executor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygenvm.executor.pool.frames import Frame

LOG_TARGET = "executor::pool"

#: What a client may send to its executor; stopping it, also to what it has started.
_TO_EXECUTOR = {number for numbers in handover.FORWARDED.values() for number in numbers}
_SIGNALS = (*_TO_EXECUTOR, signal.SIGSTOP, signal.SIGCONT)
#: Below this folder, and not in site-packages, are the files of Python.
_PYTHON = os.path.join(os.path.dirname(os.__file__), "")
#: The variable that says how long they are (cli.standby).
_OF_POOLS_LEFT_BEHIND = b"PYGENVM_POOL_IDLE="
#: What such a pool writes to its lock.
_LEFT_BEHIND = b"left behind"
_ANCILLARY_BYTES = socket.CMSG_SPACE(handover.REQUEST_DESCRIPTORS * array("i").itemsize)


class CannotListen(Exception):
    """There cannot be such a pool; the text says why."""


class _Refused(Exception):
    """A visitor has to carry out his command by himself."""


class _NotYet(_Refused):
    """He comes too early."""


class _Differs(_Refused):
    """Others like him will come, and this pool is not for them."""


@dataclass(eq=False)
class _Visit:
    """A process that has connected. ``executor`` is None until it has one.

    ``was_taken`` says that it has had one, ``orders`` is where that takes others for the runs of its command, which it
    has had since ``began``.
    """

    number: int
    connection: socket.socket
    began: float = 0.0
    executor: _Executor | None = None
    orders: _Client | None = None
    was_taken: bool = False
    is_over: bool = False


class Reception(Template):
    """Listens at a place of this user, and hands what comes there to executors."""

    def __init__(
        self, config_path: str | None, log_level: str | None, idle: int, commands: Commands, until_idle: float | None
    ) -> None:
        """
        :param until_idle: it ends when it has had nothing to do for so many seconds, or the program has changed; and
            has loaded what commands need before the first one comes. It makes way for a pool without this.
        :raises CannotListen: there is no place, or another pool is there.
        """
        self._program = _Program()
        self._identity = handover.identity()
        self._until_idle = until_idle
        self._early = self._compared(handover.own_environment())
        self._path = _place() / handover.socket_name(self._identity, config_path)
        self._listening, self._lock = _bound(self._path, left_behind=until_idle is not None)
        super().__init__(self._listening, config_path, log_level, idle)
        self._commands = commands
        #: When somebody came last for whom it did something, or left.
        self._used_at = time.monotonic()
        self._has_local = self._local_due = self._local_failed = False
        self._visits: dict[int, _Visit] = {}
        self._numbers = itertools.count(1)
        self._log = Logger(fd=2, level=log_level or "info")

    def _open(self) -> None:
        self._program.note()
        with contextlib.suppress(ConfigError):
            self._log = Logger.from_config(self._configure(), fd=2, level=self._log_level)
        if self._until_idle is not None:
            self._load_local()
            if self._local_failed:
                raise _ClientGone
            # That of whoever has left it behind may be removed, and its disk taken out.
            os.chdir("/")
        self._used_at = time.monotonic()
        self._listening.setblocking(False)
        self._listening.listen(limits.POOL_JOBS_MAX)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        print(f"takes over runs at {self._path}", flush=True)

    def _compared(self, variables: list[bytes]) -> list[bytes]:
        """Those of these variables that have to be as they were when this pool was started."""
        early = handover.early(variables)
        if self._until_idle is None:
            # How long others are left behind is nothing to one that somebody has started.
            early = [text for text in early if not text.startswith(_OF_POOLS_LEFT_BEHIND)]
        return early

    def _refill_patience(self) -> float:
        # Processors for a fork are missing to somebody who waits.
        began = max((visit.began for visit in self._visits.values()), default=0.0)
        left = began + limits.POOL_REFILL_COMMAND_SECONDS - time.monotonic()
        return left if left > 0.0 else super()._refill_patience()

    def _patience(self) -> float | None:
        if self._until_idle is None or self._visits:
            return None
        left = self._used_at + self._until_idle - time.monotonic()
        if left <= 0:
            raise _ClientGone
        return left

    def _give_way(self) -> None:
        """Its place is for another one; first whoever is here goes on to his end."""
        self._until_idle = 0.0
        if self._lock is None:
            return
        self._selector.unregister(self._listening)
        self._listening.close()
        # Also where a fork still has it.
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)
        self._lock = None

    def _close_clients(self) -> None:
        self._listening.close()
        if self._lock is not None:
            os.close(self._lock)
        for visit in self._visits.values():
            visit.connection.close()
            if visit.orders is not None:
                visit.orders.channel.close()

    def _ended(self, visit: _Visit, status: int) -> None:
        visit.executor = None
        if not visit.is_over:
            with contextlib.suppress(OSError):
                visit.connection.send(handover.ENDED + b"%d" % status)
            self._part_with(visit)

    def _refill(self) -> None:
        if self._local_due:
            self._load_local()
        super()._refill()

    def _load_local(self) -> None:
        """While nobody waits; those who only need runs never pay for it."""
        assert self._commands is not None
        self._local_due = False
        try:
            self._commands.load_local()
        except Exception as error:
            # An upgrade that is half done, say. Runs need nothing of it, and go on.
            self._local_failed = True
            self._log.error("cannot load the local network", why=f"{type(error).__name__}: {error}")
            return
        finally:
            self._program.note()
        self._has_local = True
        gc.collect()
        gc.freeze()
        # They lack it.
        idle, self._idle = self._idle, []
        # Nobody types two at once.
        self._wanted[True] = limits.POOL_IDLE_COMMANDS if self._until_idle is None else 1
        for executor in idle:
            assert executor.channel is not None
            executor.channel.close()
            executor.channel, executor.ended = None, lambda _status: None
            self._working.add(executor)
            executor.kill()

    def _fork(self, for_command: bool) -> _Executor:
        executor = super()._fork(for_command)
        # While nobody waits. As its child has it from this process, which somebody may have changed meanwhile.
        with contextlib.suppress(OSError):
            executor.circumstances = circumstances.of(executor.pid)
        return executor

    # --- visits --------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            # It is gone again; or there are no more descriptors, and the next look would find it at once.
            time.sleep(limits.POOL_PAUSE_SECONDS)
            return
        # The folder keeps others out; this holds whatever has become of it.
        if handover.peer(connection)[1] != os.geteuid() or len(self._visits) >= limits.POOL_JOBS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        visit = _Visit(next(self._numbers), connection)
        self._visits[visit.number] = visit
        self._selector.register(connection, selectors.EVENT_READ, partial(self._read, visit))
        # It sends its request right away.
        self._read(visit)

    def _read(self, visit: _Visit) -> None:
        if visit.is_over:
            return  # Of the events of one look the others may have ended it.
        try:
            data, ancillary, flags, _ = visit.connection.recvmsg(
                limits.HANDOVER_REQUEST_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        descriptors = array("i")
        for _, _, content in ancillary:
            descriptors.frombytes(content)
        self._job_descriptors = tuple(descriptors)
        try:
            if not data:
                self._part_with(visit)
            elif data == handover.GIVE_WAY:
                self._part_with(visit)
                if self._until_idle is not None:
                    self._give_way()
            elif visit.executor is None:
                try:
                    self._take(visit, data, flags)
                except (_Refused, OSError) as error:
                    log = self._log.debug if isinstance(error, _NotYet) else self._log.info
                    log("not taken over", why=str(error))
                    self._part_with(visit)
                    if isinstance(error, _Differs):
                        self._miss()
            else:
                self._pass_on(visit.executor, data[0])
        finally:
            self._close_job_descriptors()

    def _take(self, visit: _Visit, request: bytes, flags: int) -> None:
        """Hand a visitor to an executor.

        :raises _Refused: something differs.
        :raises OSError: there cannot be an executor.
        """
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC) or len(self._job_descriptors) != handover.REQUEST_DESCRIPTORS:
            raise _Refused("its request did not arrive as a whole")
        try:
            own, words, variables = handover.decode_request(request)
        except ValueError as error:
            raise _Refused(f"its request cannot be read: {error}") from error
        if own != self._identity:
            raise _Refused("it is another program")
        if self._compared(variables) != self._early:
            raise _Differs("its environment differs")
        if not self._program.is_unchanged():
            if self._until_idle is not None:
                # That is for one that is as the program is now.
                self._give_way()
            raise _Refused("the program has changed since this pool was started")
        options = handover.global_options(words)
        if options is None:
            raise _Refused("its command line is not plain")
        is_run = options[0] == "run"
        if not is_run and not self._has_local:
            if self._local_failed:
                raise _Refused("the local network could not be loaded")
            self._local_due = self._refill_due = True
            raise _NotYet("the local network is not loaded yet")
        waiting = self._waiting(not is_run)
        if not waiting:
            waiting = [self._fork(not is_run)]
            self._idle += waiting
        pid, _ = handover.peer(visit.connection)
        if circumstances.of(pid) != waiting[0].circumstances:
            raise _Differs("its rights, limits or surroundings differ")
        ended = partial(self._ended, visit)
        visit.executor = executor = (
            self._hand_over(frames.Visit(request), ended) if is_run else self._hand_over_command(visit, request, ended)
        )
        visit.was_taken = True
        self._log.debug("taken over", client=pid, executor=executor.pid)
        self._close_job_descriptors()
        self._refill_due = True

    def _miss(self) -> None:
        """Somebody has come for whom it is not. If those for whom it is have not for a while, he may have one."""
        if self._until_idle is not None and time.monotonic() - self._used_at >= limits.POOL_RETRY_SECONDS:
            self._give_way()

    def _hand_over_command(self, visit: _Visit, request: bytes, ended: Callable[[int], None]) -> _Executor:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            # It goes to the executor with the others, and is closed with them.
            self._job_descriptors += (theirs.detach(),)
            executor = self._hand_over(frames.Command(request), ended)
            orders = _Client(Channel(socket.socket(fileno=ours.detach())))
        visit.orders, visit.began = orders, time.monotonic()
        self._selector.register(orders.channel, selectors.EVENT_READ, partial(self._read_orders, orders))
        return executor

    def _read_orders(self, orders: _Client) -> None:
        """What the executor of a command asks for. It has no contract: those run in the executors that it gets."""
        try:
            self._read_from(orders)
        except (_ClientGone, FrameError):
            self._forget_orders(orders)

    def _send(self, client: _Client, frame: Frame) -> None:
        # Who is gone is noticed by reading, and there are others.
        with contextlib.suppress(_ClientGone):
            super()._send(client, frame)

    def _forget_orders(self, orders: _Client) -> None:
        for executor in orders.working.values():
            executor.kill()
        if orders.channel.fileno() >= 0:
            self._selector.unregister(orders.channel)
            orders.channel.close()

    def _pass_on(self, executor: _Executor, number: int) -> None:
        if number not in _SIGNALS:
            return
        with contextlib.suppress(ProcessLookupError):
            if number in _TO_EXECUTOR:
                signal.pidfd_send_signal(executor.pidfd, number)
            else:
                os.killpg(executor.pid, number)

    def _part_with(self, visit: _Visit) -> None:
        """He is gone, or has what he wanted; nothing that he has had is left."""
        visit.is_over = True
        if visit.was_taken:
            self._used_at = time.monotonic()
        del self._visits[visit.number]
        self._selector.unregister(visit.connection)
        visit.connection.close()
        if visit.executor is not None:
            visit.executor.kill()
        if visit.orders is not None:
            self._forget_orders(visit.orders)


class _Program:
    """The files of all modules that are loaded, as they were when they were.

    Without those of Python itself: its version is part of :func:`executor.pool.handover.identity`.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int, int]] = {}
        self.note()

    def note(self) -> None:
        """Look at the files of modules that have been loaded since."""
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if path is None or path in self._files or (path.startswith(_PYTHON) and "-packages" not in path):
                continue
            with contextlib.suppress(OSError):  # It is in an archive.
                self._files[path] = _state(path)

    def is_unchanged(self) -> bool:
        """:raises OSError: one is gone."""
        return all(_state(path) == state for path, state in self._files.items())


def _state(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_ctime_ns


def _place() -> Path:
    """The folder in which pools of this user listen; it is made if there is none.

    :raises CannotListen: there cannot be one, or others can enter it.
    """
    name = handover.folder()
    if name is None:
        raise CannotListen("there is no home directory for the cache; set PYGENVM_CACHE")
    folder = Path(name)
    try:
        make_private(name)
        check_trusted(folder)
    except OSError as error:
        raise CannotListen(str(error)) from error
    return folder


def _bound(path: Path, *, left_behind: bool) -> tuple[socket.socket, int | None]:
    """A socket that has the name ``path`` and does not listen yet, and what keeps others from taking the name.

    :param left_behind: this pool waits for none, and others need not wait for it.
    :raises CannotListen: another pool has it, or there cannot be one.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not handover.is_private(folder):
                raise CannotListen(f"others may enter {path.parent}; say `chmod 700 {path.parent}` if it is yours")
            lock = os.open(
                f"{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
            # Names of sockets are short, so not by its path.
            address = f"/proc/self/fd/{folder}/{path.name}"
            _take(lock, address, left_behind=left_behind)
            # Who had it is dead, or the lock would be taken.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=folder)
            listening.bind(address)
        finally:
            os.close(folder)
    except BlockingIOError as error:
        raise CannotListen(f"there is such a pool already, at {path}") from error
    except OSError as error:
        raise CannotListen(f"{path}: {error.strerror}") from error
    return listening, lock


def _take(lock: int, address: str, *, left_behind: bool) -> None:
    """Take the place at ``address``; also from a pool that was left behind, if this one was not.

    :raises BlockingIOError: another pool has it.
    """
    until = time.monotonic() + limits.POOL_WAY_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if left_behind or os.pread(lock, len(_LEFT_BEHIND), 0) != _LEFT_BEHIND or time.monotonic() > until:
                raise
        # It may not listen yet.
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking, contextlib.suppress(OSError):
            asking.settimeout(limits.HANDOVER_SECONDS)
            asking.connect(address)
            asking.send(handover.GIVE_WAY)
        time.sleep(limits.POOL_PAUSE_SECONDS)
    os.ftruncate(lock, 0)
    if left_behind:
        os.pwrite(lock, _LEFT_BEHIND, 0)
