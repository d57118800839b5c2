"""What ``genvm run`` was asked for: shared by command line, pool, records and the local network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pygenvm.executor.frozen import Frozen, fresh

if TYPE_CHECKING:
    from pathlib import Path


class RunArguments(metaclass=Frozen):
    """What ``genvm run`` was asked for, as text (spec executor/10 "run")."""

    message: str
    host: str
    host_data: str = "{}"
    cookie: str = fresh(factory=lambda: "".join(f"{byte:x}" for byte in os.urandom(8)))
    permissions: str = "rwscn"
    sync: bool = False
    debug_mode: bool = False
    printed: frozenset[str] = frozenset()
    record: Path | None = None
    """File for a record of the run (:mod:`executor.record.format`)."""
    trace: bool = False
    """Log what the run does (:mod:`executor.run.tracing`)."""
