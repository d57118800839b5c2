"""Shapes of gl_call requests: reading fields of a decoded request, each failure being ``inval``.

A reader takes a decoded value and returns it or raises :class:`Refused`. A message is described by the names of its
fields and their readers, as in the table of spec executor/04 "Request shapes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, overload

from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.subvm.types import U256

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

Reader: TypeAlias = Callable[[Any], T]
Field: TypeAlias = tuple[str, Reader[T]]

U256_LIMIT = 1 << 256
#: What a reader gets for a field that is not there.
_MISSING = object()


class Refused(Exception):
    """The call fails with an errno; the contract goes on."""

    def __init__(self, errno: GlErrno) -> None:
        super().__init__(errno.name)
        self.errno = errno


def invalid() -> Refused:
    return Refused(GlErrno.INVAL)


def anything(value: Any) -> Any:
    if value is _MISSING:
        raise invalid()
    return value


def text(value: Any) -> str:
    if type(value) is not str:
        raise invalid()
    return value


def blob(value: Any) -> bytes:
    if type(value) is not bytes:
        raise invalid()
    return value


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise invalid()
    return value


def address(value: Any) -> Address:
    if type(value) is not Address:
        raise invalid()
    return value


def u256(value: Any) -> U256:
    if type(value) is not int or not 0 <= value < U256_LIMIT:
        raise invalid()
    return U256(value)


def mapping(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise invalid()
    return value


def array_of(item: Reader[T]) -> Reader[list[T]]:
    def read(value: Any) -> list[T]:
        if type(value) is not list:
            raise invalid()
        return [item(element) for element in value]

    return read


def map_of(item: Reader[T]) -> Reader[dict[str, T]]:
    def read(value: Any) -> dict[str, T]:
        return {key: item(element) for key, element in mapping(value).items()}

    return read


def one_of(*names: str) -> Reader[str]:
    """A payload-less variant: its name, or ``{name: null}`` (spec executor/01)."""

    def read(value: Any) -> str:
        if type(value) is dict and len(value) == 1:
            ((value, payload),) = value.items()
            if payload is not None:
                raise invalid()
        if type(value) is not str or value not in names:
            raise invalid()
        return value

    return read


def optional(item: Reader[T]) -> Reader[T | None]:
    """Null or the value; a missing field counts as null."""

    def read(value: Any) -> T | None:
        return None if value is None or value is _MISSING else item(value)

    return read


@overload
def fields(payload: Any, layout: tuple[Field[A], Field[B]]) -> tuple[A, B]: ...
@overload
def fields(payload: Any, layout: tuple[Field[A], Field[B], Field[C]]) -> tuple[A, B, C]: ...
@overload
def fields(payload: Any, layout: tuple[Field[A], Field[B], Field[C], Field[D]]) -> tuple[A, B, C, D]: ...
@overload
def fields(payload: Any, layout: tuple[Field[A], Field[B], Field[C], Field[D], Field[E]]) -> tuple[A, B, C, D, E]: ...
def fields(payload: Any, layout: tuple[Field[Any], ...]) -> tuple[Any, ...]:
    """The values of the fields of ``layout``, in its order.

    :raises Refused: not a map, a field is missing or has the wrong type, or one is unknown.
    """
    readers = dict(layout)
    if not mapping(payload).keys() <= readers.keys():
        raise invalid()
    return tuple(known_fields(payload, readers).values())


def known_fields(payload: Any, readers: Mapping[str, Reader[Any]]) -> dict[str, Any]:
    """The fields of a message that may hold others.

    :raises Refused: not a map, or a field is missing or has the wrong type.
    """
    values = mapping(payload)
    return {name: reader(values.get(name, _MISSING)) for name, reader in readers.items()}
