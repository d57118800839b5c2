"""Both halves of the start-up of a Python contract: before the snapshot, and after it (spec sdk/03 §1).

``prepare`` runs in the build, once. ``start`` runs first in every VM and makes it look as if the
interpreter had been started there: arguments, environment, search path, randomness, message.

With an image of the contract (executor/run/images.py) the start is in two parts as well: ``image`` runs once for a
contract and does all that needs no message, the contract's import included; ``resume`` runs first in every VM.
"""

import atexit
import importlib
import logging
import os
import random
import sys

import _genlayer_rehearsal
import _genlayer_vm
import genlayer.gl
from genlayer._internal import boot, msg

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
_main = sys.modules["__main__"].__dict__


def prepare():
    """Import what a contract may need and leave nothing behind that belongs to the build."""
    import gc

    for name in MODULES:
        importlib.import_module(name)
    for path in PROGRAMS:
        with open(path, "rb") as source:
            _programs[path] = compile(source.read(), path, "exec")
    boot.import_sdk()
    _genlayer_rehearsal.rehearse()
    del sys.modules["_genlayer_rehearsal"]
    atexit.unregister(logging.shutdown)
    atexit.register(_end_logging)
    del msg.message, msg.message_raw, genlayer.gl.message, genlayer.gl.message_raw
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    gc.collect()
    gc.freeze()


def _end_logging():
    """Without handlers but the one for want of others, which keeps nothing back, there is nothing to end."""
    if len(logging._handlerList) > 1:
        logging.shutdown()


def start():
    """Take over what is this VM's; the code of the program and the globals to run it in."""
    path = _take_over()
    return resume(path)


def image():
    """Take over what is this VM's but for the message, and import the contract; :func:`resume`.

    Who wants a profile of a contract wants to see its import, and other programs have no contract: no image.
    """
    if _take_over() != PROGRAMS[0] or os.environ.get("GENLAYER_ENABLE_PROFILER") == "true":
        sys.exit(1)
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "genlayer"}
    boot.import_contract()
    if any(sys.modules.get(name) is not module for name, module in ours.items()):
        sys.exit(1)  # its program would import another SDK than that which the contract knows
    return resume


def resume(path=PROGRAMS[0]):
    """Read the message; the code of the program and the globals to run it in."""
    msg.load()
    names = genlayer.gl.__dict__
    names.setdefault("message", msg.message)
    names.setdefault("message_raw", msg.message_raw)
    return _programs[path], _main


def _take_over():
    """Arguments, environment, search path and randomness of the VM; the path of its program."""
    environ = dict(entry.split(b"=", 1) for entry in _genlayer_vm.environment())
    os.environ._data.clear()
    os.environ._data.update(environ)
    sys.argv[:] = [os.fsdecode(argument) for argument in _arguments(_genlayer_vm.arguments())]
    path = sys.argv[0] if sys.argv and sys.argv[0] in _programs else PROGRAMS[0]
    sys.path[:0] = [os.path.dirname(path)]
    random.seed()
    _main["__file__"] = path
    return path


def _arguments(given):
    """``sys.argv`` of ``py -u -B PROGRAM rest…``: the interpreter and its options are not in it."""
    rest = given[1:]
    while rest and rest[0].startswith(b"-"):
        rest = rest[1:]
    return rest
