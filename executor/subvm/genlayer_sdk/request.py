"""Shapes of gl_call requests: reading fields of a checked request, each failure being ``inval``.

A reader takes a value of the request, None for a field that is not there, and decodes it or raises :class:`Refused`. A
message is described by the names of its fields and their readers, as in the table of spec executor/04 "Request shapes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar, overload

from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
from pygenvm.executor.subvm.types import U256, Buffer

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

Reader: TypeAlias = Callable[[Encoded | None], T]
Field: TypeAlias = tuple[str, Reader[T]]

U256_LIMIT = 1 << 256


class Refused(Exception):
    """The call fails with an errno; the contract goes on."""

    def __init__(self, errno: GlErrno) -> None:
        super().__init__(errno.name)
        self.errno = errno


def invalid() -> Refused:
    return Refused(GlErrno.INVAL)


def anything(value: Encoded | None) -> Encoded:
    if value is None:
        raise invalid()
    return value


def text(value: Encoded | None) -> str:
    return _found(value and value.text())


def blob(value: Encoded | None) -> bytes:
    return bytes(_found(value and value.blob()))


def big_blob(value: Encoded | None) -> Buffer:
    """Without a copy where that is big; not to be kept over the host call."""
    content = value and value.blob()
    if content is None:
        raise invalid()
    return content


def boolean(value: Encoded | None) -> bool:
    return _found(value and value.boolean())


def address(value: Encoded | None) -> Address:
    return _found(value and value.address())


def u256(value: Encoded | None) -> U256:
    return U256(_found(value and value.natural(U256_LIMIT)))


def mapping(value: Encoded | None) -> Encoded:
    if value is None or not value.is_map:
        raise invalid()
    return value


def array_of(item: Reader[T]) -> Reader[list[T]]:
    def read(value: Encoded | None) -> list[T]:
        return [item(element) for element in _found(value and value.elements())]

    return read


def map_of(item: Reader[T]) -> Reader[dict[str, T]]:
    def read(value: Encoded | None) -> dict[str, T]:
        return {key: item(element) for key, element in _found(value and value.entries())}

    return read


def one_of(*names: str) -> Reader[str]:
    """A payload-less variant: its name, or ``{name: null}`` (spec executor/01)."""

    def read(value: Encoded | None) -> str:
        if value is not None and value.is_map:
            name, payload = only_entry(value)
            if not payload.is_null:
                raise invalid()
        else:
            name = text(value)
        if name not in names:
            raise invalid()
        return name

    return read


def only_entry(value: Encoded) -> tuple[str, Encoded]:
    """Key and value of a map that has just one."""
    entries = list(islice(_found(value.entries()), 2))
    if len(entries) != 1:
        raise invalid()
    return entries[0]


def optional(item: Reader[T]) -> Reader[T | None]:
    """Null or the value; a missing field counts as null."""

    def read(value: Encoded | None) -> T | None:
        return None if value is None or value.is_null else item(value)

    return read


def or_else(default: T, item: Reader[T]) -> Reader[T]:
    """The value; ``default`` for a missing field."""

    def read(value: Encoded | None) -> T:
        return default if value is None else item(value)

    return read


def _found(value: T | None, /) -> T:
    if value is None:
        raise invalid()
    return value


@overload
def fields(payload: Encoded, layout: tuple[Field[A], Field[B]]) -> tuple[A, B]: ...
@overload
def fields(payload: Encoded, layout: tuple[Field[A], Field[B], Field[C]]) -> tuple[A, B, C]: ...
@overload
def fields(payload: Encoded, layout: tuple[Field[A], Field[B], Field[C], Field[D]]) -> tuple[A, B, C, D]: ...
@overload
def fields(
    payload: Encoded, layout: tuple[Field[A], Field[B], Field[C], Field[D], Field[E]]
) -> tuple[A, B, C, D, E]: ...
def fields(payload: Encoded, layout: tuple[Field[Any], ...]) -> tuple[Any, ...]:
    """The values of the fields of ``layout``, in its order.

    :raises Refused: not a map, a field is missing or has the wrong type, or one is unknown.
    """
    readers = dict(layout)
    found: dict[str, Encoded] = {}
    for name, value in _found(payload.entries()):
        if name not in readers:
            raise invalid()
        found[name] = value
    return tuple([reader(found.get(name)) for name, reader in layout])


def known_fields(payload: Encoded, readers: Mapping[str, Reader[Any]]) -> dict[str, Any]:
    """The fields of a message that may hold others.

    :raises Refused: not a map, or a field is missing or has the wrong type.
    """
    found = {name: value for name, value in _found(payload.entries()) if name in readers}
    return {name: reader(found.get(name)) for name, reader in readers.items()}
