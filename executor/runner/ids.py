"""Runner ids ``<id>:<hash>`` (spec executor/07 "Ids")."""

from __future__ import annotations

from functools import lru_cache

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.limits import IDS_KNOWN
from pygenvm.executor.outcome import InvalidContract

#: The contract of the current VM, as a reference inside actions.
CONTRACT = "<contract>"
#: Hashes that stand for what latest.json names.
LATEST = frozenset({"latest", "test"})
RUNNER_JSON = "runner.json"

_ON_CHAIN = "on_chain"
_IN_NAMES = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_IN_HASHES = _IN_NAMES | {"="}


class RunnerId(metaclass=Frozen):
    """Both parts of a runner id; ``str()`` gives ``<id>:<hash>``."""

    name: str
    hash: str

    def __str__(self) -> str:
        return f"{self.name}:{self.hash}"

    @classmethod
    @lru_cache(IDS_KNOWN)
    def parse(cls, text: str) -> RunnerId:
        """Split a runner id.

        :raises InvalidContract: anything that is not a runner id, ids of contracts included: those are internal.
        """
        name, _, rest = text.partition(":")
        if not (name and rest and _IN_NAMES.issuperset(name) and _IN_HASHES.issuperset(rest)):
            raise InvalidContract(f"not a runner id: {text[:128]!r}")
        if name == _ON_CHAIN:
            raise InvalidContract(f"a contract cannot be referenced by its internal id {text[:128]!r}")
        return cls(name, rest)


def on_chain_id(address: bytes) -> str:
    """Internal id of a contract's archive: ``on_chain:0x`` and the 20-byte address in lower-case hex."""
    return f"{_ON_CHAIN}:0x{address.hex()}"
