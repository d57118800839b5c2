# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Annotations: their evaluation, and their names in error texts."""
__all__ = ('class_hints', 'type_name')
import typing

def type_name(annotation: typing.Any, /) -> str:
    """Short name of a class, ``repr`` of anything else: ``int``, ``list[int]``."""

def class_hints(cls: type, /) -> dict[str, typing.Any]:
    """Annotations of a class and its bases, most basic class first, strings evaluated."""
