# Generated from the SDK by `python -m runners.stubs`.
"""Sub-VMs: results, sandboxes, non-deterministic blocks (spec sdk/01 §3.5, sdk/04 §2-§4)."""
__all__ = ('Result', 'Return', 'UserError', 'VMError', 'run_nondet', 'run_nondet_unsafe', 'spawn_sandbox', 'unpack_result')
import dataclasses
import functools
import typing
from collections.abc import Callable
from ..py import calldata
from ..py.public_abi import ResultCode
from ..py.types import Lazy
from ._internal.gl_call import gl_call_lazy, lazy_api
from ._internal.storage import STORAGE_MANAGER
import typing_extensions
_T = typing_extensions.TypeVar('_T', infer_variance=True)
_T2 = typing_extensions.TypeVar('_T2')

@dataclasses.dataclass
class Return(typing.Generic[_T]):
    """A sub-VM returned a value."""
    calldata: _T

@dataclasses.dataclass
class VMError:
    """A sub-VM ended with an error of its own; not an exception."""
    message: str

@dataclasses.dataclass
class UserError(Exception):
    """Error that a contract raises on purpose; its message is seen by the caller."""
    message: str

    def __str__(self) -> str:
        ...

    def __reduce__(self) -> tuple[type[UserError], tuple[typing.Any, ...]]:
        ...
Result: typing_extensions.TypeAlias = Return[_T2] | VMError | UserError

def unpack_result(res: Result[_T2], /) -> _T2:
    """The returned value; errors are raised as UserError."""

@lazy_api
def spawn_sandbox(fn: Callable[[], _T2], *, allow_write_ops: bool=...) -> Lazy[Result[_T2]]:
    """Run ``fn`` in a VM of its own; errors are returned, never raised. It cannot read storage."""

@lazy_api
def run_nondet_unsafe(leader_fn: Callable[[], _T2], validator_fn: Callable[[Result[_T2]], bool], /) -> Lazy[_T2]:
    """Leader's value of a non-deterministic block. Any error inside ``validator_fn`` counts as disagreement."""

@lazy_api
def run_nondet(leader_fn: Callable[[], _T2], validator_fn: Callable[[Result[_T2]], bool], /, *, compare_user_errors: Callable[[UserError, UserError], bool]=..., compare_vm_errors: Callable[[VMError, VMError], bool]=...) -> Lazy[_T2]:
    """Leader's value of a non-deterministic block.

    ``validator_fn`` runs in a sandbox. Where the leader failed, a validator agrees only by failing in the same kind of
    way, which the comparers decide (leader's error first, then the own one).
    """
