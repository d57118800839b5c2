"""Both halves of the start-up of a Python contract: before the snapshot, and after it (spec sdk/03 §1).

``prepare`` runs in the build, once. ``start`` runs first in every VM and makes it look as if the
interpreter had been started there: arguments, environment, search path, randomness, message.
"""

import importlib
import os
import random
import sys

import _genlayer_vm
import genlayer.gl
from genlayer._internal import msg

#: What contracts commonly import, and what the SDK needs. Left out is what keeps a time, a process or a
#: random state of its own from the moment of its import.
MODULES = (
    *("abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections"),
    *("collections.abc", "contextlib", "copy", "copyreg", "csv", "dataclasses", "datetime", "decimal", "difflib"),
    *("dis", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "html", "inspect", "io", "itertools"),
    *("json", "keyword", "linecache", "math", "numbers", "opcode", "operator", "os", "pathlib", "pickle", "posixpath"),
    *("pprint", "random", "re", "reprlib", "secrets", "statistics", "string", "struct", "textwrap", "time", "token"),
    *("tokenize", "traceback", "types", "typing", "unicodedata", "urllib.parse", "uuid", "warnings", "weakref", "zlib"),
    *("_genlayer_wasi", "cloudpickle", "genlayer", "genlayer.gl", "genlayer.gl.advanced", "genlayer.gl.eq_principle"),
    *("genlayer.gl.nondet", "genlayer.gl.nondet.web", "genlayer.gl.vm", "genlayer.gl._internal.evm"),
    *("genlayer._internal.boot", "genlayer.py._internal", "genlayer.py.evm", "genlayer.py.get_schema"),
)
#: Programs of our runners; the first is that of a contract.
PROGRAMS = ("/py/libs/_genlayer_runner.py", "/py/libs/_genlayer_compiler.py")

_programs = {}


def prepare():
    """Import what a contract may need and leave nothing behind that belongs to the build."""
    import gc

    for name in MODULES:
        importlib.import_module(name)
    for path in PROGRAMS:
        with open(path, "rb") as source:
            _programs[path] = compile(source.read(), path, "exec")
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()


def start():
    """Take over the VM's arguments and environment; the code of the program and the globals to run it in."""
    environ = dict(entry.split(b"=", 1) for entry in _genlayer_vm.environment())
    os.environ._data.clear()
    os.environ._data.update(environ)
    sys.argv[:] = [os.fsdecode(argument) for argument in _arguments(_genlayer_vm.arguments())]
    path = sys.argv[0] if sys.argv and sys.argv[0] in _programs else PROGRAMS[0]
    sys.path[:0] = [os.path.dirname(path)]
    random.seed()
    msg.load()
    genlayer.gl.message, genlayer.gl.message_raw = msg.message, msg.message_raw
    program = sys.modules["__main__"].__dict__
    program["__file__"] = path
    return _programs[path], program


def _arguments(given):
    """``sys.argv`` of ``py -u -B PROGRAM rest…``: the interpreter and its options are not in it."""
    rest = given[1:]
    while rest and rest[0].startswith(b"-"):
        rest = rest[1:]
    return rest
