"""Decorators of contract methods (spec sdk/01 §3.1). They only set attributes; the boot module checks them."""

__all__ = ("private", "public")

import typing
from collections.abc import Callable

type _Method = Callable[..., typing.Any]


def private[F: _Method](f: F, /) -> F:
    """Mark a method as not callable from outside, which it is without the mark too."""
    return f


class _WriteWithGas:
    __slots__ = ("_leader", "_validator")

    def __init__(self, leader: int, validator: int) -> None:
        self._leader = leader
        self._validator = validator

    def __call__[F: _Method](self, f: F, /) -> F:
        f = public.write(f)
        f.__gl_min_gas_leader__ = self._leader  # type: ignore[attr-defined]
        f.__gl_min_gas_validator__ = self._validator  # type: ignore[attr-defined]
        return f

    def payable[F: _Method](self, f: F, /) -> F:
        f = self(f)
        f.__gl_payable__ = True  # type: ignore[attr-defined]
        return f


class _Write:
    __slots__ = ()

    def __call__[F: _Method](self, f: F, /) -> F:
        """Public method that may change state."""
        f.__gl_public__ = True  # type: ignore[attr-defined]
        f.__gl_readonly__ = False  # type: ignore[attr-defined]
        return f

    def payable[F: _Method](self, f: F, /) -> F:
        """Public method that may change state and be sent value."""
        f = self(f)
        f.__gl_payable__ = True  # type: ignore[attr-defined]
        return f

    def min_gas(self, *, leader: int, validator: int) -> _WriteWithGas:
        """Decorator of a public method with the least gas for leader and validator."""
        return _WriteWithGas(leader, validator)


class public:
    """``public.view``, ``public.write``, ``public.write.payable``, ``public.write.min_gas(…)[.payable]``."""

    write = _Write()

    @staticmethod
    def view[F: _Method](f: F, /) -> F:
        """Public method that only reads."""
        f.__gl_public__ = True  # type: ignore[attr-defined]
        f.__gl_readonly__ = True  # type: ignore[attr-defined]
        return f
