"""The process (spec executor/06 "Function by function", executor/05 "From the end of a VM to a result")."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pygenvm.executor.subvm.wasip1.abi import INVAL, NOTSUP, SIGNALS

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.state import Guest


class ProcExit(Exception):
    """The guest ended itself. ``status`` is the u32 it gave; spec executor/05 says what becomes of it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"proc_exit({status})")
        self.status = status


def proc_exit(vm: Guest, status: int) -> NoReturn:
    """:raises ProcExit: always."""
    raise ProcExit(status)


def proc_raise(vm: Guest, signal: int) -> int:
    """There are no signals."""
    return INVAL if signal >= SIGNALS else NOTSUP


def sched_yield(vm: Guest) -> int:
    """There is nobody to yield to."""
    return NOTSUP
