# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""The request function of the VM: one calldata map with one key (spec sdk/01 §9)."""
__all__ = ('NO_ANSWER', 'LazyApi', 'contract_return', 'gl_call', 'gl_call_generic', 'lazy_api', 'rollback')
import atexit
import functools
import typing
from collections.abc import Callable
import _genlayer_wasi as wasi
from ...py import calldata
from ...py.types import Lazy
from .storage import STORAGE_MANAGER
import typing_extensions
_T = typing_extensions.TypeVar('_T')
_P = typing_extensions.ParamSpec('_P')
_T2 = typing_extensions.TypeVar('_T2', covariant=True)
NO_ANSWER = 4294967295

def gl_call(request: calldata.Encodable) -> int:
    """Send a request; file descriptor of the answer, or ``NO_ANSWER``. SystemError names the errno of a refusal."""

def gl_call_generic(request: calldata.Encodable, decoder: Callable[[bytes], _T]) -> Lazy[_T]:
    """Send a request at once; its answer is read and decoded by ``get()``. No answer is None."""

def contract_return(value: calldata.Encodable) -> typing.NoReturn:
    """End the process with a value, after the pending exit callbacks."""

def rollback(message: str) -> typing.NoReturn:
    """End the process with a user error, after the pending exit callbacks."""

class LazyApi(typing.Protocol[_P, _T2]):
    """Function ``f`` with ``f(…) == f.lazy(…).get()``."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T2:
        ...

    def lazy(self, *args: _P.args, **kwargs: _P.kwargs) -> Lazy[_T2]:
        ...

def lazy_api(fn: Callable[_P, Lazy[_T]]) -> LazyApi[_P, _T]:
    """Make a function that issues a request into one that also waits for its answer."""
