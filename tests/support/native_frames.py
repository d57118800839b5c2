"""Stack bytes of the functions of a compiled module, out of its machine code."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_X86_64, _AARCH64 = 62, 183
_FUNCTION = re.compile(rb"wasm\[0\]::function\[(\d+)\]\0")
#: Instructions in which a frame is made, at most.
_PROLOGUE_BYTES = 160

# push rbp; mov rbp, rsp; perhaps a check of the stack limit, which ends with ja; sub rsp, number
_X86_PROLOGUE = re.compile(
    rb"\x55\x48\x89\xe5(?:.{,32}?\x0f\x87.{4})?\x48(?:\x83\xec(?P<byte>.)|\x81\xec(?P<word>.{4}))", re.DOTALL
)


def native_frames(artefact: bytes) -> dict[int, int]:
    """By function index; x86-64 and aarch64."""
    (machine,) = struct.unpack_from("<H", artefact, 18)
    frame = {_X86_64: _x86_frame, _AARCH64: _aarch64_frame}[machine]
    return {function: frame(artefact[at : at + size]) for function, at, size in _functions(artefact)}


def _functions(elf: bytes) -> Iterator[tuple[int, int, int]]:
    """Index of each function, and where its prologue is."""
    (headers,) = struct.unpack_from("<Q", elf, 40)
    (count,) = struct.unpack_from("<H", elf, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, headers + 64 * index) for index in range(count)]
    symbols = next(section for section in sections if section[1] == 2)
    names = sections[symbols[6]][4]
    for entry in range(symbols[4], symbols[4] + symbols[5], 24):
        name, _, _, section, value, size = struct.unpack_from("<IBBHQQ", elf, entry)
        if match := _FUNCTION.match(elf, names + name):
            yield int(match[1]), sections[section][4] + value, min(size, _PROLOGUE_BYTES)


def _x86_frame(code: bytes) -> int:
    """With return address and frame pointer."""
    match = _X86_PROLOGUE.match(code)
    return 16 + (int.from_bytes(match["byte"] or match["word"], "little") if match else 0)


def _aarch64_frame(code: bytes) -> int:
    size = 0
    for (word,) in struct.iter_unpack("<I", code[: len(code) & ~3]):
        if word & 0xFFC003E0 in (0xA98003E0, 0x6D8003E0):  # stp to [sp, #-number]!, of integers and floats
            size += 8 * (128 - (word >> 15 & 0x7F))
        elif word & 0xFFE00FE0 in (0xF8000FE0, 0xFC000FE0):  # str
            size += 512 - (word >> 12 & 0x1FF)
        elif word & 0xFF8003FF == 0xD10003FF:  # sub sp, sp, number
            size += (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
        elif word >> 26 in (0b000101, 0b100101) or word & 0xFF9FFC1F == 0xD61F0000:
            break  # b, bl; br, blr, ret: the frame is complete
    return size
