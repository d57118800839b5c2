"""Arguments and environment (spec executor/06 "Arguments and environment")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.wasip1.abi import SUCCESS, put_u32

if TYPE_CHECKING:
    from pygenvm.executor.subvm.memory import GuestMemory
    from pygenvm.executor.subvm.wasip1.state import Guest


def args_get(vm: Guest, pointers: int, buffer: int) -> int:
    """A u32 pointer to each argument at ``pointers``, the NUL-terminated texts at ``buffer``."""
    return _write_texts(vm.memory, vm.wasi.arguments, pointers, buffer)


def args_sizes_get(vm: Guest, count: int, size: int) -> int:
    """Number of arguments as u32, bytes of all texts with their NULs as u32."""
    return _write_sizes(vm.memory, vm.wasi.arguments, count, size)


def environ_get(vm: Guest, pointers: int, buffer: int) -> int:
    """As ``args_get``, with texts of the form ``name=value``."""
    return _write_texts(vm.memory, vm.wasi.environment, pointers, buffer)


def environ_sizes_get(vm: Guest, count: int, size: int) -> int:
    """As ``args_sizes_get``."""
    return _write_sizes(vm.memory, vm.wasi.environment, count, size)


def _write_texts(memory: GuestMemory, texts: list[bytes], pointers: int, buffer: int) -> int:
    for text in texts:
        memory.write(buffer, text)
        put_u32(memory, pointers, buffer)
        pointers += 4
        buffer += len(text)
    return SUCCESS


def _write_sizes(memory: GuestMemory, texts: list[bytes], count: int, size: int) -> int:
    put_u32(memory, count, len(texts))
    put_u32(memory, size, sum(map(len, texts)))
    return SUCCESS
