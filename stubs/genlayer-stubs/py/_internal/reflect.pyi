# Generated from the SDK by `python -m runners.stubs`.
"""Naming of types in error texts."""
__all__ = ('type_name',)
import typing

def type_name(annotation: typing.Any, /) -> str:
    """Short name of a class, ``repr`` of anything else: ``int``, ``list[int]``."""
