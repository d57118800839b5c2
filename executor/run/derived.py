"""Files that a runner's program makes from those of a contract, such as bytecode.

The program runs in a deterministic VM of its own, which sees nothing but the files that it is given
(:mod:`executor.subvm.closed`): what it makes depends on them and on the runner only. So it is made once and kept under
a digest of both. Whether it was made now or earlier cannot be seen: neither the time nor the RAM of the making is
charged to the run, and what the program prints is dropped.

The program finds the paths of the files in its message (``entry_data``, an array of texts) and returns a map from
paths to bytes. If it ends in another way, or makes too much, nothing is derived.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.log import Remarks
from pygenvm.executor.outcome import (
    Blame,
    GuestFault,
    InstallationFault,
    InternalError,
    InternalErrorRaised,
    OutOfMemory,
    Return,
    VMErrorRaised,
)
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import VmError
from pygenvm.executor.run.made import MadeOnce, digest_of
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, RunnerSource, run_actions

if TYPE_CHECKING:
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.executor.subvm.wasmtime_c import Linker

_log = Remarks("executor.derived")

_FORMAT = b"derived files 1"
_NOTHING = calldata.encode({})


class Deriver:
    """What the programs of runners make, from disk or freshly made. May be used from several threads."""

    def __init__(
        self,
        artefacts: ArtefactStore,
        registry: RunnerSource,
        check_interrupted: Callable[[], None],
        host_functions: Linker,
    ) -> None:
        self._artefacts = artefacts
        self._host_functions = host_functions
        self._registry = registry
        self._check_interrupted = check_interrupted
        self._made = made_in(os.path.join(os.path.dirname(artefacts.folder.path), "derived"))

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        """What the runner ``by`` (a resolved id) makes of ``files``.

        :raises VMErrorRaised: ``timeout``, or the runner is missing or malformed.
        :raises InternalErrorRaised: the runner's program does not do its work.
        """
        parts = (by.encode(), *(part for path, content in files for part in (path.encode(), content)))
        return self._made.get(digest_of(_FORMAT, parts), lambda: self._make(by, files), _NOTHING)

    def _make(self, by: str, files: Sequence[PathAndContent]) -> bytes | None:
        """Calldata of the map; None if the program did not return."""
        from pygenvm.executor.subvm.closed import ClosedWorld

        runner = self._registry.load(by)
        world = ClosedWorld(self._artefacts, self._check_interrupted, self._host_functions)
        vm = world.vm(calldata.encode([path for path, _ in files]))
        try:
            for path, content in files:
                vm.map_file(path, content)
            run_actions(runner, vm, self._registry, self._check_interrupted)
            outcome = vm.outcome
        except OutOfMemory as error:
            outcome = error.error
        except VMErrorRaised as error:
            if error.error.message == VmError.TIMEOUT:
                raise
            # That is about this installation, and no verdict on the contract.
            raise InstallationFault(f"{by}: {error}") from None
        except GuestFault as error:
            raise InstallationFault(str(error)) from error  # The guest is the runner here.
        finally:
            vm.close()
        if isinstance(outcome, InternalError):
            blame = Blame.INSTALLATION if outcome.blame is Blame.GUEST else outcome.blame
            raise InternalErrorRaised(f"{by}: {outcome.message}", blame) from outcome.cause
        if not isinstance(outcome, Return):
            _log.warning("%s derives nothing: %s\n%s", by, outcome, world.output.decode("utf-8", "replace"))
            return None
        try:
            _decoded(outcome.calldata)
        except ValueError as error:
            raise InstallationFault(f"{by}: {error}") from None
        return outcome.calldata if len(outcome.calldata) <= limits.DERIVED_BYTES_MAX else _NOTHING


@cache
def made_in(folder: str) -> MadeOnce[DerivedFiles]:
    """Those of this process."""
    return MadeOnce(
        folder,
        "derived",
        decoded=_decoded,
        kept_bytes=limits.DERIVED_KEPT_BYTES,
        files_max=limits.DERIVED_FILES_MAX,
        files_bytes=limits.DERIVED_FILES_BYTES,
    )


def _decoded(made: bytes | memoryview) -> DerivedFiles:
    """:raises ValueError: not a map from paths to bytes."""
    value = calldata.decode(made)
    if not isinstance(value, dict) or not all(isinstance(content, bytes) for content in value.values()):
        raise ValueError("not a map from paths to bytes")
    return value
