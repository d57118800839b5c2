"""Files of the Python SDK inside the runner ``py-lib-genlayer-std`` (spec sdk/01 §1).

Everything is kept under ``sdk/``, except the modules that the executor uses as well: one
source, shipped under both names.
"""

from __future__ import annotations

from pathlib import Path

_PARTS = Path(__file__).resolve().parent.parent
_SOURCES = _PARTS / "sdk"
_PRIMITIVES = _PARTS / "executor" / "primitives"
_SHARED = {
    "genlayer/py/address.py": "address.py",
    "genlayer/py/calldata.py": "calldata.py",
    "genlayer/py/keccak.py": "keccak.py",
    "genlayer/py/public_abi.py": "abi.py",
    "genlayer/py/uleb.py": "uleb.py",
}
_SUFFIXES = (".py", ".pyi", ".typed")


def sdk_sources() -> list[Path]:
    """The files and folders that :func:`sdk_files` reads: what the runner's build depends on."""
    return [Path(__file__), _SOURCES, *(_PRIMITIVES / shared for shared in _SHARED.values())]


def sdk_files() -> dict[str, bytes]:
    """Archive name (relative to ``/py/libs/`` in the sandbox) to content, sorted by name."""
    files = {
        path.relative_to(_SOURCES).as_posix(): path.read_bytes()
        for path in _SOURCES.rglob("*")
        if path.suffix in _SUFFIXES and path.is_file()
    }
    for name, shared in _SHARED.items():
        files[name] = (_PRIMITIVES / shared).read_bytes()
    return dict(sorted(files.items()))
