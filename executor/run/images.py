"""Images of contracts: what importing a contract does is done once, and then laid over the new VM of each call.

How a program makes one, and what it holds, is in :mod:`executor.subvm.image`; where it is made, and what a contract
must not ask for at its import, in :mod:`executor.subvm.imaging`.

Images can be seen, in memory hashes and in the addresses of objects. So they are a rule and no cache: every
deterministic VM that is to run a method of a contract with an image begins with it, the first one too, and whether a
contract has one follows from its bytes, the runners and constants. (Sandboxes begin without: what they run may come
with all that it needs, and then the contract is not imported.) What cannot be made on this machine ends the run; what
cannot be stored is made again by the next process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.outcome import Blame, InternalError, InternalErrorRaised, VMErrorRaised
from pygenvm.executor.primitives.abi import VmError
from pygenvm.executor.run.made import MadeOnce, digest_of
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, RunnerSource, Source, run_actions
from pygenvm.executor.subvm.image import Image, Overlay

if TYPE_CHECKING:
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.executor.subvm.wasmtime_c import Linker

#: To be changed with everything that a contract can see at its import: WASI, the closed world, its limits.
_FORMAT = b"contract image 2"
_NONE = b""


class Images:
    """The images of contracts, from disk or freshly made. May be used from several threads."""

    def __init__(
        self,
        artefacts: ArtefactStore,
        registry: RunnerSource,
        check_interrupted: Callable[[], None],
        host_functions: Linker,
        derive: Callable[[str, Sequence[PathAndContent]], DerivedFiles],
    ) -> None:
        self._artefacts = artefacts
        self._registry = registry
        self._check_interrupted = check_interrupted
        self._host_functions = host_functions
        self._derive = derive
        self._made = made_in(os.path.join(os.path.dirname(artefacts.folder.path), "images"))

    def image(self, source: Source) -> Overlay | None:
        """What VMs begin with that are built from ``source``; None if there is no image.

        :raises VMErrorRaised: ``timeout``.
        :raises InternalErrorRaised: it could not be made.
        """
        parts = (source.contract.digest, *(runner.encode() for runner in source.runners))
        return self._made.get(digest_of(_FORMAT, parts), lambda: self._make(source))

    def _make(self, source: Source) -> bytes:
        from pygenvm.executor.subvm.closed import ClosedWorld
        from pygenvm.executor.subvm.imaging import ImageMaker, imaging_functions

        functions = imaging_functions(self._host_functions)
        world = ClosedWorld(self._artefacts, self._check_interrupted, functions, self._derive)
        vm = ImageMaker(world.spec(b""), world)
        try:
            run_actions(source.contract, vm, self._registry, self._check_interrupted)
            if isinstance(vm.outcome, InternalError) and vm.outcome.blame is not Blame.GUEST:
                raise InternalErrorRaised(vm.outcome.message, vm.outcome.blame) from vm.outcome.cause
            return _NONE if vm.image is None else vm.image.to_bytes()
        except VMErrorRaised as error:
            if error.error.message == VmError.TIMEOUT:
                raise
            return _NONE
        finally:
            vm.close()


@cache
def made_in(folder: str) -> MadeOnce[Overlay | None]:
    """Those of this process."""
    return MadeOnce(
        folder,
        "image",
        decoded=lambda data: Overlay(Image.from_bytes(data)) if len(data) else None,
        takes=lambda overlay: 0 if overlay is None else overlay.bytes,
        kept_bytes=limits.IMAGES_KEPT_BYTES,
        files_max=limits.IMAGES_MAX,
        files_bytes=limits.IMAGES_BYTES,
    )
