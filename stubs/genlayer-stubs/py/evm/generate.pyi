# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Interfaces of EVM contracts declared as Python classes (spec sdk/04 §8.4)."""
__all__ = ('ContractDeclaration', 'ContractProxy', 'contract_generator', 'contract_interface')
import inspect
import typing
from collections.abc import Callable
from ..types import Address, u256
from .calldata import MethodEncoder
import typing_extensions
_V = typing_extensions.TypeVar('_V', covariant=True)
_W = typing_extensions.TypeVar('_W', covariant=True)
_V2 = typing_extensions.TypeVar('_V2', default=typing.Any, covariant=True)
_W2 = typing_extensions.TypeVar('_W2', default=typing.Any, covariant=True)
_V3 = typing_extensions.TypeVar('_V3')
_W3 = typing_extensions.TypeVar('_W3')

class ContractDeclaration(typing.Protocol[_V, _W]):
    """A class with two nested classes of method declarations."""

    @property
    def View(self) -> type[_V]:
        ...

    @property
    def Write(self) -> type[_W]:
        ...

class Backend(typing.Protocol):
    """How calls leave."""

    def call(self, address: Address, data: bytes, /) -> bytes:
        """Answer of a read-only call."""

    def send(self, address: Address, data: bytes, value: u256, /) -> None:
        ...

    def balance(self, address: Address, /) -> u256:
        ...

class ContractProxy(typing.Generic[_V2, _W2]):
    """An EVM contract at an address."""
    address: Address

    def __init__(self, address: Address, backend: Backend, view: Callable[..., _V2], write: Callable[..., _W2]) -> None:
        ...

    @property
    def balance(self) -> u256:
        ...

    def view(self) -> _V2:
        """Methods that read: each calls and returns the decoded answer."""

    def emit(self, *, value: u256=...) -> _W2:
        """Methods that write: each posts a call that carries ``value``."""

    def emit_transfer(self, *, value: u256=...) -> None:
        """Post a call without data."""

def contract_generator(backend: Backend, /) -> Callable[[type[ContractDeclaration[typing.Any, typing.Any]]], Callable[[Address], ContractProxy[typing.Any, typing.Any]]]:
    """Class decorator that turns a declaration into a function from an address to a proxy.

    Raises AssertionError, with notes, for method declarations that have no ABI form.
    """

def contract_interface(_declaration: type[ContractDeclaration[_V3, _W3]], /) -> Callable[[Address], ContractProxy[_V3, _W3]]:
    """Class decorator of ``contract_generator`` for the running VM; without ``gl`` there is none, and this is None."""
