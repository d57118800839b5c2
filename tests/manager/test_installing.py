"""``genvm manager list``: the versions of the manager that is meant (without installing any)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.manager.installations import InstallError, Source, install
from pygenvm.manager.temporary import temporary_folder

MANIFEST = 'executor_versions: {v0.9.1: {available_after: "2026-01-01T00:00:00Z"}}'


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["manager", *words]) == 0
    return {row["version"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    program = tmp_path / "executor" / "v0.9.1" / "bin" / "genvm"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho genvm 0.9.1\n")
    program.chmod(0o755)
    return tmp_path


def test_without_a_manifest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = listed(capsys, "list", f"--root={root}", "--json")["v0.9.1"]
    assert row == {
        "version": "v0.9.1",
        "state": "ready",
        "available_after": "always",
        "folder": str(root / "executor" / "v0.9.1"),
    }


def test_the_manifest_beside_the_versions(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "data").mkdir()
    (root / "data" / "manifest.yaml").write_text(MANIFEST)
    rows = listed(capsys, "list", f"--root={root}", "--json")
    assert rows["v0.9.1"]["available_after"] == "2026-01-01T00:00:00Z"
    assert [row["available_after"] for version, row in rows.items() if version != "v0.9.1"] == [
        "never: not in the manifest"
    ]


def test_the_manifest_of_a_configuration(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, config = root / "other.yaml", root / "manager.yaml"
    manifest.write_text(MANIFEST)
    config.write_text(f"manifest_path: {manifest}")
    for words in (
        (f"--config={config}", "list"),
        ("list", f"--config={config}"),
        (f"--manifest-path={manifest}", "list"),
        ("list", f"--manifest-path={manifest}"),
    ):
        row = listed(capsys, *words, f"--root={root}", "--json")["v0.9.1"]
        assert row["available_after"] == "2026-01-01T00:00:00Z"


def test_paths_are_not_cut(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manager", "list", f"--root={root}"]) == 0
    shown = "".join(capsys.readouterr().out.split())

    assert "…" not in shown


@pytest.mark.slow
def test_what_a_killed_install_has_left_is_removed(root: Path, tmp_path: Path) -> None:
    """The next one, which fails here, still removes it; one that is under way keeps its folder."""
    folder = root / "executor"
    (folder / ".installing-killed" / "env").mkdir(parents=True)
    (folder / ".removing-killed" / "old").mkdir(parents=True)
    wheel = tmp_path / "pygenvm-0.9.2-py3-none-any.whl"
    wheel.write_bytes(b"no wheel")
    with temporary_folder(".installing-", folder) as other:
        with pytest.raises(InstallError, match="pip"):
            install(root, Source.parse(str(wheel)), replace=False, tell=lambda _: None)
        assert other.exists()

    assert [path.name for path in folder.iterdir()] == ["v0.9.1"]


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1e3", "9" * 5000])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["manager", f"--port={port}"])
    assert ended.value.code == 2
    assert "must be a number from 0 to 65535" in capsys.readouterr().err
