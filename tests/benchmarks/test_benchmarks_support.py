"""What benchmarks and the test command have in common."""

from __future__ import annotations

from importlib.util import cache_from_source
from pathlib import Path

from benchmarks.support import compile_own_packages
from pygenvm.executor.subvm.genlayer_sdk import storage


def test_bytecode_is_written_where_python_looks_for_it() -> None:
    bytecode = Path(cache_from_source(storage.__file__))
    bytecode.unlink(missing_ok=True)
    compile_own_packages()
    assert bytecode.is_file()
