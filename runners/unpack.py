"""Files out of verified source archives."""

from __future__ import annotations

import importlib.util
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pygenvm.runners.errors import BuildError


def unpack_tar(archive: Path, target: Path, wanted: Callable[[PurePosixPath], PurePosixPath | None]) -> int:
    """Writes the files of a tar archive for which `wanted` gives a path, there below `target`; says how many.

    `wanted` gets the name without its first part, the folder `<project>-<version>`. Modification times are kept,
    because makefiles compare them.
    """
    if archive.suffix == ".xz" and importlib.util.find_spec("_lzma") is None:
        raise BuildError(
            f"This Python was built without lzma and cannot read {archive.name}. Use a Python that has it "
            "(`python3 -c 'import lzma'` works), for example the one of the system."
        )
    count = 0
    # Python before 3.11.4 has no filters; the archive is verified, the filter only keeps newer versions quiet.
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as files:
        for member in files:
            path = wanted(PurePosixPath(*PurePosixPath(member.name).parts[1:])) if member.isfile() else None
            if path is not None:
                member.name = str(path)
                files.extract(member, target, **safe)  # type: ignore[arg-type]
                count += 1
    return count


def read_wheel(wheel: Path, package: str) -> dict[str, bytes]:
    """The files of one top-level folder of a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.split("/")[0] == package}
