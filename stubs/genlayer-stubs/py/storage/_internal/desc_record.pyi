# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Records: classes whose annotated fields are packed in declaration order (spec sdk/02 §3)."""
__all__ = ('ORIGINAL_INIT_ATTR', 'RecordDesc', 'field_property', 'wrap_init')
import functools
import typing
from .core import ROOT_SLOT_ID, InmemManager, Slot, TypeDesc, copy_with, join_actions
ORIGINAL_INIT_ATTR = '__gl_original_init__'

class RecordDesc(TypeDesc):
    """``props`` maps a field name to its descriptor and offset; ``cls`` is the class of the views."""
    cls: type
    props: dict[str, tuple[TypeDesc, int]]

    def __init__(self, cls: type, fields: dict[str, TypeDesc]) -> None:
        ...

    def bind(self, view: typing.Any, slot: Slot, off: int) -> None:
        """Make ``view`` show the record at (slot, off)."""

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        ...

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        ...

    def __repr__(self) -> str:
        ...

def field_property(name: str, desc: TypeDesc | None, off: int) -> property:
    """Property that reads and writes one field; ``desc`` is None where it depends on the instantiation."""

def wrap_init(cls: type, desc: RecordDesc, direct_generic: tuple[str, str] | None) -> None:
    """Make ``cls(…)`` construct a record in memory of its own.

    ``direct_generic`` is name and annotation of the first field annotated with a bare type variable: the layout is
    then unknown, and construction outside of storage raises TypeError.
    """
