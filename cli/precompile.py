"""``genvm precompile``: compile the installed runners ahead of the first run (spec executor/07 and 10).

The specification names one file per archive entry (``<cache_dir>/pc/<id>/…/<H>.det``). Ours stand in the
artefact store under a digest of what they were made from: the same module in two archives is
compiled once, and an artefact of another engine, machine or version of ours is never taken.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.executor.runner.archive import FileContent
    from pygenvm.executor.runner.registry import InstalledRunners

_MODES = {"det": True, "non-det": False}
_SUFFIXES = (".wasm", ".so")
_CORE_MODULE = b"\0asm\x01\0\0\0"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "precompile",
        help="compile the installed runners ahead of the first run",
        description="Compile every WebAssembly module of the installed runners, for both modes, into the cache. "
        "A run compiles what it does not find there, which takes seconds for Python.",
        epilog="exit codes: 0 done; 1 an archive is missing or a module cannot be compiled; 2 bad command line; "
        "4 done, but that could not be printed",
        allow_abbrev=False,
    )
    parser.add_argument("--info", action="store_true", help="only log which directories are used")


def run(options: argparse.Namespace) -> int:
    from pygenvm.executor.config import ConfigError, load_config
    from pygenvm.executor.log import Logger
    from pygenvm.executor.outcome import InstallationFault, InternalErrorRaised, InvalidContract
    from pygenvm.executor.run.process import artefacts_dir
    from pygenvm.executor.runner.registry import InstalledRunners, RegistryError
    from pygenvm.executor.shortage import explained
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.runners.progress import shown_progress

    try:
        config = load_config(options.config)
        log = Logger.from_config(config, fd=options.log_fd, level=options.log_level)
        folder = artefacts_dir(config)
        if options.info:
            places = {"runners": config.runners_dir, "registry": config.registry_dir, "compiled": folder}
            log.info("directories", **{name: os.path.join(os.getcwd(), path) for name, path in places.items()})
            return 0
        registry = InstalledRunners.of(config)
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} cannot be written")
        modules = list(_modules(registry))
        store = ArtefactStore(folder, packaged=config.packaged_modules)
        with shown_progress(len(modules) * len(_MODES)) as progress:
            for place, content, origin in modules:
                for mode, deterministic in _MODES.items():
                    title, begun = f"{place} ({mode})", time.monotonic()
                    progress.begin(title)
                    try:
                        store.load(content, deterministic=deterministic, trusted=True, origin=origin)
                    except InvalidContract as error:
                        raise InstallationFault(f"{place}: {error}") from error
                    progress.end(title, time.monotonic() - begun)
    except (ConfigError, RegistryError, InvalidContract, InternalErrorRaised, OSError) as error:
        if options.interrupted():
            return 130
        print(f"Error: {explained(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{store.compiled} modules compiled, {store.hits} were there already: {folder}")
    return 0


def _modules(registry: InstalledRunners) -> Iterator[tuple[str, FileContent, str | None]]:
    """Place, bytes and origin of each core module, every different one once.

    :raises InvalidContract: a listed archive is missing or malformed.
    """
    seen: set[bytes] = set()
    for runner in registry.runners():
        archive = registry.load(str(runner))
        for name, content in archive.files.items():
            if name.endswith(_SUFFIXES) and content[: len(_CORE_MODULE)] == _CORE_MODULE:
                # Not by name: runners of different age share most of their modules.
                code = bytes(content)
                if code not in seen:
                    seen.add(code)
                    yield f"{runner}/{name}", content, archive.origin(name)
