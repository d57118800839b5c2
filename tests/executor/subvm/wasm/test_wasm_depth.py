"""The depth counter: same results, given back on every way out, and a limit that comes before the engine's own."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import wasmtime

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.engine import SETTINGS
from pygenvm.executor.subvm.wasm.binary import HEADER, encode_section, encode_sized, encode_u32, encode_vector
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, DEPTH_GLOBAL
from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.executor.subvm.wasm.prepare import PreparedModule, prepare
from pygenvm.executor.subvm.wasmtime_c import Engine
from tests.executor.subvm.wasm.wasm_features import CALLS, ENVIRONMENT, FEATURES_ALLOWED, SATURATING_CALL
from tests.executor.subvm.wasm.wasm_support import define_memory_counter, is_valid, wat
from tests.support.package_engine import engine, view_of


def counting(wasm: bytes, *, deterministic: bool = False) -> PreparedModule:
    assert is_valid(wasm)
    return prepare(wasm, deterministic=deterministic, trusted=False)


class Vm:
    """Modules that share one counter, each registered under the name it is given."""

    def __init__(
        self, modules: dict[str, bytes], use: wasmtime.Engine | None = None, extra: dict[Any, Any] | None = None
    ):
        use = use or engine()
        self.store = wasmtime.Store(use)
        linker = wasmtime.Linker(use)
        kind = wasmtime.GlobalType(wasmtime.ValType.i32(), True)
        self.counter = wasmtime.Global(self.store, kind, wasmtime.Val.i32(limits.WASM_DEPTH_BYTES))
        linker.define(self.store, COUNTERS_MODULE, DEPTH_GLOBAL, self.counter)
        define_memory_counter(self.store, linker)
        for (module, name), make in (extra or {}).items():
            linker.define(self.store, module, name, make(self.store))
        for name, code in modules.items():
            instance = linker.instantiate(self.store, wasmtime.Module(use, code))
            linker.define_instance(self.store, name, instance)
            self.exports = instance.exports(self.store)

    @property
    def used(self) -> int:
        left: int = self.counter.value(self.store)
        return limits.WASM_DEPTH_BYTES - left

    def call(self, name: str, *arguments: float) -> Any:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def overflow(self, name: str, *arguments: float) -> list[int]:
        """Function indices of the trap's frames; runs on a thread that has room for the whole wasm stack."""
        found: list[Any] = []

        def run() -> None:
            try:
                self.call(name, *arguments)
            except wasmtime.Trap as trap:
                found.append(trap)

        before = threading.stack_size(4 * limits.WASM_STACK_BYTES)
        try:
            thread = threading.Thread(target=run)
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join()
        assert [trap.trap_code for trap in found] == [wasmtime.TrapCode.UNREACHABLE]
        return [frame.func_index for frame in found[0].frames]


@pytest.fixture(scope="module")
def engines() -> list[wasmtime.Engine]:
    """The engine, and one whose code generator makes other frames."""
    unoptimised = 0
    return [engine(), view_of(Engine({**SETTINGS, "cranelift_opt_level": unoptimised}))]


def test_same_values_on_the_module_with_every_index() -> None:
    native = Vm({"m": FEATURES_ALLOWED}, extra=ENVIRONMENT)
    counted = Vm({"m": counting(FEATURES_ALLOWED).code}, extra=ENVIRONMENT)
    for name, *arguments in set(CALLS) - {SATURATING_CALL}:
        assert counted.call(name, *arguments) == native.call(name, *arguments), name
        assert counted.used == 0, name


WAYS_OUT = wat("""(module (table 4 funcref) (elem (i32.const 0) $leaf $id $ways $pair)
  (type $unary (func (param i32) (result i32)))
  (global $entered (mut i32) (i32.const 0))
  (func $leaf (param i32) (result i32) (local.get 0))
  (func $id (param i32) (result i32) (call $leaf (local.get 0)))
  (func $pair (param i32) (result i32 i64) (call $leaf (local.get 0)) (i64.const 5) (br_if 0 (local.get 0)))
  (func $ways (export "ways") (param i32) (result i32) (local $kept i64)
    (local.set $kept (i64.const 77))
    (global.set $entered (i32.add (global.get $entered) (i32.const 1)))
    (drop (call $id (i32.const 3)))
    (block $e (block $d (block $c (block $b (block $a
      (br_table $a $b $c $d $e (local.get 0)))
      (return (i32.const 100)))
      (br 3 (i32.const 101)))
      (return_call $id (i32.const 102)))
      (return_call_indirect (type $unary) (i32.const 103) (i32.const 1)))
    (if (i32.eq (local.get 0) (i32.const 5)) (then (return (i32.wrap_i64 (local.get $kept)))))
    (block (result i32) (br_table 1 1 0 (i32.const 105) (i32.sub (local.get 0) (i32.const 6)))))
  (func (export "pair") (param i32) (result i32 i64) (call $pair (local.get 0)))
  (func (export "entered") (result i32) (drop (call $id (i32.const 0))) (global.get $entered)))""")


def test_every_way_out_gives_back() -> None:
    vm = Vm({"m": counting(WAYS_OUT).code})
    results = []
    for way in range(10):
        results.append(vm.call("ways", way))
        assert vm.used == 0, way
    assert results == [100, 101, 102, 103, 105, 77, 105, 105, 105, 105]
    assert vm.call("entered") == 10
    for argument in (0, 1):
        assert vm.call("pair", argument) == [argument, 5]
        assert vm.used == 0


RECURSION = wat("""(module (memory (export "m") 1)
  (func $down (export "down") (param i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1)))))))""")


def test_depth_is_exact_and_the_same_on_every_code_generator(engines: list[wasmtime.Engine]) -> None:
    module = read_module(RECURSION)
    start, end = module.bodies[0]
    instructions = end - start - 2  # without the empty declaration of locals and the final end
    passed, counter_local, call_operand = 1, 1, 1
    frame = 192 + 8 * (2 * passed + counter_local + call_operand + instructions // 3)
    deepest = limits.WASM_DEPTH_BYTES // frame
    prepared = counting(RECURSION)
    for use in engines:
        vm = Vm({"m": prepared.code}, use)
        frames = vm.overflow("down", deepest)
        assert frames[:2] == [prepared.facts.overflow_function, 0]
        assert vm.used == frame * deepest
        memory = vm.exports["m"]
        assert isinstance(memory, wasmtime.Memory)
        assert int.from_bytes(memory.read(vm.store, 0, 4), "little") == deepest
        vm = Vm({"m": prepared.code}, use)
        vm.call("down", deepest - 1)
        assert vm.used == 0


def _body(
    code: bytes, *, kind: bytes = b"\x60\0\0", groups: bytes = b"\0", more_types: tuple[bytes, ...] = ()
) -> bytes:
    """A module whose function 0, exported as f, has these instructions."""
    return HEADER + b"".join(
        (
            encode_section(1, encode_vector([kind, *more_types])),
            encode_section(3, b"\x01\0"),
            encode_section(5, b"\x01\0\x01"),
            encode_section(6, encode_vector([b"\x7e\x01\x42\0\x0b"])),
            encode_section(7, b"\x01\x01f\0\0"),
            encode_section(10, encode_vector([encode_sized(groups + code + b"\x0b")])),
        )
    )


CALL_SELF = b"\x10\0"


def _many_values(values: int) -> dict[str, bytes]:
    """Functions that keep many values alive over a call of themselves, with as little code as possible."""
    i64 = b"\x7e"
    load = [b"\x41\0\x29\x03" + encode_u32(8 * i) for i in range(values)]  # i32.const 0; i64.load
    product = [b"\x20\0\x20" + encode_u32(1 + i % 60) + bytes((0x7C + i // 60 % 3,)) for i in range(values)]
    return {
        "sizes on the operand stack": _body(b"\x3f\0" * values + CALL_SELF + b"\x6a" * (values - 1) + b"\x1a"),
        "loads on the operand stack": _body(
            b"".join(load) + CALL_SELF + b"\x85" * (values - 1) + b"\x24\0",
        ),
        "locals": _body(
            b"".join(b"\x3f\0\x21" + encode_u32(i) for i in range(values))
            + CALL_SELF
            + b"".join(b"\x20" + encode_u32(i) + b"\xad\x24\0" for i in range(values)),
            groups=encode_vector([encode_u32(values) + b"\x7f"]),
        ),
        # The same expressions before and after the call: the optimiser may keep their values.
        "common expressions": _body(
            b"".join(item + b"\x24\0" for item in product)
            + b"".join(b"\x20" + encode_u32(i) for i in range(62))
            + CALL_SELF
            + b"".join(item + b"\x24\0" for item in product),
            kind=b"\x60" + encode_sized(i64 * 62) + b"\0",
        ),
        # Invariant in the loop: computed once before it.
        "loop invariants": _body(
            b"\x03\x40"
            + b"".join(b"\x20" + encode_u32(i) for i in range(62))
            + CALL_SELF
            + b"".join(item + b"\x24\0" for item in product)
            + b"\x0c\0\x0b",
            kind=b"\x60" + encode_sized(i64 * 62) + b"\0",
        ),
        "results of calls": _body(
            CALL_SELF * (values // 10) + b"\x1a" * (values // 10 * 10 - 10),
            kind=b"\x60\0" + encode_sized(i64 * 10),
        ),
        "arguments of calls": _body(
            b"".join(b"\x20" + encode_u32(i) for i in range(900)) + CALL_SELF,
            kind=b"\x60" + encode_sized(i64 * 900) + b"\0",
        ),
        "operands of blocks": _body(
            b"\x3f\0\xad" * 900 + (b"\x03\x01" + CALL_SELF) * 11 + b"\x0b" * 11 + b"\x1a" * 900,
            more_types=(b"\x60" + encode_sized(i64 * 900) + encode_sized(i64 * 900),),
        ),
    }


@pytest.mark.parametrize("values", [30, 210])
def test_own_limit_comes_first_whatever_a_function_keeps(engines: list[wasmtime.Engine], values: int) -> None:
    for name, wasm in _many_values(values).items():
        prepared = counting(wasm)
        arguments = [0] * len(read_module(wasm).function_type(0).params)
        for use in engines:
            frames = Vm({"m": prepared.code}, use).overflow("f", *arguments)
            assert frames[:2] == [prepared.facts.overflow_function, 0], name


def test_modules_share_the_counter() -> None:
    library = wat("""(module (table (export "t") 1 funcref) (type $f (func (param i32)))
      (func (export "back") (param i32) (call_indirect (type $f) (local.get 0) (i32.const 0))))""")
    program = wat("""(module (import "lib" "back" (func $back (param i32))) (import "lib" "t" (table 1 funcref))
      (elem (i32.const 0) $ping)
      (func $ping (export "ping") (param i32)
        (if (local.get 0) (then (call $back (i32.sub (local.get 0) (i32.const 1)))))))""")
    codes = [counting(library), counting(program)]
    vm = Vm({"lib": codes[0].code, "main": codes[1].code})
    vm.call("ping", 100)
    assert vm.used == 0
    assert vm.overflow("ping", 1 << 30)[0] in (codes[0].facts.overflow_function, codes[1].facts.overflow_function)
    assert vm.used > limits.WASM_DEPTH_BYTES * 0.99


def test_tail_calls_need_no_depth() -> None:
    prepared = counting(
        wat("""(module (func $leaf)
          (func $loop (export "loop") (param i32) (result i32)
            (call $leaf)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 9))))
            (return_call $loop (i32.sub (local.get 0) (i32.const 1)))))""")
    )
    vm = Vm({"m": prepared.code})
    assert vm.call("loop", 200_000) == 9
    assert vm.used == 0


def test_functions_that_call_nothing_are_not_counted() -> None:
    code = wat("""(module (func $leaf (export "leaf") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
      (func (export "tail") (param i32) (result i32) (return_call $leaf (local.get 0))))""")
    prepared = counting(code)
    assert prepared.facts.overflow_function is None
    assert prepared.code == code


def test_large_functions_that_call_nothing_are_counted() -> None:
    wasm = _body(b"\x01", groups=encode_vector([encode_u32(limits.WASM_UNCOUNTED_FRAME_BYTES_MAX // 8) + b"\x7f"]))
    prepared = counting(wasm)
    assert prepared.facts.overflow_function == 1
    vm = Vm({"m": prepared.code})
    vm.call("f")
    assert vm.used == 0


def test_bounds_fit_into_the_native_stack() -> None:
    """The function that exceeds the sum, and one that it may call without counting, have their frames as well."""
    values = limits.WASM_LOCALS_MAX + 4 * limits.WASM_TYPE_VALUES_MAX + 1 + limits.WASM_FRAME_VALUES_MAX
    frames = 192 + 8 * values + limits.WASM_UNCOUNTED_FRAME_BYTES_MAX
    assert limits.WASM_DEPTH_BYTES + frames < limits.WASM_STACK_BYTES


def test_estimate_of_large_functions_is_bounded() -> None:
    """The loop of an interpreter may call itself some hundred times."""
    vm = Vm({"m": counting(_body(b"\x01" * 60_000 + CALL_SELF)).code})
    vm.overflow("f")
    assert vm.used // 700 > limits.WASM_FRAME_VALUES_MAX * 8


def test_counter_cannot_be_imported_by_contracts() -> None:
    wasm = wat(f'(module (import "{COUNTERS_MODULE}" "{DEPTH_GLOBAL}" (global (mut i32))))')
    with pytest.raises(InvalidContract, match="reserved import"):
        prepare(wasm, deterministic=True)


def test_together_with_the_ban() -> None:
    wasm = wat("""(module (func $leaf) (global $g (mut f64) (f64.const 2))
      (func (export "f") (param i32) (result f64)
        (call $leaf)
        (if (local.get 0) (then (return (f64.neg (global.get $g)))))
        (global.get $g)))""")
    prepared = counting(wasm, deterministic=True)
    assert (prepared.facts.ban_function, prepared.facts.overflow_function) == (2, 3)
    vm = Vm({"m": prepared.code})
    assert vm.call("f", 0) == 2.0
    assert vm.overflow("f", 1) == [2, 1]
