"""What a view prints where that takes no colours, without what makes those (:mod:`localnet.render`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pygenvm.executor.terminal_text import visible
from pygenvm.localnet.values import to_json

if TYPE_CHECKING:
    from pygenvm.localnet.chain.model import Receipt


def value_text(value: Any) -> str:
    """What a view returned: the bare value, a text without quotes."""
    return visible(value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False, indent=2))


def whole_text(receipt: Receipt) -> str | None:
    """All that is to be printed of a view; None where that is more than its value, or tabs have to be set."""
    if not receipt.ok or receipt.stdout.text() or receipt.stderr.text():
        return None
    text = value_text(receipt.value)
    return None if "\t" in text else text
