"""Runs that need not be carried out, because one that was given the same has been.

What a run does follows from its arguments, and from storage and calldata that it was lent, unless it asks its host, the
clock or chance for more. Tests of an author begin alike: most of them deploy the same contract, with the same arguments
and at the same time, in a network in which nothing has happened yet.
"""

from __future__ import annotations

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.bounded_cache import BoundedCache
from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol.lent import Lent
from pygenvm.executor.pool.frames import pack_arguments
from pygenvm.executor.pool.series_frames import encode


class KnownRuns:
    """What the client of one configuration has heard of runs, by what they were given."""

    def __init__(self) -> None:
        self._heard: BoundedCache[bytes] = BoundedCache(limits.KNOWN_RUNS_BYTES)

    def heard(self, key: str | None) -> bytes | None:
        """All frames that came from the executor of a run, if there was one of that :func:`key_of`."""
        return None if key is None else self._heard.get(key)

    def keep(self, key: str, heard: bytes) -> None:
        self._heard.put(key, heard, len(key) + len(heard))


def key_of(arguments: RunArguments, lent: Lent | None) -> str | None:
    """A name for what a run is given; None if that is not all, or somebody wants to watch it."""
    if lent is None or arguments.record is not None or arguments.trace:
        return None
    # Of the rest only modules hear, which no run asks that goes without its host.
    seen = replaced(arguments, host="", host_data="", cookie="")
    return blake3(encode("run", pack_arguments(seen), lent.packed())).hexdigest()
