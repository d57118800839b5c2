"""Takes out of a module what its memory begins with, where that is much: its instances have it by a mapping then."""

from __future__ import annotations

from pygenvm.executor import limits
from pygenvm.executor.subvm.linear import PAGE_BYTES
from pygenvm.executor.subvm.wasm.binary import Reader, SectionId
from pygenvm.executor.subvm.wasm.module import ExternKind, Module

_ACTIVE = 0
_I32_CONST = 0x41
#: Of the bytes of a constant but the last; of the last: it is negative.
_CONTINUED, _SIGN = 0x80, 0x40


def content_of_data(module: Module) -> tuple[int, bytes] | None:
    """Place and content of the part of the memory that the module's data segments fill, in whole pages.

    None if the engine has to copy them: it is not much, not all of it is copied to fixed places before anything else
    happens, not all has room, much of that part is between them, the memory is somebody else's, or it is not all that
    an instance begins with, because a start function goes on from there.
    """
    section = module.section(SectionId.DATA)
    if section is None or section.end - section.start < limits.MEMORY_CONTENT_BYTES:
        return None
    is_imported = any(item.kind == ExternKind.MEMORY for item in module.imports)
    # With a number of segments beside the code, the code may use them.
    if is_imported or module.section(SectionId.DATA_COUNT) is not None or not module.memories:
        return None
    if module.section(SectionId.START) is not None:
        return None
    size = module.memories[0].minimum * PAGE_BYTES
    reader = Reader(module.data, section.start, section.end)
    found = []
    for _ in range(reader.u32()):
        segment = _active_segment(reader)
        if segment is None or segment[0] + len(segment[1]) > size:
            return None
        found.append(segment)
    begin = min(at for at, _ in found) // PAGE_BYTES * PAGE_BYTES
    end = -(-max(at + len(data) for at, data in found) // PAGE_BYTES) * PAGE_BYTES
    if end - begin - (section.end - section.start) > limits.MEMORY_CONTENT_GAP_BYTES:
        return None
    content = bytearray(end - begin)
    for at, data in found:
        content[at - begin : at - begin + len(data)] = data
    return begin, bytes(content)


def _active_segment(reader: Reader) -> tuple[int, bytes] | None:
    """Place and bytes; None if it has no fixed place, or one that is negative as a number with a sign."""
    if reader.u32() != _ACTIVE or reader.byte() != _I32_CONST:
        return None
    begin = reader.pos
    while (last := reader.byte()) & _CONTINUED:
        pass
    if last & _SIGN:
        return None
    reader.pos = begin
    place = reader.u32()
    reader.byte()
    return place, reader.take(reader.u32())
