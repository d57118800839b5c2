"""``genvm modules``: commands about the services that are none of them."""

from __future__ import annotations

import argparse
from typing import Any

from pygenvm.modules.cli import check


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "modules",
        help="try the language models and the browser that are configured",
        description="The services through which contracts reach language models and the web (genvm llm, genvm web).",
        allow_abbrev=False,
    )
    # Without its own program name argparse makes one up, for which it would import half of the library.
    check.add_parser(parser.add_subparsers(dest="modules_command", required=True, metavar="COMMAND", prog=parser.prog))


def run(options: argparse.Namespace) -> int:
    return check.run(options)
