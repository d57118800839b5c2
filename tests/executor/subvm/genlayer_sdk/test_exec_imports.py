"""The imports of `genlayer_sdk`: storage, balances, pointers (spec executor/03, 04)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from tests.support.archives import contract_zip
from tests.support.execution import execute, wat
from tests.support.hosts import CONTRACT, InMemoryHost, RefusingReads
from tests.support.machine import END, SCRATCH, Answer, Script, traffic

ROOT = bytes(32)
SLOT = bytes(range(32))
OTHER = Address(bytes([7]) * 20)
U32_MAX = 0xFFFF_FFFF
OK, INVAL, FORBIDDEN = Answer(0), Answer(2), Answer(6)
UNTOUCHED = b"\xa5"


# --- storage_read ----


def test_storage_read_is_one_request_with_exactly_the_range() -> None:
    host = InMemoryHost()
    host.slot(SLOT)[:] = b"0123456789"
    run = Script().storage_read(SLOT, 3, 4).run(host=host)
    assert run.answers == [OK, b"3456"]
    (read,) = traffic(run.host)
    assert read.method is HostMethod.STORAGE_READ
    assert read.fields == {
        "storage_type": StorageType.DEFAULT,
        "address": CONTRACT,
        "slot": SLOT,
        "index": 3,
        "length": 4,
    }


def test_storage_reads_are_not_cached_nor_merged_nor_left_out_when_empty() -> None:
    run = Script().storage_read(SLOT, 0, 4).storage_read(SLOT, 0, 4).storage_read(SLOT, 4, 0).run()
    assert run.answers == [OK, bytes(4), OK, bytes(4), OK, b""]
    assert [(read.fields["index"], read.fields["length"]) for read in traffic(run.host)] == [(0, 4), (0, 4), (4, 0)]


def test_storage_read_whose_end_does_not_fit_u32_is_invalid_and_not_sent() -> None:
    run = (
        Script()
        .storage_read(ROOT, U32_MAX, 1)
        .storage_read(ROOT, U32_MAX - 3, 4)
        .storage_read(ROOT, U32_MAX - 4, 4)
        .storage_read(ROOT, U32_MAX, 0)
        .run()
    )
    assert run.answers == [INVAL, UNTOUCHED, INVAL, UNTOUCHED * 4, OK, bytes(4), OK, b""]
    assert [read.fields["index"] for read in traffic(run.host)] == [U32_MAX - 4, U32_MAX]


def test_storage_read_without_permission_is_forbidden_before_its_range_is_looked_at() -> None:
    run = Script().storage_read(ROOT, U32_MAX, 1).storage_read(ROOT, 0, 1).run(permissions="wscn")
    assert run.answers == [FORBIDDEN, UNTOUCHED, FORBIDDEN, UNTOUCHED]
    assert traffic(run.host) == []


def test_storage_read_in_nondet_is_forbidden() -> None:
    inner = Script().storage_read(ROOT, U32_MAX, 1).storage_read(ROOT, 0, 1)
    run = Script().nondet(inner).run()
    assert inner.inside(run.answers[0]) == [FORBIDDEN, UNTOUCHED, FORBIDDEN, UNTOUCHED]


@pytest.mark.parametrize("allow_write_ops", [False, True])
def test_storage_read_in_a_sandbox_is_forbidden_even_where_it_may_write(allow_write_ops: bool) -> None:
    inner = Script().storage_read(ROOT, 0, 1)
    run = Script().sandbox(inner, allow_write_ops).run()
    assert inner.inside(run.answers[0]) == [FORBIDDEN, UNTOUCHED]
    assert traffic(run.host) == []


# --- storage_write ----


def test_storage_write_is_one_request_also_when_empty() -> None:
    run = Script().storage_write(SLOT, 5, b"\xab\xcd").storage_write(SLOT, 9, b"").run()
    assert run.answers == [OK, OK]
    assert [write.fields for write in traffic(run.host)] == [
        {"slot": SLOT, "index": 5, "data": b"\xab\xcd"},
        {"slot": SLOT, "index": 9, "data": b""},
    ]
    assert run.host.slot(SLOT) == bytes(5) + b"\xab\xcd" + bytes(2)


def test_storage_write_checks_permission_then_range_then_lock() -> None:
    host = InMemoryHost()
    host.put_locked_slots([SLOT])
    program = Script().storage_write(SLOT, U32_MAX, b"x").storage_write(SLOT, 0, b"x").storage_write(ROOT, 0, b"x")
    run = program.run(host=host)
    assert run.answers == [INVAL, FORBIDDEN, OK]
    assert [write.fields["slot"] for write in traffic(host)] == [ROOT]
    run = program.run(host=InMemoryHost(), permissions="rscn")
    assert run.answers == [FORBIDDEN] * 3
    assert traffic(run.host) == []


def test_storage_write_in_nondet_is_forbidden() -> None:
    inner = Script().storage_write(ROOT, U32_MAX, b"x").storage_write(ROOT, 0, b"x")
    run = Script().nondet(inner).run()
    assert inner.inside(run.answers[0]) == [FORBIDDEN, FORBIDDEN]


@pytest.mark.parametrize("error", [HostErrorCode.FORBIDDEN, HostErrorCode.OUT_OF_STORAGE_GAS, HostErrorCode.ABSENT])
@pytest.mark.parametrize(
    ("program", "method"),
    [
        (Script().storage_write(ROOT, 0, b"x"), HostMethod.STORAGE_WRITE),
        (Script().get_balance(OTHER), HostMethod.GET_BALANCE),
        (Script().get_self_balance(), HostMethod.GET_BALANCE),
    ],
)
def test_an_error_of_the_host_ends_the_vm(program: Script, method: HostMethod, error: HostErrorCode) -> None:
    run = program.run(host=InMemoryHost(refusals={method: error}))
    assert run.outcome == VMError(error.name.lower())
    assert run.execution.fingerprint["frames"][-1]["module_name"] == "machine"


def test_an_error_of_the_host_for_a_read_ends_the_vm() -> None:
    host = RefusingReads(lambda _, slot: slot == SLOT, HostErrorCode.ABSENT)
    run = Script().storage_read(SLOT, 0, 1).run(host=host)
    assert run.outcome == VMError("absent")


# --- balances ----


def test_balance_of_any_address_is_asked_for_once_per_process() -> None:
    host = InMemoryHost(balances={OTHER: 2**256 - 1, CONTRACT: 258})
    inner = Script().get_balance(OTHER)
    run = Script().get_balance(OTHER).get_balance(OTHER).sandbox(inner).nondet(inner).get_self_balance().run(host=host)
    first, most, second, again, sandbox, nondet, own, amount = run.answers
    assert (first, second, own) == (OK, OK, OK)
    assert most == again == b"\xff" * 32
    assert inner.inside(sandbox) == inner.inside(nondet) == [OK, most]
    assert amount == b"\x02\x01" + bytes(30)
    asked = [request.fields["address"] for request in host.requests if request.method is HostMethod.GET_BALANCE]
    assert asked == [OTHER, CONTRACT]


def test_balances_need_no_permission() -> None:
    run = Script().get_balance(OTHER).get_self_balance().run(permissions="")
    assert run.answers == [OK, bytes(32), OK, bytes(32)]


def test_own_balance_is_forbidden_in_nondet() -> None:
    inner = Script().get_self_balance()
    run = Script().nondet(inner).run()
    assert inner.inside(run.answers[0]) == [FORBIDDEN, UNTOUCHED * 32]
    assert HostMethod.GET_BALANCE not in run.host.methods


def test_message_value_is_not_added_to_the_own_balance() -> None:
    run = Script().get_self_balance().run(host=InMemoryHost(balances={CONTRACT: 5}), message={"value": 7})
    assert run.answers == [OK, bytes([5]) + bytes(31)]


# --- pointers and memory ----

OUT_OF_BOUNDS = [
    Script().storage_read_at(END - 31, 0, SCRATCH, 1),
    Script().storage_read_at(SCRATCH, 0, END - 3, 4),
    Script().storage_read_at(SCRATCH, 0, U32_MAX, 1),
    Script().storage_write_at(END - 31, 0, SCRATCH, 1),
    Script().storage_write_at(SCRATCH, 0, END, 1),
    Script().get_balance_at(END - 19, SCRATCH),
    Script().get_balance_at(SCRATCH, END - 31),
    Script().get_self_balance_at(END - 31),
    Script().gl_call_at(END - 3, 4, SCRATCH),
    Script().gl_call_at(SCRATCH, U32_MAX, SCRATCH),
    Script()
    .poke(SCRATCH, bytes.fromhex("0e0554726163650e0f52756e74696d654d6963726f53656300"))
    .gl_call_at(SCRATCH, 25, END - 3),
]


@pytest.mark.parametrize("program", OUT_OF_BOUNDS)
def test_a_pointer_outside_the_memory_ends_the_whole_run(program: Script) -> None:
    run = program.run()
    assert isinstance(run.outcome, InternalError)
    assert run.execution.payload is not None
    assert run.execution.payload.startswith(b"\x02internal error: ")


@pytest.mark.parametrize("enter", [Script.sandbox, Script.nondet])
def test_a_pointer_outside_the_memory_of_a_sub_vm_ends_the_whole_run(enter: Callable[[Script, Script], Script]) -> None:
    run = enter(Script(), Script().get_balance_at(SCRATCH, END)).run()
    assert isinstance(run.outcome, InternalError)
    assert HostMethod.POST_NONDET_RESULT not in run.host.methods


def test_ranges_that_end_where_the_memory_ends_are_fine() -> None:
    run = (
        Script()
        .storage_read_at(END - 32, 0, END - 4, 4)
        .storage_write_at(END - 32, 0, END, 0)
        .get_balance_at(END - 20, END - 32)
        .get_self_balance_at(END - 32)
        .run()
    )
    assert run.answers == [OK] * 4


@pytest.mark.parametrize("memory", ["", "(memory 1)", '(memory (export "mem") 1)', '(func (export "memory"))'])
def test_host_calls_need_the_memory_exported_under_its_name(memory: str) -> None:
    code = wat(
        f"""(module (import "genlayer_sdk" "get_self_balance" (func $f (param i32) (result i32))) {memory}
        (func (export "_start") (drop (call $f (i32.const 0)))))"""
    )
    outcome = execute(code).outcome
    assert isinstance(outcome, InternalError)
    assert "memory" in outcome.message


@pytest.mark.parametrize(
    ("function", "arity"),
    [("storage_read", 4), ("storage_write", 4), ("get_balance", 2), ("get_self_balance", 1), ("gl_call", 3)],
)
def test_without_a_memory_no_call_has_an_errno(function: str, arity: int) -> None:
    """Not even one that is forbidden."""
    code = wat(
        f"""(module (import "genlayer_sdk" "{function}" (func $f (param {"i32 " * arity}) (result i32)))
        (func (export "_start") (drop (call $f {"(i32.const -1) " * arity}))))"""
    )
    assert isinstance(execute(code, permissions="").outcome, InternalError)


def test_memory_of_the_calling_module_is_used_when_modules_call_each_other() -> None:
    """The library asks for the balance into its own memory, the program into its own."""
    library = wat(
        """(module $library (import "genlayer_sdk" "get_self_balance" (func $f (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "balance") (result i32) (drop (call $f (i32.const 8))) (i32.load (i32.const 8))))"""
    )
    program = wat(
        """(module (import "genlayer_sdk" "get_self_balance" (func $f (param i32) (result i32)))
        (import "library" "balance" (func $other (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (if (i32.ne (call $other) (i32.const 7)) (then (call $exit (i32.const 1))))
          (if (i32.load (i32.const 8)) (then (call $exit (i32.const 2))))
          (drop (call $f (i32.const 16)))
          (if (i32.ne (i32.load (i32.const 16)) (i32.const 7)) (then (call $exit (i32.const 3))))
          (if (i32.ne (call $other) (i32.const 7)) (then (call $exit (i32.const 4))))))"""
    )
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    code = contract_zip(actions, {"library.wasm": library, "program.wasm": program})
    assert execute(code, host=InMemoryHost(balances={CONTRACT: 7})).outcome == Return(b"\x00")


#: Writes the balance into its own memory, and hands the function of the host on in two ways.
PASSING_ON = """(module $library
  (import "genlayer_sdk" "get_self_balance" (func $f (param i32) (result i32)))
  (memory (export "memory") 1) (table (export "table") 1 funcref) (elem (i32.const 0) $f)
  (func (export "own") (result i32) (drop (call $f (i32.const 8))) (i32.load (i32.const 8)))
  (func (export "at") (param i32) (result i32) (i32.load (local.get 0)))
  (export "passed on" (func $f)))"""


@pytest.mark.parametrize("first", ["library", "program"])
@pytest.mark.parametrize("call", ["(call $f (i32.const 16))", "(call_indirect (type $f) (i32.const 16) (i32.const 0))"])
def test_whoever_calls_a_host_function_that_was_passed_on_gets_the_result(first: str, call: str) -> None:
    """The program imports nothing from the host; it traps where something is wrong."""
    library = "(if (i32.ne (call $own) (i32.const 7)) (then (unreachable)))"
    calling = f"""(if {call} (then (unreachable)))
      (if (i32.ne (i32.load (i32.const 16)) (i32.const 7)) (then (unreachable)))"""
    program = wat(
        f"""(module (type $f (func (param i32) (result i32)))
        (import "library" "passed on" (func $f (type $f)))
        (import "library" "own" (func $own (result i32)))
        (import "library" "at" (func $at (param i32) (result i32)))
        (import "library" "table" (table 1 funcref))
        (memory (export "memory") 2)
        (func (export "_start")
          {library + calling if first == "library" else calling + library}
          (if (call $at (i32.const 16)) (then (unreachable)))
          (if (i32.load (i32.const 8)) (then (unreachable)))))"""
    )
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    code = contract_zip(actions, {"library.wasm": wat(PASSING_ON), "program.wasm": program})
    assert execute(code, host=InMemoryHost(balances={CONTRACT: 7})).outcome == Return(b"\x00")


def test_a_library_with_a_table_for_others_calls_with_its_own_memory() -> None:
    """The library imports nothing; the program puts a function of the host into its table."""
    library = wat(
        """(module $library (type $f (func (param i32) (result i32)))
        (memory (export "memory") 1) (table (export "table") 1 funcref)
        (func (export "call") (result i32)
          (drop (call_indirect (type $f) (i32.const 8) (i32.const 0))) (i32.load (i32.const 8))))"""
    )
    program = wat(
        """(module (import "genlayer_sdk" "get_self_balance" (func $f (param i32) (result i32)))
        (import "library" "call" (func $call (result i32)))
        (import "library" "table" (table 1 funcref)) (elem (i32.const 0) $f)
        (memory (export "memory") 1)
        (func (export "_start")
          (drop (call $f (i32.const 16)))
          (if (i32.ne (call $call) (i32.const 7)) (then (unreachable)))
          (if (i32.load (i32.const 8)) (then (unreachable)))))"""
    )
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    code = contract_zip(actions, {"library.wasm": library, "program.wasm": program})
    assert execute(code, host=InMemoryHost(balances={CONTRACT: 7})).outcome == Return(b"\x00")


@pytest.mark.parametrize("maximum", ["", "3"])
def test_growth_of_an_imported_memory_ends_at_the_maximum_of_its_module(maximum: str) -> None:
    """In the start function too, before anybody can look at the instance. The pool has room, so has the machine."""
    library = wat(f'(module $library (memory (export "m") 1 {maximum}))')
    program = wat(
        """(module (import "library" "m" (memory 1))
        (func $grow (param i32 i32) (if (i32.ne (memory.grow (local.get 0)) (local.get 1)) (then (unreachable))))
        (func $begin (call $grow (i32.const 65536) (i32.const -1)) (call $grow (i32.const 1) (i32.const 1)))
        (start $begin)
        (func (export "_start")
          (call $grow (i32.const 0) (i32.const 2))
          (call $grow (i32.const 2) (i32.const LAST))
          (call $grow (i32.const 1) (i32.const NEXT))))""".replace("LAST", "-1" if maximum else "2").replace(
            "NEXT", "2" if maximum else "4"
        )
    )
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    code = contract_zip(actions, {"library.wasm": library, "program.wasm": program})
    assert execute(code).outcome == Return(b"\x00")
