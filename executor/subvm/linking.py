"""Host functions as raw callbacks of the engine.

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
from typing import TYPE_CHECKING, TypeAlias

from pygenvm.executor.outcome import ExecutorFault, GuestFault
from pygenvm.executor.subvm import genlayer_sdk, wasip1
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE
from pygenvm.executor.subvm.wasmtime_c import (
    EXTERN_MEMORY,
    I32,
    I64,
    UNREACHABLE,
    Callback,
    Engine,
    FunctionType,
    Global,
    Linker,
    MemoryStruct,
    Store,
    caller_export,
    new_trap,
)

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM

#: A host function: the VM that calls it and the arguments; what it returns is an i32.
HostFunction: TypeAlias = Callable[..., int | None]

#: Any code will do: the VM's pending exception says why, the trap only unwinds and carries the frames.
_UNWIND = UNREACHABLE
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
        vm.pending = ExecutorFault(f"an exception escaped a host function: {info.exc_value!r}")
    sys.__unraisablehook__(info)


def _bind(
    linker: Linker,
    keep: list[object],
    module: str,
    name: str,
    params: str,
    returns: bool,
    handler: HostFunction,
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
            return new_trap(_UNWIND)

    types = {"i": I32, "I": I64}
    signature = FunctionType([types[kind] for kind in params], [I32] if returns else [])
    pointer = Callback(callback)
    keep += (pointer, signature)
    linker.define_function(module, name, signature, pointer)


#: Callbacks and types that the linker points to; they live as long as the process.
_keep: list[object] = []


@cache
def host_linker() -> Linker:
    """The linker of the process's engine with the host functions; shared, never changed: VMs add modules to copies."""
    return new_host_linker(engine(), lambda _name, function: function)


def new_host_linker(engine: Engine, wrap: Callable[[str, HostFunction], HostFunction]) -> Linker:
    """A linker with ``wasi_snapshot_preview1`` and ``genlayer_sdk``.

    ``wrap`` gives what is called in place of the function of a name; benchmarks watch a guest at work that way. What
    it does takes its time from the guest: a wrapper costs as much as a host call.
    """
    sys.unraisablehook = _on_unraisable
    linker = Linker(engine)
    for wasi in wasip1.FUNCTIONS:
        function = wrap(wasi.name, wasi.call)
        _bind(linker, _keep, "wasi_snapshot_preview1", wasi.name, wasi.params, wasi.returns, function)
    for sdk in genlayer_sdk.FUNCTIONS:
        _bind(linker, _keep, "genlayer_sdk", sdk.name, sdk.params, True, wrap(sdk.name, sdk.call))
    return linker


def define_counter(linker: Linker, store: Store, name: str, counter: Global) -> None:
    """Offer a counter of the VM to modules that were prepared to use it."""
    linker.define_global(store, COUNTERS_MODULE, name, counter)


def caller_memory(caller: int) -> MemoryStruct:
    """The memory that the calling instance exports as ``memory``.

    :raises GuestFault: it exports none (spec executor/04).
    """
    item = caller_export(caller, "memory")
    if item is None or item.kind != EXTERN_MEMORY:
        raise GuestFault("the calling module does not export its memory as `memory`")
    return item.of.memory  # type: ignore[no-any-return]
