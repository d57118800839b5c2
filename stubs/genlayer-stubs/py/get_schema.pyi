# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""JSON schema of a contract (spec sdk/03 §4)."""
__all__ = ('get_schema',)
import collections.abc
import dataclasses
import inspect
import types
import typing
from ._internal.reflect import class_hints
from .storage import DynArray, TreeMap
from .types import Address
import typing_extensions
Schema: typing_extensions.TypeAlias = str | dict[str, typing.Any] | list[typing.Any]

def get_schema(cls: type) -> dict[str, typing.Any]:
    """Constructor and public methods of a contract class, with their parameter and result types.

    Raises TypeError for names and constructors that are not allowed, Exception, with the cause attached, for a method
    whose types have no schema.
    """
