"""The allocator of the interpreter: the one of zig's libc, made safe for large sizes and at the end of memory.

It asks whether `address + size` lies behind the end of a free region, in 32 bits. Where that wraps around, a region of
any size is large enough: in an interpreter with most of its 4 GiB in use, an allocation that must fail, with
MemoryError, got memory that is not there. And it asks `sbrk`, whose argument is signed, for more: 2 GiB end in abort().
"""

from __future__ import annotations

from pathlib import Path

from runners.errors import BuildError

_FILE = Path("libc", "wasi", "emmalloc", "emmalloc.c")
_CORRECTIONS = (
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


def corrected_library(library: Path, folder: Path) -> None:
    """Makes `folder` a copy of zig's folder `lib`, by links, in which the allocator's source is corrected.

    zig compiles its libc from there, for the value of ZIG_LIB_DIR.

    :raises BuildError: the source is not the one that the corrections are for.
    """
    text = (library / _FILE).read_text(encoding="utf-8")
    for wrong, right in _CORRECTIONS:
        if text.count(wrong) != 1:
            raise BuildError(f"{_FILE} of the C compiler has changed: `{wrong}` is not there exactly once")
        text = text.replace(wrong, right)
    inside = Path()
    for part in _FILE.parts:
        (folder / inside).mkdir()
        for entry in (library / inside).iterdir():
            if entry.name != part:
                (folder / inside / entry.name).symlink_to(entry)
        inside /= part
    (folder / _FILE).write_text(text, encoding="utf-8")
