"""cpython.wasm: the interpreter with `_genlayer_wasi` built in, as a WASI command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pygenvm.executor.subvm.wasm.names import set_module_name
from pygenvm.runners import toolchain
from pygenvm.runners.cpython import libc, library
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Step, Work, digest_files

MODULE_NAME = "cpython"
FILE_NAME = "cpython.wasm"
STACK_BYTES = 8 << 20
INITIAL_MEMORY_BYTES = 14 << 20

_SOURCE = Path(__file__).parent / "src"
_UNITS = (
    *("main", "preinit", "_genlayer_wasi", "_genlayer_keccak", "_genlayer_calldata", "_genlayer_storage", "acosh"),
    "network_stubs",
)
_COMPILE = ("-DNDEBUG", "-O2", "-fwrapv", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fvisibility=hidden")
# acosh comes before the libc, so it replaces the libc's. zig puts the stack first by itself.
_LINK = (
    *("-lwasi-emulated-signal", "-lwasi-emulated-getpid", "-lwasi-emulated-process-clocks", "-lm"),
    *(f"-Wl,-z,stack-size={STACK_BYTES}", f"-Wl,--initial-memory={INITIAL_MEMORY_BYTES}"),
)


def digest() -> str:
    """Changes when what :func:`compile_units` and :func:`link` do changes."""
    return digest_files([Path(__file__), Path(libc.__file__), *(_SOURCE / f"{unit}.c" for unit in _UNITS)])


def step() -> Step:
    """The step; its result is the file :data:`FILE_NAME`."""
    inputs = (digest(),)
    return Step("wasm-command", "link the interpreter", inputs, (library.step(),), _make)


def compile_units(work: Work, *flags: str) -> list[str]:
    """Compiles what every interpreter has beside CPython, in the step's folder; the objects. Needs the compilers."""
    libraries = work.workshop.folder(library.step())
    include = os.path.relpath(libraries / "include", work.folder)
    for unit in _UNITS:
        # Relative names and a copy: no path of this machine reaches the compiler.
        (work.folder / f"{unit}.c").write_bytes((_SOURCE / f"{unit}.c").read_bytes())
        work.run("wasm-cc", *_COMPILE, *flags, f"-I{include}", "-c", f"{unit}.c", "-o", f"{unit}.o", cwd=work.folder)
    return [f"{unit}.o" for unit in _UNITS]


def link(
    work: Work,
    compiler: str,
    objects: Sequence[str | Path],
    corrections: libc.Corrections = libc.CORRECTIONS,
    *,
    names: bool = False,
) -> bytes:
    """The interpreter of these objects, CPython's libraries and the corrected libc, under its name.

    :param names: the names of functions are kept.
    """
    libraries = work.workshop.folder(library.step())
    archives = [libraries / Path(name).name for name in library.LIBRARIES]
    zig_library = work.folder / "lib"
    zig = toolchain.zig(work.workshop.folder(toolchain.zig_step()))
    libc.corrected_library(zig.parent / "lib", zig_library, corrections)
    patched = {"ZIG_LIB_DIR": str(zig_library)}
    options = (*_LINK, *(() if names else ("-s",)))
    work.run(compiler, "-O2", *objects, *archives, *options, "-o", "linked.wasm", cwd=work.folder, env=patched)
    linked = set_module_name((work.folder / "linked.wasm").read_bytes(), MODULE_NAME)
    if os.fsencode(work.workshop.root) in linked:
        raise BuildError(f"the linked interpreter holds a path of this machine, {work.workshop.root}: not reproducible")
    return linked


def _make(work: Work) -> None:
    toolchain.write_compilers(work)
    objects = compile_units(work)
    (work.out / FILE_NAME).write_bytes(link(work, "wasm-cc", objects))
