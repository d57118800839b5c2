"""Sequences in storage: DynArray, Array, VLA, and the Indirection that usually holds a VLA (spec sdk/02 §5)."""

__all__ = ("VLA", "Array", "ArrayDesc", "DynArray", "DynArrayDesc", "Indirection", "IndirectionDesc", "VLADesc")

import operator
import typing
from collections.abc import Iterable, Iterator, MutableSequence, Sequence

from ._internal.core import Slot, TypeDesc, copy_with, join_actions, writes_of
from ._internal.desc_base_types import IntDesc, number, u32_at
from ._internal.detach import detach

# Iteration over scalars reads this many bytes in place with one request; so does the second access by index to them.
_CHUNK_BYTES = 4096


def _position(index: typing.SupportsIndex, length: int) -> int:
    position = operator.index(index)
    if position < 0:
        position += length
    if not 0 <= position < length:
        raise IndexError(f"index out of range {index} not in 0..<{length}")
    return position


class _Seen:
    """What was read of an array when the storage had been written to ``writes`` times."""

    __slots__ = ("chunk", "data", "length", "size", "writes")

    writes: int
    length: int
    # the last chunk that an item of ``size`` bytes was read from; its bytes since the second time
    chunk: int
    size: int
    data: bytes

    def __init__(self, writes: int, length: int) -> None:
        self.writes = writes
        self.length = length
        self.chunk = self.size = -1
        self.data = b""


class DynArray[T](MutableSequence[T]):
    """View of a growable array. u32 length in place, items packed in the indirect slot.

    Shrinking changes only the length. Comparison is by identity, as of every view.
    """

    __slots__ = ("__type_desc__", "_items", "_off", "_storage_slot")

    __type_desc__: "DynArrayDesc"
    _storage_slot: Slot
    _off: int
    _items: Slot

    def __init__(self) -> None:
        raise TypeError("this class can't be instantiated by user")

    def _look(self) -> _Seen | None:
        """The length, with what else was read since the last write; None where nobody counts them."""
        items = self._items
        writes = writes_of(items)
        if writes is None:
            return None
        seen: _Seen | None = items.seen
        if seen is None or seen.writes != writes:
            seen = items.seen = _Seen(writes, u32_at(self._storage_slot, self._off))
        return seen

    def __len__(self) -> int:
        seen = self._look()
        return u32_at(self._storage_slot, self._off) if seen is None else seen.length

    def _grow(self) -> int:
        """Make the length one more, and return what it was: as asking for it, but that the write forgets it anyway."""
        items = self._items
        seen: _Seen | None = None if writes_of(items) is None else items.seen
        if seen is None or seen.writes != writes_of(items):
            length = u32_at(self._storage_slot, self._off)
        else:
            length = seen.length
        self._storage_slot.write(self._off, (length + 1).to_bytes(4, "little"))
        return length

    def _set_len(self, length: int) -> None:
        self._storage_slot.write(self._off, length.to_bytes(4, "little"))

    def _read_at(self, position: int, length: int, seen: _Seen | None) -> T:
        """Item of an array whose ``length`` was just looked at."""
        item, items = self.__type_desc__.item, self._items
        size = item.size
        value: T
        if not item.scalar or not size or seen is None:
            value = item.get(items, position * size)
            return value
        per_chunk = max(1, _CHUNK_BYTES // size)
        chunk = position // per_chunk
        start = chunk * per_chunk
        if seen.chunk != chunk or seen.size != size:
            seen.chunk, seen.size, seen.data = chunk, size, b""
            value = item.get(items, position * size)
            return value
        if not seen.data:
            seen.data = items.read(start * size, (min(start + per_chunk, length) - start) * size)
        at = (position - start) * size
        value = item.from_place(seen.data[at : at + size], items, position * size)
        return value

    def _get_at(self, position: int) -> T:
        item = self.__type_desc__.item
        value: T = item.get(self._items, position * item.size)
        return value

    def _set_at(self, position: int, value: T) -> None:
        item = self.__type_desc__.item
        item.set(self._items, position * item.size, value)

    def _move(self, frm: int, to: int, count: int) -> None:
        """Copy ``count`` items, ranges may overlap."""
        item = self.__type_desc__.item
        size, actions, items = item.size, item.copy_actions, self._items
        if count <= 0 or frm == to or not actions:
            return
        if isinstance(actions[0], int) and len(actions) == 1:
            items.write(to * size, items.read(frm * size, count * size))
            return
        for i in range(count) if to < frm else reversed(range(count)):
            copy_with(actions, items, (frm + i) * size, items, (to + i) * size)

    @typing.overload
    def __getitem__(self, index: typing.SupportsIndex, /) -> T: ...

    @typing.overload
    def __getitem__(self, index: slice, /) -> list[T]: ...

    def __getitem__(self, index: typing.SupportsIndex | slice, /) -> T | list[T]:
        seen = self._look()
        length = u32_at(self._storage_slot, self._off) if seen is None else seen.length
        if isinstance(index, slice):
            return [self._read_at(i, length, seen) for i in range(*index.indices(length))]
        return self._read_at(_position(index, length), length, seen)

    def __setitem__(self, index: typing.SupportsIndex | slice, value: typing.Any, /) -> None:
        if not isinstance(index, slice):
            self._set_at(_position(index, len(self)), value)
            return
        length = len(self)
        places = range(*index.indices(length))
        values = list(value)
        if places.step != 1 and len(values) != len(places):
            raise ValueError(
                f"attempt to assign sequence of size {len(values)} to extended slice of size {len(places)}"
            )
        common = min(len(values), len(places))
        surplus = len(values) - len(places)
        tail = places.start + len(places)
        if surplus > 0:
            # items of the sequence may be views of this array, and moving the tail would change what they show
            values = [detach(v) for v in values]
            self._set_len(length + surplus)
            self._move(tail, tail + surplus, length - tail)
            for i in range(surplus):
                self._set_at(tail + i, values[common + i])
        for place, v in zip(places, values[:common], strict=False):
            self._set_at(place, v)
        if surplus < 0:
            del self[places.start + common : tail]

    def __delitem__(self, index: typing.SupportsIndex | slice, /) -> None:
        length = len(self)
        if not isinstance(index, slice):
            position = _position(index, length)
            gone = range(position, position + 1)
        else:
            gone = range(*index.indices(length))
            if gone.step < 0:
                gone = gone[::-1]
        if len(gone) == 0:
            return
        write = gone[0]
        for i, place in enumerate(gone):
            kept = (gone[i + 1] if i + 1 < len(gone) else length) - place - 1
            self._move(place + 1, write, kept)
            write += kept
        self._set_len(length - len(gone))

    def __iter__(self) -> Iterator[T]:
        item, items = self.__type_desc__.item, self._items
        size = item.size
        per_chunk = max(1, _CHUNK_BYTES // size) if item.scalar and size else 0
        chunk, start, end = b"", 0, 0
        length, seen = 0, None
        i = 0
        while True:
            writes = writes_of(items)
            if writes is None or writes != seen:
                seen = writes
                length = len(self)
                end = 0
            if i >= length:
                return
            if per_chunk:
                if not start <= i < end:
                    start, end = i, min(i + per_chunk, length)
                    chunk = items.read(start * size, (end - start) * size)
                at = (i - start) * size
                yield item.from_place(chunk[at : at + size], items, i * size)
            else:
                yield item.get(items, i * size)
            i += 1

    def insert(self, index: typing.SupportsIndex, value: T) -> None:
        """Insert before ``index``, which may be the length; otherwise it has to name an item."""
        length = len(self)
        position = operator.index(index)
        if position != length:
            position = _position(index, length)
        self._set_len(length + 1)
        if position != length:
            value = detach(value)
            self._move(position, position + 1, length - position)
        self._set_at(position, value)

    def append(self, value: T) -> None:
        length = self._grow()
        item = self.__type_desc__.item
        item.set(self._items, length * item.size, value)

    def append_new_get(self) -> T:
        """Grow by one item that is not written, so that old bytes may show; return the item."""
        return self._get_at(self._grow())

    def extend(self, values: Iterable[T]) -> None:
        for value in list(values) if values is self else values:
            self.append(value)

    def pop(self, index: typing.SupportsIndex = -1) -> T:
        """Remove an item and return it; a record or container is returned as a copy in memory."""
        length = len(self)
        if length == 0:
            raise Exception("can't pop from empty array")
        position = _position(index, length)
        value = detach(self._get_at(position))
        self._move(position + 1, position, length - position - 1)
        self._set_len(length - 1)
        return value

    def reverse(self) -> None:
        length = len(self)
        for i in range(length // 2):
            first = detach(self._get_at(i))
            self._set_at(i, self._get_at(length - 1 - i))
            self._set_at(length - 1 - i, first)

    def clear(self) -> None:
        self._set_len(0)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"[{','.join(map(repr, self))}]"


class DynArrayDesc(TypeDesc):
    __slots__ = ("item",)

    below = (0,)

    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        TypeDesc.__init__(self, 4, [self], (item,))
        self.item = item

    def get(self, slot: Slot, off: int, /) -> DynArray[typing.Any]:
        view: DynArray[typing.Any] = object.__new__(DynArray)
        view.__type_desc__ = self
        view._storage_slot = slot
        view._off = off
        view._items = slot.indirect(off)
        return view

    def set(self, slot: Slot, off: int, val: Sequence[typing.Any], /) -> None:
        if isinstance(val, DynArray):
            if val.__type_desc__ != self:
                raise TypeError("incompatible vector type")
            # `self.items += …` stores the view where it came from
            if val._storage_slot != slot or val._off != off:
                self.copy(val._storage_slot, val._off, slot, off)
            return
        length = len(val)
        slot.write(off, length.to_bytes(4, "little"))
        items, item = slot.indirect(off), self.item
        size = item.size
        for i in range(length):
            item.set(items, i * size, val[i])

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        raw = frm.read(frm_off, 4)
        to.write(to_off, raw)
        length = number(raw, False)
        size, actions = self.item.size, self.item.copy_actions
        if length and actions:
            frm_items, to_items = frm.indirect(frm_off), to.indirect(to_off)
            if isinstance(actions[0], int) and len(actions) == 1:
                to_items.write(0, frm_items.read(0, length * size))
            else:
                for i in range(length):
                    copy_with(actions, frm_items, i * size, to_items, i * size)
        return 4


# name that the reference has for it
_DynArrayDesc = DynArrayDesc


class Array[T, S: int](Sequence[T]):
    """View of ``S`` items in place: ``Array[u8, typing.Literal[3]]``."""

    __slots__ = ("__type_desc__", "_off", "_storage_slot")

    __type_desc__: "ArrayDesc"
    _storage_slot: Slot
    _off: int

    def __init__(self) -> None:
        raise TypeError("this class can not be instantiated by user")

    def __len__(self) -> int:
        return self.__type_desc__.length

    @typing.overload
    def __getitem__(self, index: typing.SupportsIndex, /) -> T: ...

    @typing.overload
    def __getitem__(self, index: slice, /) -> "Array[T, int]": ...

    def __getitem__(self, index: typing.SupportsIndex | slice, /) -> "T | Array[T, int]":
        desc = self.__type_desc__
        item = desc.item
        if isinstance(index, slice):
            start, stop, step = index.indices(desc.length)
            if step != 1:
                raise KeyError("negative step is not supported")
            part = ArrayDesc(item, max(0, stop - start))
            return part.get(self._storage_slot, self._off + start * item.size)
        value: T = item.get(self._storage_slot, self._off + _position(index, desc.length) * item.size)
        return value

    def __setitem__(self, index: typing.SupportsIndex, value: T, /) -> None:
        desc = self.__type_desc__
        desc.item.set(self._storage_slot, self._off + _position(index, desc.length) * desc.item.size, value)

    def __repr__(self) -> str:
        return f"[{','.join(map(repr, self))}]"


class ArrayDesc(TypeDesc):
    __slots__ = ("item", "length")

    item: TypeDesc
    length: int

    def __init__(self, item: TypeDesc, length: int) -> None:
        size, actions = item.size * length, item.copy_actions
        if len(actions) == 1 and isinstance(actions[0], int):
            actions = [size] if size else []
        elif length:
            actions = [self]
        else:
            actions = []
        TypeDesc.__init__(self, size, actions, (item, length))
        self.item = item
        self.length = length

    def get(self, slot: Slot, off: int, /) -> Array[typing.Any, int]:
        view: Array[typing.Any, int] = object.__new__(Array)
        view.__type_desc__ = self
        view._storage_slot = slot
        view._off = off
        return view

    def set(self, slot: Slot, off: int, val: list[typing.Any] | Array[typing.Any, int], /) -> None:
        if isinstance(val, list):
            assert len(val) == self.length
            for i, value in enumerate(val):
                self.item.set(slot, off + i * self.item.size, value)
        else:
            assert val.__type_desc__ == self
            copy_with(self.copy_actions, val._storage_slot, val._off, slot, off)

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        size, actions = self.item.size, self.item.copy_actions
        for i in range(self.length):
            copy_with(actions, frm, frm_off + i * size, to, to_off + i * size)
        return self.size


class VLA[T]:
    """View of a length-prefixed array that fills the rest of its slot; normally under an Indirection."""

    __slots__ = ("__type_desc__", "_off", "_storage_slot")

    __type_desc__: "VLADesc"
    _storage_slot: Slot
    _off: int

    def __init__(self) -> None:
        raise TypeError("this class can't be instantiated by user")

    def __len__(self) -> int:
        return u32_at(self._storage_slot, self._off)

    def _set_len(self, length: int) -> None:
        self._storage_slot.write(self._off, length.to_bytes(4, "little"))

    def _checked(self, index: int) -> int:
        length = len(self)
        if not 0 <= index < length:
            raise IndexError(f"{index} out of range 0..{length}")
        return self._off + 4 + index * self.__type_desc__.item.size

    def __getitem__(self, index: int, /) -> T:
        value: T = self.__type_desc__.item.get(self._storage_slot, self._checked(index))
        return value

    def __setitem__(self, index: int, value: T, /) -> None:
        self.__type_desc__.item.set(self._storage_slot, self._checked(index), value)

    def __iter__(self) -> Iterator[T]:
        item, slot, start = self.__type_desc__.item, self._storage_slot, self._off + 4
        for i in range(len(self)):
            yield item.get(slot, start + i * item.size)

    def append(self, value: T) -> None:
        """Item first, then the length."""
        length = len(self)
        item = self.__type_desc__.item
        item.set(self._storage_slot, self._off + 4 + length * item.size, value)
        self._set_len(length + 1)

    def extend(self, values: Iterable[T] | bytes) -> None:
        """Replace the content. ``bytes`` are for ``VLA[u8]`` only: length, then the data at once."""
        if isinstance(values, bytes):
            assert self.__type_desc__.item == IntDesc(1, signed=False), "bytes fit only VLA[u8]"
            self._set_len(len(values))
            self._storage_slot.write(self._off + 4, values)
            return
        self.truncate()
        for value in values:
            self.append(value)

    def truncate(self, to: int = 0) -> None:
        length = len(self) if to else 0
        if not 0 <= to <= length:
            raise IndexError(f"{to} out of range 0..{length}")
        self._set_len(to)

    def slot(self) -> Slot:
        return self._storage_slot

    def __repr__(self) -> str:
        return f"[{','.join(map(repr, self))}]"


class VLADesc(TypeDesc):
    __slots__ = ("item",)

    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        TypeDesc.__init__(self, 2**32 - 1, [self], (item,))
        self.item = item

    def get(self, slot: Slot, off: int, /) -> VLA[typing.Any]:
        view: VLA[typing.Any] = object.__new__(VLA)
        view.__type_desc__ = self
        view._storage_slot = slot
        view._off = off
        return view

    def set(self, slot: Slot, off: int, val: VLA[typing.Any] | Iterable[typing.Any], /) -> None:
        if not isinstance(val, VLA):
            self.get(slot, off).extend(val)
            return
        if val.__type_desc__ != self:
            raise TypeError("incompatible vector type")
        self.copy(val._storage_slot, val._off, slot, off)

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        raw = frm.read(frm_off, 4)
        to.write(to_off, raw)
        size = self.item.size
        actions = join_actions(self.item.copy_actions for _ in range(number(raw, False)))
        if size:
            copy_with(actions, frm, frm_off + 4, to, to_off + 4)
        return self.size


class Indirection[T]:
    """View of one value in a slot of its own; the byte in place stays 0."""

    __slots__ = ("__type_desc__", "_off", "_storage_slot")

    __type_desc__: "IndirectionDesc"
    _storage_slot: Slot
    _off: int

    def __init__(self) -> None:
        raise TypeError("this class can't be instantiated by user")

    def slot(self) -> Slot:
        return self._storage_slot.indirect(self._off)

    def get(self) -> T:
        value: T = self.__type_desc__.item.get(self.slot(), 0)
        return value

    def set(self, value: T, /) -> None:
        self.__type_desc__.item.set(self.slot(), 0, value)


class IndirectionDesc(TypeDesc):
    __slots__ = ("item",)

    below = (0,)

    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        TypeDesc.__init__(self, 1, [self], (item,))
        self.item = item

    def get(self, slot: Slot, off: int, /) -> Indirection[typing.Any]:
        view: Indirection[typing.Any] = object.__new__(Indirection)
        view.__type_desc__ = self
        view._storage_slot = slot
        view._off = off
        return view

    def set(self, slot: Slot, off: int, val: Indirection[typing.Any], /) -> None:
        if not isinstance(val, Indirection) or val.__type_desc__ != self:
            raise TypeError("incompatible indirection type")
        self.copy(val._storage_slot, val._off, slot, off)

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        copy_with(self.item.copy_actions, frm.indirect(frm_off), 0, to.indirect(to_off), 0)
        return 1
