# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Decorators of contract methods (spec sdk/01 §3.1). They only set attributes; the boot module checks them."""
__all__ = ('private', 'public')
import typing
from collections.abc import Callable
import typing_extensions
_F = typing_extensions.TypeVar('_F', bound=_Method)
_Method: typing_extensions.TypeAlias = Callable[..., typing.Any]

def private(f: _F, /) -> _F:
    """Mark a method as not callable from outside, which it is without the mark too."""

class _WriteWithGas:

    def __init__(self, leader: int, validator: int) -> None:
        ...

    def __call__(self, f: _F, /) -> _F:
        ...

    def payable(self, f: _F, /) -> _F:
        ...

class _Write:

    def __call__(self, f: _F, /) -> _F:
        """Public method that may change state."""

    def payable(self, f: _F, /) -> _F:
        """Public method that may change state and be sent value."""

    def min_gas(self, *, leader: int, validator: int) -> _WriteWithGas:
        """Decorator of a public method with the least gas for leader and validator."""

class public:
    """``public.view``, ``public.write``, ``public.write.payable``, ``public.write.min_gas(…)[.payable]``."""
    write = _Write()

    @staticmethod
    def view(f: _F, /) -> _F:
        """Public method that only reads."""
