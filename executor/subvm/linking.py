"""Host functions as raw callbacks of the engine.

A raw callback costs 0.3 µs where the package's own way costs 9.5. The price is care: when an exception leaves a
ctypes callback, the engine takes what happens to be on the stack for its result. So each one is caught here, kept on
the VM as *pending*, and a trap unwinds the wasm frames.

Any step may fail for want of memory, and these are the precautions:

* Before the callback's first line the interpreter needs a frame: :func:`enter` has made room for it.
* After an exception nothing is allocated: the trap was made together with the VM. If it is one that nobody raised on
  purpose, memory is given back that was kept in reserve. The engine needs some for the trap, and aborts without it.
* What fails all the same, as the two numbers that ctypes makes of its arguments, ends in one of the hooks for
  exceptions that nobody can catch, and those leave the process: nothing may return to the engine.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pygenvm.executor import limits
from pygenvm.executor.machine import EXIT_ESCAPED, SignalStack, take_memory
from pygenvm.executor.outcome import GuestFault, InternalErrorRaised, VMErrorRaised
from pygenvm.executor.subvm import genlayer_sdk, wasip1
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.unwind import ContractReturn, ContractRollback
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, MAXIMUM_GLOBAL
from pygenvm.executor.subvm.wasmtime_c import (
    EXTERN_MEMORY,
    I32,
    I64,
    Callback,
    Engine,
    FunctionType,
    Global,
    Linker,
    Memory,
    MemoryStruct,
    Store,
    caller_export,
)

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM

#: A host function: the VM that calls it and the arguments; what it returns is an i32.
HostFunction: TypeAlias = Callable[..., int | None]

#: Words of the frame of :func:`enter`. The interpreter keeps frames in pieces of memory that are a power of two, and
#: a thousand words larger than the frame that needs a new one: at least that many, here more than 60 KiB, are left to
#: the frames behind it.
_ENTRY_FRAME_WORDS = 8192
#: A raw wasm value occupies 16 bytes.
_SLOT = {"i": "I12x", "I": "Q8x"}
_RESULT = struct.Struct("<I")

#: Callbacks that linkers point to; they live as long as the process.
_keep: list[object] = []
_RAISED_ON_PURPOSE = (VMErrorRaised, InternalErrorRaised, ContractReturn, ContractRollback, wasip1.ProcExit)


@cache
def _reserve() -> mmap.mmap:
    return take_memory(limits.RESERVE_BYTES)


class _Running(threading.local):
    """The VMs that are running on this thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[SubVM] = []
        self.vm: SubVM | None = None
        self.signal_stack: SignalStack | None = None


running = _Running()


def enter(vm: SubVM, call: Callable[[], object]) -> None:
    """Run code of the guest ``vm``, which may call the host."""
    if running.signal_stack is None:
        running.signal_stack = SignalStack()
    vm.budget.begin()
    running.stack.append(vm)
    running.vm = vm
    try:
        call()
    finally:
        vm.budget.end()
        running.stack.pop()
        running.vm = running.stack[-1] if running.stack else None


enter.__code__ = enter.__code__.replace(co_stacksize=_ENTRY_FRAME_WORDS)


def _on_unraisable(info: sys.UnraisableHookArgs) -> None:
    if running.vm is not None:
        os._exit(EXIT_ESCAPED)
    sys.__unraisablehook__(info)


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if running.vm is not None:
        os._exit(EXIT_ESCAPED)
    sys.__excepthook__(kind, error, trace)


def bind(
    linker: Linker,
    module: str,
    name: str,
    params: str,
    returns: bool,
    handler: HostFunction,
) -> None:
    """Define ``handler(vm, *args)`` in the linker; ``params`` holds ``i`` for i32 and ``I`` for i64."""
    unpack, window, signature = _call_of(params, returns)
    pack = _RESULT.pack_into
    views: dict[int, memoryview] = {}
    state, reserve = running, _reserve()

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
            # Nothing is allocated from here on.
            if not isinstance(error, _RAISED_ON_PURPOSE):
                reserve.close()
            vm = state.vm
            vm.pending = error  # type: ignore[union-attr]
            trap = vm.trap  # type: ignore[union-attr]
            vm.trap = 0  # type: ignore[union-attr]
            return trap or os._exit(EXIT_ESCAPED)

    pointer = Callback(callback)
    _keep.append(pointer)
    linker.define_function(module, name, signature, pointer)


@cache
def _call_of(
    params: str, returns: bool
) -> tuple[Callable[[memoryview], tuple[int, ...]], type[ctypes.Array[ctypes.c_char]], FunctionType]:
    """How a call of such a function is read: from its slots, and where those are; and its type. Most are of a few."""
    layout = struct.Struct("<" + "".join(_SLOT[kind] for kind in params))
    types = {"i": I32, "I": I64}
    signature = FunctionType([types[kind] for kind in params], [I32] if returns else [])
    return layout.unpack_from, ctypes.c_char * max(16, layout.size), signature


@cache
def host_linker() -> Linker:
    """The linker of the process's engine with the host functions; shared, never changed: VMs add modules to copies."""
    return new_host_linker(engine(), lambda _name, function: function)


def new_host_linker(engine: Engine, wrap: Callable[[str, HostFunction], HostFunction]) -> Linker:
    """A linker with ``wasi_snapshot_preview1`` and ``genlayer_sdk``.

    ``wrap`` gives what is called in place of the function of a name; benchmarks watch a guest at work that way. What
    it does takes its time from the guest: a wrapper costs as much as a host call.
    """
    # An exception of a callback ends in the first; one of making its arguments, in old Pythons, in the second.
    sys.unraisablehook, sys.excepthook = _on_unraisable, _on_uncaught
    linker = Linker(engine)
    for wasi in wasip1.FUNCTIONS:
        function = wrap(wasi.name, wasi.call)
        bind(linker, "wasi_snapshot_preview1", wasi.name, wasi.params, wasi.returns, function)
    for sdk in genlayer_sdk.FUNCTIONS:
        bind(linker, "genlayer_sdk", sdk.name, sdk.params, True, wrap(sdk.name, sdk.call))
    return linker


def define_counter(linker: Linker, store: Store, name: str, counter: Global) -> None:
    """Offer a counter of the VM to modules that were prepared to use it."""
    linker.define_global(store, COUNTERS_MODULE, name, counter)


def define_maximum(linker: Linker, store: Store, module: str, field: str) -> None:
    """Tell the module that is instantiated next what maximum the memory has that it imports by this name."""
    item = linker.get(store, module, field)
    if item is not None and item.kind == EXTERN_MEMORY:
        maximum = Global(store, I64, Memory(store.context, item.of.memory).maximum_pages())
        linker.redefine_global(store, COUNTERS_MODULE, MAXIMUM_GLOBAL, maximum)


def caller_memory(caller: int) -> MemoryStruct:
    """The memory that the calling instance exports as ``memory``.

    :raises GuestFault: it exports none (spec executor/04).
    """
    item = caller_export(caller, "memory")
    if item is None or item.kind != EXTERN_MEMORY:
        raise GuestFault("the calling module does not export its memory as `memory`")
    return item.of.memory  # type: ignore[no-any-return]
