"""Bytecode for the sandbox, made by the Python that is built from the same sources as the sandbox's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pygenvm.runners.cpython import native
from pygenvm.runners.workshop import Work

_SCRIPT = Path(__file__).with_name("compile_files.py")
CACHE_TAG = "cpython-313"


def recipe_files() -> list[Path]:
    """What a step that calls :func:`with_bytecode` depends on."""
    return [Path(__file__), _SCRIPT]


def with_bytecode(work: Work, files: Mapping[str, bytes], mapped_at: str) -> dict[str, bytes]:
    """`files` and for each `.py` its `.pyc` in `__pycache__`, which is not checked against the source at import.

    `mapped_at` is the folder of the sandbox where the files will be: it stands in tracebacks, so in the bytecode.
    Compiled files that are already there are dropped.
    """
    result = {name: data for name, data in files.items() if not name.endswith(".pyc")}
    folder = work.folder / "bytecode"
    folder.mkdir()
    jobs, outputs = [], {}
    for number, name in enumerate(sorted(name for name in result if name.endswith(".py"))):
        path = PurePosixPath(name)
        source, target = folder / f"{number}.py", folder / f"{number}.pyc"
        source.write_bytes(result[name])
        jobs.append((str(source), str(target), f"{mapped_at}/{name}"))
        outputs[str(path.parent / "__pycache__" / f"{path.stem}.{CACHE_TAG}.pyc")] = target
    manifest = folder / "jobs.json"
    manifest.write_text(json.dumps(jobs), encoding="utf-8")
    # Which texts are shared in bytecode depends on whether Python's own modules came from source or from bytecode. So
    # they come from bytecode, whoever has used this Python before.
    own = f"pycache_prefix={folder / 'own'}"
    python = native.python(work.workshop.folder(native.step()))
    work.run(python, "-I", "-S", "-X", own, "-c", "import json, py_compile", cwd=folder)
    work.run(python, "-I", "-S", "-X", own, _SCRIPT, manifest, cwd=folder)
    return result | {name: path.read_bytes() for name, path in outputs.items()}
