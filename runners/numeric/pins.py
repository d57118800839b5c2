"""The hashes of the runners with NumPy and Pillow, pinned.

Archives of contracts' runners name them, but who needs no NumPy shall not wait for their build. So their hashes are
written down, in numeric.json, and a build compares: everybody's build gives the same bytes. `genvm runners pin` writes
them anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("numeric.json")

#: What a contract's text mentions that gets the interpreter with NumPy and Pillow: their names, and those of modules of
#: runners that import them.
NAMES = ("numpy", "PIL", "genlayer_embeddings", "onnx")


def pinned() -> Mapping[str, str]:
    """Hash by runner."""
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def pin(hashes: Mapping[str, str]) -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(dict(hashes), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def differences(built: Mapping[str, str]) -> str:
    """One line for each runner among these, by its hash, that is not the pinned one."""
    lines = [
        f"{runner} was built as {built[runner]}, and {FILE.name} says {name}"
        for runner, name in pinned().items()
        if built.get(runner, name) != name
    ]
    return "\n".join(lines)


def recipe_files() -> tuple[Path, ...]:
    """What a recipe depends on that calls :func:`pinned`."""
    return (Path(__file__), FILE)
