# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""In-memory copies of views."""
__all__ = ('copy_to_memory', 'detach')
import typing
from .core import ROOT_SLOT_ID, InmemManager, TypeDesc, copy_with
import typing_extensions
_T = typing_extensions.TypeVar('_T')

def detach(value: _T, /) -> _T:
    """Return a scalar as it is, a view as a deep copy in memory of its own."""

def copy_to_memory(val: _T) -> _T:
    """Deep copy of a record or container into memory, safe to carry into nondet blocks and sandboxes (spec sdk/02 §8).

    Raises TypeError for anything that is not a storage view.
    """
