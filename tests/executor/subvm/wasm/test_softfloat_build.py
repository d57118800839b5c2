"""The build of softfloat.wasm: the same bytes anywhere, and only from the archive that it expects."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pygenvm.executor.config import cache_root
from pygenvm.runners import sources, toolchain
from pygenvm.runners.softfloat.build import build
from pygenvm.runners.workshop import Workshop

UPSTREAM = "softfloatpy-9/extern/berkeley-softfloat-3/source"


def test_same_bytes_in_another_folder(softfloat_wasm: bytes, tmp_path: Path) -> None:
    workshop = Workshop(cache_root(), cache_root() / "sources", jobs=1)
    with workshop.locked(visible=False):
        compiler = toolchain.zig(workshop.result(toolchain.zig_step()))
        archive = sources.fetch(sources.source("softfloatpy"), workshop.sources)
    assert build(compiler, archive, tmp_path / "another folder") == softfloat_wasm


@pytest.mark.parametrize(
    ("name", "size", "fault"),
    [
        ("softfloatpy-9/README.md", 1, "no SoftFloat sources"),
        (f"{UPSTREAM}/../../escape.c", 1, "unexpected file"),
        (f"{UPSTREAM}/huge.c", (1 << 20) + 1, "unexpected file"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, name: str, size: int, fault: str) -> None:
    path = tmp_path / "sdist.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    with pytest.raises(ValueError, match=fault):
        build(tmp_path / "no-compiler", path, tmp_path / "work")
    assert not list(tmp_path.rglob("escape.c"))
