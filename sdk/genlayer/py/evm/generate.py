"""Interfaces of EVM contracts declared as Python classes (spec sdk/04 §8.4)."""

__all__ = ("ContractDeclaration", "ContractProxy", "contract_generator", "contract_interface")

import inspect
import typing
from collections.abc import Callable

from ..types import Address, u256
from .calldata import MethodEncoder


class ContractDeclaration[V, W](typing.Protocol):
    """A class with two nested classes of method declarations."""

    @property
    def View(self) -> type[V]: ...

    @property
    def Write(self) -> type[W]: ...


class Backend(typing.Protocol):
    """How calls leave."""

    def call(self, address: Address, data: bytes, /) -> bytes:
        """Answer of a read-only call."""
        ...

    def send(self, address: Address, data: bytes, value: u256, /) -> None: ...

    def balance(self, address: Address, /) -> u256: ...


class _Methods:
    """Base of the generated namespaces of methods."""

    __slots__ = ("_address", "_value")

    _address: Address
    _value: u256

    def __init__(self, address: Address, value: u256) -> None:
        self._address = address
        self._value = value


class ContractProxy[V, W]:
    """An EVM contract at an address."""

    __slots__ = ("_backend", "_view", "_write", "address")

    address: Address

    def __init__(self, address: Address, backend: Backend, view: Callable[..., V], write: Callable[..., W]) -> None:
        if not isinstance(address, Address):
            raise TypeError("address expected")
        self.address = address
        self._backend = backend
        self._view = view
        self._write = write

    @property
    def balance(self) -> u256:
        return self._backend.balance(self.address)

    def view(self) -> V:
        """Methods that read: each calls and returns the decoded answer."""
        return self._view(self.address, u256(0))

    def emit(self, *, value: u256 = u256(0)) -> W:  # noqa: B008
        """Methods that write: each posts a call that carries ``value``."""
        return self._write(self.address, value)

    def emit_transfer(self, *, value: u256 = u256(0)) -> None:  # noqa: B008
        """Post a call without data."""
        self._backend.send(self.address, b"", value)


def _encoder_of(name: str, method: Callable[..., typing.Any]) -> MethodEncoder:
    hints = typing.get_type_hints(method)
    params = []
    for i, parameter in enumerate(inspect.signature(method).parameters.values()):
        try:
            if i == 0:
                assert parameter.name == "self", "first parameter must be `self`"
                continue
            assert parameter.kind == parameter.POSITIONAL_ONLY, "parameter must be positional-only, put `/` after it"
            assert parameter.default is parameter.empty, "default values are not supported"
            assert parameter.name in hints, "parameter must be annotated"
            params.append(hints[parameter.name])
        except AssertionError as exc:
            exc.add_note(f"parameter `{parameter}`")
            raise
    return MethodEncoder(name, tuple(params), hints.get("return"))


def _view_method(encoder: MethodEncoder, backend: Backend) -> Callable[..., typing.Any]:
    def view(self: _Methods, /, *args: typing.Any) -> typing.Any:
        return encoder.decode_ret(backend.call(self._address, encoder.encode_call(args)))

    return view


def _write_method(encoder: MethodEncoder, backend: Backend) -> Callable[..., typing.Any]:
    def write(self: _Methods, /, *args: typing.Any) -> None:
        backend.send(self._address, encoder.encode_call(args), self._value)

    return write


def _namespace(
    declared: type, backend: Backend, make: Callable[[MethodEncoder, Backend], Callable[..., typing.Any]]
) -> type:
    body: dict[str, typing.Any] = {"__slots__": ()}
    for name, method in vars(declared).items():
        if name.startswith("__") or not inspect.isfunction(method):
            continue
        try:
            body[name] = make(_encoder_of(name, method), backend)
        except Exception as exc:
            exc.add_note(f"method `{name}` of `{declared.__qualname__}`")
            raise
    return type(declared.__name__, (_Methods,), body)


def contract_generator(
    backend: Backend, /
) -> Callable[
    [type[ContractDeclaration[typing.Any, typing.Any]]], Callable[[Address], ContractProxy[typing.Any, typing.Any]]
]:
    """Class decorator that turns a declaration into a function from an address to a proxy.

    Raises AssertionError, with notes, for method declarations that have no ABI form.
    """

    def decorate(
        declaration: type[ContractDeclaration[typing.Any, typing.Any]],
    ) -> Callable[[Address], ContractProxy[typing.Any, typing.Any]]:
        view = _namespace(declaration.View, backend, _view_method)
        write = _namespace(declaration.Write, backend, _write_method)

        def proxy(address: Address, /) -> ContractProxy[typing.Any, typing.Any]:
            return ContractProxy(address, backend, view, write)

        return proxy

    return decorate


def contract_interface[V, W](
    _declaration: type[ContractDeclaration[V, W]], /
) -> Callable[[Address], ContractProxy[V, W]]:
    """Class decorator of ``contract_generator`` for the running VM; without ``gl`` there is none, and this is None."""
    return typing.cast(Callable[[Address], ContractProxy[V, W]], None)
