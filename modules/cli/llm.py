"""``genvm-modules llm`` and ``genvm llm``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pygenvm.modules.cli.serving import add_common_options, serve_module

if TYPE_CHECKING:
    from pygenvm.modules.process import MakePart

_EPILOG = """\
examples:
  OPENAIKEY=sk-… genvm-modules llm              the sample's backends that have a key in the environment
  genvm-modules llm --print-config > llm.yaml   every key explained: backends, prices, limits, mocks, local models
  genvm-modules check --config llm.yaml         try each model before contracts do
  genvm-modules llm --config llm.yaml           GET http://127.0.0.1:3031/health and /metrics tell how it goes

SIGTERM and Ctrl-C: no new sessions, those that are open may finish (grace_seconds); a second signal breaks them off.
exit codes: 0 told to end; 1 it could not start; 2 bad command line
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "llm",
        help="serve language models to contracts",
        description="Answer prompts of contracts with the language models that the configuration names.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common_options(parser, "llm")
    parser.add_argument(
        "--allow-empty-backends",
        action="store_true",
        help="start without any backend that can be used; prompts fail until there is one",
    )


def run(options: argparse.Namespace) -> int:
    def make() -> MakePart:
        from pygenvm.modules.llm.module import LlmModule

        return lambda setup: LlmModule(setup, allow_empty_backends=options.allow_empty_backends)

    return serve_module("llm", options, make)
