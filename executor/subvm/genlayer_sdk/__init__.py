"""The wasm import module ``genlayer_sdk`` (spec executor/04)."""

from __future__ import annotations

from collections.abc import Callable

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.subvm.genlayer_sdk import balance, gl_call, storage


class SdkFunction(metaclass=Frozen):
    """One import; all parameters are i32, the result is a :class:`executor.primitives.abi.GlErrno`."""

    name: str
    params: str
    call: Callable[..., int]


FUNCTIONS: tuple[SdkFunction, ...] = (
    SdkFunction("storage_read", "iiii", storage.storage_read),
    SdkFunction("storage_write", "iiii", storage.storage_write),
    SdkFunction("get_balance", "ii", balance.get_balance),
    SdkFunction("get_self_balance", "i", balance.get_self_balance),
    SdkFunction("gl_call", "iii", gl_call.gl_call),
)
