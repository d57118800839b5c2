"""Sub-VMs: results, sandboxes, non-deterministic blocks (spec sdk/01 §3.5, sdk/04 §2-§4)."""

__all__ = (
    "Result",
    "Return",
    "UserError",
    "VMError",
    "run_nondet",
    "run_nondet_unsafe",
    "spawn_sandbox",
    "unpack_result",
)

import dataclasses
import functools
import typing
from collections.abc import Callable

from ..py import calldata
from ..py.public_abi import ResultCode
from ..py.types import Lazy
from ._internal import gl_call as gl_call
from ._internal.gl_call import lazy_api


@dataclasses.dataclass
class Return[T]:
    """A sub-VM returned a value."""

    calldata: T


@dataclasses.dataclass
class VMError:
    """A sub-VM ended with an error of its own; not an exception."""

    message: str


@dataclasses.dataclass
class UserError(Exception):
    """Error that a contract raises on purpose; its message is seen by the caller."""

    message: str

    def __str__(self) -> str:
        return repr(self)

    def __reduce__(self) -> tuple[type["UserError"], tuple[typing.Any, ...]]:
        # `args` lacks what was passed by keyword
        return (type(self), self.args or (self.message,))


type Result[T] = Return[T] | VMError | UserError


def unpack_result[T](res: Result[T], /) -> T:
    """The returned value; errors are raised as UserError."""
    if isinstance(res, UserError):
        raise res
    if isinstance(res, VMError):
        raise UserError("vm error: " + res.message)
    return res.calldata


def _decode_sub_vm_result_retn(data: bytes | memoryview) -> Result[typing.Any]:
    """One code byte, then calldata (Return) or text (UserError, VMError) (spec sdk/03 §3)."""
    code, payload = data[0], data[1:]
    if code == ResultCode.RETURN:
        return Return(calldata.decode(payload))
    if code == ResultCode.USER_ERROR:
        return UserError(str(payload, "utf-8"))
    if code == ResultCode.VM_ERROR:
        return VMError(str(payload, "utf-8"))
    raise AssertionError(f"unknown type {code}")


def _decode_sub_vm_result(data: bytes | memoryview) -> typing.Any:
    """The returned value of a sub-VM; errors are raised as UserError."""
    return unpack_result(_decode_sub_vm_result_retn(data))


def _pickle(fn: Callable[..., typing.Any]) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps(fn)
    return data


@lazy_api
def spawn_sandbox[T](fn: Callable[[], T], *, allow_write_ops: bool = False) -> Lazy[Result[T]]:
    """Run ``fn`` in a VM of its own; errors are returned, never raised. It cannot read storage."""
    return gl_call.gl_call_generic(
        {"Sandbox": {"data": _pickle(fn), "allow_write_ops": allow_write_ops}}, _decode_sub_vm_result_retn
    )


def _run_leader(leader_fn: Callable[[], typing.Any], _stage_data: typing.Any) -> typing.Any:
    return leader_fn()


def _run_checked_leader(leader_fn: Callable[[], typing.Any], stage_data: typing.Any) -> typing.Any:
    assert stage_data is None
    return leader_fn()


def _run_validator(
    validator_fn: Callable[[Result[typing.Any]], typing.Any], stage_data: dict[str, bytes]
) -> typing.Any:
    return validator_fn(_decode_sub_vm_result_retn(stage_data["leaders_result"]))


def _run_nondet(leader: Callable[..., typing.Any], validator: Callable[..., typing.Any]) -> Lazy[typing.Any]:
    """Both functions take the stage data; the answer is the leader's result."""
    return gl_call.gl_call_generic(
        {"RunNondet": {"data_leader": _pickle(leader), "data_validator": _pickle(validator)}},
        _decode_sub_vm_result,
    )


@lazy_api
def run_nondet_unsafe[T](leader_fn: Callable[[], T], validator_fn: Callable[[Result[T]], bool], /) -> Lazy[T]:
    """Leader's value of a non-deterministic block. Any error inside ``validator_fn`` counts as disagreement."""
    return _run_nondet(functools.partial(_run_leader, leader_fn), functools.partial(_run_validator, validator_fn))


def _same_message(leader: typing.Any, own: typing.Any) -> bool:
    same: bool = leader.message == own.message
    return same


def _validate(
    validator_fn: Callable[[Result[typing.Any]], bool],
    compare_user_errors: Callable[[UserError, UserError], bool],
    compare_vm_errors: Callable[[VMError, VMError], bool],
    leader: Result[typing.Any],
) -> bool:
    """Verdict of ``run_nondet`` (table of spec sdk/04 §4): an error of the leader is agreed to by failing alike."""
    own: typing.Any = spawn_sandbox(functools.partial(validator_fn, leader), allow_write_ops=True)
    if isinstance(leader, UserError) and isinstance(own, UserError):
        return compare_user_errors(leader, own)
    if isinstance(leader, VMError) and isinstance(own, VMError):
        return compare_vm_errors(leader, own)
    if not isinstance(leader, Return) or not isinstance(own, Return):
        return False
    if not isinstance(own.calldata, bool):
        raise TypeError(f"validator function returned non-bool `{own.calldata}`")
    return own.calldata


@lazy_api
def run_nondet[T](
    leader_fn: Callable[[], T],
    validator_fn: Callable[[Result[T]], bool],
    /,
    *,
    compare_user_errors: Callable[[UserError, UserError], bool] = _same_message,
    compare_vm_errors: Callable[[VMError, VMError], bool] = _same_message,
) -> Lazy[T]:
    """Leader's value of a non-deterministic block.

    ``validator_fn`` runs in a sandbox. Where the leader failed, a validator agrees only by failing in the same kind of
    way, which the comparers decide (leader's error first, then the own one).
    """
    return _run_nondet(
        functools.partial(_run_checked_leader, leader_fn),
        functools.partial(
            _run_validator, functools.partial(_validate, validator_fn, compare_user_errors, compare_vm_errors)
        ),
    )
