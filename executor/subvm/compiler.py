"""Compiles a module in a child process with limits. Imported only when something has to be compiled."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from typing import IO, TypeAlias

from pygenvm.executor import interpreter, limits
from pygenvm.executor.outcome import InstallationFault, InvalidContract
from pygenvm.executor.subvm import compile_child
from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.linear import PAGE_BYTES
from pygenvm.executor.subvm.wasm.prepare import prepare

#: Of an engine (:data:`executor.subvm.engine.SETTINGS`), in the order in which they are set.
Settings: TypeAlias = Mapping[str, bool | int | str]


def compile_module(wasm: bytes, *, deterministic: bool, trusted: bool, settings: Settings) -> tuple[bytes, ModuleFacts]:
    """The artefact of ``wasm`` for an engine of ``settings``, prepared as the flags say, and what is known of it.

    Behind what the engine reads of it, from a whole page on, is the content of ``facts.content``.

    :raises InvalidContract: malformed wasm, or a feature that is not allowed (spec executor/07).
    :raises InstallationFault: the compiler ran out of its limits, or there is no space for its files.
    """
    prepared = prepare(wasm, deterministic=deterministic, trusted=trusted)
    code = compile_in_child(wasm, prepared.code, settings)
    if prepared.content:
        code += bytes(-len(code) % PAGE_BYTES) + prepared.content
    return code, prepared.facts


def compile_in_child(original: bytes, prepared: bytes, settings: Settings) -> bytes:
    """The artefact of ``prepared``; ``original`` is what it was made from, and must be valid too.

    Nothing of it has a name on disk, so nothing is left behind when this process is killed.

    :raises InvalidContract: the engine refuses one of them.
    :raises InstallationFault: the compiler ran out of its limits, or there is no space for its files.
    """
    # Brings five libraries along, which all executors of a pool would have, although hardly one compiles.
    import tempfile

    try:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(4)]
            first, second, target, stderr = files
            first.write(original)
            first.flush()
            if prepared == original:
                second = first
            else:
                second.write(prepared)
                second.flush()
            status = _run_compiler((first, second, target), stderr, settings)
            if status == 0:
                target.seek(0)
                return target.read()
            stderr.seek(0)
            text = stderr.read(limits.COMPILER_TEXT_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise InstallationFault(f"compiling a module: {error}") from error
    if status == compile_child.REFUSED:
        raise InvalidContract(f"the engine refuses the module: {text}")
    raise InstallationFault(f"the compiler died with status {status}: {text}")


def _run_compiler(files: tuple[IO[bytes], ...], stderr: IO[bytes], settings: Settings) -> int:
    numbers = [file.fileno() for file in files]
    command = interpreter.command(compile_child.__name__, *map(str, numbers), json.dumps(settings))
    # Standard input stays open until the child has ended: that is how it knows that we live.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=numbers,
        # What a compilation needs of memory must not depend on the number of cores.
        env={**os.environ, "RAYON_NUM_THREADS": str(limits.COMPILER_THREADS)},
    ) as child:
        try:
            return child.wait(limits.COMPILE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise InstallationFault(f"compiling a module took more than {limits.COMPILE_SECONDS} s") from None
