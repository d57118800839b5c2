"""The executor's engine as an object of the package ``wasmtime``, for tests that want its convenient interface."""

from __future__ import annotations

import ctypes
from functools import cache

import wasmtime
from wasmtime import _ffi as ffi

from pygenvm.executor.subvm.engine import engine as own_engine
from pygenvm.executor.subvm.wasmtime_c import Engine


@cache
def engine() -> wasmtime.Engine:
    """The executor's one engine."""
    return view_of(own_engine())


def view_of(own: Engine) -> wasmtime.Engine:
    """The same engine, which is not the view's to free."""
    pointer = ctypes.cast(own.pointer, ctypes.POINTER(ffi.wasm_engine_t))
    view = wasmtime.Engine.__new__(wasmtime.Engine)
    view._set_ptr(pointer)
    view._delete = lambda _pointer: None
    return view
