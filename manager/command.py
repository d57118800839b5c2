"""``genvm-modules manager`` and ``genvm manager``: the command line of the manager (spec modules/04 §1)."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

_EPILOG = """\
A node posts to /genvm/run and starts the modules with /module/start; people open the address in a browser.

examples:
  genvm-modules manager --port 3999 --die-with-parent
  genvm-modules manager --socket /run/genvm/manager.sock --config /etc/genvm/manager.yaml
  genvm manager install pygenvm-0.2.17-py3-none-any.whl

exit codes: 0 told to end; 1 cannot listen, or the configuration cannot be used; 2 bad command line
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "manager",
        help="serve the operator's API: runs, permits, versions, modules",
        description="Serve the operator's HTTP API: runs of executors, permits, versions, modules.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="[install|list|remove]", prog=parser.prog)
    install = actions.add_parser(
        "install", help="install a version of the executor beside this one", allow_abbrev=False
    )
    install.add_argument(
        "source", metavar="WHEEL|VERSION", help="a wheel file of pygenvm, or a version such as v0.2.17"
    )
    install.add_argument("--replace", action="store_true", help="if it is installed already, install it anew")
    remove = actions.add_parser("remove", help="remove an installed version", allow_abbrev=False)
    remove.add_argument("version", metavar="VERSION", help="such as v0.2.17")
    listing = actions.add_parser("list", help="show the versions, and from when on each is used", allow_abbrev=False)
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    for action in (install, remove, listing):
        action.add_argument("--root", type=Path, metavar="DIR", help="where executor/vX.Y.Z is (default: ${exeDir}/..)")
    for action in (install, listing):
        # Without defaults: they would take the place of what stands before the action.
        action.add_argument(
            "--config", type=Path, metavar="PATH", default=argparse.SUPPRESS, help="the manager's configuration"
        )
        action.add_argument(
            "--manifest-path", type=Path, metavar="PATH", default=argparse.SUPPRESS, help="the manager's manifest"
        )
    parser.add_argument("--host", default="127.0.0.1", metavar="IP", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=3999, metavar="N", help="TCP port, 0 for any (default: 3999)")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="listen at a Unix socket instead")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="YAML (default: ${exeDir}/../config/genvm-manager.yaml, if it is there)",
    )
    parser.add_argument("--manifest-path", type=Path, metavar="PATH", help="the manifest, over the configuration's")
    parser.add_argument(
        "--log-level", metavar="LEVEL", help="trace, debug, info, warn or error, over the configuration's"
    )
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="requests must carry this bearer token")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent process does")
    reroute = parser.add_mutually_exclusive_group()
    reroute.add_argument(
        "--reroute-to-test",
        action="store_const",
        const="vTEST",
        dest="reroute",
        help="use the executor vTEST for all runs",
    )
    reroute.add_argument("--reroute-to", metavar="DIR", dest="reroute", help="use executor/DIR for all runs")
    parser.add_argument("--print-config", action="store_true", help="print a configuration with every key, and exit")


def run(options: argparse.Namespace) -> int:
    from dataclasses import replace
    from importlib.metadata import version
    from importlib.resources import files

    from pygenvm.executor.config import LOG_LEVELS
    from pygenvm.executor.runner.version import Version
    from pygenvm.manager.log import ManagerLog
    from pygenvm.manager.serve import serve
    from pygenvm.manager.settings import is_loopback, read_settings
    from pygenvm.modules.config import ConfigError
    from pygenvm.modules.listening import Address, ListenError

    if options.action is not None:
        from pygenvm.manager import installing

        return installing.run(options)
    if options.print_config:
        sys.stdout.write((files("pygenvm.manager") / "default.yaml").read_text(encoding="utf-8"))
        return 0
    try:
        is_loopback(options.host)
    except ValueError:
        print(f"Error: --host must be an IP address, not {options.host[:80]!r}", file=sys.stderr)
        return 2
    if options.log_level is not None and options.log_level.lower().replace("warning", "warn") not in LOG_LEVELS:
        print(f"Error: --log-level must be one of {', '.join(LOG_LEVELS)}", file=sys.stderr)
        return 2
    parent = os.getppid() if options.die_with_parent else None
    try:
        settings = read_settings(options.config)
        changes: dict[str, Any] = {}
        if options.manifest_path is not None:
            changes["manifest_path"] = options.manifest_path
        if options.token_file is not None:
            changes["token_file"] = options.token_file
        if options.log_level is not None:
            changes["log_level"] = options.log_level.lower().replace("warning", "warn")
        settings = replace(settings, **changes)
        log = ManagerLog(fd=1, level=settings.log_level, disabled=settings.log_disable)
        address = Address(options.host, options.port) if options.socket is None else Address(path=options.socket)
        own = Version.parse(version("pygenvm"))
        asyncio.run(serve(settings, address, reroute=options.reroute, log=log, own_version=own, parent=parent))
    except (ConfigError, ListenError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    log.flush()
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) < 1 << 16):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text[:40]!r}")
    return int(text[:6])
