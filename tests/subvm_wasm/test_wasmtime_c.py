"""Our declarations of Wasmtime's C interface against those of the package that the library comes in."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import pytest
from wasmtime import _bindings as package

from executor.subvm import wasmtime_c
from executor.subvm.engine import engine
from executor.subvm.wasmtime_c import I32, I64, Global, Instance, Linker, Module, Store, Trap, WasmtimeError
from tests.subvm_wasm.wasm_support import wat


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wasmtime_c.Bytes, package.wasm_byte_vec_t),
        (wasmtime_c.FuncStruct, package.wasmtime_func),
        (wasmtime_c.MemoryStruct, package.wasmtime_memory),
        (wasmtime_c.GlobalStruct, package.wasmtime_global),
        (wasmtime_c.InstanceStruct, package.wasmtime_instance),
        (wasmtime_c.Extern, package.wasmtime_extern),
        (wasmtime_c.Value, package.wasmtime_val),
    ],
)
def test_layouts(ours: Any, theirs: Any) -> None:
    assert (ctypes.sizeof(ours), ctypes.alignment(ours)) == (ctypes.sizeof(theirs), ctypes.alignment(theirs))
    for (name, _), (their_name, _) in zip(ours._fields_, theirs._fields_, strict=True):
        mine, other = getattr(ours, name), getattr(theirs, their_name)
        assert (mine.offset, mine.size) == (other.offset, other.size), name


def _size(kind: Any) -> int:
    return 0 if kind is None else ctypes.sizeof(kind)


def test_every_function_has_the_arguments_that_the_package_gives_it() -> None:
    checked = 0
    for function in vars(wasmtime_c).values():
        if isinstance(function, ctypes._CFuncPtr) and hasattr(function, "__name__"):
            theirs = getattr(package, f"_{function.__name__}")
            assert [_size(kind) for kind in function.argtypes] == [_size(kind) for kind in theirs.argtypes]
            assert _size(function.restype) == _size(theirs.restype), function.__name__
            checked += 1
    assert checked > 40


def test_trap_codes() -> None:
    names = {name: value for name, value in vars(wasmtime_c).items() if name.isupper() and isinstance(value, int)}
    for member in package.wasmtime_trap_code_enum:
        name = member.name.removeprefix("WASMTIME_TRAP_CODE_").replace("UNREACHABLE_CODE_REACHED", "UNREACHABLE")
        assert names.get(name, member.value) == member.value
    assert (
        names["ALLOCATION_TOO_LARGE"] == package.wasmtime_trap_code_enum.WASMTIME_TRAP_CODE_ALLOCATION_TOO_LARGE.value
    )


def instance_of(text: str, linker: Linker, store: Store) -> Instance:
    instance = Instance(store)
    linker.instantiate(store, Module.compile(engine(), wat(text)), instance)
    return instance


def test_globals_memories_functions_and_traps() -> None:
    store, linker = Store(engine()), Linker(engine())
    small, large = Global(store, I32, -5), Global(store, I64, 1 << 40)
    linker.define_global(store, "h", "small", small)
    linker.define_global(store, "h", "large", large)
    with pytest.raises(WasmtimeError, match="defined twice"):
        linker.define_global(store, "h", "large", large)
    instance = instance_of(
        """(module $named
          (import "h" "small" (global $small (mut i32)))
          (import "h" "large" (global $large (mut i64)))
          (memory (export "memory") 1)
          (func (export "work")
            (global.set $small (i32.add (global.get $small) (i32.const 1)))
            (global.set $large (i64.sub (global.get $large) (i64.const 1))))
          (func $inner unreachable)
          (func (export "fail") (call $inner))
          (func (export "other") (param i32))
          (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0)))))""",
        linker,
        store,
    )
    work, fail, divide = (instance.function(name) for name in ("work", "fail", "divide"))
    assert work
    assert fail
    assert divide
    work()
    assert (small.get(), large.get()) == (-4, (1 << 40) - 1)
    with pytest.raises(Trap) as trap:
        fail()
    assert (trap.value.code, trap.value.frames) == (wasmtime_c.UNREACHABLE, [("named", 1), ("named", 2)])
    with pytest.raises(Trap) as trap:
        divide()
    assert trap.value.code == wasmtime_c.INTEGER_DIVISION_BY_ZERO
    assert "divide by zero" in str(trap.value)
    assert work.is_plain()
    other = instance.function("other")
    assert other is not None
    assert not other.is_plain()
    assert instance.function("memory") is None
    assert instance.export("nothing") is None
    linker.close()
    store.close()
    store.close()


def test_what_cannot_be_linked_or_read() -> None:
    store, linker = Store(engine()), Linker(engine())
    with pytest.raises(WasmtimeError, match="unknown import"):
        instance_of('(module (import "x" "y" (func)))', linker, store)
    with pytest.raises(WasmtimeError):
        Module.compile(engine(), b"\0asm\1\0\0\0\xff")
    with pytest.raises(WasmtimeError):
        Module.deserialize(engine(), b"no artefact")
    with pytest.raises(WasmtimeError):
        Module.deserialize_file(engine(), "/nowhere")
    Module.validate(engine(), wat("(module)"))
    with pytest.raises(WasmtimeError):
        Module.validate(engine(), b"\0asm\1\0\0\0\xff")
    linker.close()
    store.close()


def test_an_instance_outlives_the_module_object() -> None:
    store, linker = Store(engine()), Linker(engine())
    artefact = Module.compile(engine(), wat('(module (func (export "f")))')).serialize()
    instance = Instance(store)
    linker.instantiate(store, Module.deserialize(engine(), artefact), instance)
    gc.collect()
    function = instance.function("f")
    assert function is not None
    function()
    linker.close()
    store.close()
