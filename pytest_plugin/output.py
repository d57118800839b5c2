"""What a failed test shows of a contract's output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygenvm.localnet.chain.model import Receipt

#: ``pytest --full-trace``: the calls in the SDK as well.
full_trace: bool = False


def echo(receipt: Receipt) -> None:
    """Lets pytest show what the contract printed. The traceback of a failure is told by the exception."""
    from pygenvm.localnet.failure import full_traceback, own_output

    sys.stdout.write(receipt.stdout.text())
    sys.stderr.write(full_traceback(receipt) if full_trace else own_output(receipt))
