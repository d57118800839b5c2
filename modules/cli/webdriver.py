"""``genvm-modules webdriver`` and ``genvm webdriver``: the rendering service (spec modules/03 §10)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pygenvm.modules.cli.serving import add_common_options, serve

if TYPE_CHECKING:
    from pygenvm.modules.log import Logger
    from pygenvm.modules.process import Running

_EPILOG = """\
examples:
  genvm-modules webdriver                              serve on 127.0.0.1:4444
  curl 'http://127.0.0.1:4444/render?mode=text&url=https://example.org'
  genvm-modules webdriver --print-config > webdriver.yaml

The web service starts one by itself unless its configuration names another (webdriver_host).
exit codes: 0 told to end; 1 it could not start, for example because there is no Chromium; 2 bad command line
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "webdriver",
        help="render web pages for the web service",
        description="Render pages in a headless Chromium: GET /render?url=…&mode=text|html|screenshot.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common_options(parser, "webdriver")
    parser.add_argument("--port", type=int, metavar="N", help="port, instead of that of bind_address; 0: any free one")
    parser.add_argument(
        "--always-allow-host",
        action="append",
        default=[],
        dest="allowed_hosts",
        metavar="NAME",
        help="a host that pages may reach whatever its address, besides always_allow_hosts; repeatable",
    )


def run(options: argparse.Namespace) -> int:
    def running(document: Mapping[str, Any], log: Logger) -> tuple[Callable[[], Running], float, int]:
        from pygenvm.modules import limits
        from pygenvm.modules.webdriver.service import make

        service = make(document, log=log, port=options.port, always_allow_hosts=options.allowed_hosts)
        return (lambda: service), limits.GRACE_SECONDS, 4

    return serve("webdriver", options, running)
