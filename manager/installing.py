"""``genvm manager install``, ``list`` and ``remove``."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

from pygenvm.executor.config import executable_dir
from pygenvm.executor.runner.version import Version
from pygenvm.manager import installations
from pygenvm.manager.installations import InstallError, Source
from pygenvm.manager.settings import read_settings
from pygenvm.manager.versions import Executors
from pygenvm.modules.config import ConfigError


def run(options: argparse.Namespace) -> int:
    """Exit code 1: it could not be done."""
    root: Path = options.root or executable_dir().parent
    try:
        match options.action:
            case "install":
                _install(root, options.source, options.replace, _manifest_path(options))
            case "remove":
                version = Version.parse(options.version)
                print(f"removed {installations.remove(root, version)}")
            case _:
                _list(root, options.json, _manifest_path(options))
    except (InstallError, ConfigError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _manifest_path(options: argparse.Namespace) -> Path | None:
    """The manifest of the manager whose versions these are."""
    path: Path | None = options.manifest_path
    if path is None and options.root is not None and options.config is None:
        path = options.root / "data" / "manifest.yaml"
        return path if path.is_file() else None
    return path or read_settings(options.config).manifest_path


def _install(root: Path, text: str, replace: bool, manifest: Path | None) -> None:
    source = Source.parse(text)
    steps = 0

    def tell(step: str) -> None:
        nonlocal steps
        steps += 1
        print(f"[{steps}/4] {step} …", file=sys.stderr, flush=True)

    place = installations.install(root, source, replace=replace, tell=tell)
    print(f"installed {source.version} in {place}")
    if manifest is None:
        print("A manager without a manifest uses it at once for new runs, after POST /manifest/reload.")
    else:
        print(f"Add it to {manifest}, then POST /manifest/reload:")
        print(f'  {source.version}: {{ available_after: "YYYY-MM-DDTHH:MM:SSZ" }}')


def _list(root: Path, as_json: bool, manifest: Path | None) -> None:
    own = Version.parse(distribution_version("pygenvm"))
    executors = Executors(root, own, manifest)
    installed = executors.installed()
    rows: list[dict[str, Any]] = []
    for version in sorted({own, *installed, *executors.manifest.versions}):
        folder = installed.get(version)
        if folder is not None:
            state = installations.state_of(folder)
        else:
            state = "ready: this installation" if version == own else "not installed"
        after = executors.manifest.versions.get(version)
        if after is None:
            available = "never: not in the manifest"
        else:
            available = "always" if after.year == 1 else after.isoformat().replace("+00:00", "Z")
        rows.append(
            {"version": str(version), "state": state, "available_after": available, "folder": str(folder or "")}
        )
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("version", "used for messages after", "state", box=None)
    # A path that is cut is of no use.
    table.add_column("folder", overflow="fold")
    for row in rows:
        table.add_row(row["version"], row["available_after"], row["state"], row["folder"])
    Console(markup=False, highlight=False).print(table)
