"""Helpers of these tests: modules from text, and runs of them in the executor's own engine."""

from __future__ import annotations

from typing import Any

import wasmtime

from pygenvm.executor.subvm.wasm.binary import encode_section, encode_sized
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, MAXIMUM_GLOBAL, MEMORY_GLOBAL
from tests.support.package_engine import engine


def wat(text: str) -> bytes:
    """The binary of a module in text form."""
    return bytes(wasmtime.wat2wasm(text))


def custom(name: str, content: bytes) -> bytes:
    """A custom section, ready to be appended to a module."""
    return encode_section(0, encode_sized(name.encode()) + content)


def is_valid(wasm: bytes) -> bool:
    """Whether the engine accepts the module."""
    try:
        wasmtime.Module.validate(engine(), wasm)
    except wasmtime.WasmtimeError:
        return False
    return True


def define_memory_counter(store: wasmtime.Store, linker: wasmtime.Linker, left: int = 1 << 32) -> wasmtime.Global:
    """The counter that modules charge their growth to, holding ``left`` bytes; imported memories have no maximum."""
    kind = wasmtime.GlobalType(wasmtime.ValType.i64(), True)
    maximum = wasmtime.Global(store, kind, wasmtime.Val.i64(1 << 16))
    linker.define(store, COUNTERS_MODULE, MAXIMUM_GLOBAL, maximum)
    counter = wasmtime.Global(store, kind, wasmtime.Val.i64(left))
    linker.define(store, COUNTERS_MODULE, MEMORY_GLOBAL, counter)
    return counter


class Run:
    """An instance of a module; ``softfloat`` is linked if given, and the imports of ``extra`` by (module, name)."""

    def __init__(self, wasm: bytes, softfloat: bytes | None = None, extra: dict[tuple[str, str], Any] | None = None):
        self.store = wasmtime.Store(engine())
        linker = wasmtime.Linker(engine())
        self.memory_counter = define_memory_counter(self.store, linker)
        linker.allow_shadowing = True
        for (module, name), make in (extra or {}).items():
            linker.define(self.store, module, name, make(self.store))
        if softfloat is not None:
            library = linker.instantiate(self.store, wasmtime.Module(engine(), softfloat))
            linker.define_instance(self.store, "softfloat", library)
        self.instance = linker.instantiate(self.store, wasmtime.Module(engine(), wasm))

    def __call__(self, name: str, *arguments: float) -> Any:
        function = self.instance.exports(self.store)[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def memory(self, name: str) -> bytes:
        """Contents of an exported memory."""
        memory = self.instance.exports(self.store)[name]
        assert isinstance(memory, wasmtime.Memory)
        return bytes(memory.read(self.store))
