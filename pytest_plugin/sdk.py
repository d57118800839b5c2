"""What of the SDK a test can have in its own Python: types and exceptions (spec sdk/01 §3.5, §3.6, §4).

Contracts run in the sandbox and see none of this.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any, Generic, TypeVar

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

T = TypeVar("T")

#: u8 … u256, i8 … i256. Calling one is the identity, as in a contract.
INTEGERS: dict[str, Any] = {
    name: typing.NewType(name, int)
    for name in ("bigint", *(f"{sign}{bits}" for sign in "ui" for bits in range(8, 257, 8)))
}


@dataclasses.dataclass
class Return(Generic[T]):
    """A sub-VM returned a value."""

    calldata: T


@dataclasses.dataclass
class VMError:
    """A sub-VM ended with an error of its own; not an exception."""

    message: str


@dataclasses.dataclass
class UserError(Exception):
    """Error that a contract raises on purpose."""

    message: str

    def __post_init__(self) -> None:
        self.args = (self.message,)

    def __str__(self) -> str:
        return repr(self)

    #: Of a dataclass that compares there would be none, and pytest keeps exceptions in sets.
    __hash__ = Exception.__hash__


class NondetException(Exception):
    """The web or LLM module answered with an error."""


@dataclasses.dataclass
class Response:
    """Answer of a web server."""

    status: int
    headers: dict[str, bytes]
    body: bytes | None


def unpack_result(result: Return[T] | VMError | UserError, /) -> T:
    """The returned value; errors are raised as :class:`UserError`."""
    match result:
        case Return(calldata=value):
            return value
        case VMError(message=message):
            raise UserError("vm error: " + message)
        case UserError():
            raise result


class Lazy(Generic[T]):
    """Value that is computed by the first ``get()``."""

    def __init__(self, evaluate: Callable[[], T], /) -> None:
        self._evaluate = evaluate
        self._value: list[T] = []

    def get(self) -> T:
        """The value."""
        if not self._value:
            self._value.append(self._evaluate())
        return self._value[0]
