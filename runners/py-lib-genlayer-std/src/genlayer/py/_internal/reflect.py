"""Naming of types in error texts."""

__all__ = ("type_name",)

import typing


def type_name(annotation: typing.Any, /) -> str:
    """Short name of a class, ``repr`` of anything else: ``int``, ``list[int]``."""
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
