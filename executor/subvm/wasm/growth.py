"""The memory counter: growth of memories is charged to the RAM pool the moment it happens (spec executor/08 "RAM").

The engine knows one limit per memory and calls nobody when a memory grows, but all memories of a VM draw on one pool,
and growth from size 0 that the pool refuses ends the VM. So each ``memory.grow`` becomes a call of ``$grow``, which
takes the bytes from a global of the VM, gives -1 where that has too little, and traps if the memory has no pages yet. A
trap with ``$grow`` as innermost frame is ``OOM``.

The counter is imported by each module that grows its memory, as global (mut i64) ``MEMORY_GLOBAL`` of
``COUNTERS_MODULE``: bytes that the pool has left. Everything else that is charged happens outside of wasm.
"""

from __future__ import annotations

from collections.abc import Iterator

from pygenvm.executor.subvm.wasm.binary import encode_u32
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, MEMORY_GLOBAL
from pygenvm.executor.subvm.wasm.edit import Editor
from pygenvm.executor.subvm.wasm.instructions import MEMORY_GROW, Body, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import FuncType, GlobalType, Module

_SCANNER = scanner(MEMORY_GROW)
_GROW_CODE = b"\x40\x00"
_I32, _I64 = 0x7F, 0x7E


def count_growth(editor: Editor) -> int | None:
    """Makes a module charge its growth; returns the index of ``$grow``, None if it never grows a memory."""
    module = editor.module
    if not module.memories or not any(True for body in bodies(module) for _ in _sites(module, body)):
        return None
    counter = encode_u32(editor.add_global_import(COUNTERS_MODULE, MEMORY_GLOBAL, GlobalType(_I64, mutable=True)))
    grow = editor.add_function(FuncType(bytes((_I32,)), bytes((_I32,))), _grow_body(counter))
    call = b"\x10" + encode_u32(grow)
    editor.edit_bodies(lambda body: ((start, end, call) for start, end in _sites(module, body)))
    return grow


def _sites(module: Module, body: Body) -> Iterator[tuple[int, int]]:
    # Few functions have these bytes at all; walking the others would double the time of loading a module.
    if module.data.find(_GROW_CODE, body.first, body.last) >= 0:
        yield from walk(module.data, body, _SCANNER)


def _grow_body(counter: bytes) -> bytes:
    """Parameter 0 is the number of pages, local 1 their bytes, local 2 the result of the real ``memory.grow``."""
    left = b"\x23" + counter  # global.get
    return b"".join(
        (
            b"\x02\x01\x7e\x01\x7f",  # locals: one i64, one i32
            b"\x20\x00\xad\x42\x10\x86\x22\x01",  # local.get 0, i64.extend_i32_u, i64.const 16, i64.shl, local.tee 1
            *(left, b"\x56\x04\x40"),  # i64.gt_u, if
            b"\x3f\x00\x45\x04\x40\x00\x0b",  # memory.size, i32.eqz, if, unreachable, end
            b"\x41\x7f\x0f\x0b",  # i32.const -1, return, end
            b"\x20\x00\x40\x00\x22\x02",  # local.get 0, memory.grow, local.tee 2
            b"\x41\x7f\x47\x04\x40",  # i32.const -1, i32.ne, if
            *(left, b"\x20\x01\x7d\x24", counter, b"\x0b"),  # local.get 1, i64.sub, global.set, end
            b"\x20\x02\x0b",  # local.get 2, end
        )
    )
