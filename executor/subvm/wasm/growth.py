"""The memory counter: growth of memories is charged to the RAM pool the moment it happens (spec executor/08 "RAM").

The engine knows one limit per memory and calls nobody when a memory grows, but all memories of a VM draw on one pool,
and growth from size 0 that the pool refuses ends the VM. So each ``memory.grow`` becomes a call of ``$grow``, which
takes the bytes from a global of the VM, gives -1 where that has too little, and traps if the memory has no pages yet. A
trap with ``$grow`` as innermost frame is ``OOM``.

The engine gives -1 too where the machine has no memory left. That is no contract's business: a refusal that the pool
and the memory's own maximum do not explain traps in ``$refused``, which ends the run as internal error.

The counter is imported by each module that grows its memory, as global (mut i64) ``MEMORY_GLOBAL`` of
``COUNTERS_MODULE``: bytes that the pool has left. Everything else that is charged happens outside of wasm. What maximum
an imported memory has is only known when the module is instantiated: it is in ``MAXIMUM_GLOBAL`` then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pygenvm.executor.subvm.wasm.ban import UNREACHABLE_BODY
from pygenvm.executor.subvm.wasm.binary import encode_s, encode_u32
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, MAXIMUM_GLOBAL, MEMORY_GLOBAL
from pygenvm.executor.subvm.wasm.edit import Editor
from pygenvm.executor.subvm.wasm.instructions import MEMORY_GROW, Body, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import ExternKind, FuncType, GlobalType, Module

_SCANNER = scanner(MEMORY_GROW)
_GROW_CODE = b"\x40\x00"
_I32, _I64 = 0x7F, 0x7E
#: More cannot be addressed.
_PAGES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Growth:
    """Indices of ``$grow`` and ``$refused``, and where the memory comes from if it is imported."""

    grow: int | None = None
    refused: int | None = None
    grown_import: tuple[str, str] | None = None


def count_growth(editor: Editor) -> Growth:
    """Makes a module charge its growth; all of the result is None if it never grows a memory."""
    module = editor.module
    if not module.memories or not any(True for body in bodies(module) for _ in _sites(module, body)):
        return Growth()
    imported = next(((item.module, item.field) for item in module.imports if item.kind == ExternKind.MEMORY), None)
    counter = _imported_i64(editor, MEMORY_GLOBAL)
    if imported is None:
        declared = module.memories[0].maximum
        maximum = b"\x42" + encode_s(_PAGES_MAX if declared is None else declared)
    else:
        maximum = b"\x23" + _imported_i64(editor, MAXIMUM_GLOBAL)
    refused = editor.add_function(FuncType(b"", b""), UNREACHABLE_BODY)
    body = _grow_body(counter, maximum, b"\x10" + encode_u32(refused))
    grow = editor.add_function(FuncType(bytes((_I32,)), bytes((_I32,))), body)
    call = b"\x10" + encode_u32(grow)
    editor.edit_bodies(lambda body: ((start, end, call) for start, end in _sites(module, body)))
    return Growth(grow, refused, imported)


def _imported_i64(editor: Editor, name: str) -> bytes:
    return encode_u32(editor.add_global_import(COUNTERS_MODULE, name, GlobalType(_I64, mutable=True)))


def _sites(module: Module, body: Body) -> Iterator[tuple[int, int]]:
    # Few functions have these bytes at all; walking the others would double the time of loading a module.
    if module.data.find(_GROW_CODE, body.first, body.last) >= 0:
        yield from walk(module.data, body, _SCANNER)


def _grow_body(counter: bytes, maximum: bytes, call_refused: bytes) -> bytes:
    """Parameter 0 is the number of pages, local 1 their bytes, local 2 the result of the real ``memory.grow``.

    ``maximum`` puts the pages that the memory may have onto the stack, as i64.
    """
    left = b"\x23" + counter  # global.get
    return b"".join(
        (
            b"\x02\x01\x7e\x01\x7f",  # locals: one i64, one i32
            b"\x20\x00\xad\x42\x10\x86\x22\x01",  # local.get 0, i64.extend_i32_u, i64.const 16, i64.shl, local.tee 1
            *(left, b"\x56\x04\x40"),  # i64.gt_u, if
            b"\x3f\x00\x45\x04\x40\x00\x0b",  # memory.size, i32.eqz, if, unreachable, end
            b"\x41\x7f\x0f\x0b",  # i32.const -1, return, end
            b"\x20\x00\x40\x00\x22\x02",  # local.get 0, memory.grow, local.tee 2
            b"\x41\x7f\x46\x04\x40",  # i32.const -1, i32.eq, if
            b"\x3f\x00\xad\x20\x00\xad\x7c",  # memory.size, i64.extend_i32_u, local.get 0, the same, i64.add
            *(maximum, b"\x58\x04\x40", call_refused, b"\x0b"),  # i64.le_u, if, call, end
            b"\x05",  # else
            *(left, b"\x20\x01\x7d\x24", counter, b"\x0b"),  # local.get 1, i64.sub, global.set, end
            b"\x20\x02\x0b",  # local.get 2, end
        )
    )
