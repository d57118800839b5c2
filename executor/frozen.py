"""Immutable records for code on the way of every run.

They behave like classes under ``dataclass(frozen=True, slots=True)``. The standard library's cost nearly half of what a
run imports: its module brings ``inspect`` along, and it compiles the methods of each class anew in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, dataclass_transform

_T = TypeVar("_T")
_MISSING: Any = object()


class _Uncompared:
    """Default of a field that plays no role in comparisons and hashes."""

    def __init__(self, default: Any) -> None:
        self.default = default


class _Unshown:
    """Default of a field that is not in the text of a record."""

    def __init__(self, default: Any) -> None:
        self.default = default


class _Fresh:
    """Default of a field that is made anew for each record."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def fresh(*, factory: Callable[[], Any]) -> Any:
    """A field whose default is what ``factory`` returns each time."""
    return _Fresh(factory)


def uncompared(*, default: Any) -> Any:
    """A field with a default that plays no role in comparisons and hashes."""
    return _Uncompared(default)


def unshown(*, default: Any = _MISSING) -> Any:
    """A field that nobody sees in the text of a record, such as a secret."""
    return _Unshown(default)


@dataclass_transform(frozen_default=True, field_specifiers=(uncompared, fresh, unshown))
class Frozen(type):
    """Metaclass of records of the annotated attributes, in their order.

    Only for classes without bases, in modules with ``from __future__ import annotations``. As a decorator it would have
    to make each class a second time, to give it slots, and to make classes is a tenth of a new process.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        assert not bases
        # Annotations are texts here: nothing is evaluated.
        names = tuple(name for name, hint in body.get("__annotations__", {}).items() if not hint.startswith("ClassVar"))
        defaults = {name: body.pop(name) for name in names if name in body}
        compared = tuple(name for name in names if not isinstance(defaults.get(name), _Uncompared))
        shown = tuple(name for name in names if not isinstance(defaults.get(name), _Unshown))
        for field, value in defaults.items():
            if isinstance(value, _Uncompared | _Unshown):
                defaults[field] = value.default

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            if len(args) > len(names):
                raise TypeError(f"{name} takes {len(names)} arguments, got {len(args)}")
            for set_value, value in zip(setters, args, strict=False):
                set_value(self, value)
            if len(args) == len(names) and not kwargs:
                return
            for field, set_value in zip(names[len(args) :], setters[len(args) :], strict=True):
                value = kwargs.pop(field, _MISSING)
                if value is _MISSING:
                    value = defaults.get(field, _MISSING)
                    if value is _MISSING:
                        raise TypeError(f"{name} lacks the argument {field!r}")
                    if isinstance(value, _Fresh):
                        value = value.factory()
                set_value(self, value)
            if kwargs:
                raise TypeError(f"{name} has no argument {next(iter(kwargs))!r} left")

        def values(self: Any) -> tuple[Any, ...]:
            return tuple([getattr(self, field) for field in compared])

        def __eq__(self: Any, other: object) -> Any:
            return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

        def __hash__(self: Any) -> int:
            return hash(values(self))

        def __repr__(self: Any) -> str:
            return f"{made.__qualname__}({', '.join(f'{field}={getattr(self, field)!r}' for field in shown)})"

        def __reduce__(self: Any) -> tuple[Any, ...]:
            return self.__class__, tuple([getattr(self, field) for field in names])

        added = {"__init__": __init__, "__eq__": __eq__, "__hash__": __hash__, "__repr__": __repr__}
        added |= {"__reduce__": __reduce__, "__setattr__": _refuse, "__delattr__": _refuse}
        made: Any = super().__new__(cls, name, bases, {**added, **body, "__slots__": names, "__match_args__": names})
        setters = [made.__dict__[field].__set__ for field in names]
        return made


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is immutable: cannot change {name!r}")


def replaced(record: _T, /, **changes: Any) -> _T:
    """A copy of ``record`` with some fields changed."""
    cls: Any = type(record)
    unknown = changes.keys() - set(cls.__match_args__)
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {min(unknown)!r}")
    copy: _T = cls(**{name: changes.get(name, getattr(record, name)) for name in cls.__match_args__})
    return copy
