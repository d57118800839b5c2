"""Corrections of the libc that is linked into the interpreter, zig's.

The allocator asks whether `address + size` lies behind the end of a free region, in 32 bits. Where that wraps around, a
region of any size is large enough: in an interpreter with most of its 4 GiB in use, an allocation that must fail, with
MemoryError, got memory that is not there. And it asks `sbrk`, whose argument is signed, for more: 2 GiB end in abort().

`readdir` asks for the inode of every entry whose number is 0, as all are here: 150 host calls for the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from pygenvm.runners.errors import BuildError

_ALLOCATOR = (
    (
        "if (payloadStartPtrAligned + size > payloadEndPtr)",
        "if ((uint64_t)(uintptr_t)payloadStartPtrAligned + size > (uintptr_t)payloadEndPtr)",
    ),
    (
        "if (newNextRegionStartPtr + sizeof(Region) <= nextRegionEndPtr)",
        "if ((uint64_t)(uintptr_t)region + size + sizeof(Region) <= (uintptr_t)nextRegionEndPtr)",
    ),
    (
        "if (newNextRegionStartPtr <= nextRegionEndPtr)",
        "if ((uint64_t)(uintptr_t)region + size <= (uintptr_t)nextRegionEndPtr)",
    ),
    (
        "startPtr = (uint8_t*)sbrk(numBytes);",
        "size_t pages = __builtin_wasm_memory_grow(0, numBytes / PAGE_SIZE);"
        " startPtr = (uint8_t*)(pages == SIZE_MAX ? SIZE_MAX : pages * PAGE_SIZE);",
    ),
)
_READDIR = (('if (d_ino == 0 && strcmp(dirent->d_name, "..") != 0) {', "if (0) {"),)
_BOTTOM_HALF = Path("libc", "wasi", "libc-bottom-half", "cloudlibc", "src", "libc")
#: Texts and what stands for them, by file.
Corrections: TypeAlias = Mapping[Path, tuple[tuple[str, str], ...]]
CORRECTIONS: Corrections = {
    Path("libc", "wasi", "emmalloc", "emmalloc.c"): _ALLOCATOR,
    _BOTTOM_HALF / "dirent" / "readdir.c": _READDIR,
}


def corrected_library(library: Path, folder: Path, corrections: Corrections) -> None:
    """Makes `folder` a copy of zig's folder `lib`, by links, with the corrected sources.

    zig compiles its libc from there, for the value of ZIG_LIB_DIR.

    :raises BuildError: a source is not the one that the corrections are for.
    """
    corrected = {name: _corrected(library / name, texts) for name, texts in corrections.items()}
    for inside in sorted({parent for name in corrected for parent in name.parents}):
        (folder / inside).mkdir(exist_ok=True)
        for entry in (library / inside).iterdir():
            name = inside / entry.name
            if not any(name == other or name in other.parents for other in corrected):
                (folder / name).symlink_to(entry)
    for name, text in corrected.items():
        (folder / name).write_text(text, encoding="utf-8")


def _corrected(path: Path, corrections: tuple[tuple[str, str], ...]) -> str:
    text = path.read_text(encoding="utf-8")
    for wrong, right in corrections:
        if text.count(wrong) != 1:
            raise BuildError(f"{path.name} of the C compiler has changed: `{wrong}` is not there exactly once")
        text = text.replace(wrong, right)
    return text
