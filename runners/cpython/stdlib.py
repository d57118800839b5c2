"""The part of the standard library that works in a sandbox, with its bytecode."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pygenvm.runners import bytecode, sources
from pygenvm.runners.cpython import native
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

MAPPED_AT = "/py/std"

# Modules and packages that are left out, as they stand below Lib/.
LEFT_OUT = frozenset(
    (
        # tests and tools for people at a terminal
        *("test", "unittest", "doctest", "idlelib", "pydoc", "pydoc_data", "pdb", "bdb", "cmd", "code", "rlcompleter"),
        *("_pyrepl", "curses", "getpass", "tty", "pty", "turtle", "turtledemo", "tkinter", "webbrowser", "trace"),
        *("this", "antigravity", "__hello__", "__phello__"),
        # installation and packaging of Python code
        *("ensurepip", "venv", "zipapp", "compileall", "py_compile", "modulefinder", "pyclbr", "tabnanny"),
        *("site-packages", "pickletools", "symtable"),
        # sockets, processes and foreign code
        *("http/client", "http/server", "http/cookiejar", "urllib/request", "urllib/robotparser", "ssl", "ftplib"),
        *("imaplib", "poplib", "smtplib", "socketserver", "mailbox", "netrc", "xmlrpc", "wsgiref"),
        *("multiprocessing", "concurrent/futures/process", "ctypes", "logging/handlers", "logging/config"),
        # need C libraries that are not there
        *("sqlite3", "dbm", "shelve", "bz2", "lzma"),
        # other systems
        *("_aix_support", "_android_support", "_apple_support", "_ios_support", "_osx_support"),
        # second implementations of what the interpreter has in C
        *("_pydecimal", "_pydatetime", "_pyio"),
        *("xml/dom", "xml/sax", "wave"),
    )
)

# `sysconfig` asks for the variables of the makefile; here they tell nothing and would hold details of the build.
_BUILD_VARIABLES = "_sysconfigdata__wasi_wasm32-wasi.py"


def step() -> Step:
    """The step; its result is the folder that is mapped at :data:`MAPPED_AT`."""
    inputs = (sources.source("cpython").digest, digest_files([Path(__file__), *bytecode.recipe_files()]))
    return Step("stdlib", "compile the standard library to bytecode", inputs, (native.step(),), _make)


def _make(work: Work) -> None:
    archive = sources.fetch(sources.source("cpython"), work.workshop.sources)
    library = work.folder / "library"
    unpack_tar(archive, library, _selected)
    files = {str(path.relative_to(library)): path.read_bytes() for path in library.rglob("*.py")}
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
