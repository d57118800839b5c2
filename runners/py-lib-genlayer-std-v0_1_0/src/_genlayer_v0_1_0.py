"""What contracts for SDKs up to v0.1.1 call otherwise than today (spec sdk/01 §8).

Importing it adds the old names to the modules of the SDK, in this VM and in those that it starts. What they mean is
today's: the rules of blocks and messages are those of the executor.
"""

from __future__ import annotations

import functools
import sys
import typing

import genlayer
import genlayer.gl as gl
from genlayer._internal import msg
from genlayer.gl import advanced, eq_principle, evm, genvm_contracts, nondet, vm
from genlayer.gl._internal.gl_call import contract_return, lazy_api
from genlayer.py import calldata, storage, types
from genlayer.py._internal.event import _topic

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# --- errors and results ---


class Rollback(vm.UserError):
    """The text is in ``msg`` too, and is what ``str`` gives."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.args = (msg,)

    @property
    def msg(self) -> str:
        return self.message

    __str__ = Exception.__str__
    __repr__ = Exception.__repr__
    __hash__ = Exception.__hash__


vm.Return.data = property(lambda self: self.calldata)
vm.VMError.data = property(lambda self: self.message)

# --- the contract and others ---


def contract(cls: type) -> type:
    """Class decorator, instead of deriving from ``gl.Contract``."""
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (cls, gl.Contract), names)


class ContractAt(genvm_contracts.ContractProxy):
    """``emit`` once took gas and code of the message."""

    __slots__ = ()

    def emit(self, *, value: int = 0, on: str = "finalized", gas: object = None, code: object = None) -> typing.Any:
        return super().emit(value=types.u256(value), on=on)


class Message(msg.MessageType):
    """``gl.message``"""

    __slots__ = ()
    contract_account = property(lambda self: self.contract_address)
    sender_account = property(lambda self: self.sender_address)
    is_init = property(lambda self: msg.message_raw["is_init"])


def emit_raw_event(name: str, indexed_fields_names: Sequence[str], blob: dict[str, calldata.Encodable]) -> None:
    indexed = sorted(indexed_fields_names)
    signature = f"{name}({','.join(indexed)})"
    head = types.Keccak256(signature.encode("utf-8")).digest()
    _emit_topics([head, *(_topic(blob[field]) for field in indexed)], blob)


_emit_topics = advanced.emit_raw_event

# --- other VMs ---


@lazy_api
def sandbox(fn: Callable[[], typing.Any], *, allow_write_ops: bool = False) -> types.Lazy[typing.Any]:
    """The value that ``fn`` returns; its errors are raised."""
    result = vm.spawn_sandbox.lazy(fn, allow_write_ops=allow_write_ops)
    return types.Lazy(lambda: vm.unpack_result(result.get()))


def run_nondet(leader_fn: Callable[[], typing.Any], validator_fn: Callable[..., bool], /) -> types.Lazy[typing.Any]:
    """The verdict is what ``validator_fn`` returns. If it fails, it agrees with a leader that failed in the same way."""
    return vm.run_nondet_unsafe.lazy(leader_fn, functools.partial(_verdict, validator_fn))


def _verdict(validator_fn: Callable[..., bool], leader: typing.Any) -> bool:
    own = vm.spawn_sandbox(functools.partial(validator_fn, leader), allow_write_ops=True)
    return own.calldata if isinstance(own, vm.Return) else own == leader


def validator_handle_rollbacks_and_errors_default(
    fn: Callable[[], typing.Any], leaders_result: typing.Any
) -> tuple[typing.Any, typing.Any]:
    """The own value and the leader's; if one of them is an error, the validator ends here with its verdict."""
    try:
        own = fn()
    except vm.UserError as error:
        contract_return(error == leaders_result)
    if not isinstance(leaders_result, vm.Return):
        contract_return(False)
    return own, leaders_result.calldata


def _call(fn: Callable[..., typing.Any], *args: typing.Any) -> typing.Any:
    return fn(*args)


def _pickle(fn: Callable[..., typing.Any], pickle: Callable[..., bytes] = vm._pickle) -> bytes:
    """What is unpickled there imports this module before it finds ``fn``."""
    return pickle(functools.partial(_call, fn))


# --- where the names were ---

_OF_GL = {
    "ContractAt": ContractAt,
    "Rollback": Rollback,
    "account_from_b64": types.Address,
    "contract": contract,
    "eq_principle_prompt_comparative": eq_principle.prompt_comparative,
    "eq_principle_prompt_non_comparative": eq_principle.prompt_non_comparative,
    "eq_principle_refl": eq_principle.strict_eq,
    "eq_principle_strict_eq": eq_principle.strict_eq,
    "eq_principles": eq_principle,
    "eth": evm,
    "eth_contract": evm.contract_interface,
    "exec_prompt": nondet.exec_prompt,
    "get_webpage": nondet.web.render,
    "rollback_immediate": advanced.user_error_immediate,
    "sandbox": sandbox,
    "storage_inmem_allocate": storage.inmem_allocate,
}
_OF_ADVANCED = {
    "ContractError": vm.VMError,
    "ContractReturn": vm.Return,
    "emit_raw_event": emit_raw_event,
    "rollback_immediate": advanced.user_error_immediate,
    "run_nondet": run_nondet,
    "sandbox": sandbox,
    "validator_handle_rollbacks_and_errors_default": validator_handle_rollbacks_and_errors_default,
}
_MODULES = {"genlayer.std": "genlayer.gl", "genlayer.py.eth": "genlayer.py.evm"}

vars(gl).update(_OF_GL)
vars(advanced).update(_OF_ADVANCED)
vars(eq_principle).update((name, value) for name, value in _OF_GL.items() if name.startswith("eq_principle_"))
vm.UserError = genlayer.Rollback = types.Rollback = Rollback
vm._pickle = _pickle
storage.storage = storage.allow_storage
msg.MessageType = Message
if "message" in vars(msg):
    gl.message = msg.message = Message(*msg.message)
genlayer.__all__ += ("Rollback",)
genlayer.std, genlayer.py.eth = gl, evm
for _old, _new in _MODULES.items():
    for _name, _module in [*sys.modules.items()]:
        if _name == _new or _name.startswith(f"{_new}."):
            sys.modules[_old + _name.removeprefix(_new)] = _module
