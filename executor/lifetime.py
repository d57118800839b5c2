"""Processes that do not outlive whoever has started them; a contract may loop for ever."""

from __future__ import annotations

import ctypes
import sys

TYPE_CHECKING = False
# The module around it takes longer to load than to use.
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Linux: end when the parent does, however that ends. In a process that has just been forked."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# Looked up before any fork: the child must not load libraries.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
