"""Contract archives and registries for tests."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pygenvm.executor.runner.hashing import archive_hash


def contract_zip(actions: Any, files: Mapping[str, bytes], version: str | None = None) -> bytes:
    """A stored-only zip with ``runner.json`` (``actions`` may be text) and a ``version`` file if one is given."""
    text = actions if isinstance(actions, str) else json.dumps(actions)
    versions = {} if version is None else {"version": version.encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"runner.json": text.encode(), **versions, **files}.items():
            # without the time of today, so that all workers of a test run see the same bytes
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def runner_tar(actions: Any, files: Mapping[str, bytes]) -> bytes:
    """A plain ustar archive with ``runner.json``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted({"runner.json": json.dumps(actions).encode(), **files}.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def install(root: Path, archives: Mapping[str, bytes]) -> dict[str, str]:
    """Installs one archive per id below ``root`` with lists of them; returns the hashes by id."""
    hashes = {name: archive_hash(content) for name, content in archives.items()}
    for name, content in archives.items():
        path = root / "runners" / name / hashes[name][:2] / f"{hashes[name][2:]}.tar"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    (root / "runners").mkdir(exist_ok=True)
    registry = root / "registry"
    registry.mkdir(parents=True)
    (registry / "all.json").write_text(json.dumps({name: [text] for name, text in hashes.items()}))
    (registry / "latest.json").write_text(json.dumps(hashes))
    return hashes
