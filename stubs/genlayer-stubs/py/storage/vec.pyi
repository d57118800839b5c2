# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Sequences in storage: DynArray, Array, VLA, and the Indirection that usually holds a VLA (spec sdk/02 §5)."""
__all__ = ('VLA', 'Array', 'ArrayDesc', 'DynArray', 'DynArrayDesc', 'Indirection', 'IndirectionDesc', 'VLADesc')
import operator
import typing
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from ._internal.core import Slot, TypeDesc, copy_with, join_actions, writes_of
from ._internal.desc_base_types import IntDesc, number, u32_at
from ._internal.detach import detach
import typing_extensions
_T = typing_extensions.TypeVar('_T')
_S = typing_extensions.TypeVar('_S', bound=int, covariant=True)

class DynArray(MutableSequence[_T], typing.Generic[_T]):
    """View of a growable array. u32 length in place, items packed in the indirect slot.

    Shrinking changes only the length. Comparison is by identity, as of every view.
    """
    __type_desc__: DynArrayDesc

    def __init__(self) -> None:
        ...

    def __len__(self) -> int:
        ...

    @typing.overload
    def __getitem__(self, index: typing.SupportsIndex, /) -> _T:
        ...

    @typing.overload
    def __getitem__(self, index: slice, /) -> list[_T]:
        ...

    def __setitem__(self, index: typing.SupportsIndex | slice, value: typing.Any, /) -> None:
        ...

    def __delitem__(self, index: typing.SupportsIndex | slice, /) -> None:
        ...

    def __iter__(self) -> Iterator[_T]:
        ...

    def insert(self, index: typing.SupportsIndex, value: _T) -> None:
        """Insert before ``index``, which may be the length; otherwise it has to name an item."""

    def append(self, value: _T) -> None:
        ...

    def append_new_get(self) -> _T:
        """Grow by one item that is not written, so that old bytes may show; return the item."""

    def extend(self, values: Iterable[_T]) -> None:
        ...

    def pop(self, index: typing.SupportsIndex=...) -> _T:
        """Remove an item and return it; a record or container is returned as a copy in memory."""

    def reverse(self) -> None:
        ...

    def clear(self) -> None:
        ...
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        ...

class DynArrayDesc(TypeDesc):
    below = (0,)
    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> DynArray[typing.Any]:
        ...

    def set(self, slot: Slot, off: int, val: Sequence[typing.Any], /) -> None:
        ...

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        ...

class Array(Sequence[_T], typing.Generic[_T, _S]):
    """View of ``S`` items in place: ``Array[u8, typing.Literal[3]]``."""
    __type_desc__: ArrayDesc

    def __init__(self) -> None:
        ...

    def __len__(self) -> int:
        ...

    @typing.overload
    def __getitem__(self, index: typing.SupportsIndex, /) -> _T:
        ...

    @typing.overload
    def __getitem__(self, index: slice, /) -> Array[_T, int]:
        ...

    def __setitem__(self, index: typing.SupportsIndex, value: _T, /) -> None:
        ...

    def __repr__(self) -> str:
        ...

class ArrayDesc(TypeDesc):
    item: TypeDesc
    length: int

    def __init__(self, item: TypeDesc, length: int) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> Array[typing.Any, int]:
        ...

    def set(self, slot: Slot, off: int, val: list[typing.Any] | Array[typing.Any, int], /) -> None:
        ...

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        ...

class VLA(typing.Generic[_T]):
    """View of a length-prefixed array that fills the rest of its slot; normally under an Indirection."""
    __type_desc__: VLADesc

    def __init__(self) -> None:
        ...

    def __len__(self) -> int:
        ...

    def __getitem__(self, index: int, /) -> _T:
        ...

    def __setitem__(self, index: int, value: _T, /) -> None:
        ...

    def __iter__(self) -> Iterator[_T]:
        ...

    def append(self, value: _T) -> None:
        """Item first, then the length."""

    def extend(self, values: Iterable[_T] | bytes) -> None:
        """Replace the content. ``bytes`` are for ``VLA[u8]`` only: length, then the data at once."""

    def truncate(self, to: int=...) -> None:
        ...

    def slot(self) -> Slot:
        ...

    def __repr__(self) -> str:
        ...

class VLADesc(TypeDesc):
    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> VLA[typing.Any]:
        ...

    def set(self, slot: Slot, off: int, val: VLA[typing.Any] | Iterable[typing.Any], /) -> None:
        ...

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        ...

class Indirection(typing.Generic[_T]):
    """View of one value in a slot of its own; the byte in place stays 0."""
    __type_desc__: IndirectionDesc

    def __init__(self) -> None:
        ...

    def slot(self) -> Slot:
        ...

    def get(self) -> _T:
        ...

    def set(self, value: _T, /) -> None:
        ...

class IndirectionDesc(TypeDesc):
    below = (0,)
    item: TypeDesc

    def __init__(self, item: TypeDesc) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> Indirection[typing.Any]:
        ...

    def set(self, slot: Slot, off: int, val: Indirection[typing.Any], /) -> None:
        ...

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        ...
