"""Annotations: their evaluation, and their names in error texts."""

__all__ = ("class_hints", "type_name")

import typing


def type_name(annotation: typing.Any, /) -> str:
    """Short name of a class, ``repr`` of anything else: ``int``, ``list[int]``."""
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)


def class_hints(cls: type, /) -> dict[str, typing.Any]:
    """Annotations of a class and its bases, most basic class first, strings evaluated."""
    hints: dict[str, typing.Any] = {}
    for base in reversed(cls.__mro__):
        hints.update(base.__dict__.get("__annotations__", ()))
    if all(isinstance(hint, type | typing.NewType) for hint in hints.values()):
        # what typing would say, at a tenth of the cost
        return hints
    try:
        return typing.get_type_hints(cls)
    except NameError:
        # up to 3.12.7 CPython does not look among the type parameters of the class
        params = {param.__name__: param for base in cls.__mro__ for param in getattr(base, "__type_params__", ())}
        return typing.get_type_hints(cls, localns=params)
