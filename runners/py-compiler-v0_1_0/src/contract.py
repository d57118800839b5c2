"""Compiles the Python files of a contract for the SDK v0.1.0 (executor/run/derived.py has the protocol).

As `_genlayer_compiler`, but that each module first imports the names of that SDK. The snapshot has a program for
contracts and one for that compiler, and none for this; so it is started as a contract, which ends while it is imported.

Its files are below /of, because the place of the contract is taken.
"""

import ast
import importlib.util
from importlib import _bootstrap_external

from genlayer import gl
from genlayer.gl._internal.gl_call import contract_return
from genlayer.py import calldata

_FIRST = "import _genlayer_v0_1_0"
_BELOW = "/of"


def _with_names(source: bytes, path: str) -> ast.Module:
    tree = ast.parse(source, path)
    place = 0 if ast.get_docstring(tree, clean=False) is None else 1
    while place < len(tree.body) and getattr(tree.body[place], "module", None) == "__future__":
        place += 1
    tree.body[place:place] = ast.parse(_FIRST).body
    return tree


def _compiled(paths: list[str]) -> dict[str, bytes]:
    made = {}
    for path in paths:
        if not path.endswith(".py"):
            continue
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError:
            continue  # Names such as `..` lead elsewhere.
        seen = path.removeprefix(_BELOW)
        try:
            code = compile(_with_names(source, seen), seen, "exec", dont_inherit=True)
            bytecode = _bootstrap_external._code_to_hash_pyc(code, importlib.util.source_hash(source), checked=False)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            continue  # Its import says why.
        made[importlib.util.cache_from_source(seen)] = bytes(bytecode)
    return made


contract_return(_compiled(calldata.decode(gl.message_raw["entry_data"])))
