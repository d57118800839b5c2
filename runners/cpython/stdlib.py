"""The part of the standard library that works in a sandbox, with its bytecode."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pygenvm.runners import bytecode, sources
from pygenvm.runners.cpython import native
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

MAPPED_AT = "/py/std"

# Modules and packages that are left out, as they stand below Lib/; docs/stdlib.md has a table of them.
LEFT_OUT = frozenset(
    (
        # tests and programs
        *("test", "idlelib", "turtledemo", "ensurepip", "site-packages", "pydoc_data", "__hello__", "__phello__"),
        *("antigravity",),
        # cannot be imported without what is not there: terminals, windows, C libraries, processes
        *("tkinter", "turtle", "curses", "tty", "pty", "ssl", "sqlite3", "lzma", "dbm/gnu", "dbm/ndbm", "dbm/sqlite3"),
        *("_pyrepl/_minimal_curses", "_pyrepl/curses", "_pyrepl/fancy_termios", "_pyrepl/readline", "_pyrepl/main"),
        *("_pyrepl/simple_interact", "_pyrepl/unix_console", "_pyrepl/unix_eventqueue", "_pyrepl/__main__"),
        *("multiprocessing/forkserver", "multiprocessing/heap", "multiprocessing/popen_fork"),
        *("multiprocessing/popen_forkserver", "multiprocessing/popen_spawn_posix", "multiprocessing/resource_tracker"),
        *("multiprocessing/shared_memory", "multiprocessing/sharedctypes", "multiprocessing/synchronize"),
        # other systems
        *("_aix_support", "_android_support", "_apple_support", "_ios_support", "_osx_support", "encodings/mbcs"),
        *("encodings/oem", "asyncio/windows_events", "asyncio/windows_utils", "multiprocessing/popen_spawn_win32"),
        *("_pyrepl/windows_console", "_pyrepl/windows_eventqueue"),
        # second implementations of what the interpreter has in C
        *("_pydecimal", "_pydatetime", "_pyio"),
    )
)
# Stands in for a C module that needs a way to call foreign code.
_CTYPES = Path(__file__).parent / "src" / "_ctypes.py"

# `sysconfig` asks for the variables of the makefile; here they tell nothing and would hold details of the build.
_BUILD_VARIABLES = "_sysconfigdata__wasi_wasm32-wasi.py"


def step() -> Step:
    """The step; its result is the folder that is mapped at :data:`MAPPED_AT`."""
    inputs = (sources.source("cpython").digest, digest_files([Path(__file__), _CTYPES, *bytecode.recipe_files()]))
    return Step("stdlib", "compile the standard library to bytecode", inputs, (native.step(),), _make)


def _make(work: Work) -> None:
    archive = sources.fetch(sources.source("cpython"), work.workshop.sources)
    library = work.folder / "library"
    unpack_tar(archive, library, _selected)
    files = {str(path.relative_to(library)): path.read_bytes() for path in library.rglob("*.py")}
    files[_CTYPES.name] = _CTYPES.read_bytes()
    files[_BUILD_VARIABLES] = b"build_time_vars = {}\n"
    for name, content in bytecode.with_bytecode(work, files, MAPPED_AT).items():
        target = work.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _selected(path: PurePosixPath) -> PurePosixPath | None:
    if path.parts[0] != "Lib" or path.suffix != ".py":
        return None
    module = PurePosixPath(*path.parts[1:])
    if any(str(part).removesuffix(".py") in LEFT_OUT for part in (module, *module.parents)):
        return None
    return module
