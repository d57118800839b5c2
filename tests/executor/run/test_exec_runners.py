"""Contract kinds, runner.json actions over real VMs, linking and wasm features (spec executor/07)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InternalError, Return, VMError
from tests.support.archives import contract_zip, install, runner_tar
from tests.support.execution import Execution, execute, wat
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import Script, machine

INVALID = VMError("invalid_contract")
FINE = Return(b"\x00")
NOTHING = wat('(module (func (export "_start")))')

#: Prints arguments, environment and the files whose names it is given as arguments.
SHOW = wat(
    """(module $show
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func $print (param $from i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $from))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_initialize") (call $show))
  (func (export "_start") (call $show))
  (func $show (local $i i32) (local $name i32) (local $end i32)
    (drop (call $args_sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 0x1000) (i32.const 0x2000)))
    (call $print (i32.const 0x2000) (i32.load (i32.const 20)))
    (i32.store8 (i32.const 28) (i32.const 0x7c))
    (call $print (i32.const 28) (i32.const 1))
    (drop (call $env_sizes (i32.const 32) (i32.const 36)))
    (drop (call $env (i32.const 0x3000) (i32.const 0x4000)))
    (call $print (i32.const 0x4000) (i32.load (i32.const 36)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (i32.load (i32.const 16))))
      (local.set $name (i32.load (i32.add (i32.const 0x1000) (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $end (local.get $name))
      (loop $length
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br_if $length (i32.load8_u (local.get $end))))
      (call $print (i32.const 28) (i32.const 1))
      (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (local.get $name)
            (i32.sub (local.get $end) (local.get $name)) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0)
            (i32.const 40)))
        (then
          (i32.store (i32.const 0) (i32.const 0x8000))
          (i32.store (i32.const 4) (i32.const 0x8000))
          (drop (call $read (i32.load (i32.const 40)) (i32.const 0) (i32.const 1) (i32.const 8)))
          (call $print (i32.const 0x8000) (i32.load (i32.const 8)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))))"""
)


def show(actions: list[Any], files: dict[str, bytes] | None = None, **arguments: Any) -> bytes:
    code = contract_zip({"Seq": [*actions, {"StartWasm": "show"}]}, {"show": SHOW, **(files or {})})
    run = execute(code, **arguments)
    assert run.outcome == FINE, run
    return run.stdout


# --- contract kinds ----


def test_a_text_is_mapped_by_a_runner_that_it_depends_on(tmp_path: Path) -> None:
    actions = {
        "Seq": [
            {"With": {"runner": "<contract>", "action": {"MapFile": {"to": "/contract.txt", "file": "file"}}}},
            {"SetArgs": ["/contract.txt"]},
            {"StartWasm": "show"},
        ]
    }
    hashes = install(tmp_path, {"shower": runner_tar(actions, {"show": SHOW})})
    text = f'# {{ "Depends": "shower:{hashes["shower"]}" }}\nhello\n# not part of the header'.encode()
    assert execute(text, registry=tmp_path).stdout == b"/contract.txt\0||" + text


def test_wasm_runs_itself_and_its_files_are_named() -> None:
    assert execute(SHOW).stdout == b"|"


def test_a_zip_that_follows_other_bytes_is_a_zip() -> None:
    code = b"# not a text" + contract_zip({"StartWasm": "p"}, {"p": NOTHING})
    assert execute(code).outcome == FINE


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (contract_zip({"StartWasm": "p"}, {"p": NOTHING}), FINE),
        (contract_zip({"StartWasm": "q"}, {"p": NOTHING}), INVALID),
        (contract_zip({"StartWasm": "p"}, {"p": b"# text"}), INVALID),
        (contract_zip("", {}), INVALID),
        (contract_zip("[]", {}), INVALID),
        (contract_zip({}, {}), INVALID),
    ],
)
def test_zips(code: bytes, outcome: Any) -> None:
    assert execute(code).outcome == outcome


# --- actions ----


def test_arguments_and_environment() -> None:
    actions = [
        {"SetArgs": ["/a", "é"]},
        {"AddEnv": {"name": "B", "val": "1"}},
        {"AddEnv": {"name": "A", "val": "${B}${B}${ENV[HOME]}:"}},
        {"AddEnv": {"name": "B", "val": "2"}},
        {"SetArgs": ["/b"]},
    ]
    assert show(actions) == "/a\0é\0/b\0|A=11:\0B=2\0|||".encode()


def test_nothing_of_the_process_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert show([]) == b"|"


@pytest.mark.parametrize(
    ("mapping", "path", "found"),
    [
        ({"to": "/x", "file": "f"}, "/x", b"F"),
        ({"to": "x//y", "file": "f"}, "/x/y", b"F"),
        ({"to": "/d", "file": "dir/"}, "/d/a", b"A"),
        ({"to": "/d/", "file": "dir/"}, "/d/sub/b", b"B"),
        ({"to": "/all/", "file": "/"}, "/all/dir/a", b"A"),
        ({"to": "/", "file": "di"}, "/a", None),
        ({"to": "/q", "file": "none/"}, "/q", b""),
    ],
)
def test_mapped_files(mapping: dict[str, str], path: str, found: bytes | None) -> None:
    files = {"f": b"F", "dir/a": b"A", "dir/sub/b": b"B"}
    actions = [{"MapFile": mapping}, {"SetArgs": [path]}]
    if found is None:
        code = contract_zip({"Seq": [*actions, {"StartWasm": "show"}]}, {"show": SHOW, **files})
        assert execute(code).outcome == INVALID
    else:
        assert show(actions, files) == path.encode() + b"\0||" + found


def test_mapping_runner_json_with_everything() -> None:
    stdout = show([{"MapFile": {"to": "/", "file": "/"}}, {"SetArgs": ["/runner.json"]}])
    assert b'{"Seq": [{"MapFile"' in stdout


@pytest.mark.parametrize(
    "mappings",
    [
        [("/x", "f"), ("/x", "f")],
        [("/x", "f"), ("//x", "g")],
        [("/x", "f"), ("/x/y", "g")],
        [("/x/y", "f"), ("/x", "g")],
        [("/d/", "dir/"), ("/d/a", "f")],
        [("", "f")],
    ],
)
def test_a_name_that_is_taken_cannot_be_mapped(mappings: list[tuple[str, str]]) -> None:
    actions = [{"MapFile": {"to": to, "file": file}} for to, file in mappings]
    files = {"f": b"", "g": b"", "dir/a": b"", "show": SHOW}
    assert execute(contract_zip({"Seq": [*actions, {"StartWasm": "show"}]}, files)).outcome == INVALID


def test_when_depends_on_the_mode_and_the_first_start_wins() -> None:
    det, nondet = (
        {"When": {"cond": cond, "action": {"AddEnv": {"name": cond, "val": "1"}}}} for cond in ("det", "nondet")
    )
    never = {"When": {"cond": "nondet", "action": {"StartWasm": "nowhere"}}}
    code = contract_zip(
        {"Seq": [det, nondet, never, {"Seq": [{"StartWasm": "show"}]}, {"MapFile": {"to": "/", "file": "nope"}}]},
        {"show": SHOW},
    )
    assert execute(code).stdout == b"|det=1\0"


def test_each_vm_runs_all_actions_for_its_mode() -> None:
    actions = {
        "Seq": [
            {"When": {"cond": "nondet", "action": {"StartWasm": "show"}}},
            {"StartWasm": "machine"},
        ]
    }
    host = InMemoryHost(calldata=Script().nondet(Script()).code)
    code = contract_zip(actions, {"show": SHOW, "machine": machine()}, version="v0.1.0")
    run = execute(code, host=host)
    assert run.stdout == b"|"


def test_depends_runs_once_and_with_every_time(tmp_path: Path) -> None:
    """The environment shows who ran: a runner appends to a variable."""
    tar = runner_tar({"SetArgs": ["lib"]}, {})
    hashes = install(tmp_path, {"lib": tar})
    lib = f"lib:{hashes['lib']}"
    again = {"With": {"runner": lib, "action": {"SetArgs": ["with"]}}}
    stdout = show([{"Depends": lib}, again, {"Depends": lib}, again], registry=tmp_path)
    assert stdout.startswith(b"lib\0with\0with\0|")


def test_latest_needs_debug_mode(tmp_path: Path) -> None:
    install(tmp_path, {"lib": runner_tar({"SetArgs": ["lib"]}, {})})
    for name in ("latest", "test"):
        actions = {"Seq": [{"Depends": f"lib:{name}"}, {"StartWasm": "show"}]}
        code = contract_zip(actions, {"show": SHOW})
        assert execute(code, registry=tmp_path).outcome == INVALID
        assert execute(code, registry=tmp_path, debug_mode=True).stdout == b"lib\0||"


def test_a_listed_runner_without_its_archive_is_an_invalid_contract(tmp_path: Path) -> None:
    hashes = install(tmp_path, {"lib": runner_tar({"SetArgs": ["lib"]}, {})})
    (path,) = (tmp_path / "runners" / "lib").glob("*/*.tar")
    path.unlink()
    code = contract_zip({"Seq": [{"Depends": f"lib:{hashes['lib']}"}, {"StartWasm": "show"}]}, {"show": SHOW})
    assert execute(code, registry=tmp_path).outcome == INVALID


def test_the_internal_id_of_a_contract_cannot_be_referenced() -> None:
    reference = f"on_chain:0x{CONTRACT.as_bytes.hex()}"
    code = contract_zip({"Seq": [{"Depends": reference}, {"StartWasm": "show"}]}, {"show": SHOW})
    assert execute(code).outcome == INVALID


def test_the_contract_itself_cannot_be_a_dependency() -> None:
    code = contract_zip({"Seq": [{"Depends": "<contract>"}, {"StartWasm": "show"}]}, {"show": SHOW})
    assert execute(code).outcome == INVALID


# --- linking ----


def linked(program: str, *libraries: str, extra: list[Any] | None = None) -> Execution:
    files = {str(number): wat(text) for number, text in enumerate(libraries)} | {"p": wat(program)}
    actions = [{"LinkWasm": str(number)} for number in range(len(libraries))]
    return execute(contract_zip({"Seq": [*actions, *(extra or []), {"StartWasm": "p"}]}, files))


START = '(func (export "_start"))'
LIBRARY = '(module $lib (func (export "f") (result i32) (i32.const 7)))'


def test_modules_are_linked_under_their_own_names() -> None:
    program = f'(module (import "lib" "f" (func (result i32))) {START})'
    assert linked(program, LIBRARY).outcome == FINE
    assert linked(program).outcome == INVALID
    assert linked(program, LIBRARY.replace("$lib", "$other")).outcome == INVALID
    assert linked(f'(module (import "lib" "g" (func (result i32))) {START})', LIBRARY).outcome == INVALID
    assert linked(f'(module (import "lib" "f" (func (result i64))) {START})', LIBRARY).outcome == INVALID


def test_a_linked_module_needs_a_name() -> None:
    assert linked(f"(module {START})", "(module)").outcome == VMError("invalid_contract wasm")


def test_a_started_module_needs_no_name_and_its_entry_is_not_called_before_the_end() -> None:
    assert linked(f"(module {START})").outcome == FINE


def test_names_cannot_be_defined_twice() -> None:
    program = f"(module {START})"
    assert linked(program, LIBRARY, LIBRARY).outcome == INVALID
    assert linked(program, LIBRARY, LIBRARY.replace('"f"', '"g"')).outcome == FINE


@pytest.mark.parametrize("module", ["genlayer_sdk", "wasi_snapshot_preview1"])
def test_host_functions_cannot_be_shadowed(module: str) -> None:
    field = {"genlayer_sdk": "gl_call", "wasi_snapshot_preview1": "fd_read"}[module]
    assert linked(f"(module {START})", f'(module ${module} (func (export "{field}")))').outcome == INVALID
    assert linked(f"(module {START})", f'(module ${module} (func (export "mine")))').outcome == FINE


def test_a_linked_module_that_is_not_linked_yet_cannot_be_imported() -> None:
    other = '(module $other (import "lib" "f" (func (result i32))))'
    assert linked(f"(module {START})", LIBRARY, other).outcome == FINE
    assert linked(f"(module {START})", other, LIBRARY).outcome == INVALID


@pytest.mark.parametrize("kind", ["(param i32)", "(result i32)"])
def test_only_an_initialize_without_parameters_and_results_is_called(kind: str) -> None:
    assert (
        linked(f"(module {START})", f'(module $l (func (export "_initialize") {kind} (unreachable)))').outcome == FINE
    )


def test_initialize_of_a_linked_module_sees_arguments_but_no_environment() -> None:
    actions = [{"SetArgs": ["a"]}, {"AddEnv": {"name": "X", "val": "1"}}, {"LinkWasm": "show"}, {"SetArgs": ["b"]}]
    assert show(actions) == b"a\0||" + b"a\0b\0|X=1\0||"


def test_the_start_of_a_linked_module_is_not_called() -> None:
    assert linked(f"(module {START})", '(module $l (func (export "_start") (unreachable)))').outcome == FINE


def test_initialize_of_the_started_module_is_not_called() -> None:
    assert linked(f'(module {START} (func (export "_initialize") (unreachable)))').outcome == FINE


def test_modules_share_memories_tables_and_globals() -> None:
    library = """(module $lib (memory (export "m") 1) (table (export "t") 2 funcref) (global (export "g") (mut i32)
      (i32.const 1)) (func $f (result i32) (i32.const 5)) (elem (i32.const 1) $f))"""
    program = """(module (import "lib" "m" (memory 1)) (import "lib" "t" (table 2 funcref))
      (import "lib" "g" (global $g (mut i32))) (type $f (func (result i32)))
      (func (export "_start") (if (i32.ne (i32.add (call_indirect (type $f) (i32.const 1)) (global.get $g))
        (i32.const 6)) (then (unreachable)))))"""
    assert linked(program, library).outcome == FINE


def test_counters_of_the_executor_are_not_there_for_contracts() -> None:
    for name, kind in (("depth", "i32"), ("memory", "i64")):
        program = f'(module (import "genvm counters" "{name}" (global (mut {kind}))) {START})'
        assert linked(program).outcome == INVALID
    assert linked(f"(module {START})", '(module $genvm_counters (func (export "depth")))').outcome == FINE


# --- features ----

ENABLED = {
    "floats": "(drop (f64.load (i32.const 0))) (f32.store (i32.const 0) (f32.const 1))",
    "sign extension": "(drop (i32.extend8_s (i32.const 1))) (drop (i64.extend32_s (i64.const 1)))",
    "multi-value": "(call $two) (drop) (drop) (block (result i32 i32) (i32.const 1) (i32.const 2)) (drop) (drop)",
    "bulk memory": "(memory.copy (i32.const 0) (i32.const 1) (i32.const 2)) (memory.fill (i32.const 0) (i32.const 1)"
    " (i32.const 2)) (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop 0)",
    "table.copy": "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
    "tail calls": "(return_call $nothing)",
    "indirect tail calls": "(return_call_indirect (type $n) (i32.const 0))",
    "mutable globals": "(global.set $g (i32.const 1))",
}


@pytest.mark.parametrize("feature", ENABLED)
def test_enabled_features(feature: str) -> None:
    code = wat(
        f"""(module (type $n (func)) (memory 1) (table 1 funcref) (elem (i32.const 0) $nothing)
        (global $g (export "g") (mut i32) (i32.const 0)) (data "x") (func $nothing)
        (func $two (result i32 i32) (i32.const 1) (i32.const 2)) (func (export "_start") {ENABLED[feature]}))"""
    )
    assert execute(code).outcome == FINE


REFUSED = {
    "saturating truncation": "(func (drop (i32.trunc_sat_f32_s (f32.const 1))))",
    "reference types": "(func (drop (ref.null func)))",
    "several tables": "(table 1 funcref) (table 1 funcref)",
    "externref": "(func (param externref))",
    "table.grow": "(table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1))))",
    "simd": "(func (drop (v128.const i64x2 1 2)))",
    "threads": "(memory 1 1 shared)",
    "several memories": "(memory 1) (memory 1)",
    "memory64": "(memory i64 1)",
    "exceptions": "(tag)",
    "gc": "(type (struct))",
    "typed function references": "(type $f (func)) (func (param (ref $f)))",
    "extended constants": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    "wide arithmetic": "(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))",
}


@pytest.mark.parametrize("feature", REFUSED)
def test_refused_features_are_invalid_contracts_also_where_they_are_not_executed(feature: str) -> None:
    assert execute(wat(f"(module {REFUSED[feature]} {START})")).outcome == INVALID


def test_a_component_is_no_core_module() -> None:
    assert isinstance(execute(wat("(component)")).outcome, VMError)


def test_modules_are_validated_for_both_modes_whichever_needs_them() -> None:
    """What the ban replaces is validated as it was written."""
    code = wat("(module (memory 1) (func (result f64) (f64.add (f64.const 1) (f64.const 2)))" + START + ")")
    at = code.index(b"\xa0")  # f64.add becomes f32.add of two f64
    assert execute(code).outcome == FINE
    assert execute(code[:at] + b"\x92" + code[at + 1 :]).outcome == INVALID


def test_a_module_that_only_holds_banned_floats_is_fine() -> None:
    assert execute(wat(f"(module (func (drop (f64.sqrt (f64.const 2)))) {START})")).outcome == FINE


def test_actions_without_start_in_this_mode_are_an_internal_error() -> None:
    code = contract_zip({"When": {"cond": "nondet", "action": {"StartWasm": "show"}}}, {"show": SHOW})
    assert isinstance(execute(code).outcome, InternalError)


# --- limits per VM ----


@pytest.mark.parametrize(
    ("limit", "library"),
    [
        ("MEMORIES_PER_VM", "(module $m{} (memory 0))"),
        ("TABLES_PER_VM", "(module $m{} (table 0 funcref))"),
        ("INSTANCES_PER_VM", "(module $m{})"),
    ],
)
def test_too_much_in_one_vm_is_an_invalid_contract(limit: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [library.format(number) for number in range(3)]
    own = 1 if limit == "INSTANCES_PER_VM" else 0  # the program is an instance
    monkeypatch.setattr(f"pygenvm.executor.limits.{limit}", 3 + own)
    assert linked(f"(module {START})", *libraries).outcome == FINE
    monkeypatch.setattr(f"pygenvm.executor.limits.{limit}", 2 + own)
    assert linked(f"(module {START})", *libraries).outcome == INVALID


def test_the_limits_are_those_of_the_specification() -> None:
    assert (limits.INSTANCES_PER_VM, limits.TABLES_PER_VM, limits.MEMORIES_PER_VM) == (1000, 100, 100)
