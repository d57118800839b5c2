"""Processes that run modules of ours, in an interpreter that takes nothing from where it happens to be started.

Run as a file by an isolated interpreter (``python -I``), which ignores the working directory, ``PYTHONPATH`` and the
user's site: ``interpreter.py PATHS PROGRAM MODULE ARGUMENTS…`` calls ``main(ARGUMENTS)`` of the module. ``PATHS`` are
the folders, joined by ``os.pathsep``, in which this package and what it needs were found by the process that started
it; they come last, so nothing in them can take the place of the standard library. ``PROGRAM`` is the folder of that
process's program: files that belong to it are found from there (:func:`executor.config.executable_dir`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import PathFinder

#: Packages without which nothing of ours runs. Those that a part needs besides are found beside them.
_NEEDED = ("pygenvm", "wasmtime", "blake3", "msgpack", "yaml", "websockets", "rich")


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a process that runs ``main(arguments)`` of ``module``, which returns its exit code."""
    # -I forgets PYTHONDONTWRITEBYTECODE.
    flags = ["-I", "-B"] if sys.dont_write_bytecode else ["-I"]
    program = os.path.dirname(os.path.abspath(sys.argv[0]))
    return [sys.executable, *flags, os.path.abspath(__file__), os.pathsep.join(_folders()), program, module, *arguments]


@cache
def _folders() -> Sequence[str]:
    """The folders in which this process finds the packages of the installation."""
    folders: dict[str, None] = {}
    for name in _NEEDED:
        found = PathFinder.find_spec(name)
        for location in (found.submodule_search_locations if found is not None else None) or ():
            folders[os.path.dirname(os.path.abspath(location))] = None
    return tuple(folders)


def _main() -> int:
    paths, program, module, *arguments = sys.argv[1:]
    sys.argv[:] = [os.path.join(program, module), *arguments]
    sys.path += [path for path in paths.split(os.pathsep) if path not in sys.path]
    from importlib import import_module

    status: int = import_module(module).main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(_main())
