"""Runner ids ``<id>:<hash>`` (spec executor/07 "Ids")."""

from __future__ import annotations

import re
from functools import lru_cache

from pygenvm.executor.frozen import frozen
from pygenvm.executor.outcome import InvalidContract

#: The contract of the current VM, as a reference inside actions.
CONTRACT = "<contract>"
#: Hashes that stand for what latest.json names.
LATEST = frozenset({"latest", "test"})
RUNNER_JSON = "runner.json"

_ON_CHAIN = "on_chain"
_RUNNER_ID = re.compile(r"([A-Za-z0-9_-]+):([A-Za-z0-9_=-]+)")


@frozen
class RunnerId:
    """Both parts of a runner id; ``str()`` gives ``<id>:<hash>``."""

    name: str
    hash: str

    def __str__(self) -> str:
        return f"{self.name}:{self.hash}"

    @staticmethod
    @lru_cache(1024)
    def parse(text: str) -> RunnerId:
        """Split a runner id.

        :raises InvalidContract: anything that is not a runner id, ids of contracts included: those are internal.
        """
        match = _RUNNER_ID.fullmatch(text)
        if match is None:
            raise InvalidContract(f"not a runner id: {text[:128]!r}")
        if match[1] == _ON_CHAIN:
            raise InvalidContract(f"a contract cannot be referenced by its internal id {text[:128]!r}")
        return RunnerId(match[1], match[2])


def on_chain_id(address: bytes) -> str:
    """Internal id of a contract's archive: ``on_chain:0x`` and the 20-byte address in lower-case hex."""
    return f"{_ON_CHAIN}:0x{address.hex()}"
