"""What a process has of signals from whoever has started it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    # The module around it takes longer to load than a run has.
    import _signal

#: Those that mean something to programs of ours.
_NEEDED = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGALRM, _signal.SIGCHLD)


def hear_signals() -> None:
    """At the start of a program of ours. Main thread only.

    Who ignores the end of his children leaves that to what he starts. There the system drops exit codes, and Python
    takes each for 0: a compiler that has refused a module, for one that has made an empty artefact.

    Who holds signals back, to wait for them, leaves that too: a run that is told to end would not hear it. What else
    is ignored stays so: that is meant, as by `nohup`.
    """
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _NEEDED)
