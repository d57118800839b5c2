# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""The contract of this process, and other contracts (spec sdk/01 §3.1, §3.3, sdk/03 §5)."""
__all__ = ('BaseContract', 'Contract', 'ContractProxy', 'contract_interface', 'deploy_contract', 'get_contract_at')
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
from ..py.evm.generate import ContractDeclaration
import typing_extensions
_V = typing_extensions.TypeVar('_V', default=typing.Any, covariant=True)
_W = typing_extensions.TypeVar('_W', default=typing.Any, covariant=True)
_V2 = typing_extensions.TypeVar('_V2')
_W2 = typing_extensions.TypeVar('_W2')
_F = typing_extensions.TypeVar('_F', bound=Callable[..., typing.Any])
On: typing_extensions.TypeAlias = typing.Literal['accepted', 'finalized']

class ContractProxy(typing.Generic[_V, _W]):
    """Another contract. Any method name is accepted; nothing is checked before the call."""

    def __init__(self, address: Address) -> None:
        ...

    @property
    def address(self) -> Address:
        ...

    @property
    def balance(self) -> u256:
        """Balance as the host knows it, not reduced by what this execution has sent."""

    def view(self, *, state: StorageType=...) -> _V:
        """``proxy.view().<method>(…)`` calls and returns the value; ``.<method>.lazy(…)`` returns a Lazy.

        A user error of the callee is raised as ``gl.vm.UserError``.
        """

    def emit(self, *, value: u256=..., on: On=...) -> _W:
        """``proxy.emit().<method>(…)`` posts a message."""

    def emit_transfer(self, *, value: u256, on: On=...) -> None:
        """Post a message that carries value and names no method. ValueError for no value."""

def get_contract_at(address: Address) -> ContractProxy:
    """Proxy of the contract at ``address``. TypeError for anything but an Address."""

def contract_interface(_interface: type[ContractDeclaration[_V2, _W2]], /) -> Callable[[Address], ContractProxy[_V2, _W2]]:
    """Class decorator for a typed interface (nested classes View and Write). At run time it is ``get_contract_at``."""

def deploy_contract(*, code: bytes, args: Sequence[calldata.Encodable]=..., kwargs: Mapping[str, calldata.Encodable]=..., salt_nonce: u256=..., value: u256=..., on: On=...) -> Address | None:
    """Post a deployment. The address is known, and returned, only if ``salt_nonce`` is not 0 (spec sdk/04 §7)."""

def _abstract(f: _F) -> _F:
    ...

class BaseContract:
    """What every contract has."""

    def __init__(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        ...

    @property
    def balance(self) -> u256:
        """Own balance, less what this execution has sent."""

    @property
    def address(self) -> Address:
        ...

    @_abstract
    def __receive__(self) -> typing.Any:
        """Called by a message that names no method."""

    @_abstract
    def __handle_undefined_method__(self, method_name: str, args: list[typing.Any], kwargs: dict[str, typing.Any]) -> typing.Any:
        """Called for a method that the contract does not have, and where there is no ``__receive__``."""

    @public.write.payable
    def __on_errored_message__(self) -> typing.Any:
        """Called when a message that this contract sent failed; gets back the value it carried."""

    @classmethod
    def __get_schema__(cls) -> str:
        """JSON of ``get_schema`` (spec sdk/03 §4)."""
__known_contract__: type[Contract] | None

class Contract(BaseContract):
    """Base of the contract: defining a subclass registers it and lays out its storage. Only one is allowed."""

    def __init_subclass__(cls) -> None:
        ...
