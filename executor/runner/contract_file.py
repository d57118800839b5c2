"""Contract code from the disk: a file as it is, or a folder packed into a zip (spec executor/07 "Contract code")."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pygenvm.executor.limits import CONTRACT_FILE_BYTES

_RUNNER_JSON = "runner.json"
_PACKAGE = "contract"
_MODULE = "__init__.py"
#: What a runner takes from outside of the package (spec executor/07 "Contract code").
_BESIDE_PACKAGE = ((_RUNNER_JSON,), ("version",))


class ContractFileError(Exception):
    """A path means no contract; ``kind`` names the failure for programs (``error.kind`` of ``--json``)."""

    kind = "bad_value"


class ContractNotFound(ContractFileError):
    """There is nothing readable."""

    kind = "not_found"


def read_contract(path: Path) -> bytes:
    """The code that ``path`` means.

    A folder has a ``runner.json``, usually a ``version``, and the files that the runner wants: for
    ``py-genlayer-multi`` a package ``contract/``, or its ``__init__.py`` and the rest of it side by side with the
    ``runner.json``. Hidden files and ``__pycache__`` stay outside. The same files make the same bytes on every machine.

    :raises ContractNotFound: there is nothing readable.
    :raises ContractFileError: too large, or a folder without a ``runner.json``.
    """
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            # Whoever reads a pipe waits for somebody to write.
            raise ContractFileError(f"{path} is neither a file nor a folder")
        code = _pack(path) if path.is_dir() else _read(path)
    except OSError as error:
        raise ContractNotFound(f"cannot read {path}: {error.strerror}") from error
    if len(code) > CONTRACT_FILE_BYTES:
        raise ContractFileError(f"{path} has more than {CONTRACT_FILE_BYTES} bytes")
    return code


def packed_file(folder: Path, name: str) -> Path:
    """The file of a folder that is called ``name`` in its code."""
    return folder / (name.removeprefix(f"{_PACKAGE}/") if _is_package(folder) else name)


def _is_package(folder: Path) -> bool:
    """Whether the folder is the package itself, and does not hold it."""
    return (folder / _MODULE).is_file() and not (folder / _PACKAGE / _MODULE).is_file()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(CONTRACT_FILE_BYTES + 1)


def _pack(folder: Path) -> bytes:
    if not (folder / _RUNNER_JSON).is_file():
        raise ContractFileError(f"{folder} is no contract: a folder needs a {_RUNNER_JSON}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for parts, file in sorted(_files(folder)):
            # A ZipInfo of its own: the date of the file must not get into the code.
            target.writestr(zipfile.ZipInfo("/".join(parts)), _read(file))
            if packed.tell() > CONTRACT_FILE_BYTES:
                break
    return packed.getvalue()


def _files(folder: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The name in the code, in its parts, and the file."""
    is_package = _is_package(folder)
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield (_PACKAGE, *parts) if is_package and parts not in _BESIDE_PACKAGE else parts, file
