"""Builds the runners with NumPy and Pillow when somebody runs a contract that mentions them, unless they are there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pygenvm.executor.config import Config, cache_root
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import pins

_SNAPSHOT: Final = "cpython-genlayer-numeric"
#: The generations of a library.
EMBEDDINGS: Final = ("py-lib-genlayer-embeddings", "py-lib-genlayer-embeddings-v0_1")
#: What a contract's bytes mention that needs a runner. Those of the embeddings come with a model of 90 MB, so who only
#: needs NumPy does not wait for them.
_NEEDS: Final = {
    _SNAPSHOT: re.compile(rb"\b(?:%s)\b" % b"|".join(name.encode() for name in pins.NAMES)),
    **dict.fromkeys(EMBEDDINGS, re.compile(rb"\bpy-lib-genlayer-embeddings:")),
    "models-all-MiniLM-L6-v2": re.compile(rb"\bmodels-all-MiniLM-L6-v2:"),
}


def build_for(code: bytes, config: Config, *, progress: bool) -> Callable[[], None] | None:
    """What builds those that this contract needs, which takes minutes; None if they are there or it needs none.

    What is returned raises :class:`BuildError` as :func:`runners.registry.ensure_built` does. Folders that the
    configuration names and that are not below the cache are somebody else's affair.
    """
    needed = [runner for runner, mentioned in _NEEDS.items() if mentioned.search(code)]
    if not needed:
        return None
    root = cache_root()
    if (Path(config.runners_dir), Path(config.registry_dir)) != (root / "runners", root / "registry"):
        return None
    packaged = tuple(map(Path, config.packaged_runners))
    missing = [runner for runner in needed if not any(_has(one, runner) for one in (root, *packaged))]
    return (lambda: _build(missing, packaged, progress)) if missing else None


def _build(missing: Sequence[str], packaged: Sequence[Path], progress: bool) -> None:
    from pygenvm.runners import registry

    if registry.is_packaged(packaged):
        # Here, for it takes as long to load as all of this module.
        from importlib.metadata import version as version_of

        version = version_of("pygenvm")
        raise BuildError(
            "This contract mentions NumPy, Pillow or the embeddings, whose runners are in a package of their own: "
            f"install its wheel, pygenvm_runners_numeric-{version}, which `make dist` makes beside the others. Or"
            " `genvm runners build` makes them here."
        )
    for runner in missing:
        registry.build(jobs=registry.default_jobs(), progress=progress, only=runner)


def _has(folder: Path, runner: str) -> bool:
    """Whether the archive that this version makes is there."""
    pinned = pins.pinned().get(runner)
    if pinned is not None:
        try:
            names = json.loads((folder / "registry" / "all.json").read_bytes()).get(runner, ())
        except (OSError, ValueError):
            return False
        name = pinned if pinned in names else None
    else:
        from pygenvm.runners import recipes, registry

        name = registry.read_keys(folder / "registry").get(runner, {}).get(recipes.archive_steps()[runner].key)
    return name is not None and (folder / "runners" / runner / name[:2] / f"{name[2:]}.tar").is_file()
