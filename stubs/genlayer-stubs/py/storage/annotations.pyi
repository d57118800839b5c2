# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Marks of classes (spec sdk/02 §3.1)."""
__all__ = ('allow_storage',)
import typing_extensions
_C = typing_extensions.TypeVar('_C', bound=type)

def allow_storage(cls: _C, /) -> _C:
    """Class decorator: the class may be used in storage, as a field, item, key or value."""
