"""``genvm settlement``: its actions are in files of their own."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pygenvm.settlement.service import command as serve
from pygenvm.settlement.simulate import cli as simulate

_ACTIONS: Final = {"serve": serve, "simulate": simulate}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "settlement",
        help="serve settlement over HTTP, or simulate operators, some of whom cheat",
        description="Quorum settlement: `serve` a chain, for which `genvm operator run` works and which is asked by"
        " `genvm local call --service`.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog=parser.prog)
    for action in _ACTIONS.values():
        action.add_parser(actions)


def run(options: argparse.Namespace) -> int:
    return int(_ACTIONS[options.action].run(options))
