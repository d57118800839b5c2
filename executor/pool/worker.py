"""An executor of a pool: a fork of the template that waits for one job and carries it out.

Everything here happens in a new process. It never returns to the template's code.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from pygenvm.executor.config import Config
from pygenvm.executor.frozen import frozen
from pygenvm.executor.observer import Observer
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import Job, Series
from pygenvm.executor.pool.rehearsal import Rehearsal, rehearse_until_wanted
from pygenvm.executor.run import termination
from pygenvm.executor.run.prepared import Prepared
from pygenvm.executor.run.process import leave, run_command

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl

#: Like an unhandled exception in a fresh process.
_FAILED = 1


@frozen
class Setup:
    """What executors get from their template. ``log_level`` is for jobs that name none."""

    configure: Callable[[], Config]
    log_level: str | None
    prepared: Prepared | None
    rehearsal: Rehearsal | None
    observers: Sequence[Observer] = ()


def work(channel: Channel, template: int, setup: Setup) -> NoReturn:
    """Wait at ``channel`` for the job, carry it out as ``genvm run`` would, and leave the process.

    ``template`` is the process id of the template; this process ends with it, and in any case when ``channel`` closes.
    Termination signals are held back until this is called.
    """
    status = _FAILED
    try:
        # A session of its own, so that what it starts can be ended with it, and a terminal's signals do not reach it.
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == template:
            termination.install()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, termination.SIGNALS)
            status = _carry_out(channel, setup)
    except BaseException:
        traceback.print_exc()
    finally:
        # The interpreter is not shut down: its memory is shared with the template, and touching it would copy it.
        leave(status)


def _carry_out(channel: Channel, setup: Setup) -> int:
    if setup.rehearsal is not None:
        rehearse_until_wanted(setup.rehearsal, channel)
    received = channel.receive()
    if received is None:
        return 0
    job, descriptors = received
    channel.close()
    if isinstance(job, Series):
        connection, stderr = descriptors
        return _carry_out_series(connection, stderr, setup)
    assert isinstance(job, Job)
    stdout, stderr, log = descriptors
    for descriptor, standard in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    level = job.log_level or setup.log_level
    return run_command(
        job.arguments,
        setup.configure,
        log_fd=log,
        log_level=level,
        prepared=setup.prepared,
        observers=setup.observers,
    )


def _carry_out_series(connection: int, stderr: int, setup: Setup) -> int:
    # Loaded here: those of nodes have one run each.
    from pygenvm.executor.pool import series

    # For what the interpreter or the engine says when it breaks; what runs print goes to the client.
    os.dup2(stderr, 2)
    os.close(stderr)
    return series.serve(socket.socket(fileno=connection), setup)
