"""Randomness (spec executor/06 "Random")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.wasip1.abi import SUCCESS

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.state import Guest


def random_get(vm: Guest, buffer: int, size: int) -> int:
    """Fill ``size`` bytes at ``buffer``; the memory's length bounds the request."""
    vm.wasi.random(vm.memory.view(buffer, size))
    return SUCCESS
