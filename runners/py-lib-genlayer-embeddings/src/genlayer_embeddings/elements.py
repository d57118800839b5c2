"""What the databases of both generations share: keys and values by id, and the ids that are free again."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import numpy as np
from genlayer.py.storage import DynArray, TreeMap, allow_storage
from genlayer.py.types import u32

from .distance import Vector


@allow_storage
class Elements[T, S, V]:
    """The id of an element is its index in both arrays. Removing only marks it as free."""

    _keys: DynArray[np.ndarray[tuple[S], np.dtype[T]]]  # type: ignore[type-var]
    _values: DynArray[V]
    _free_idx: TreeMap[u32, None]

    def __len__(self) -> int:
        return len(self._keys) - len(self._free_idx)

    def __iter__(self) -> Iterator[VecDBElement]:
        """Live elements by id, without a distance."""
        return (VecDBElement(self, index, None) for index in self._live())

    def get_by_id(self, id: int) -> VecDBElement:
        """The element with this id. Raises KeyError if there is none."""
        element = self.get_by_id_or_none(id)
        if element is None:
            raise KeyError(f"no element with id {id}")
        return element

    def get_by_id_or_none(self, id: int) -> VecDBElement | None:
        """The element with this id, None if there is none."""
        if not 0 <= id < len(self._keys) or u32(id) in self._free_idx:
            return None
        return VecDBElement(self, id, None)

    def _live(self) -> Iterator[int]:
        return (index for index in range(len(self._keys)) if u32(index) not in self._free_idx)

    def _place(self, key: Vector, value: V) -> int:
        """Puts an element where one was removed, or at the end; its id."""
        expected = self.__type_desc__.props["_keys"][0].item  # type: ignore[attr-defined]
        assert key.dtype == expected.dtype, f"a key of {expected.dtype} is needed, not of {key.dtype}"
        assert key.shape == expected.dims, f"a key of the shape {expected.dims} is needed, not {key.shape}"
        index = take_smallest(self._free_idx)
        if index is None:
            self._keys.append(key)
            self._values.append(value)
            return len(self._keys) - 1
        self._keys[index] = key
        self._values[index] = value
        return index

    def _remove(self, index: int) -> None:
        self._free_idx[u32(index)] = None


def take_smallest(free: TreeMap[u32, None]) -> int | None:
    """Takes the smallest index out of a set, None if it is empty."""
    return free.popitem()[0] if free else None


class VecDBElement:
    """View of one element of a database."""

    __slots__ = ("_db", "distance", "id")

    _db: Elements[typing.Any, typing.Any, typing.Any]
    id: int
    #: From what was searched for; None where nothing was.
    distance: typing.Any

    def __init__(self, db: Elements[typing.Any, typing.Any, typing.Any], index: int, distance: typing.Any) -> None:
        self._db = db
        self.id = index
        self.distance = distance

    @property
    def key(self) -> Vector:
        return self._db._keys[self.id]

    @property
    def value(self) -> typing.Any:
        return self._db._values[self.id]

    @value.setter
    def value(self, value: typing.Any) -> None:
        self._db._values[self.id] = value

    def remove(self) -> None:
        """Takes the element out of its database."""
        self._db._remove(self.id)

    def __repr__(self) -> str:
        return f"VecDB.Element(id={self.id}, key={self.key!r}, value={self.value!r}, distance={self.distance})"
