"""Shapes of gl_call requests: reading fields of a decoded request, each failure being ``inval``.

A reader takes a decoded value and returns it or raises :class:`Refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.primitives.address import Address

Reader = Callable[[Any], Any]

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


def u256(value: Any) -> int:
    if type(value) is not int or not 0 <= value < U256_LIMIT:
        raise invalid()
    return value


def mapping(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise invalid()
    return value


def array_of(item: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise invalid()
        return [item(element) for element in value]

    return read


def map_of(item: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        return {key: item(element) for key, element in mapping(value).items()}

    return read


def one_of(*names: str) -> Reader:
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


def optional(item: Reader) -> Reader:
    """Null or the value; a missing field counts as null."""

    def read(value: Any) -> Any:
        return None if value is None or value is _MISSING else item(value)

    return read


def fields(payload: Any, layout: Mapping[str, Reader], *, strict: bool = True) -> list[Any]:
    """The values of the fields of ``layout``, in its order.

    :raises Refused: not a map, a field is missing or has the wrong type, or (``strict``) one is unknown.
    """
    values = mapping(payload)
    if strict and not values.keys() <= layout.keys():
        raise invalid()
    return [reader(values.get(name, _MISSING)) for name, reader in layout.items()]
