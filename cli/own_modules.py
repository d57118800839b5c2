"""Modules of ours are found where they must be, and what Python has compiled of them is read at once.

Python looks a module up in the listings of folders, under each suffix that one may have, and asks for the state of
every file several times. With a hundred modules that takes a fifteenth of a run. Here one question finds a module
beside its parent and its bytecode where Python has put it, and that is believed by Python's own rule: it was made by
this Python from a source of this time and size. Everything else is left to Python: bytecode that is missing, old, moved
or checked in another way, and to compile a source and keep what comes of it.
"""

from __future__ import annotations

import os
import sys
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec, SourceFileLoader
    from importlib.util import MAGIC_NUMBER
    from types import CodeType
else:
    # The package around them takes longer to load than what is gained with a dozen modules.
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

_PREFIX = __name__.partition(".")[0] + "."
#: Of bytecode: magic number, flags (0: compared by time and size), time and size of the source.
_HEADER_BYTES = 16
_UNCHECKED = MAGIC_NUMBER + bytes(4)
#: More than any module of ours has; a longer one is for Python too.
_BYTECODE_BYTES_MAX = 1 << 16


def install() -> None:
    """For the rest of this process. Not where Python has been told to keep bytecode in another way than usual."""
    tag = sys.implementation.cache_tag
    if tag is not None and sys.pycache_prefix is None and sys.flags.optimize == 0:
        sys.meta_path.insert(0, _Finder(f".{tag}.pyc"))


class _Finder:
    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def find_spec(self, name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        if not name.startswith(_PREFIX):
            return None
        last = name.rpartition(".")[2]
        for folder in path or ():
            beside = f"{folder}/{last}"
            found = self._spec(name, f"{beside}.py", f"{folder}/__pycache__/{last}")
            if found is None:
                found = self._spec(name, f"{beside}/__init__.py", f"{beside}/__pycache__/__init__", [beside])
            if found is not None:
                return found
        return None

    def _spec(self, name: str, source: str, compiled: str, inside: list[str] | None = None) -> ModuleSpec | None:
        try:
            state = os.stat(source)
        except OSError:
            return None
        loader = _Loader(name, source, compiled + self._suffix, state)
        spec = ModuleSpec(name, loader, origin=source)
        spec.submodule_search_locations = inside
        spec.has_location = True
        spec.cached = loader.compiled
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, source: str, compiled: str, state: os.stat_result) -> None:
        super().__init__(name, source)
        self.compiled = compiled
        self._state = state

    def get_code(self, name: str) -> CodeType | None:
        header = _UNCHECKED + b"".join(
            (number & 0xFFFF_FFFF).to_bytes(4, "little") for number in (int(self._state.st_mtime), self._state.st_size)
        )
        try:
            descriptor = os.open(self.compiled, os.O_RDONLY)
            try:
                content = os.read(descriptor, _BYTECODE_BYTES_MAX)
            finally:
                os.close(descriptor)
            if content.startswith(header) and len(content) < _BYTECODE_BYTES_MAX:
                code: CodeType = loads(memoryview(content)[_HEADER_BYTES:])
                if code.co_filename == self.path:
                    return code
        except OSError:
            pass
        return super().get_code(name)
