"""Compiles one module; run as a child process by :mod:`executor.subvm.compiler`.

Its arguments are three numbers of inherited descriptors, of the original and the prepared module and of the artefact,
and the settings of the engine as a JSON object.
The compiler can neither be interrupted nor bounded from inside (1.4 MB of hostile wasm can take half a
minute), so it gets a process of its own with limits. It also ends when its standard input closes: its
parent is gone then. Exit code 0: compiled; 3: the engine refuses the module, the reason is on stderr;
anything else: the compiler died.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading

from pygenvm.executor import limits

REFUSED = 3


def main(argv: list[str]) -> int:
    original, prepared, target = map(int, argv[:3])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(resource.RLIMIT_AS, limits.COMPILE_MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, limits.COMPILE_SECONDS * 2)
    _limit(resource.RLIMIT_FSIZE, limits.COMPILED_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    from pygenvm.executor.subvm.wasmtime_c import Engine, Module, WasmtimeError

    engine = Engine(json.loads(argv[3]))
    try:
        if original != prepared:
            # The float ban makes code unreachable, and unreachable code is hardly typed: what it hides is checked here.
            Module.validate(engine, _content(original))
        module = Module.compile(engine, _content(prepared))
    except WasmtimeError as error:
        if error.is_of_the_machine:
            raise
        sys.stderr.write(str(error))
        return REFUSED
    with os.fdopen(target, "wb") as file:
        file.write(module.serialize())
    return 0


def _limit(kind: int, most: int) -> None:
    """Where the machine allows less, that is the limit."""
    allowed = resource.getrlimit(kind)[1]
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(kind, (most, most))


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)
