"""Records: classes whose annotated fields are packed in declaration order (spec sdk/02 §3)."""

__all__ = ("ORIGINAL_INIT_ATTR", "RecordDesc", "field_property", "wrap_init")

import functools
import typing

from .core import ROOT_SLOT_ID, InmemManager, Slot, TypeDesc, copy_with, join_actions

ORIGINAL_INIT_ATTR = "__gl_original_init__"
_PATCHED_ATTR = "__gl_storage_patched__"


class RecordDesc(TypeDesc):
    """``props`` maps a field name to its descriptor and offset; ``cls`` is the class of the views."""

    __slots__ = ("_plain_setattr", "cls", "props")

    cls: type
    props: dict[str, tuple[TypeDesc, int]]
    _plain_setattr: bool

    def __init__(self, cls: type, fields: dict[str, TypeDesc]) -> None:
        props: dict[str, tuple[TypeDesc, int]] = {}
        off = 0
        for name, desc in fields.items():
            props[name] = (desc, off)
            off += desc.size
        key = tuple((name, desc, at) for name, (desc, at) in props.items())
        TypeDesc.__init__(self, off, join_actions(desc.copy_actions for desc in fields.values()), (off, key))
        self.cls = cls
        self.props = props
        # frozen dataclasses refuse ordinary assignment
        self._plain_setattr = getattr(cls, "__setattr__") is object.__setattr__  # noqa: B009  as mypy sees it, a method

    def bind(self, view: typing.Any, slot: Slot, off: int) -> None:
        """Make ``view`` show the record at (slot, off)."""
        if self._plain_setattr:
            view._storage_slot = slot
            view._off = off
            view.__type_desc__ = self
        else:
            object.__setattr__(view, "_storage_slot", slot)
            object.__setattr__(view, "_off", off)
            object.__setattr__(view, "__type_desc__", self)

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        cls: typing.Any = self.cls
        view = cls.__new__(cls)
        self.bind(view, slot, off)
        return view

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        if getattr(val, "__type_desc__", None) != self:
            raise AssertionError(f"Is right the same storage type? `{self.cls.__name__}` <- `{type(val).__name__}`")
        if val._storage_slot != slot or val._off != off:
            copy_with(self.copy_actions, val._storage_slot, val._off, slot, off)

    def __repr__(self) -> str:
        return f"RecordDesc({self.cls.__name__}, {self.props!r})"


def field_property(name: str, desc: TypeDesc | None, off: int) -> property:
    """Property that reads and writes one field; ``desc`` is None where it depends on the instantiation."""
    if desc is None:

        def generic_getter(self: typing.Any) -> typing.Any:
            field, at = self.__type_desc__.props[name]
            return field.get(self._storage_slot, self._off + at)

        def generic_setter(self: typing.Any, val: typing.Any) -> None:
            field, at = self.__type_desc__.props[name]
            field.set(self._storage_slot, self._off + at, val)

        return property(generic_getter, generic_setter)

    read, write = desc.get, desc.set

    def getter(self: typing.Any) -> typing.Any:
        return read(self._storage_slot, self._off + off)

    def setter(self: typing.Any, val: typing.Any) -> None:
        write(self._storage_slot, self._off + off, val)

    return property(getter, setter)


def wrap_init(cls: type, desc: RecordDesc, direct_generic: tuple[str, str] | None) -> None:
    """Make ``cls(…)`` construct a record in memory of its own.

    ``direct_generic`` is name and annotation of the first field annotated with a bare type variable: the layout is
    then unknown, and construction outside of storage raises TypeError.
    """
    inherited: typing.Any = cls.__init__  # type: ignore[misc]
    original: typing.Any = getattr(inherited, ORIGINAL_INIT_ATTR, inherited)

    @functools.wraps(original)
    def init(self: typing.Any, *args: typing.Any, **kwargs: typing.Any) -> None:
        if not hasattr(self, "_storage_slot"):
            if direct_generic is not None:
                error = TypeError(
                    "generic storage classes can not be instantiated with __init__, "
                    "please, use gl.storage.inmem_allocate"
                )
                error.add_note(f"due to field `{direct_generic[0]}: {direct_generic[1]}`")
                error.add_note(f"in class `{cls.__name__}`")
                raise error
            desc.bind(self, InmemManager().get_store_slot(ROOT_SLOT_ID), 0)
        original(self, *args, **kwargs)

    setattr(init, _PATCHED_ATTR, True)
    setattr(init, ORIGINAL_INIT_ATTR, original)
    cls.__init__ = init  # type: ignore[misc]
