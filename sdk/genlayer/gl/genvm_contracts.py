"""The contract of this process, and other contracts (spec sdk/01 §3.1, §3.3, sdk/03 §5)."""

__all__ = ("BaseContract", "Contract", "ContractProxy", "contract_interface", "deploy_contract", "get_contract_at")

import typing
from collections.abc import Callable, Mapping, Sequence

import _genlayer_wasi as wasi

from .._internal import msg
from ..py import calldata
from ..py._internal import create2_address
from ..py.public_abi import StorageType
from ..py.storage._internal.generate import _storage_build
from ..py.types import Address, Lazy, u256
from ._internal.gl_call import gl_call, gl_call_generic
from .annotations import public

if typing.TYPE_CHECKING:
    from ..py.evm.generate import ContractDeclaration

type On = typing.Literal["accepted", "finalized"]


def _make_calldata(
    method: str | None, args: Sequence[calldata.Encodable], kwargs: Mapping[str, calldata.Encodable]
) -> dict[str, calldata.Encodable]:
    """Call data of a method call; what is empty is left out."""
    call: dict[str, calldata.Encodable] = {}
    if method is not None:
        call["method"] = method
    if args:
        call["args"] = list(args)
    if kwargs:
        call["kwargs"] = kwargs
    return call


class _ViewMethod:
    __slots__ = ("_address", "_name", "_state")

    def __init__(self, address: Address, name: str, state: StorageType) -> None:
        self._address = address
        self._name = name
        self._state = state

    def __call__(self, *args: calldata.Encodable, **kwargs: calldata.Encodable) -> typing.Any:
        return self.lazy(*args, **kwargs).get()

    def lazy(self, *args: calldata.Encodable, **kwargs: calldata.Encodable) -> Lazy[typing.Any]:
        """Call at once, read the answer later."""
        from .vm import _decode_sub_vm_result

        return gl_call_generic(
            {
                "CallContract": {
                    "address": self._address,
                    "calldata": _make_calldata(self._name, args, kwargs),
                    "state": int(self._state),
                }
            },
            _decode_sub_vm_result,
        )


class _View:
    __slots__ = ("_address", "_state")

    def __init__(self, address: Address, state: StorageType) -> None:
        self._address = address
        self._state = state

    def __getattr__(self, name: str) -> _ViewMethod:
        return _ViewMethod(self._address, name, self._state)


def _post_message(address: Address, call: dict[str, calldata.Encodable], value: u256, on: On) -> None:
    gl_call({"PostMessage": {"address": address, "calldata": call, "value": value, "on": on}})


class _Emit:
    __slots__ = ("_address", "_on", "_value")

    def __init__(self, address: Address, value: u256, on: On) -> None:
        self._address = address
        self._value = value
        self._on = on

    def __getattr__(self, name: str) -> Callable[..., None]:
        address, value, on = self._address, self._value, self._on

        def emit(*args: calldata.Encodable, **kwargs: calldata.Encodable) -> None:
            _post_message(address, _make_calldata(name, args, kwargs), value, on)

        return emit


class ContractProxy[V, W]:
    """Another contract. Any method name is accepted; nothing is checked before the call."""

    __slots__ = ("_address",)

    _address: Address

    def __init__(self, address: Address) -> None:
        if not isinstance(address, Address):
            raise TypeError("address expected")
        self._address = address

    @property
    def address(self) -> Address:
        return self._address

    @property
    def balance(self) -> u256:
        """Balance as the host knows it, not reduced by what this execution has sent."""
        return u256(wasi.get_balance(self._address.as_bytes))

    def view(self, *, state: StorageType = StorageType.LATEST_NON_FINAL) -> V:
        """``proxy.view().<method>(…)`` calls and returns the value; ``.<method>.lazy(…)`` returns a Lazy.

        A user error of the callee is raised as ``gl.vm.UserError``.
        """
        return typing.cast(V, _View(self._address, state))

    def emit(self, *, value: u256 = u256(0), on: On = "finalized") -> W:  # noqa: B008
        """``proxy.emit().<method>(…)`` posts a message."""
        return typing.cast(W, _Emit(self._address, value, on))

    def emit_transfer(self, *, value: u256, on: On = "finalized") -> None:
        """Post a message that carries value and names no method. ValueError for no value."""
        if value <= 0:
            raise ValueError("value must be greater than 0 for emit_transfer")
        _post_message(self._address, {}, value, on)


def get_contract_at(address: Address) -> ContractProxy:
    """Proxy of the contract at ``address``. TypeError for anything but an Address."""
    return ContractProxy(address)


def contract_interface[V, W](
    _interface: "type[ContractDeclaration[V, W]]", /
) -> Callable[[Address], ContractProxy[V, W]]:
    """Class decorator for a typed interface (nested classes View and Write). At run time it is ``get_contract_at``."""
    return get_contract_at


def deploy_contract(
    *,
    code: bytes,
    args: Sequence[calldata.Encodable] = (),
    kwargs: Mapping[str, calldata.Encodable] = {},
    salt_nonce: u256 = u256(0),  # noqa: B008
    value: u256 = u256(0),  # noqa: B008
    on: On = "finalized",
) -> Address | None:
    """Post a deployment. The address is known, and returned, only if ``salt_nonce`` is not 0 (spec sdk/04 §7)."""
    gl_call(
        {
            "DeployContract": {
                "calldata": _make_calldata(None, args, kwargs),
                "code": code,
                "value": value,
                "on": on,
                "salt_nonce": salt_nonce,
            }
        }
    )
    if salt_nonce == 0:
        return None
    return create2_address(msg.message.contract_address, salt_nonce, msg.message.chain_id)


def _abstract[F: Callable[..., typing.Any]](f: F) -> F:
    f.__isabstractmethod__ = True  # type: ignore[attr-defined]
    return f


class BaseContract:
    """What every contract has."""

    def __init__(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        # a contract without a constructor takes no arguments, unless a mix-in behind this class does
        super().__init__(*args, **kwargs)

    # get_schema reports an empty constructor for it
    __init__.__gl_no_constructor__ = True  # type: ignore[attr-defined]

    @property
    def balance(self) -> u256:
        """Own balance, less what this execution has sent."""
        return u256(wasi.get_self_balance())

    @property
    def address(self) -> Address:
        return msg.message.contract_address

    @_abstract
    def __receive__(self) -> typing.Any:
        """Called by a message that names no method."""
        raise NotImplementedError

    @_abstract
    def __handle_undefined_method__(
        self, method_name: str, args: list[typing.Any], kwargs: dict[str, typing.Any]
    ) -> typing.Any:
        """Called for a method that the contract does not have, and where there is no ``__receive__``."""
        raise NotImplementedError

    @public.write.payable
    def __on_errored_message__(self) -> typing.Any:
        """Called when a message that this contract sent failed; gets back the value it carried."""

    @classmethod
    def __get_schema__(cls) -> str:
        """JSON of ``get_schema`` (spec sdk/03 §4)."""
        import json

        from ..py.get_schema import get_schema

        return json.dumps(get_schema(cls), separators=(",", ":"))


# The contract class of this process.
__known_contract__: type["Contract"] | None = None


class Contract(BaseContract):
    """Base of the contract: defining a subclass registers it and lays out its storage. Only one is allowed."""

    def __init_subclass__(cls) -> None:
        global __known_contract__
        if __known_contract__ is not None:
            raise TypeError(f"only one contract is allowed; first: `{__known_contract__}` second: `{cls}`")
        super().__init_subclass__()
        cls.__gl_contract__ = True  # type: ignore[attr-defined]
        _storage_build(cls, {})
        __known_contract__ = cls
