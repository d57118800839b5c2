"""Another machine's clock, file order and randomness for the executor process, put on its PYTHONPATH by a test."""

import os
import random
import time

_LATER = 400_000_000.0


def _shift(name, by):
    original = getattr(time, name)
    setattr(time, name, lambda: original() + by)


for _name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
    _shift(_name, _LATER)
    _shift(f"{_name}_ns", int(_LATER * 1e9))

_listdir, _scandir = os.listdir, os.scandir


class _Reversed:
    def __init__(self, path):
        with _scandir(path) as entries:
            self._entries = reversed(list(entries))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def close(self):
        """Nothing is open."""


os.listdir = lambda path=".": _listdir(path)[::-1]
os.scandir = lambda path=".": _Reversed(path)
os.urandom = random.Random(7).randbytes

with open(os.environ["STRANGE_HOST_MARK"], "a", encoding="ascii") as _mark:
    _mark.write("x")
