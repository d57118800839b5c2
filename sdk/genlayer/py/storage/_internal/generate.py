"""Turning annotations into type descriptors, and classes into records (spec sdk/02 §2, §3, §9)."""

__all__ = (
    "ORIGINAL_INIT_ATTR",
    "Lit",
    "_Instantiation",
    "_known_descs",
    "_storage_build",
    "allow_storage",
    "generate_storage",
    "inmem_allocate",
)

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

# names that the reference keeps here as well
_DynArrayDesc = DynArrayDesc
_RecordDesc = RecordDesc


class Lit:
    """Literal type argument: the value of ``typing.Literal[…]``, or a tuple of such values."""

    __slots__ = ("value",)

    value: typing.Any

    def __init__(self, value: typing.Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lit) and self.value == other.value and type(self.value) is type(other.value)

    def __hash__(self) -> int:
        return hash(("Lit", self.value))

    def __repr__(self) -> str:
        return f"Lit({self.value!r})"


class _Instantiation:
    """Generic class with built type arguments, as a key of ``_known_descs``."""

    __slots__ = ("args", "origin")

    origin: typing.Any
    args: tuple[TypeDesc | Lit, ...]

    def __init__(self, origin: typing.Any, args: tuple[TypeDesc | Lit, ...]) -> None:
        self.origin = origin
        self.args = args

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Instantiation) and self.origin is other.origin and self.args == other.args

    def __hash__(self) -> int:
        return hash((self.origin, self.args))

    def __repr__(self) -> str:
        return f"_Instantiation({self.origin!r}, {self.args!r})"


_known_descs: dict[typing.Any, TypeDesc] = {
    bool: BoolDesc(),
    float: FloatDesc(),
    str: StrDesc(),
    bytes: BytesDesc(),
    None: NoneDesc(),
    type(None): NoneDesc(),
    types.bigint: BigIntDesc(),
    types.Address: AddrDesc(),
}
for _bits in range(8, 257, 8):
    _known_descs[getattr(types, f"u{_bits}")] = IntDesc(_bits // 8, signed=False)
    _known_descs[getattr(types, f"i{_bits}")] = IntDesc(_bits // 8, signed=True)
for _type, _desc in _known_descs.items():
    _desc.alias_to = _type


def _build_array(args: tuple[typing.Any, ...]) -> TypeDesc:
    item, length = args
    assert isinstance(item, TypeDesc)
    assert isinstance(length, Lit)
    assert type(length.value) is int
    assert length.value >= 0
    return ArrayDesc(item, length.value)


def _one(desc: type[DynArrayDesc] | type[VLADesc] | type[IndirectionDesc]) -> Callable[..., TypeDesc]:
    def build(args: tuple[typing.Any, ...]) -> TypeDesc:
        (item,) = args
        assert isinstance(item, TypeDesc)
        return desc(item)

    return build


def _build_tree_map(args: tuple[typing.Any, ...]) -> TypeDesc:
    key, value = args
    assert isinstance(key, TypeDesc)
    assert isinstance(value, TypeDesc)
    return TreeMapDesc(key, value)


# What to do with the built type arguments of a generic class that is not a record.
_builders: dict[typing.Any, Callable[[tuple[typing.Any, ...]], TypeDesc]] = {
    DynArray: _one(DynArrayDesc),
    VLA: _one(VLADesc),
    Indirection: _one(IndirectionDesc),
    Array: _build_array,
    TreeMap: _build_tree_map,
}

_numpy_known = False


def _register_optional(cls: typing.Any) -> None:
    """Descriptors of libraries that only a contract using them has imported."""
    global _numpy_known
    datetime = sys.modules.get("datetime")
    if datetime is not None and cls is datetime.datetime and cls not in _known_descs:
        from .desc_datetime import DateTimeDesc

        desc = _known_descs[cls] = DateTimeDesc()
        desc.alias_to = cls
    if not _numpy_known and "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        from . import desc_numpy

        _numpy_known = True
        for scalar, desc_ in desc_numpy.scalars().items():
            _known_descs[scalar] = desc_
            desc_.alias_to = scalar
        _builders[numpy.dtype] = desc_numpy.build_dtype
        _builders[numpy.ndarray] = desc_numpy.build_array


def _storage_build(cls: typing.Any, generics_map: dict[str, TypeDesc | Lit]) -> TypeDesc | Lit:
    """Descriptor of an annotation, type variables substituted by name from ``generics_map``.

    ``typing.Literal[…]`` and tuples of literals give a ``Lit``. Raises TypeError, AssertionError, KeyError or
    Exception with the texts of spec sdk/02 §3.6.
    """
    try:
        return _build(cls, generics_map)
    except Exception as exc:
        exc.add_note(f"during processing type `{type_name(cls)}`")
        raise


def _build(cls: typing.Any, generics_map: dict[str, TypeDesc | Lit]) -> TypeDesc | Lit:
    if isinstance(cls, typing.TypeVar):
        return generics_map[cls.__name__]
    assert not isinstance(cls, int | str | tuple), f"a type is expected, got {cls!r}"
    _register_optional(cls)
    origin = typing.get_origin(cls)
    if origin is None:
        known = _known_descs.get(cls)
        if known is not None:
            return known
        if cls is int:
            raise TypeError(
                "use `bigint` or one of sized integers please, "
                "see https://docs.genlayer.com/developers/intelligent-contracts/storage"
            )
        _reject_builtin_container(cls)
        if cls is TreeMap:
            raise KeyError("K")
        if cls in _builders:
            raise Exception("invalid builder")
        desc: TypeDesc = _build_record(cls, {}, bool(_type_params(cls)))
        _known_descs[cls] = desc
        desc.alias_to = cls
        return desc

    params = typing.get_args(cls)
    if origin is typing.Literal:
        return Lit(params[0] if len(params) == 1 else params)
    args = _build_args(cls, params, generics_map)
    _reject_builtin_container(origin)
    if origin is tuple and all(isinstance(arg, Lit) for arg in args):
        return Lit(tuple(arg.value for arg in args if isinstance(arg, Lit)))
    instantiation = _Instantiation(origin, args)
    known = _known_descs.get(instantiation)
    if known is not None:
        return known
    builder = _builders.get(origin)
    if builder is not None:
        desc = builder(args)
    else:
        names = _type_params(origin)
        if len(names) != len(args):
            raise Exception(f"incorrect number of generic arguments for {origin} parameters={names}, args={params}")
        desc = _build_record(origin, {p.__name__: arg for p, arg in zip(names, args, strict=True)}, True)
    _known_descs[instantiation] = desc
    desc.alias_to = cls
    return desc


def _type_params(cls: typing.Any) -> tuple[typing.Any, ...]:
    params: tuple[typing.Any, ...] = cls.__type_params__
    if not params and isinstance(cls, type) and issubclass(cls, typing.Generic):
        params = getattr(cls, "__parameters__", ())
    return params


def _reject_builtin_container(cls: typing.Any) -> None:
    assert cls is not list, "use DynArray"
    assert cls is not dict, "use TreeMap"


def _build_args(
    cls: typing.Any, params: tuple[typing.Any, ...], generics_map: dict[str, TypeDesc | Lit]
) -> tuple[TypeDesc | Lit, ...]:
    args = []
    for i, param in enumerate(params):
        try:
            args.append(_storage_build(param, generics_map))
        except Exception as exc:
            exc.add_note(
                f"during processing generic argument of `{type_name(cls)}`, argument `{type_name(param)}`, "
                f"at index `{i or '<unknown>'}`"
            )
            raise
    return tuple(args)


# Records being built: a record that contains itself has no layout.
_in_progress: list[type] = []


def _build_record(cls: typing.Any, generics_map: dict[str, TypeDesc | Lit], generic: bool) -> RecordDesc:
    if not getattr(cls, "__gl_allow_storage__", False) and not getattr(cls, "__gl_contract__", False):
        raise TypeError("class is not marked for usage within storage, please, annotate it with @allow_storage", cls)
    if cls in _in_progress:
        raise TypeError("storage class can not contain itself", cls)
    _in_progress.append(cls)
    try:
        fields: dict[str, TypeDesc] = {}
        direct_generic: tuple[str, str] | None = None
        for name, annotation in class_hints(cls).items():
            if annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar:
                continue
            try:
                built = _storage_build(annotation, generics_map)
                assert isinstance(built, TypeDesc), "a literal is not a storage type"
            except Exception as exc:
                exc.add_note(f"during generating field `{name}: {annotation!r}`")
                raise
            fields[name] = built
            if direct_generic is None and isinstance(annotation, typing.TypeVar):
                direct_generic = (name, repr(annotation))
    finally:
        _in_progress.pop()
    desc = RecordDesc(cls, fields)
    if "__gl_storage_built__" not in cls.__dict__:
        cls.__gl_storage_built__ = True
        for name, (field, off) in desc.props.items():
            setattr(cls, name, field_property(name, None if generic else field, off))
        if not getattr(cls, "__gl_contract__", False):
            wrap_init(cls, desc, direct_generic)
    return desc


def generate_storage[C: type](cls: C, /) -> C:
    """``allow_storage``, and build the class at once."""
    allow_storage(cls)
    _storage_build(cls, {})
    return cls


def inmem_allocate[T](t: type[T], /, *args: typing.Any, **kwargs: typing.Any) -> T:
    """Value of a storage type in memory of its own.

    A record runs its original ``__init__`` with the arguments. Other types take at most one argument, the initial
    value (for a TreeMap any mapping).
    """
    desc = _storage_build(t, {})
    assert isinstance(desc, TypeDesc), "a literal is not a storage type"
    slot = InmemManager().get_store_slot(ROOT_SLOT_ID)
    if isinstance(desc, RecordDesc):
        record: T = desc.get(slot, 0)
        record.__init__(*args, **kwargs)  # type: ignore[misc]
        return record
    if kwargs or len(args) > 1:
        raise TypeError(f"`{type_name(t)}` takes at most one initial value")
    if args:
        if isinstance(desc, TreeMapDesc) and not isinstance(args[0], TreeMap):
            desc.get(slot, 0).update(args[0])
        else:
            desc.set(slot, 0, args[0])
    value: T = desc.get(slot, 0)
    return value
