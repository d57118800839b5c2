"""``genvm parse-version-pattern``: the version that contract code declares (spec executor/10)."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(commands: Any) -> None:
    commands.add_parser(
        "parse-version-pattern",
        help="print the version that contract code on stdin declares",
        description="Read contract code from stdin and print the version it declares, as it is stored, without a "
        "newline; `v*.*.*` for a zip that declares none. Exit code 1: the code is malformed; 4: "
        "the version could not be printed.",
        allow_abbrev=False,
    )


def run(options: argparse.Namespace) -> int:
    from pygenvm.executor import limits
    from pygenvm.executor.config import ConfigError, load_config
    from pygenvm.executor.outcome import VMErrorRaised
    from pygenvm.executor.runner.contract import parse_contract, version_text

    try:
        load_config(options.config)
        code = sys.stdin.buffer.read(limits.ARCHIVE_BYTES_MAX + 1)
        sys.stdout.buffer.write(version_text(parse_contract(code)))
    except (ConfigError, VMErrorRaised) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
