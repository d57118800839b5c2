"""An executor of a pool: a fork of the template that waits for one job and carries it out.

Everything here happens in a new process. It never returns to the template's code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import sys
import traceback
from array import array
from collections.abc import Sequence
from typing import NoReturn

from pygenvm.executor import limits
from pygenvm.executor.config import ConfigError, load_config
from pygenvm.executor.lifetime import die_with_parent
from pygenvm.executor.log import Logger
from pygenvm.executor.pool import handover, pages
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import Command, Job, Series, Visit
from pygenvm.executor.pool.rehearsal import prepare_until_wanted, rehearse_until_wanted
from pygenvm.executor.pool.setup import Setup
from pygenvm.executor.run import termination
from pygenvm.executor.run.process import leave, run_command

LOG_TARGET = "executor::pool"


_ANCILLARY_BYTES = socket.CMSG_SPACE(handover.BEGIN_DESCRIPTORS * array("i").itemsize)

#: Below it are the descriptors that a process is given by everybody.
_STANDARD = 3

#: Like an unhandled exception in a fresh process.
_FAILED = 1


def work(channel: Channel, template: int, setup: Setup, for_command: bool) -> NoReturn:
    """Wait at ``channel`` for the job, carry it out as ``genvm run`` would, and leave the process.

    ``template`` is the process id of the template; this process ends with it, and in any case when ``channel`` closes.
    Termination signals are held back until this is called.
    """
    status = _FAILED
    try:
        # A session of its own, so that what it starts can be ended with it, and a terminal's signals do not reach it.
        os.setsid()
        die_with_parent()
        if os.getppid() == template:
            termination.install()
            with termination.without_run(channel.fileno()) as wait:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, termination.SIGNALS)
                if for_command:
                    prepare_until_wanted(channel, _prepare_command)
                elif setup.rehearsal is not None:
                    rehearse_until_wanted(setup.rehearsal, channel)
                wait()
            status = _carry_out(channel, setup)
    except BaseException:
        traceback.print_exc()
    finally:
        # The interpreter is not shut down: its memory is shared with the template, and touching it would copy it.
        leave(status)


def _prepare_command() -> None:
    # Contracts of commands run elsewhere.
    from pygenvm.executor.subvm import linear

    linear.forget()
    pages.own_all()


def _carry_out(channel: Channel, setup: Setup) -> int:
    received = channel.receive()
    if received is None:
        return 0
    channel.close()
    match received.frame:
        case Job() as job:
            stdout, stderr, log = received.descriptors
            _take_streams(stdout, stderr)
            level = job.log_level or setup.log_level
            return run_command(
                job.arguments,
                setup.configure,
                log_fd=log,
                log_level=level,
                prepared=setup.prepared,
                observers=setup.observers,
            )
        case Series():
            connection, stderr = received.descriptors
            return _carry_out_series(connection, stderr, setup)
        case Visit(request=request) | Command(request=request):
            return _receive(request, received.descriptors, setup)
    raise AssertionError(received.frame)


def _take_streams(stdout: int, stderr: int) -> None:
    for descriptor, standard in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)


def _carry_out_series(connection: int, stderr: int, setup: Setup) -> int:
    # Loaded here: those of nodes have one run each.
    from pygenvm.executor.pool import series

    # For what the interpreter or the engine says when it breaks; what runs print goes to the client.
    os.dup2(stderr, 2)
    os.close(stderr)
    return series.serve(socket.socket(fileno=connection), setup)


def _receive(request: bytes, descriptors: Sequence[int], setup: Setup) -> int:
    """Become the process that has connected, as far as its command can tell, and tell it how that ends.

    Not a word to it if the configuration is not the same: then it carries out its command by itself.
    """
    number, folder, *orders = descriptors
    line = socket.socket(fileno=number)
    _, words, variables = handover.decode_request(request)
    options = handover.global_options(words)
    if options is None or setup.commands is None:
        return 0
    os.fchdir(folder)
    os.close(folder)
    _take_environment(variables)
    sys.argv[:] = words
    try:
        is_same = load_config(options[1]) == setup.configure()
    except ConfigError:
        is_same = False
    if not is_same:
        Logger(fd=2, level=setup.log_level or "info").info("not taken over", why="its configuration differs")
        return 0
    try:
        line.send(handover.WILLING)
        word, ancillary, _, _ = line.recvmsg(1, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return 0  # It does not wait any more.
    if word != handover.BEGIN:
        return 0
    stdout, stderr, log, *stdin = array("i", ancillary[0][2])
    _take_streams(stdout, stderr)
    if orders:
        os.dup2(stdin[0], 0)
        for descriptor in (log, *stdin):
            os.close(descriptor)
        status = setup.commands.local(words, socket.socket(fileno=orders[0]), setup.configure())
    else:
        status = setup.commands.run(words, log, setup.prepared, setup.configure)
    _tell(line, status, has_executors=bool(orders))
    return status


def _take_environment(variables: Sequence[bytes]) -> None:
    """Variables that are there at the start of a process are the same already."""
    wanted = dict(variable.split(b"=", 1) for variable in variables if not variable.startswith(handover.EARLY))
    for name in os.environb.keys() - wanted.keys():
        if not name.startswith(handover.EARLY):
            del os.environb[name]
    os.environb.update(wanted)


def _tell(line: socket.socket, status: int, *, has_executors: bool) -> None:
    """The exit code ahead of the end, once nobody can see a difference: giving back the memory takes a while.

    Where it ``has_executors`` they end with this process, and what leads to them is open until then: their end, too,
    takes a while.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for number in map(int, os.listdir("/proc/self/fd")):
        if number == line.fileno():
            continue
        with contextlib.suppress(OSError):
            if not has_executors or number < _STANDARD or not stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)
    with contextlib.suppress(OSError):
        line.send(handover.ENDED + b"%d" % status)
        # It ends now. What ends here would take processors from that.
        line.settimeout(limits.HANDOVER_END_SECONDS)
        line.recv(1)
    os._exit(status)
