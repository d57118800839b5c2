"""Where pinned sources come from, and what a person reads when they cannot be had."""

from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pygenvm.runners import sources
from pygenvm.runners.errors import SourceUnavailable
from pygenvm.runners.sources import Archive, Source, fetch

CONTENT = b"the sources"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://upstream.invalid/tool-1.0.tar.xz"
ARCHIVE = Archive("tool-1.0.tar.xz", len(CONTENT), SHA256, URL)
TOOL = Source("tool", "1.0", "a tool", (ARCHIVE,))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[str]]:
    """Lets every download give these bytes; the list collects the addresses that were asked."""

    def serve(content: bytes) -> list[str]:
        asked: list[str] = []

        def urlopen(url: str, timeout: float) -> io.BytesIO:
            asked.append(url)
            return io.BytesIO(content)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return asked

    return serve


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(url: str, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_the_user_s_folder_comes_first_under_any_names(tmp_path: Path, served: Callable[..., list[str]]) -> None:
    asked = served(CONTENT)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "other").write_bytes(b"not sources")
    (mine / "renamed").write_bytes(CONTENT)
    assert fetch(TOOL, tmp_path / "cache", {"PYGENVM_SOURCES": str(mine)}) == mine / "renamed"
    assert asked == []


def test_a_download_is_kept_and_not_repeated(tmp_path: Path, served: Callable[..., list[str]]) -> None:
    asked = served(CONTENT)
    cached = fetch(TOOL, tmp_path, {})
    assert cached == tmp_path / "tool-1.0.tar.xz"
    assert cached.read_bytes() == CONTENT
    assert fetch(TOOL, tmp_path, {}) == cached
    assert asked == [URL]
    assert list(tmp_path.iterdir()) == [cached]


def test_a_damaged_file_in_the_cache_is_replaced(tmp_path: Path, served: Callable[..., list[str]]) -> None:
    served(CONTENT)
    (tmp_path / ARCHIVE.file).write_bytes(b"the sourceS")
    assert fetch(TOOL, tmp_path, {}).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"the sourceS", f"it gave a file with SHA-256 {hashlib.sha256(b'the sourceS').hexdigest()}"),
        (b"short", "it gave 5 bytes instead of 11"),
        (b"x" * 5000, "it gave 12 bytes instead of 11"),
    ],
)
def test_other_bytes_than_the_pinned_ones_are_refused(
    tmp_path: Path, served: Callable[..., list[str]], content: bytes, reason: str
) -> None:
    served(content)
    with pytest.raises(SourceUnavailable) as error:
        fetch(TOOL, tmp_path, {})
    assert f"  - {URL}: {reason}\n" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_offline")
def test_the_error_names_every_place_and_what_to_do(tmp_path: Path) -> None:
    wanted = sources.source("cpython")
    with pytest.raises(SourceUnavailable) as error:
        fetch(wanted, tmp_path, {"PATH": "", "PYGENVM_SOURCES": str(tmp_path / "absent")})
    assert str(error.value).splitlines() == [
        "cpython 3.13.5 (the Python interpreter) could not be obtained: Python-3.13.5.tar.xz (SHA-256 "
        "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640).",
        "Tried:",
        f"  - PYGENVM_SOURCES={tmp_path}/absent: no such folder",
        f"  - cache {tmp_path}/Python-3.13.5.tar.xz: not there",
        f"  - {wanted.archives[0].url}: <urlopen error no network>",
        "  - Debian source package python3.13 of trixie: apt-get is not on PATH",
        "What to do: check the network and try again; or get the file by other means, put it into any folder under "
        "any name, and set PYGENVM_SOURCES to that folder.",
    ]


@pytest.mark.usefixtures("_offline")
def test_the_error_says_why_pip_failed(tmp_path: Path) -> None:
    # An index that cannot be reached, instead of whatever is configured.
    nowhere = {"PATH": "", "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "file:///nonexistent", "PIP_RETRIES": "0"}
    with pytest.raises(SourceUnavailable) as error:
        fetch(sources.source("cloudpickle"), tmp_path, nowhere)
    assert "  - PYGENVM_SOURCES: not set\n" in str(error.value)
    assert "  - package index, cloudpickle 3.1.1: pip ended with 1: ERROR: " in str(error.value)


def test_another_platform_is_told_which_ones_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = sources.source("ziglang").digest
    monkeypatch.setattr(sources, "host_platform", lambda: "plan9-mips")
    assert sources.source("ziglang").digest == digest
    with pytest.raises(SourceUnavailable, match=r"not available for this platform, plan9-mips, only for linux-x86_64"):
        fetch(sources.source("ziglang"), tmp_path, {})


def test_only_the_archive_of_the_platform_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Archive("other.whl", 5, hashlib.sha256(b"other").hexdigest(), platform="plan9-mips")
    mine = Archive("mine.whl", 4, hashlib.sha256(b"mine").hexdigest(), platform="linux-riscv64")
    monkeypatch.setattr(sources, "host_platform", lambda: "linux-riscv64")
    for name in ("other", "mine"):
        (tmp_path / f"{name}.whl").write_bytes(name.encode())
    assert fetch(Source("tool", "1", "a tool", (other, mine)), tmp_path, {}) == tmp_path / "mine.whl"
