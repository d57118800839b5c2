"""Clocks: all show the time of the message (spec executor/06 "Clock")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.wasip1.abi import CLOCKS, INVAL, SUCCESS, put_u64

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.state import Guest


def clock_res_get(vm: Guest, clock: int, resolution: int) -> int:
    """Nanoseconds as u64: 1 for every clock."""
    if clock >= CLOCKS:
        return INVAL
    put_u64(vm.memory, resolution, 1)
    return SUCCESS


def clock_time_get(vm: Guest, clock: int, precision: int, time: int) -> int:
    """Nanoseconds since the Unix epoch as u64, the same during the whole run."""
    if clock >= CLOCKS:
        return INVAL
    put_u64(vm.memory, time, vm.wasi.clock_ns)
    return SUCCESS
