# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Turning annotations into type descriptors, and classes into records (spec sdk/02 §2, §3, §9)."""
__all__ = ('ORIGINAL_INIT_ATTR', 'Lit', '_Instantiation', '_known_descs', '_storage_build', 'allow_storage', 'generate_storage', 'inmem_allocate')
import sys
import typing
from collections.abc import Callable
from ... import types
from ..._internal.reflect import class_hints, type_name
from ..annotations import allow_storage
from ..tree_map import TreeMap, TreeMapDesc
from ..vec import VLA, Array, ArrayDesc, DynArray, DynArrayDesc, Indirection, IndirectionDesc, VLADesc
from .core import ROOT_SLOT_ID, InmemManager, TypeDesc
from .desc_base_types import AddrDesc, BigIntDesc, BoolDesc, BytesDesc, FloatDesc, IntDesc, NoneDesc, StrDesc
from .desc_record import ORIGINAL_INIT_ATTR, RecordDesc, field_property, wrap_init
import typing_extensions
_C = typing_extensions.TypeVar('_C', bound=type)
_T = typing_extensions.TypeVar('_T')

class Lit:
    """Literal type argument: the value of ``typing.Literal[…]``, or a tuple of such values."""
    value: typing.Any

    def __init__(self, value: typing.Any) -> None:
        ...

    def __eq__(self, other: object) -> bool:
        ...

    def __hash__(self) -> int:
        ...

    def __repr__(self) -> str:
        ...

class _Instantiation:
    """Generic class with built type arguments, as a key of ``_known_descs``."""
    origin: typing.Any
    args: tuple[TypeDesc | Lit, ...]

    def __init__(self, origin: typing.Any, args: tuple[TypeDesc | Lit, ...]) -> None:
        ...

    def __eq__(self, other: object) -> bool:
        ...

    def __hash__(self) -> int:
        ...

    def __repr__(self) -> str:
        ...
_known_descs: dict[typing.Any, TypeDesc]

def _storage_build(cls: typing.Any, generics_map: dict[str, TypeDesc | Lit]) -> TypeDesc | Lit:
    """Descriptor of an annotation, type variables substituted by name from ``generics_map``.

    ``typing.Literal[…]`` and tuples of literals give a ``Lit``. Raises TypeError, AssertionError, KeyError or
    Exception with the texts of spec sdk/02 §3.6.
    """

def generate_storage(cls: _C, /) -> _C:
    """``allow_storage``, and build the class at once."""

def inmem_allocate(t: type[_T], /, *args: typing.Any, **kwargs: typing.Any) -> _T:
    """Value of a storage type in memory of its own.

    A record runs its original ``__init__`` with the arguments. Other types take at most one argument, the initial
    value (for a TreeMap any mapping).
    """
