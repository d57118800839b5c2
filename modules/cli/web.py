"""``genvm-modules web`` and ``genvm web``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pygenvm.modules.cli.serving import add_common_options, serve_module

if TYPE_CHECKING:
    from pygenvm.modules.process import MakePart

_EPILOG = """\
examples:
  genvm-modules web                             serve, with a browser of its own for pages that are rendered
  genvm-modules web --print-config > web.yaml   every key explained: which hosts, signing, bounds
  genvm-modules web --config web.yaml           GET http://127.0.0.1:3032/health and /metrics tell how it goes

Only public addresses are reached, whatever a contract or a page asks for; always_allow_hosts names exceptions.
SIGTERM and Ctrl-C: no new sessions, those that are open may finish (grace_seconds); a second signal breaks them off.
exit codes: 0 told to end; 1 it could not start; 2 bad command line
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "web",
        help="serve the web to contracts",
        description="Request and render pages for contracts, under the rules of the configuration.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common_options(parser, "web")


def run(options: argparse.Namespace) -> int:
    def make() -> MakePart:
        from pygenvm.modules.web.module import WebModule

        return WebModule

    return serve_module("web", options, make)
