"""The exit codes of the processes that this one starts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    # The module around it takes longer to load than a run has.
    import _signal


def expect_exit_codes() -> None:
    """At the start of a program of ours. Main thread only.

    Who ignores the end of his children leaves that to what he starts. There the system drops exit codes, and Python
    takes each for 0: a compiler that has refused a module, for one that has made an empty artefact.
    """
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
