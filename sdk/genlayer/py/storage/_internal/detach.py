"""In-memory copies of views."""

__all__ = ("copy_to_memory", "detach")

import typing

from .core import ROOT_SLOT_ID, InmemManager, TypeDesc, copy_with


def detach[T](value: T, /) -> T:
    """Return a scalar as it is, a view as a deep copy in memory of its own."""
    desc: TypeDesc | None = getattr(value, "__type_desc__", None)
    if desc is None:
        return value
    view: typing.Any = value
    slot = InmemManager().get_store_slot(ROOT_SLOT_ID)
    copy_with(desc.copy_actions, view._storage_slot, view._off, slot, 0)
    copied: T = desc.get(slot, 0)
    return copied


def copy_to_memory[T](val: T) -> T:
    """Deep copy of a record or container into memory, safe to carry into nondet blocks and sandboxes (spec sdk/02 §8).

    Raises TypeError for anything that is not a storage view.
    """
    if getattr(val, "__type_desc__", None) is None:
        raise TypeError(f"only storage records and containers can be copied to memory, got `{type(val).__name__}`")
    return detach(val)
