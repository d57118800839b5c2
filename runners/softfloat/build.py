"""Builds softfloat.wasm: Berkeley SoftFloat 3e for f32 and f64 behind float exports (spec executor/07 "Soft floats").

Exports, for N in 32, 64: the functions of the specification (fN_add ... f64_to_f32), and for what it leaves alone
fN_min, fN_max, fN_copysign (f,f)->f, iM_trunc_fN_s/u (f)->iM that trap as the instructions of those names, and
iM_trunc_sat_fN_s/u that saturate; and ``memory``. The module has no store, no mutable global and no table: its
only memory page holds constants, so any two instances are alike. NaN results are canonical.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from pygenvm.executor.subvm.wasm.binary import SectionId, write_sections
from pygenvm.executor.subvm.wasm.instructions import opcodes
from pygenvm.executor.subvm.wasm.module import ExternKind, Module, read_module
from pygenvm.executor.subvm.wasm.names import set_module_name

NAME = "softfloat"

_SOURCE = Path(__file__).parent / "src"
_UPSTREAM = "extern/berkeley-softfloat-3/source"
_UPSTREAM_FILE_MAX = 1 << 20
_FLAGS = (
    *("-target", "wasm32-freestanding", "-mcpu=mvp", "-nostdlib", "-O2", "-fno-sanitize=all"),
    *("-DINLINE_LEVEL=5", "-DSOFTFLOAT_FAST_INT64", "-DSOFTFLOAT_FAST_DIV64TO32"),
    *("-DSOFTFLOAT_ROUND_ODD", "-DSOFTFLOAT_BUILTIN_CLZ"),
    *("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=1024"),
)

# Stores (36-3e), access to globals (23, 24), memory.grow (40), and everything with floats but loads, constants, moves.
_FORBIDDEN = frozenset((*range(0x36, 0x3F), 0x23, 0x24, 0x40, *range(0x5B, 0x67), *range(0x8B, 0xA7)))
_FORBIDDEN_CONVERSIONS = frozenset((*range(0xA8, 0xAC), *range(0xAE, 0xBC)))


def build(zig: Path, sdist: Path, work: Path) -> bytes:
    """The module, the same bytes for the same zig and sources.

    ``zig`` is the compiler's executable, ``sdist`` the source archive of PyPI ``softfloatpy``, ``work`` a folder of our
    own for sources and compiler caches. Raises subprocess.CalledProcessError if the compiler fails, ValueError if the
    archive or the result is not as expected.
    """
    work.mkdir(parents=True, exist_ok=True)
    upstream = _unpack(sdist, work / "upstream")
    output = work / "softfloat.wasm"
    includes = [f"-I{folder}" for folder in (_SOURCE, upstream, upstream / "RISCV", upstream / "include")]
    caches = {f"ZIG_{scope}_CACHE_DIR": str(work / "zig-cache") for scope in ("GLOBAL", "LOCAL")}
    subprocess.run(
        [str(zig), "cc", *_FLAGS, *includes, str(_SOURCE / "softfloat.c"), "-o", str(output)],
        check=True,
        env={**os.environ, **caches},
    )
    return set_module_name(_without_unused_parts(read_module(output.read_bytes())), NAME)


def _unpack(sdist: Path, target: Path) -> Path:
    """Writes SoftFloat's C files below ``target``, which is returned."""
    found = 0
    with tarfile.open(sdist) as archive:
        for member in archive:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not member.isfile() or not path.is_relative_to(_UPSTREAM) or path.suffix not in (".c", ".h"):
                continue
            if ".." in path.parts or member.size > _UPSTREAM_FILE_MAX:
                raise ValueError(f"unexpected file in source archive: {member.name}")
            source = archive.extractfile(member)
            assert source is not None  # it is a file
            destination = target / path.relative_to(_UPSTREAM)
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read())
            found += 1
    if not found:
        raise ValueError(f"no SoftFloat sources in {sdist.name}")
    return target


def _without_unused_parts(module: Module) -> bytes:
    """Drops the linker's table and stack pointer after checking that nothing can refer to them."""
    forbidden = {code for code in opcodes(module) if code in _FORBIDDEN or code in _FORBIDDEN_CONVERSIONS}
    if forbidden:
        raise ValueError(f"softfloat.wasm: forbidden instructions {sorted(map(hex, forbidden))}")
    kinds = {export.kind for export in module.exports}
    pages = [limits.minimum for limits in module.memories]
    if module.imports or module.elements or kinds != {ExternKind.FUNCTION, ExternKind.MEMORY} or pages != [1]:
        raise ValueError("softfloat.wasm: unexpected imports, elements, exports or memory")
    return write_sections(
        (section.id, section.name, module.data[section.start : section.end])
        for section in module.sections
        if section.id not in (SectionId.TABLE, SectionId.GLOBAL)
    )
