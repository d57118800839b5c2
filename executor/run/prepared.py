"""What a process that was started before its run has got ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.frozen import Frozen

if TYPE_CHECKING:
    from pygenvm.executor.runner.archive import Archive
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.executor.subvm.wasmtime_c import Linker


class Prepared(metaclass=Frozen):
    """What a process that was started before its run has got ready (:mod:`executor.pool`)."""

    artefacts: ArtefactStore
    archives: dict[str, Archive]
    """Runs add those that they read."""
    host_functions: Linker
