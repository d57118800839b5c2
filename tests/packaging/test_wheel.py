"""What an installation consists of: the same from a clone and from a source distribution, and nothing beside it."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packaging.distributions import build_sdist, build_wheel
from tests.support.paths import ROOT


class Member(NamedTuple):
    content: bytes
    mode: str


def members(wheel: Path) -> dict[str, Member]:
    with zipfile.ZipFile(wheel) as file:
        return {
            info.filename: Member(file.read(info), stat.filemode(info.external_attr >> 16)) for info in file.infolist()
        }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    """From this tree."""
    return members(build_wheel(ROOT, tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sdist(ROOT, tmp_path_factory.mktemp("sdist"))


def files_of_the_tree() -> dict[str, Path]:
    """Files that an installation needs, by their place in it."""
    folders = {f"pygenvm/{link.name}/": ROOT / link.name for link in (ROOT / "pygenvm").iterdir() if link.is_symlink()}
    found = {f"pygenvm/{name}": ROOT / "pygenvm" / name for name in ("__init__.py", "py.typed")}
    for place, folder in {**folders, "": ROOT / "stubs"}.items():
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[f"{place}{path.relative_to(folder).as_posix()}"] = path
    return found


def test_top_of_a_wheel(wheel: dict[str, Member]) -> None:
    top = {name.split("/")[0] for name in wheel}
    (metadata,) = (name for name in top if name.endswith(".dist-info"))
    assert top - {metadata} == {"pygenvm", "genlayer", "genlayer-stubs", "_genlayer_wasi-stubs"}
    assert f"{metadata}/licenses/LICENSE" in wheel
    assert b"[console_scripts]\ngenvm = pygenvm.cli.main:main\n" in wheel[f"{metadata}/entry_points.txt"].content


def test_a_wheel_holds_the_folders_of_the_tree(wheel: dict[str, Member]) -> None:
    expected = files_of_the_tree()
    inside = {name: member for name, member in wheel.items() if ".dist-info/" not in name}
    assert sorted(inside) == sorted(expected)
    assert [name for name, member in inside.items() if member.content != expected[name].read_bytes()] == []
    assert {member.mode for member in inside.values()} == {"-rw-r--r--"}


def test_a_source_distribution_has_no_links(sdist: Path) -> None:
    with tarfile.open(sdist) as tar:
        entries = {entry.name.partition("/")[2]: entry for entry in tar}
    assert [name for name, entry in entries.items() if not entry.isfile()] == []
    assert sorted(name for name in entries if name.startswith("pygenvm/")) == [
        "pygenvm/__init__.py",
        "pygenvm/py.typed",
    ]
    assert {"LICENSE", "Makefile", "README.md", "PKG-INFO", "tests/run.py", "executor/limits.py"} <= entries.keys()
    assert [name for name, entry in entries.items() if entry.mode & stat.S_IXUSR] == [".ci/run"]


def test_the_wheel_of_a_source_distribution_is_the_same(wheel: dict[str, Member], sdist: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(sdist, tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    again = members(build_wheel(source, tmp_path))
    assert sorted(again) == sorted(wheel)
    assert [name for name, member in again.items() if member != wheel[name]] == []
