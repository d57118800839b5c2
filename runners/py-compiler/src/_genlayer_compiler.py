"""Compiles the Python files that the message names, once for all their runs (executor/run/derived.py has the protocol).

A file that does not compile has no bytecode: its import says why.
"""

import importlib.util
from importlib import _bootstrap_external

import _genlayer_wasi
from genlayer._internal import msg
from genlayer.py import calldata

compiled = {}
for path in calldata.decode(msg.message_raw["entry_data"]):
    if path.endswith(".py"):
        with open(path, "rb") as file:
            source = file.read()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
            bytecode = _bootstrap_external._code_to_hash_pyc(code, importlib.util.source_hash(source), checked=False)
        except (SyntaxError, ValueError, RecursionError, OverflowError):
            continue
        compiled[importlib.util.cache_from_source(path)] = bytes(bytecode)
_genlayer_wasi.gl_call(calldata.encode({"Return": compiled}))
