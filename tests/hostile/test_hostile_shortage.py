"""Machines that run out of something: a run ends as it does elsewhere, or as internal error, or it cannot start.

Never as anything that a contract could have a part in, and never by a signal.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pygenvm.executor.limits import SPARE_BYTES, VM_THREAD_STACK_BYTES
from pygenvm.executor.outcome import InternalError, Return
from pygenvm.executor.primitives import calldata
from tests.hostile.hostile_runs import MIB, Ended, bounded_run, hostile_run
from tests.support.archives import contract_zip
from tests.support.execution import config_file, wat
from tests.support.hosts import InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.quick import few

#: What a process takes before it runs a contract, about, and the first with which a run may go on.
STARTED = VM_THREAD_STACK_BYTES + SPARE_BYTES

GL_CALL = '(import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))'


def returning(value: object, at: int) -> tuple[str, str]:
    """A data segment, and the call that ends the VM with the value."""
    request = calldata.encode({"Return": value})
    text = "".join(f"\\{byte:02x}" for byte in request)
    call = f"(drop (call $gl_call (i32.const {at}) (i32.const {len(request)}) (i32.const 0)))"
    return f'(data (i32.const {at}) "{text}")', call


def short_run(
    code: bytes, shortage: tuple[int, int], host: InMemoryHost | None = None, config: Path | None = None
) -> Ended:
    """A run on a machine that has so little of something; no signal ends it."""
    host = host or InMemoryHost()
    host.put_code(code)
    with serving(host) as node:
        run = bounded_run(node.address, config=config, result=lambda: host.result, shortage=shortage)
    assert run.exit_code in (0, 1), (run.exit_code, run.stderr)
    return run


def ends_well_or_not_at_all(run: Ended, outcome: object) -> str:
    """Which of the three it was."""
    if run.payload is None:
        return "not started"
    if isinstance(run.outcome, InternalError):
        return "internal error"
    assert run.outcome == outcome
    return "as elsewhere"


# --- memory ------------------------------------------------------------------------------------------

DATA, REFUSED = returning("no memory", 1024)
DATA_OF_ALL, ALL = returning(1_500_000_000, 2048)
#: 100 times 15 MB.
GROWING = """(module {gl_call} (memory (export "memory") 1) {data}
  (func $grow (local $i i32)
    (loop $next
      (if (i32.eq (memory.grow (i32.const 229)) (i32.const -1)) (then {refused}))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100)))))
  {start}
  (func (export "_start") {call} {all}))"""


def growing(*, in_start_function: bool) -> bytes:
    return wat(
        GROWING.format(
            gl_call=GL_CALL,
            data=DATA + DATA_OF_ALL,
            refused="(unreachable)" if in_start_function else REFUSED,
            start="(start $grow)" if in_start_function else "",
            call="" if in_start_function else "(call $grow)",
            all=ALL,
        )
    )


@pytest.mark.parametrize("in_start_function", few([False, True], False))
def test_memory_that_the_machine_refuses_is_not_data(in_start_function: bool) -> None:
    code = growing(in_start_function=in_start_function)
    everything = Return(calldata.encode(1_500_000_000))
    assert hostile_run(code).outcome == everything
    ends = [
        ends_well_or_not_at_all(short_run(code, (resource.RLIMIT_DATA, STARTED + spare * MIB)), everything)
        for spare in (60, 300, 900, 1400, 1700)
    ]
    assert ends == ["internal error"] * 4 + ["as elsewhere"]


def test_an_imported_memory_that_the_machine_refuses_is_not_data() -> None:
    library = wat('(module $library (memory (export "m") 1 60000))')
    program = wat(
        f"""(module {GL_CALL} (import "library" "m" (memory 1)) (export "memory" (memory 0)) {DATA}
        (func (export "_start")
          (if (i32.ne (memory.grow (i32.const 60000)) (i32.const -1)) (then (unreachable)))
          (if (i32.eq (memory.grow (i32.const 20000)) (i32.const -1)) (then {REFUSED}))))"""
    )
    code = contract_zip(
        {"Seq": [{"LinkWasm": "l"}, {"StartWasm": "p"}]},
        {"l": library, "p": program},
    )
    assert hostile_run(code).outcome == Return(b"\x00")
    run = short_run(code, (resource.RLIMIT_DATA, STARTED + 200 * MIB))
    assert ends_well_or_not_at_all(run, None) == "internal error"


#: Makes the executor take memory in small pieces: open files, which are charged.
OPENING = wat(
    """(module (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 64) ".")
    (func (export "_start") (local $i i32)
      (loop $next
        (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 2) (i64.const 0)
          (i64.const 0) (i32.const 0) (i32.const 32)) (then (unreachable)))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 150000))))))"""
)


@pytest.mark.slow
def test_host_functions_that_find_no_memory_end_the_run() -> None:
    """Whatever it was that did not fit any more."""
    assert hostile_run(OPENING).outcome == Return(b"\x00")
    ends = [
        ends_well_or_not_at_all(short_run(OPENING, (resource.RLIMIT_DATA, STARTED + spare * 600_000)), Return(b"\0"))
        for spare in range(0, 120, 6)
    ]
    assert ends[0] == "not started"
    assert ends[-1] == "as elsewhere"
    assert "internal error" in ends
    assert ends == sorted(ends, key=["not started", "internal error", "as elsewhere"].index)


# --- other things ------------------------------------------------------------------------------------


def validating() -> InMemoryHost:
    """Of a machine that runs one block, whose validator agrees."""
    program = Script().nondet(Script(), Script().gl_call({"Return": True}))
    return InMemoryHost(calldata=program.code, leader_results=[b"\x00\x00"])


def test_a_validator_without_a_thread_has_no_verdict() -> None:
    """There is memory for one stack and no second one."""
    elsewhere = hostile_run(machine(), host=validating()).outcome
    assert isinstance(elsewhere, Return)
    run = short_run(machine(), (resource.RLIMIT_DATA, STARTED + 300 * MIB), validating())
    assert ends_well_or_not_at_all(run, elsewhere) == "internal error"
    assert "memory" in run.stderr
    run = short_run(machine(), (resource.RLIMIT_DATA, 2 * STARTED + 100 * MIB), validating())
    assert ends_well_or_not_at_all(run, elsewhere) == "as elsewhere"


@pytest.mark.slow
def test_a_validator_that_finds_no_memory_on_its_thread_has_no_verdict() -> None:
    """The engine takes some for each thread that runs a guest, and aborts where there is none."""
    elsewhere = hostile_run(machine(), host=validating()).outcome
    ends = [
        ends_well_or_not_at_all(
            short_run(machine(), (resource.RLIMIT_DATA, 2 * VM_THREAD_STACK_BYTES + spare * MIB), validating()),
            elsewhere,
        )
        for spare in range(16, 112, 6)
    ]
    assert ends[0] == "internal error"
    assert ends[-1] == "as elsewhere"
    assert "not started" not in ends


def test_descriptors() -> None:
    elsewhere = hostile_run(machine(), host=validating()).outcome
    ends = [
        ends_well_or_not_at_all(short_run(machine(), (resource.RLIMIT_NOFILE, most), validating()), elsewhere)
        for most in range(7, 14)
    ]
    assert ends[0] == "internal error"
    assert ends[-1] == "as elsewhere"


def test_a_machine_that_allows_small_files_only_compiles_small_modules(tmp_path: Path) -> None:
    """Whether one may raise that limit or not."""
    ends = []
    for most in (1000, MIB):
        config = config_file(tmp_path, cache_dir=str(tmp_path / str(most)))
        run = short_run(machine(), (resource.RLIMIT_FSIZE, most), InMemoryHost(calldata=b"!"), config)
        ends.append(ends_well_or_not_at_all(run, Return(calldata.encode(b""))))
    assert ends == ["internal error", "as elsewhere"]


def test_a_machine_without_a_thread_for_the_vm_cannot_start() -> None:
    run = short_run(machine(), (resource.RLIMIT_DATA, VM_THREAD_STACK_BYTES // 2))
    assert run.payload is None
    assert run.stderr.startswith("Error: "), run.stderr
    assert "Traceback" not in run.stderr
