"""Another machine's clock, file order and randomness for the executor process, put on its PYTHONPATH by a test."""

import os
import random
import time
from collections.abc import Iterator

_LATER = 400_000_000.0


def _shift(name: str, by: float) -> None:
    original = getattr(time, name)
    setattr(time, name, lambda: original() + by)


for _name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    _shift(_name, _LATER)
    _shift(f"{_name}_ns", int(_LATER * 1e9))

_listdir, _scandir = os.listdir, os.scandir


class _Reversed:
    def __init__(self, path: str) -> None:
        with _scandir(path) as entries:
            self._entries = reversed(list(entries))

    def __enter__(self) -> Iterator[os.DirEntry[str]]:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def close(self) -> None:
        """Nothing is open."""


os.listdir = lambda path=".": _listdir(path)[::-1]  # type: ignore[assignment]
os.scandir = lambda path=".": _Reversed(path)  # type: ignore[assignment]
os.urandom = random.Random(7).randbytes

with open(os.environ["STRANGE_HOST_MARK"], "a", encoding="ascii") as _mark:
    _mark.write("x")
