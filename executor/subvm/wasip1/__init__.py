"""WASI preview 1 as a sub-VM offers it: deterministic, read-only, without a process behind it (spec executor/06).

``FUNCTIONS`` is bound to a linker once; the handlers find everything of the calling VM in its
:class:`WasiState` and in its memory.
"""

from pygenvm.executor.subvm.wasip1.functions.proc import ProcExit
from pygenvm.executor.subvm.wasip1.state import WasiState
from pygenvm.executor.subvm.wasip1.table import FUNCTIONS, WasiFunction

__all__ = ["FUNCTIONS", "ProcExit", "WasiFunction", "WasiState"]
