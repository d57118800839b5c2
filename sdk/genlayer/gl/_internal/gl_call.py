"""The request function of the VM: one calldata map with one key (spec sdk/01 §9)."""

__all__ = ("NO_ANSWER", "LazyApi", "contract_return", "gl_call", "gl_call_generic", "lazy_api", "rollback")

import atexit
import functools
import typing
from collections.abc import Callable

import _genlayer_wasi as wasi

from ...py import calldata
from ...py.types import Lazy
from .storage import STORAGE_MANAGER

# File descriptor that stands for "no answer".
NO_ANSWER = 0xFFFFFFFF


def gl_call(request: calldata.Encodable) -> int:
    """Send a request; file descriptor of the answer, or ``NO_ANSWER``. SystemError names the errno of a refusal."""
    if isinstance(request, dict) and "Sandbox" in request:
        # what it writes reaches the host directly
        STORAGE_MANAGER.writes += 1
    return wasi.gl_call(calldata.encode(request))


def _read_all(fd: int) -> bytes:
    with open(fd, "rb", buffering=0) as answer:
        return answer.readall()


def gl_call_generic[T](request: calldata.Encodable, decoder: Callable[[bytes], T]) -> Lazy[T]:
    """Send a request at once; its answer is read and decoded by ``get()``. No answer is None."""
    fd = gl_call(request)
    if fd == NO_ANSWER:
        return Lazy(lambda: typing.cast(T, None))
    return Lazy(lambda: decoder(_read_all(fd)))


def contract_return(value: calldata.Encodable) -> typing.NoReturn:
    """End the process with a value, after the pending exit callbacks."""
    _leave({"Return": value})


def rollback(message: str) -> typing.NoReturn:
    """End the process with a user error, after the pending exit callbacks."""
    _leave({"Rollback": message})


def _leave(request: calldata.Encodable) -> typing.NoReturn:
    atexit._run_exitfuncs()
    gl_call(request)
    raise AssertionError("the VM does not return from this request")


class LazyApi[**P, T](typing.Protocol):
    """Function ``f`` with ``f(…) == f.lazy(…).get()``."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T: ...

    def lazy(self, *args: P.args, **kwargs: P.kwargs) -> Lazy[T]: ...


def lazy_api[**P, T](fn: Callable[P, Lazy[T]]) -> LazyApi[P, T]:
    """Make a function that issues a request into one that also waits for its answer."""

    @functools.wraps(fn)
    def eager(*args: P.args, **kwargs: P.kwargs) -> T:
        return fn(*args, **kwargs).get()

    eager.lazy = fn  # type: ignore[attr-defined]
    return typing.cast(LazyApi[P, T], eager)
