"""Our declarations of Wasmtime's C interface against those of the package that the library comes in."""

from __future__ import annotations

import ctypes
import gc
from _ctypes import CFuncPtr
from typing import Any

import pytest
from wasmtime import _bindings as package

from pygenvm.executor.subvm import wasmtime_c
from pygenvm.executor.subvm.engine import SETTINGS, engine
from pygenvm.executor.subvm.wasmtime_c import (
    I32,
    I64,
    Global,
    Instance,
    Linker,
    Memory,
    Module,
    Store,
    Trap,
    WasmtimeError,
)
from tests.executor.subvm.wasm.wasm_support import wat


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


def _kind(kind: Any) -> str:
    """Size, and whether it is a pointer, a truth value or an integer, and of which sign."""
    if kind is None:
        return "nothing"
    pointer = issubclass(kind, ctypes.c_void_p | ctypes.c_char_p | ctypes._Pointer | CFuncPtr)
    return f"{ctypes.sizeof(kind)} {'pointer' if pointer else kind._type_}"


def test_every_function_has_the_arguments_that_the_package_gives_it() -> None:
    checked = 0
    for function in vars(wasmtime_c).values():
        if isinstance(function, CFuncPtr) and hasattr(function, "__name__"):
            theirs = getattr(package, f"_{function.__name__}")
            name = function.__name__
            assert [_kind(kind) for kind in function.argtypes] == [_kind(kind) for kind in theirs.argtypes], name
            assert _kind(function.restype) == _kind(theirs.restype), name
            checked += 1
    assert checked > 45


def test_every_setting_has_the_type_that_the_package_gives_it() -> None:
    for name, value in SETTINGS.items():
        theirs = getattr(package, f"_wasmtime_config_{name}_set").argtypes[1]
        assert _kind(theirs) == _kind(ctypes.c_bool if isinstance(value, bool) else ctypes.c_size_t), name


def test_trap_codes() -> None:
    names = {
        name: value
        for name, value in vars(wasmtime_c).items()
        if name[0].isupper() and name.isupper() and type(value) is int
    }
    theirs = {
        member.name.removeprefix("WASMTIME_TRAP_CODE_").replace("UNREACHABLE_CODE_REACHED", "UNREACHABLE"): member.value
        for member in package.wasmtime_trap_code_enum
    }
    ours = names.keys() - {"I32", "I64", "EXTERN_FUNC", "EXTERN_GLOBAL", "EXTERN_MEMORY", "WASM_PAGES_MAX"}
    assert len(ours) == 12
    assert {name: names[name] for name in ours} == {name: theirs[name] for name in ours}


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


def test_refusals_of_the_operating_system_are_told_from_those_of_the_engine() -> None:
    text = "mmap failed to reserve 0x104000000 bytes\n\nCaused by:\n    Cannot allocate memory (os error 12)"
    assert WasmtimeError(text).is_of_the_machine
    store, linker = Store(engine()), Linker(engine())
    with pytest.raises(WasmtimeError) as error:
        instance_of('(module (import "x" "(os error 12)" (func)))', linker, store)
    assert not error.value.is_of_the_machine
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


def test_the_maximum_of_a_memory_that_is_imported_later() -> None:
    store, linker = Store(engine()), Linker(engine())
    for name, limits, maximum in (("a", "1 7", 7), ("b", "1", 65_536), ("c", "0 0", 0)):
        linker.define_instance(store, name, instance_of(f'(module (memory (export "m") {limits}))', linker, store))
        item = linker.get(store, name, "m")
        assert item is not None
        assert Memory(store.context, item.of.memory).maximum_pages() == maximum
    assert linker.get(store, "a", "n") is None
    assert linker.get(store, "d", "m") is None
    linker.close()
    store.close()


def test_a_global_may_be_defined_anew_and_nothing_else() -> None:
    store, linker = Store(engine()), Linker(engine())
    reading = '(module (import "a" "g" (global $g (mut i64))) (global (export "x") i64 (i64.const 0)))'
    first, second = Global(store, I64, 1), Global(store, I64, 2)
    linker.redefine_global(store, "a", "g", first)
    linker.redefine_global(store, "a", "g", second)
    instance_of(reading, linker, store)
    with pytest.raises(WasmtimeError, match="defined twice"):
        linker.define_global(store, "a", "g", first)
    linker.close()
    store.close()


def test_memory_of_a_modules_code() -> None:
    small = Module.compile(engine(), wat("(module)")).image_bytes()
    body = "(drop (i32.mul (i32.load (i32.const 8)) (i32.const 3)))" * 1000
    big = Module.compile(engine(), wat(f'(module (memory 1) (func (export "f") {body}))')).image_bytes()
    assert 0 < small < big


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mmap failed to reserve 0x104000000 bytes\n\nCaused by:\n    Cannot allocate memory (os error 12)\n", True),
        ("failed to create a memory\n\nCaused by:\n    out of memory (failed to allocate 4096 bytes)", True),
        ("unknown import: `a (os error 12)::b` has not been defined", False),
        ("import of `out of memory (failed to allocate 1 bytes)::m` defined twice", False),
    ],
)
def test_refusals_of_the_machine(text: str, expected: bool) -> None:
    assert WasmtimeError(text).is_of_the_machine is expected
