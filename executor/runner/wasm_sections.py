"""Sections of a core wasm module, without looking into them."""

from __future__ import annotations

from pygenvm.executor.limits import WASM_SECTIONS_MAX

CORE_MODULE_MAGIC = b"\0asm\x01\0\0\0"
_CUSTOM = 0
_LEB_U32_BYTES = 5


class MalformedWasm(ValueError):
    """The section structure of a module is broken."""


def is_core_module(data: bytes | memoryview) -> bool:
    """Whether `data` starts as a core module (not as a component)."""
    return data[: len(CORE_MODULE_MAGIC)] == CORE_MODULE_MAGIC


def custom_section(wasm: bytes | memoryview, name: str) -> bytes | None:
    """Content (after the name) of the first custom section called `name`, or ``None``.

    :raises MalformedWasm: a section before it leaves the module or a length is no u32, or there are too many.
    """
    wanted = name.encode()
    end = len(wasm)
    position = len(CORE_MODULE_MAGIC)
    for _ in range(WASM_SECTIONS_MAX):
        if position >= end:
            return None
        kind = wasm[position]
        size, start = _u32(wasm, position + 1, end)
        position = start + size
        if position > end:
            raise MalformedWasm(f"section {kind} with {size} bytes at offset {start} leaves the module")
        if kind == _CUSTOM:
            name_size, name_start = _u32(wasm, start, position)
            content = name_start + name_size
            if content > position:
                raise MalformedWasm(f"the name of the custom section at offset {start} leaves it")
            if wasm[name_start:content] == wanted:
                return bytes(wasm[content:position])
    raise MalformedWasm(f"more than {WASM_SECTIONS_MAX} sections")


def _u32(data: bytes | memoryview, position: int, end: int) -> tuple[int, int]:
    """Value of an unsigned LEB128 u32 and the position after it."""
    value = 0
    for index in range(_LEB_U32_BYTES):
        if position + index >= end:
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > 0xFFFF_FFFF:
                break
            return value, position + index + 1
    raise MalformedWasm(f"no u32 at offset {position}")
