"""Contract code from the disk: a file as it is, or a folder packed into a zip (spec executor/07 "Contract code")."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from pygenvm.executor.limits import CONTRACT_FILE_BYTES

_RUNNER_JSON = "runner.json"


class ContractFileError(Exception):
    """A path means no contract; ``kind`` names the failure for programs (``error.kind`` of ``--json``)."""

    kind = "bad_value"


class ContractNotFound(ContractFileError):
    """There is nothing readable."""

    kind = "not_found"


def read_contract(path: Path) -> bytes:
    """The code that ``path`` means.

    A folder has a ``runner.json``, usually a ``version``, and the files that the runner wants, such as
    ``contract/__init__.py`` for ``py-genlayer-multi``. Hidden files and ``__pycache__`` stay outside. The same files
    make the same bytes on every machine.

    :raises ContractNotFound: there is nothing readable.
    :raises ContractFileError: too large, or a folder without a ``runner.json``.
    """
    try:
        code = _pack(path) if path.is_dir() else _read(path)
    except OSError as error:
        raise ContractNotFound(f"cannot read {path}: {error.strerror}") from error
    if len(code) > CONTRACT_FILE_BYTES:
        raise ContractFileError(f"{path} has more than {CONTRACT_FILE_BYTES} bytes")
    return code


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(CONTRACT_FILE_BYTES + 1)


def _pack(folder: Path) -> bytes:
    if not (folder / _RUNNER_JSON).is_file():
        raise ContractFileError(f"{folder} is no contract: a folder needs a {_RUNNER_JSON}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder)
            if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in name.parts):
                # A ZipInfo of its own: the date of the file must not get into the code.
                target.writestr(zipfile.ZipInfo(name.as_posix()), _read(file))
                if packed.tell() > CONTRACT_FILE_BYTES:
                    break
    return packed.getvalue()
