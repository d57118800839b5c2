# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Sub-VMs: results, sandboxes, non-deterministic blocks (spec sdk/01 §3.5, sdk/04 §2-§4)."""
__all__ = ('Result', 'Return', 'UserError', 'VMError', 'run_nondet', 'run_nondet_unsafe', 'spawn_sandbox', 'unpack_result')
import dataclasses
import functools
import typing
from collections.abc import Callable
from ..py import calldata
from ..py.public_abi import ResultCode
from ..py.types import Lazy
from ._internal import gl_call as gl_call
from ._internal.gl_call import lazy_api
import typing_extensions
_T = typing_extensions.TypeVar('_T')

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
Result: typing_extensions.TypeAlias = Return[_T] | VMError | UserError

def unpack_result(res: Result[_T], /) -> _T:
    """The returned value; errors are raised as UserError."""

def _decode_sub_vm_result(data: bytes | memoryview) -> typing.Any:
    """The returned value of a sub-VM; errors are raised as UserError."""

class _SpawnSandbox:

    def __call__(self, fn: Callable[[], _T], *, allow_write_ops: bool=...) -> Result[_T]:
        """Run ``fn`` in a VM of its own; errors are returned, never raised. It cannot read storage."""

    def lazy(self, fn: Callable[[], _T], *, allow_write_ops: bool=...) -> Lazy[Result[_T]]:
        """Run ``fn`` in a VM of its own; errors are returned, never raised. It cannot read storage."""
spawn_sandbox: _SpawnSandbox

class _RunNondetUnsafe:

    def __call__(self, leader_fn: Callable[[], _T], validator_fn: Callable[[Result[_T]], bool], /) -> _T:
        """Leader's value of a non-deterministic block. Any error inside ``validator_fn`` counts as disagreement."""

    def lazy(self, leader_fn: Callable[[], _T], validator_fn: Callable[[Result[_T]], bool], /) -> Lazy[_T]:
        """Leader's value of a non-deterministic block. Any error inside ``validator_fn`` counts as disagreement."""
run_nondet_unsafe: _RunNondetUnsafe

class _RunNondet:

    def __call__(self, leader_fn: Callable[[], _T], validator_fn: Callable[[Result[_T]], bool], /, *, compare_user_errors: Callable[[UserError, UserError], bool]=..., compare_vm_errors: Callable[[VMError, VMError], bool]=...) -> _T:
        """Leader's value of a non-deterministic block.

    ``validator_fn`` runs in a sandbox. Where the leader failed, a validator agrees only by failing in the same kind of
    way, which the comparers decide (leader's error first, then the own one).
    """

    def lazy(self, leader_fn: Callable[[], _T], validator_fn: Callable[[Result[_T]], bool], /, *, compare_user_errors: Callable[[UserError, UserError], bool]=..., compare_vm_errors: Callable[[VMError, VMError], bool]=...) -> Lazy[_T]:
        """Leader's value of a non-deterministic block.

    ``validator_fn`` runs in a sandbox. Where the leader failed, a validator agrees only by failing in the same kind of
    way, which the comparers decide (leader's error first, then the own one).
    """
run_nondet: _RunNondet
