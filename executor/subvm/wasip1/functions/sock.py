"""Sockets: there are none (spec executor/06 "Function by function", row sock_*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.wasip1.abi import ACCES, FDFLAGS, INVAL, RIFLAGS, SDFLAGS

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.state import Guest


def sock_accept(vm: Guest, fd: int, flags: int, connection: int) -> int:
    """Checked: ``flags``."""
    return INVAL if flags > FDFLAGS else ACCES


def sock_recv(vm: Guest, fd: int, vectors: int, count: int, flags: int, size: int, out_flags: int) -> int:
    """Checked: ``flags``."""
    return INVAL if flags > RIFLAGS else ACCES


def sock_send(vm: Guest, fd: int, vectors: int, count: int, flags: int, size: int) -> int:
    """Nothing is checked: WASI defines no flags of this function, they are a plain number."""
    return ACCES


def sock_shutdown(vm: Guest, fd: int, how: int) -> int:
    """Checked: ``how``."""
    return INVAL if how > SDFLAGS else ACCES
