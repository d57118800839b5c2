"""Values that follow from what their name is a digest of: made once, and then kept in this process and on disk.

Whether one was made now or earlier, here or by another process, cannot be seen. In a folder of its own,
``<name>.<kind>`` holds the BLAKE3 (32 bytes) of the value's bytes, and these. The folder forgets its oldest files when
it has too many. What is damaged is made again; where nothing can be written, values are made anew in each process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import ClassVar, Generic, TypeVar

from blake3 import blake3

from pygenvm.executor.bounded_cache import BoundedCache
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.log import Remarks

T = TypeVar("T")

_DIGEST_BYTES = 32


class MadeOnce(Generic[T]):
    """Values of one kind. May be used from several threads; of those that want the same value one makes it."""

    #: How many this process has made, of all kinds.
    made: ClassVar[int] = 0

    def __init__(
        self,
        folder: str,
        kind: str,
        *,
        decoded: Callable[[bytes | memoryview], T],
        takes: Callable[[T], int] | None = None,
        kept_bytes: int,
        files_max: int,
        files_bytes: int,
    ) -> None:
        """``decoded`` makes a value from its bytes, or raises ValueError. ``takes`` tells how many bytes of memory a
        value may take, if that is more than its bytes. The numbers are limits: of what this process keeps, and of the
        folder."""
        self._folder = CacheFolder(folder)
        self._kind = kind
        self._decoded = decoded
        self._takes = takes
        #: In tuples, for a value may be None.
        self._known: BoundedCache[tuple[T]] = BoundedCache(kept_bytes)
        self._files_max = files_max
        self._files_bytes = files_bytes
        self._log = Remarks(f"executor.{kind}")
        self._making: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], bytes | None], without: bytes = b"") -> T:
        """The value of ``key``. ``make`` gives its bytes if nobody has them; what it raises is raised here.

        Where it gives None, the bytes are ``without`` as long as this process lasts.
        """
        name = f"{key}.{self._kind}"
        found = self._known.get(name)
        if found is None:
            try:
                with self._making.setdefault(name, threading.Lock()):
                    found = self._known.get(name) or self._read(name) or self._made(name, make(), without)
            finally:
                self._making.pop(name, None)
        return found[0]

    def _made(self, name: str, content: bytes | None, without: bytes) -> tuple[T]:
        MadeOnce.made += 1
        if content is None:
            return self._remember(name, without)
        value = self._remember(name, content)
        self._keep(name, content)
        return value

    def _remember(self, name: str, content: bytes | memoryview) -> tuple[T]:
        value = self._decoded(content)
        taken = len(content) if self._takes is None else self._takes(value)
        # That there is nothing takes room too.
        self._known.put(name, (value,), len(name) + taken)
        return (value,)

    def _read(self, name: str) -> tuple[T] | None:
        try:
            content = self._folder.mapped(name)
            self._folder.touch(name)
            digest, made = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if blake3(made).digest() != digest:
                raise ValueError("it is damaged")
            return self._remember(name, made)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._log.warning("%s is not usable and will be made again: %s", name, error)
            return None

    def _keep(self, name: str, made: bytes) -> None:
        try:
            self._folder.sweep()
            self._folder.trim(self._files_max, self._files_bytes)
            self._folder.write(name, blake3(made).digest() + made)
        except OSError as error:
            self._log.warning("%s is not kept: %s", name, error)


def digest_of(kind: bytes, parts: Iterable[bytes | memoryview]) -> str:
    """A key for values that are made from ``parts``."""
    digest = blake3(kind)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
