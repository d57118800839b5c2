"""``genvm operator``: operators of settlement, and the executors that answer for them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pygenvm.settlement.operator import command

if TYPE_CHECKING:
    from pygenvm.modules.log import Logger
    from pygenvm.settlement.operator.answering import Answering
    from pygenvm.settlement.types.words import Address


def add_parser(commands: Any) -> None:
    command.add_parser(commands)


def run(options: argparse.Namespace) -> int:
    return command.run(options, _executing)


@contextlib.contextmanager
def _executing(options: argparse.Namespace, operator: Address, log: Logger) -> Iterator[Answering]:
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.localnet.modules import Choices
    from pygenvm.localnet.operating import executing

    choices = Choices(options.mocks, {"llm": options.llm_config, "web": options.web_config})
    try:
        with executing(operator, options.answer_seconds, options.records, log, choices, options.config) as answering:
            yield answering
    except BadRequest as error:
        raise ValueError(str(error)) from error
