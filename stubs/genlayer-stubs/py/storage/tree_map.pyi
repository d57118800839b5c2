# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""TreeMap: AVL tree in a slab of nodes (spec sdk/02 §6). The bytes it leaves behind are part of a contract's state."""
__all__ = ('TreeMap', 'TreeMapDesc')
import struct
import typing
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from ..types import Address
from ._internal.core import ROOT_SLOT_ID, InmemManager, Slot, TypeDesc, copy_with, join_actions, writes_of
from ._internal.desc_base_types import AddrDesc, IntDesc, StrDesc, number, u32_at
from ._internal.detach import detach
from .vec import DynArrayDesc
import typing_extensions
_K = typing_extensions.TypeVar('_K')
_V = typing_extensions.TypeVar('_V')
_D = typing_extensions.TypeVar('_D')
_SLAB_LEN_OFF = 4

class _NodeDesc(TypeDesc):
    """Only the size and the copy actions of a node are needed."""
    at_once: bool
    key_size: int
    links_off: int
    sizes: tuple[int, int, int, bool]

    def __init__(self, key: TypeDesc, value: TypeDesc) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        ...

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        ...

class TreeMap(MutableMapping[_K, _V], typing.Generic[_K, _V]):
    """View of a sorted map. Keys need ``<`` only.

    ``TreeMap()`` and ``TreeMap[K, V]()`` are empty and in memory. What is put into one stays as it is until the map is
    assigned to a field, which gives the types and gets a copy; an empty one clears the field.
    """
    __type_desc__: TreeMapDesc

    def __init__(self) -> None:
        ...

    def __len__(self) -> int:
        ...

    def __getitem__(self, key: _K, /) -> _V:
        ...

    def __setitem__(self, key: _K, value: _V, /) -> None:
        ...

    def __delitem__(self, key: _K, /) -> None:
        ...

    def __contains__(self, key: object, /) -> bool:
        ...

    def __iter__(self) -> Iterator[_K]:
        ...

    def items(self) -> _Items[_K, _V]:
        ...

    def values(self) -> _Values[_V]:
        ...

    @typing.overload
    def pop(self, key: _K) -> _V:
        ...

    @typing.overload
    def pop(self, key: _K, default: _V | _D) -> _V | _D:
        ...

    def popitem(self) -> tuple[_K, _V]:
        """Remove the smallest key."""

    def clear(self) -> None:
        ...

    def get_or_insert_default(self, key: _K) -> _V:
        """Value of ``key``; a missing key is inserted and its value not written, so that old bytes may show."""

    def compute_if_absent(self, key: _K, supplier: Callable[[], _V]) -> _V:
        """Value of ``key``; a missing key is inserted with the value that ``supplier`` returns."""

    def __repr__(self) -> str:
        ...

class _Items(ItemsView[_K, _V], typing.Generic[_K, _V]):
    """Walks the tree once instead of searching for every key."""

    def __iter__(self) -> Iterator[tuple[_K, _V]]:
        ...

class _Values(ValuesView[_V], typing.Generic[_V]):

    def __iter__(self) -> Iterator[_V]:
        ...

class TreeMapDesc(TypeDesc):
    below = (_SLAB_LEN_OFF,)
    key: TypeDesc
    value: TypeDesc
    node: _NodeDesc
    kind: int | None

    def __init__(self, key: TypeDesc, value: TypeDesc) -> None:
        ...

    def bind(self, view: TreeMap[typing.Any, typing.Any], slot: Slot, off: int) -> None:
        """Make ``view`` show the map at (slot, off)."""

    def get(self, slot: Slot, off: int, /) -> TreeMap[typing.Any, typing.Any]:
        ...

    def set(self, slot: Slot, off: int, val: TreeMap[typing.Any, typing.Any], /) -> None:
        ...
