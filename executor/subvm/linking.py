"""Host functions as raw callbacks of the engine (design §3).

A raw callback costs 0.3 µs where the package's own way costs 9.5. The price is care: an exception
that leaves a ctypes callback is undefined behaviour, so each one is caught here, kept on the VM as
*pending*, and a trap unwinds the wasm frames. What slips through all the same (a fault while the
callback itself is set up) is seen by :func:`sys.unraisablehook` and turns the VM's result into an
internal error.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from wasmtime import FuncType, Global, Linker, Store, ValType, WasmtimeError
from wasmtime import _ffi as ffi

from executor.outcome import InternalErrorRaised
from executor.subvm import genlayer_sdk, wasip1
from executor.subvm.engine import engine
from executor.subvm.wasm.counters import COUNTERS_MODULE

if TYPE_CHECKING:
    from executor.subvm.vm import SubVM

#: ``wasm_trap_t* (void* env, wasmtime_caller_t*, wasmtime_val_raw_t* args, size_t count)``, all as integers.
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_size_t, *[ctypes.c_size_t] * 4)
_NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)
_NEW_TRAP = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_ubyte)(
    ctypes.cast(ffi.dll.wasmtime_trap_new_code, ctypes.c_void_p).value or 0
)
#: Any code will do: the VM's pending exception says why, the trap only unwinds and carries the frames.
_UNWIND = ffi.wasmtime_trap_code_enum.WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED.value
#: A raw wasm value occupies 16 bytes.
_SLOT = {"i": "I12x", "I": "Q8x"}


class _Running(threading.local):
    """The VMs that are running on this thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[SubVM] = []
        self.vm: SubVM | None = None


running = _Running()


def push(vm: SubVM) -> None:
    running.stack.append(vm)
    running.vm = vm


def pop() -> None:
    running.stack.pop()
    running.vm = running.stack[-1] if running.stack else None


def _on_unraisable(info: sys.UnraisableHookArgs) -> None:
    vm = running.vm
    if vm is not None:
        vm.pending = InternalErrorRaised(f"an exception escaped a host function: {info.exc_value!r}")
    sys.__unraisablehook__(info)


def _bind(
    linker: Linker,
    keep: list[object],
    module: str,
    name: str,
    params: str,
    returns: bool,
    handler: Callable[..., int | None],
) -> None:
    """Define ``handler(vm, *args)`` in the linker; ``params`` holds ``i`` for i32 and ``I`` for i64."""
    layout = struct.Struct("<" + "".join(_SLOT[kind] for kind in params))
    window = ctypes.c_char * max(16, layout.size)
    unpack = layout.unpack_from
    pack = struct.Struct("<I").pack_into
    views: dict[int, memoryview] = {}
    state = running

    def callback(_env: int, caller: int, args: int, _count: int) -> int:
        try:
            vm = state.vm
            vm.caller = caller  # type: ignore[union-attr]
            view = views.get(args)
            if view is None:
                # The engine hands over a few stack addresses again and again.
                if len(views) >= 256:
                    views.clear()
                view = views[args] = memoryview(window.from_address(args)).cast("B")
            result = handler(vm, *unpack(view))
            if returns:
                pack(view, 0, result)
            return 0
        except BaseException as error:
            state.vm.pending = error  # type: ignore[union-attr]
            return int(_NEW_TRAP(_UNWIND))

    types = {"i": ValType.i32, "I": ValType.i64}
    signature = FuncType([types[kind]() for kind in params], [ValType.i32()] if returns else [])
    pointer = _CALLBACK(callback)
    keep += (pointer, signature)
    module_name, field_name = module.encode(), name.encode()
    error = ffi.wasmtime_linker_define_func_unchecked(
        linker.ptr(),
        module_name,
        len(module_name),
        field_name,
        len(field_name),
        signature.ptr(),
        ctypes.cast(pointer, ffi.wasmtime_func_unchecked_callback_t),
        None,
        _NO_FINALIZER,
    )
    if error:
        raise WasmtimeError._from_ptr(error)


#: Callbacks and types that the linker points to; they live as long as the process.
_keep: list[object] = []


@cache
def host_linker() -> Linker:
    """The linker with ``wasi_snapshot_preview1`` and ``genlayer_sdk``; shared, never changed."""
    sys.unraisablehook = _on_unraisable
    linker = Linker(engine())
    for wasi in wasip1.FUNCTIONS:
        _bind(linker, _keep, "wasi_snapshot_preview1", wasi.name, wasi.params, wasi.returns, wasi.call)
    for sdk in genlayer_sdk.FUNCTIONS:
        _bind(linker, _keep, "genlayer_sdk", sdk.name, sdk.params, True, sdk.call)
    return linker


class VmLinker:
    """A copy of the host linker to which the modules of one VM are added."""

    def __init__(self) -> None:
        self._linker = Linker.__new__(Linker)
        self._linker._set_ptr(ffi.wasmtime_linker_clone(host_linker().ptr()))
        self._linker.engine = engine()

    @property
    def linker(self) -> Linker:
        return self._linker

    def define_counter(self, store: Store, name: str, counter: Global) -> None:
        """Offer a counter of the VM to modules that were prepared to use it."""
        self._linker.define(store, COUNTERS_MODULE, name, counter)

    def close(self) -> None:
        self._linker.close()


def caller_memory(caller: int) -> Any:
    """The memory that the calling instance exports as ``memory``.

    :raises InternalErrorRaised: it exports none (spec executor/04).
    """
    item = ffi.wasmtime_extern_t()
    found = _CALLER_EXPORT(caller, b"memory", 6, ctypes.addressof(item))
    if not found or item.kind != ffi.WASMTIME_EXTERN_MEMORY.value:
        raise InternalErrorRaised("the calling module does not export its memory as `memory`")
    return item.of.memory


_CALLER_EXPORT = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t)(
    ctypes.cast(ffi.dll.wasmtime_caller_export_get, ctypes.c_void_p).value or 0
)
