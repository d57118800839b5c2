"""Builds the runners with NumPy and Pillow when somebody runs a contract that mentions them, unless they are there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from pygenvm.executor.config import Config, cache_root
from pygenvm.runners.numeric import pins

#: The generations of a library, and how a contract's header names it.
EMBEDDINGS = ("py-lib-genlayer-embeddings", "py-lib-genlayer-embeddings-v0_1")
_EMBEDS = re.compile(rb"\b(?:py-lib-genlayer-embeddings|models-all-MiniLM-L6-v2):")
_MENTIONED = re.compile(rb"\b(?:%s)\b" % b"|".join(name.encode() for name in pins.NAMES))


def build_for(code: Callable[[], bytes], config: Config, *, progress: bool) -> None:
    """Builds them if this contract needs them. Takes minutes then, and some microseconds once they are there.

    Folders that the configuration names and that are not below the cache are somebody else's affair.

    :raises BuildError: see :func:`runners.registry.ensure_built`.
    """
    root = cache_root()
    if (config.runners_dir, config.registry_dir) != (root / "runners", root / "registry"):
        return
    text = code()
    if not _installed(root) and _MENTIONED.search(text):
        _build("cpython-genlayer-numeric", progress)
    if _EMBEDS.search(text):
        for runner in EMBEDDINGS:
            if not _is_current(root, runner):
                _build(runner, progress)


def _build(runner: str, progress: bool) -> None:
    from pygenvm.runners import registry

    registry.build(jobs=registry.default_jobs(), progress=progress, only=runner)


def _is_current(root: Path, runner: str) -> bool:
    """Whether the archive that this version makes is there."""
    from pygenvm.runners import recipes, registry

    name = registry.read_keys(root / "registry").get(runner, {}).get(recipes.archive_steps()[runner].key)
    return name is not None and registry.archive_path(root / "runners", runner, name).is_file()


def _installed(root: Path) -> bool:
    try:
        listed = json.loads((root / "registry" / "all.json").read_bytes())
        return all(
            name in listed.get(runner, ()) and (root / "runners" / runner / name[:2] / f"{name[2:]}.tar").is_file()
            for runner, name in pins.pinned().items()
        )
    except (OSError, ValueError):
        return False
