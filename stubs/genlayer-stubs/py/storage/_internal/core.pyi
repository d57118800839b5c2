# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Slots, their managers and the interface of type descriptors (spec sdk/02 §1, §8, §9).

A typed value lives at a pair (slot, offset). What does not fit in place lives at offset 0 of the slot derived from
that pair. Every access is one call of the manager, hence one request to the host.
"""
__all__ = ('ROOT_SLOT_ID', 'Copier', 'CopyAction', 'InmemManager', 'Manager', 'Slot', 'TypeDesc', 'copy_with', 'join_actions', 'writes_of')
import abc
import typing
from collections.abc import Iterable
from typing_extensions import Buffer
from ...types import u256
import typing_extensions
ROOT_SLOT_ID = bytes(32)

class Manager(metaclass=abc.ABCMeta):
    """Where slots are kept. Unwritten bytes read as zero.

    A manager that counts in an attribute ``writes`` how often it was written saves arrays and iterators from reading
    lengths, items and links again.
    """

    @abc.abstractmethod
    def get_store_slot(self, slot_id: bytes, /) -> Slot:
        ...

    @abc.abstractmethod
    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes:
        ...

    @abc.abstractmethod
    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None:
        ...

class Slot:
    """Linear memory of 2**32 bytes, named by 32 bytes."""
    id: bytes
    manager: Manager
    seen: typing.Any

    def __init__(self, id: bytes, manager: Manager) -> None:
        ...

    def read(self, off: int, length: int, /) -> bytes:
        ...

    def write(self, off: int, what: Buffer, /) -> None:
        ...

    def indirect(self, off: int, /) -> Slot:
        """Slot of what the value at ``off`` does not hold in place: SHA3-256(id ‖ off as u32 little-endian)."""

    def as_int(self) -> u256:
        """Id as a little-endian integer, the form in which ``locked_slots`` keeps it."""

    def __eq__(self, other: object) -> bool:
        ...

    def __hash__(self) -> int:
        ...

    def __repr__(self) -> str:
        ...

    def __getstate__(self) -> tuple[Manager, bytes]:
        ...

    def __setstate__(self, state: tuple[Manager, bytes]) -> None:
        ...

class InmemManager(Manager):
    """Storage of one process: records outside the contract's storage, tests, values sent to other VMs."""
    writes: int

    def __init__(self) -> None:
        ...

    def get_store_slot(self, slot_id: bytes, /) -> Slot:
        ...

    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes:
        ...

    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None:
        ...

    def debug(self) -> None:
        """Print every slot in creation order: id, new line, tab, content."""

def writes_of(slot: Slot) -> int | None:
    """How often the memory behind ``slot`` was written; None where nobody counts, so that it may have changed."""

class Copier(typing.Protocol):
    """Copies a value that has content in other slots."""

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        """Copy one value and return its size in place."""
CopyAction: typing_extensions.TypeAlias = int | Copier

def copy_with(actions: Iterable[CopyAction], frm: Slot, frm_off: int, to: Slot, to_off: int) -> int:
    """Copy the value described by ``actions``; return its size in place."""

def join_actions(parts: Iterable[Iterable[CopyAction]]) -> list[CopyAction]:
    """Concatenate action lists, merging neighbouring byte counts."""

class TypeDesc(metaclass=abc.ABCMeta):
    """How values of one type are laid out. Equal descriptors have equal layouts.

    ``size`` is the number of bytes in place, ``copy_actions`` how to copy a value, ``alias_to`` the annotation that
    it was built for (None for descriptors made by hand).
    """
    scalar: typing.ClassVar[bool]
    below: typing.ClassVar[tuple[int, ...]]
    size: int
    copy_actions: list[CopyAction]
    alias_to: typing.Any

    def __init__(self, size: int, copy_actions: list[CopyAction], key: tuple[typing.Any, ...]=...) -> None:
        ...

    @abc.abstractmethod
    def get(self, slot: Slot, off: int, /) -> typing.Any:
        """Read the value, or make a view of it."""

    @abc.abstractmethod
    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        """Write ``val`` by value."""

    def from_place(self, _raw: bytes, slot: Slot, off: int, /) -> typing.Any:
        """Like ``get``, given the ``size`` bytes in place, so that neighbours can be read with one request."""

    def __eq__(self, other: object) -> bool:
        ...

    def __hash__(self) -> int:
        ...

    def __repr__(self) -> str:
        ...
