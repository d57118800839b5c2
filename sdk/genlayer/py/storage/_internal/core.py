"""Slots, their managers and the interface of type descriptors (spec sdk/02 §1, §8, §9).

A typed value lives at a pair (slot, offset). What does not fit in place lives at offset 0 of the slot derived from
that pair. Every access is one call of the manager, hence one request to the host.
"""

__all__ = (
    "ROOT_SLOT_ID",
    "Copier",
    "CopyAction",
    "InmemManager",
    "Manager",
    "Slot",
    "TypeDesc",
    "copy_with",
    "join_actions",
    "writes_of",
)

import abc
import typing
from collections.abc import Buffer, Iterable

from ...types import u256

try:
    # the interpreter of the sandbox has it in C
    from _genlayer_storage import indirect as _indirect_id  # type: ignore[import-not-found]
except ImportError:
    from _sha3 import sha3_256  # hashlib adds nothing but import time

    def _indirect_id(slot_id: bytes, off: int, /) -> bytes:
        return sha3_256(slot_id + off.to_bytes(4, "little")).digest()


ROOT_SLOT_ID = bytes(32)


class Manager(metaclass=abc.ABCMeta):
    """Where slots are kept. Unwritten bytes read as zero.

    A manager that counts in an attribute ``writes`` how often it was written saves arrays and iterators from reading
    lengths, items and links again.
    """

    @abc.abstractmethod
    def get_store_slot(self, slot_id: bytes, /) -> "Slot": ...

    @abc.abstractmethod
    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes: ...

    @abc.abstractmethod
    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None: ...


class Slot:
    """Linear memory of 2**32 bytes, named by 32 bytes."""

    __slots__ = ("_below", "id", "manager", "seen")

    id: bytes
    manager: Manager
    # for the type of value that the slot holds: what it read
    seen: typing.Any
    # slots whose ids were derived from this one's, by offset: a hash costs as much as ten reads
    _below: "dict[int, Slot] | None"

    def __init__(self, id: bytes, manager: Manager) -> None:
        self.id = id
        self.manager = manager
        self.seen = None
        self._below = None

    def read(self, off: int, length: int, /) -> bytes:
        return self.manager.do_read(self.id, off, length)

    def write(self, off: int, what: Buffer, /) -> None:
        self.manager.do_write(self.id, off, what)

    def indirect(self, off: int, /) -> "Slot":
        """Slot of what the value at ``off`` does not hold in place: SHA3-256(id ‖ off as u32 little-endian)."""
        below = self._below
        if below is None:
            below = self._below = {}
        slot = below.get(off)
        if slot is None:
            slot = below[off] = self.manager.get_store_slot(_indirect_id(self.id, off))
        return slot

    def as_int(self) -> u256:
        """Id as a little-endian integer, the form in which ``locked_slots`` keeps it."""
        return u256(int.from_bytes(self.id, "little"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Slot):
            return NotImplemented
        return self.manager is other.manager and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Slot({self.id.hex()})"

    # As state, not as constructor arguments: an in-memory manager refers back to its slots.
    def __getstate__(self) -> tuple[Manager, bytes]:
        return (self.manager, self.id)

    def __setstate__(self, state: tuple[Manager, bytes]) -> None:
        self.manager, self.id = state
        self.seen = None
        self._below = None


class InmemManager(Manager):
    """Storage of one process: records outside the contract's storage, tests, values sent to other VMs."""

    writes: int
    _slots: dict[bytes, tuple[Slot, bytearray]]

    def __init__(self) -> None:
        self.writes = 0
        self._slots = {}

    def get_store_slot(self, slot_id: bytes, /) -> Slot:
        entry = self._slots.get(slot_id)
        if entry is None:
            entry = self._slots[slot_id] = (Slot(slot_id, self), bytearray())
        return entry[0]

    def _memory(self, slot_id: bytes) -> bytearray:
        self.get_store_slot(slot_id)
        return self._slots[slot_id][1]

    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes:
        return bytes(self._memory(slot_id)[off : off + length]).ljust(length, b"\0")

    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None:
        self.writes += 1
        memory = self._memory(slot_id)
        data = memoryview(what).cast("B")
        if len(memory) < off + len(data):
            memory.extend(bytes(off + len(data) - len(memory)))
        memory[off : off + len(data)] = data

    def debug(self) -> None:
        """Print every slot in creation order: id, new line, tab, content."""
        print("=== fake storage ===")
        for slot_id, (_slot, memory) in self._slots.items():
            print(f"{slot_id.hex()}\n\t{memory}")


def writes_of(slot: Slot) -> int | None:
    """How often the memory behind ``slot`` was written; None where nobody counts, so that it may have changed."""
    return getattr(slot.manager, "writes", None)


class Copier(typing.Protocol):
    """Copies a value that has content in other slots."""

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        """Copy one value and return its size in place."""
        ...


# A number stands for that many bytes to copy as they are.
type CopyAction = int | Copier


def copy_with(actions: Iterable[CopyAction], frm: Slot, frm_off: int, to: Slot, to_off: int) -> int:
    """Copy the value described by ``actions``; return its size in place."""
    done = 0
    for action in actions:
        if isinstance(action, int):
            to.write(to_off + done, frm.read(frm_off + done, action))
            done += action
        else:
            done += action.copy(frm, frm_off + done, to, to_off + done)
    return done


def join_actions(parts: Iterable[Iterable[CopyAction]]) -> list[CopyAction]:
    """Concatenate action lists, merging neighbouring byte counts."""
    joined: list[CopyAction] = []
    for part in parts:
        for action in part:
            last = joined[-1] if joined else None
            if isinstance(action, int) and isinstance(last, int):
                joined[-1] = last + action
            elif action != 0:
                joined.append(action)
    return joined


class TypeDesc(metaclass=abc.ABCMeta):
    """How values of one type are laid out. Equal descriptors have equal layouts.

    ``size`` is the number of bytes in place, ``copy_actions`` how to copy a value, ``alias_to`` the annotation that
    it was built for (None for descriptors made by hand).
    """

    __slots__ = ("_key", "alias_to", "copy_actions", "size")

    # True where the value is decoded from the bytes in place, False where `get` returns a view and reads nothing.
    scalar: typing.ClassVar[bool] = False

    # Where in place the slots are derived that the value always has.
    below: typing.ClassVar[tuple[int, ...]] = ()

    size: int
    copy_actions: list[CopyAction]
    alias_to: typing.Any
    _key: tuple[typing.Any, ...]

    def __init__(self, size: int, copy_actions: list[CopyAction], key: tuple[typing.Any, ...] = ()) -> None:
        self.size = size
        self.copy_actions = copy_actions
        self.alias_to = None
        self._key = key

    @abc.abstractmethod
    def get(self, slot: Slot, off: int, /) -> typing.Any:
        """Read the value, or make a view of it."""

    @abc.abstractmethod
    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        """Write ``val`` by value."""

    def from_place(self, _raw: bytes, slot: Slot, off: int, /) -> typing.Any:
        """Like ``get``, given the ``size`` bytes in place, so that neighbours can be read with one request."""
        return self.get(slot, off)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, TypeDesc)
        return self._key == other._key

    def __hash__(self) -> int:
        return hash((type(self), self._key))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._key!r}"
