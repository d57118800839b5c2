"""The C compiler: zig from the package index, pinned, unpacked below the cache folder. No root, no system compiler."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path

from pygenvm.runners import sources
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Step, Work, digest_files

FILES_MAX = 40_000
BYTES_MAX = 1 << 30

# The features that a sub-VM has (spec executor/07 "Wasm features") and that CPython needs. Nothing else may creep in.
WASM_TARGET = "wasm32-wasi"
WASM_FEATURES = "-mcpu=mvp+bulk_memory+sign_ext+mutable_globals+multivalue"


def zig_step() -> Step:
    """The step that unpacks zig; the result holds what :func:`zig` names."""
    zig_source = sources.source("ziglang")
    inputs = (zig_source.digest, digest_files([Path(__file__)]))
    title = f"unpack the C compiler (zig {zig_source.version})"
    return Step("zig", title, inputs, (), _unpack, sources.host_platform())


def zig(result: Path) -> Path:
    """The compiler's executable in the result of :func:`zig_step`."""
    return result / "ziglang" / "zig"


def _unpack(work: Work) -> None:
    wheel = sources.fetch(sources.source("ziglang"), work.workshop.sources)
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if member.filename.startswith("ziglang/")]
        if len(members) > FILES_MAX or sum(member.file_size for member in members) > BYTES_MAX:
            raise BuildError(f"{wheel.name} holds more than {FILES_MAX} files or {BYTES_MAX} bytes")
        archive.extractall(work.out, members)
    zig(work.out).chmod(0o755)


def write_compilers(work: Work) -> None:
    """Adds `native-cc`, `wasm-cc`, `ar` and `ranlib` to the step's folder on PATH.

    Makefiles then hold these names, not a path of this machine.
    """
    folder, executable = work.bin, zig(work.workshop.folder(zig_step()))
    system, machine = sources.host_platform().split("-")
    # A static musl program runs on every Linux and is compiled alike on all of them.
    native = f"-target {machine}-linux-musl" if system == "linux" else ""
    _script(folder / "native-cc", f'exec "{executable}" cc {native} -fno-sanitize=all "$@"')
    # The preprocessor alone does not know zig's names of features.
    _script(
        folder / "wasm-cc",
        f'features={WASM_FEATURES}\nfor word; do [ "$word" = -E ] && features=; done\n'
        f'exec "{executable}" cc -target {WASM_TARGET} $features -g0 -fno-sanitize=all "$@"',
    )
    for name in ("ar", "ranlib"):
        _script(folder / name, f'exec "{executable}" {name} "$@"')


def clean_zig(work: Work) -> Path:
    """zig as one executable that runs in the step's environment and writes into its log."""
    path = work.bin / "clean-zig"
    settings = shlex.join(f"{name}={value}" for name, value in work.environment.items())
    executable = zig(work.workshop.folder(zig_step()))
    _script(path, f'exec "{work.bin}/env" -i {settings} "{executable}" "$@" >>"{work.log}" 2>&1')
    work.log.touch()
    return path


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
