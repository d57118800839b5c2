"""How VMs end and what the host is sent: every row of spec executor/05, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from blake3 import blake3

from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, HostErrorCode, HostMethod
from pygenvm.executor.run.printing import fingerprint_text
from tests.support.archives import contract_zip
from tests.support.execution import execute, wat
from tests.support.hosts import InMemoryHost, RefusingReads
from tests.support.machine import END, TRAPS, Script

EMPTY: dict[str, Any] = {"frames": [], "module_instances": {}}
ZERO_PAGE = bytes.fromhex("3bdeaf8f8e98780b318106aafdc3ca257f73df123d97b69112b26044c91a7d56")
SLOT = bytes(range(32))

IMPORTS = """
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
  (import "genlayer_sdk" "storage_write" (func $write (param i32 i32 i32 i32) (result i32)))
"""


def contract(body: str, *, fields: str = '(memory (export "memory") 1)', name: str = "", start: str = "") -> bytes:
    """An unnamed module (unless ``name``): imports 0 to 2 as above, function 3 is the entry."""
    return wat(f'(module {name} {IMPORTS} {fields} (func (export "_start") {body}) {start})')


def request(value: Any) -> tuple[str, int]:
    """A data segment with a gl_call request at 256, and its length."""
    raw = calldata.encode(value)
    text = "".join(f"\\{byte:02x}" for byte in raw)
    return f'(memory (export "memory") 1) (data (i32.const 256) "{text}")', len(raw)


def sending(value: Any) -> bytes:
    fields, length = request(value)
    return contract(
        f"(drop (call $gl_call (i32.const 256) (i32.const {length}) (i32.const 0))) (unreachable)", fields=fields
    )


def frame(func: int, module: str = "") -> dict[str, Any]:
    return {"func": func, "module_name": module}


# --- examples of consume_result, spec executor/02 ----


def test_return() -> None:
    assert execute(contract("")).payload == bytes.fromhex("0000")
    assert execute(sending({"Return": 42})).payload == bytes.fromhex("00d102")


def test_example_exit_code_with_one_frame_and_one_memory() -> None:
    run = execute(contract("(call $exit (i32.const 1))"))
    assert run.payload == bytes.fromhex(
        "02160b66696e6765727072696e7416066672616d65730d160466756e63190b6d6f64756c655f6e616d6504106d6f64756c655f696e737461"
        "6e6365730e000e086d656d6f726965730d83023bdeaf8f8e98780b318106aafdc3ca257f73df123d97b69112b26044c91a7d56076d657373"
        "6167655c657869745f636f64652031"
    )


def test_example_version_too_big_with_the_empty_fingerprint() -> None:
    run = execute(b'# v9.9.9\n# {"StartWasm": "x"}')
    assert run.payload == bytes.fromhex(
        "02160b66696e6765727072696e7416066672616d657305106d6f64756c655f696e7374616e63657306076d657373616765"
        "7c76657273696f6e5f746f6f5f626967"
    )


def test_user_error_is_a_map_of_fingerprint_and_message() -> None:
    """The example has an empty F; a Rollback of an entry function has frames and instances."""
    run = execute(sending({"Rollback": "no"}))
    assert run.payload is not None
    assert run.payload[0] == 1
    fingerprint = run.fingerprint
    assert run.payload[1:] == calldata.encode({"fingerprint": fingerprint, "message": "no"})
    assert fingerprint["frames"] == [frame(3)]
    page = bytearray(65536)
    raw = calldata.encode({"Rollback": "no"})
    page[256 : 256 + len(raw)] = raw
    assert fingerprint["module_instances"] == {"": {"memories": [blake3(bytes(page)).digest()]}}


def test_internal_error_is_code_2_and_text_that_is_no_calldata() -> None:
    run = execute(sending({"Return": 1}).replace(b"memory", b"memorx"))
    assert run.payload == b"\x02internal error: the calling module does not export its memory as `memory`"
    with pytest.raises(calldata.DecodingError):
        calldata.decode(run.payload[1:])


# --- how the entry function ends ----


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0, Return(b"\x00")),
        (1, VMError("exit_code 1")),
        (2, VMError("exit_code 2")),
        (124, VMError("exit_code 124")),
        (125, VMError("exit_code 125")),
        (126, VMError("exit_code 125")),
        (255, VMError("exit_code 125")),
        (0xFFFF_FFFF, VMError("exit_code 125")),
    ],
)
def test_exit(status: int, outcome: Any) -> None:
    assert Script().exit(status).run().outcome == outcome


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_have_the_names_of_the_engine(trap: str) -> None:
    run = Script().trap(trap).run()
    assert run.outcome == VMError(f"wasm_trap {trap}")
    frames = run.execution.fingerprint["frames"]
    if trap != "StackOverflow":
        # $trap and the entry function; the float instruction is reported where it stands.
        assert frames == [frame(18, "machine"), frame(22, "machine")]
    else:
        assert set(map(calldata.encode, frames)) == {calldata.encode(frame(17, "machine"))}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("(drop (i32.rem_u (i32.const 1) (i32.const 0)))", "IntegerDivisionByZero"),
        ("(drop (i64.div_s (i64.const -0x8000000000000000) (i64.const -1)))", "IntegerOverflow"),
        ("(memory.fill (i32.const 65536) (i32.const 0) (i32.const 1))", "MemoryOutOfBounds"),
        ("(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))", "MemoryOutOfBounds"),
        ("(i64.store offset=0xffffffff (i32.const 8) (i64.const 0))", "MemoryOutOfBounds"),
        ("(drop (i32.trunc_f64_s (f64.const 1e300)))", "DeterministicMode"),
        ("(drop (f32.neg (f32.const 1)))", "DeterministicMode"),
        ("(drop (f64.convert_i32_s (i32.const 1)))", "DeterministicMode"),
        ("(drop (f64.lt (f64.const 1) (f64.const 2)))", "DeterministicMode"),
    ],
)
def test_other_ways_into_traps(body: str, message: str) -> None:
    run = execute(contract(body))
    assert run.outcome == VMError(f"wasm_trap {message}")
    assert run.fingerprint == {"frames": [frame(3)], "module_instances": {"": {"memories": [ZERO_PAGE]}}}


def test_conversions_trap_by_their_own_name_in_nondet() -> None:
    """Here the block is the whole contract: it starts itself once, as leader."""
    raw = calldata.encode({"RunNondet": {"data_leader": b"", "data_validator": b""}})
    code = contract(
        f"""(if (i32.eqz (call $gl_call (i32.const 256) (i32.const {len(raw)}) (i32.const 0))) (then (return)))
        (drop (i32.trunc_f64_s (f64.const 1e300)))""",
        fields=request({"RunNondet": {"data_leader": b"", "data_validator": b""}})[0],
    )
    run = execute(code)
    assert run.outcome == VMError("wasm_trap IntegerOverflow")
    assert run.host.fields_of(HostMethod.POST_NONDET_RESULT)[0]["result"] == b"\x02wasm_trap IntegerOverflow"


def test_not_a_number_is_a_bad_conversion_in_nondet() -> None:
    value = {"RunNondet": {"data_leader": b"", "data_validator": b""}}
    fields, length = request(value)
    code = contract(
        f"""(if (i32.eqz (call $gl_call (i32.const 256) (i32.const {length}) (i32.const 0))) (then (return)))
        (drop (i32.trunc_f64_s (f64.const nan)))""",
        fields=fields,
    )
    assert execute(code).outcome == VMError("wasm_trap BadConversionToInteger")


def test_floats_may_be_moved_in_det() -> None:
    code = contract(
        """(local f64) (local.set 0 (f64.load (i32.const 0))) (f64.store (i32.const 8) (local.get 0))
        (f32.store (i32.const 16) (f32.const 1.5))
        (if (i64.eqz (i64.reinterpret_f64 (local.get 0))) (then (return))) (drop (f32.abs (f32.const 1)))"""
    )
    assert execute(code).outcome == Return(b"\x00")


@pytest.mark.parametrize("error", [error for error in HostErrorCode if error is not HostErrorCode.OK])
def test_an_error_of_the_host_is_a_vm_error_with_the_frames_of_the_call(error: HostErrorCode) -> None:
    code = contract("(drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))")
    run = execute(code, host=InMemoryHost(refusals={HostMethod.STORAGE_WRITE: error}))
    assert run.outcome == VMError(error.name.lower())
    assert run.fingerprint == {"frames": [frame(3)], "module_instances": {"": {"memories": [ZERO_PAGE]}}}


# --- fingerprints ----


def test_frames_are_innermost_first_with_indices_that_count_imports() -> None:
    code = wat(
        f"""(module $named {IMPORTS} (memory (export "memory") 1)
        (func $last (call $exit (i32.const 3)))
        (func $unused)
        (func $middle (param i32) (call $last))
        (func (export "_start") (call $middle (i32.const 1))))"""
    )
    assert execute(code).fingerprint == {
        "frames": [frame(3, "named"), frame(5, "named"), frame(6, "named")],
        "module_instances": {"named": {"memories": [ZERO_PAGE]}},
    }


def test_memory_is_hashed_whole_as_it_is_at_the_end_under_any_export_or_none() -> None:
    code = wat(
        f"""(module {IMPORTS} (memory 1)
        (func (export "_start") (i32.store8 (i32.const 65535) (i32.const 7))
          (drop (memory.grow (i32.const 2))) (i32.store8 (i32.const 196607) (i32.const 8)) (unreachable)))"""
    )
    content = bytes(65535) + b"\7" + bytes(131071) + b"\x08"
    assert execute(code).fingerprint["module_instances"] == {"": {"memories": [blake3(content).digest()]}}


def test_an_instance_without_memory_is_listed() -> None:
    run = execute(wat('(module (func (export "_start") (unreachable)))'))
    assert run.fingerprint == {"frames": [frame(0)], "module_instances": {"": {"memories": []}}}


LIBRARY = wat(
    """(module $library (memory (export "shared") 1) (data (i32.const 0) "L")
    (func (export "fail") (unreachable)))"""
)


def test_linked_modules_and_imported_memories_are_listed_and_frames_cross_modules() -> None:
    program = wat(
        """(module $program (import "library" "shared" (memory 1)) (import "library" "fail" (func $fail))
        (func (export "_start") (i32.store8 (i32.const 1) (i32.const 0x50)) (call $fail)))"""
    )
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    run = execute(contract_zip(actions, {"library.wasm": LIBRARY, "program.wasm": program}))
    digest = blake3(b"LP" + bytes(65534)).digest()
    assert run.fingerprint == {
        "frames": [frame(0, "library"), frame(1, "program")],
        "module_instances": {"library": {"memories": [digest]}, "program": {"memories": [digest]}},
    }


def test_with_equal_names_the_last_instance_wins() -> None:
    program = wat('(module $library (memory 1) (data (i32.const 0) "P") (func (export "_start") (unreachable)))')
    actions = {"Seq": [{"LinkWasm": "library.wasm"}, {"StartWasm": "program.wasm"}]}
    run = execute(contract_zip(actions, {"library.wasm": LIBRARY, "program.wasm": program}))
    assert run.fingerprint["module_instances"] == {
        "library": {"memories": [blake3(b"P" + bytes(65535)).digest()]},
    }


def test_functions_added_by_the_executor_are_not_seen() -> None:
    """The float ban, the counter of memory and the counter of depth append functions to this module."""
    code = wat(
        f"""(module {IMPORTS} (memory (export "memory") 1) (global $g (mut i32) (i32.const 7))
        (func $deep (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))) (return)))
          (drop (memory.grow (i32.const 1))) (drop (f32.neg (f32.const 1))))
        (func (export "_start") (call $deep (global.get $g))))"""
    )
    assert execute(code).fingerprint["frames"] == [frame(3)] * 8 + [frame(4)]


def test_the_fingerprint_of_a_deep_stack_is_the_same_every_time() -> None:
    code = contract("(call $r)", start="(func $r (call $r) (call $r))")
    first, second = execute(code), execute(code)
    assert first.outcome == VMError("wasm_trap StackOverflow")
    assert first.payload == second.payload


def test_a_return_has_none() -> None:
    run = execute(contract(""))
    assert run.fingerprint is None
    assert run.result.fingerprint is None


# --- ends before the entry function ----


def setting_up(code: bytes, **arguments: Any) -> tuple[Any, Any]:
    run = execute(code, **arguments)
    return run.outcome, run.fingerprint


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"", "invalid_contract absent_runner_comment"),
        (b"no comment", "invalid_contract absent_runner_comment"),
        (b" # {}", "invalid_contract absent_runner_comment"),
        (b"# \xff", "invalid_contract not_utf8_text"),
        (b"# very nice", "invalid_contract"),
        (b"# v0.0.0\n# {}", "invalid_contract"),
        (b"# v1.2\n# {}", "invalid_contract"),
        (b"# v99.0.0\n# nonsense", "version_too_big"),
        (b"# nonsense", "invalid_contract"),
        (b"# {}", "invalid_contract"),
        (b'# {"StartWasm": "file", "SetArgs": []}', "invalid_contract"),
        (b'# {"Nope": "file"}', "invalid_contract"),
        (b'# {"StartWasm": "nope"}', "invalid_contract"),
        (b'# {"StartWasm": "file"}', "invalid_contract"),
        (b'# {"Depends": "nope:latest"}', "invalid_contract"),
        (b'# {"Depends": "nope:0123"}', "invalid_contract"),
        (b'# {"Depends": "a b:0123"}', "invalid_contract"),
        (b'# {"AddEnv": {"name": "x", "val": "${y}"}}', "invalid_contract"),
        (b"\0asm\1\0\0\0\xff", "invalid_contract"),
        (b"\0asm\2\0\0\0", "invalid_contract not_utf8_text"),
    ],
)
def test_contracts_that_cannot_be_set_up(code: bytes, message: str) -> None:
    if message.endswith("not_utf8_text") and code.startswith(b"\0asm"):
        # It does not start as a core module, and its bytes are UTF-8, so it is a text.
        message = "invalid_contract absent_runner_comment"
    assert setting_up(code) == (VMError(message), EMPTY)


@pytest.mark.parametrize("error", [error for error in HostErrorCode if error is not HostErrorCode.OK])
def test_calldata_that_the_host_refuses(error: HostErrorCode) -> None:
    host = InMemoryHost(refusals={HostMethod.GET_CALLDATA: error})
    assert setting_up(contract(""), host=host) == (VMError(error.name.lower()), EMPTY)


def test_code_that_the_host_refuses() -> None:
    host = RefusingReads(lambda _, slot: slot == CODE_SLOT, HostErrorCode.ABSENT)
    assert setting_up(contract(""), host=host) == (VMError("absent"), EMPTY)


RETURN_AT_START = contract(
    "",
    fields=request({"Return": 1})[0],
    start="(start $s) (func $s (drop (call $gl_call (i32.const 256)"
    f" (i32.const {request({'Return': 1})[1]}) (i32.const 0))))",
)
ROLLBACK_AT_START = contract(
    "",
    fields=request({"Rollback": "x"})[0],
    start="(start $s) (func $s (drop (call $gl_call (i32.const 256)"
    f" (i32.const {request({'Rollback': 'x'})[1]}) (i32.const 0))))",
)


@pytest.mark.parametrize(
    "code",
    [
        contract("", start="(start $s) (func $s (unreachable))"),
        contract("", start="(start $s) (func $s (call $exit (i32.const 0)))"),
        contract("", start="(start $s) (func $s (call $exit (i32.const 1)))"),
        contract("", start="(start $s) (func $s (call $s))"),
        contract("", start="(start $s) (func $s (drop (f32.neg (f32.const 1))))"),
        RETURN_AT_START,
        ROLLBACK_AT_START,
        wat('(module (memory 1) (data (i32.const 65536) "x") (func (export "_start")))'),
        wat('(module (import "nope" "f" (func)) (func (export "_start")))'),
        wat('(module (import "genlayer_sdk" "nope" (func)) (func (export "_start")))'),
        wat('(module (import "genlayer_sdk" "gl_call" (func)) (func (export "_start")))'),
        wat('(module (import "genlayer_sdk" "gl_call" (memory 1)) (func (export "_start")))'),
    ],
)
def test_ends_and_failures_of_instantiation_are_invalid_contracts(code: bytes) -> None:
    assert setting_up(code) == (VMError("invalid_contract"), EMPTY)


@pytest.mark.parametrize(
    "body",
    [
        "(unreachable)",
        "(call $exit (i32.const 0))",
        "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
        f"(drop (call $gl_call (i32.const 256) (i32.const {request({'Return': 1})[1]}) (i32.const 0)))",
    ],
)
def test_ends_and_failures_of_initialize_are_invalid_contracts(body: str) -> None:
    library = wat(f'(module $l {IMPORTS} {request({"Return": 1})[0]} (func (export "_initialize") {body}))')
    actions = {"Seq": [{"LinkWasm": "l"}, {"StartWasm": "p"}]}
    code = contract_zip(actions, {"l": library, "p": contract("(unreachable)")})
    assert setting_up(code) == (VMError("invalid_contract"), EMPTY)


def test_a_vm_error_of_the_host_in_a_start_function_keeps_its_name() -> None:
    code = contract(
        "", start="(start $s) (func $s (drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"
    )
    host = InMemoryHost(refusals={HostMethod.STORAGE_WRITE: HostErrorCode.OUT_OF_STORAGE_GAS})
    assert setting_up(code, host=host) == (VMError("out_of_storage_gas"), EMPTY)


def test_start_functions_and_initialize_may_use_the_host() -> None:
    body = "(drop (call $write (i32.const 0) (i32.const {}) (i32.const 0) (i32.const 1)))"
    library = wat(
        f"""(module $l {IMPORTS} (memory (export "memory") 1) (func (export "_initialize") {body.format(1)})
        (start $s) (func $s {body.format(0)}))"""
    )
    program = contract(body.format(3), start=f"(start $s) (func $s {body.format(2)})")
    actions = {"Seq": [{"LinkWasm": "l"}, {"StartWasm": "p"}]}
    run = execute(contract_zip(actions, {"l": library, "p": program}))
    assert [fields["index"] for fields in run.host.fields_of(HostMethod.STORAGE_WRITE)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "exports",
    [
        "(func)",
        '(func (export "_start") (param i32))',
        '(func (export "_start") (result i32) (i32.const 1))',
        '(func (export "") (param i32))',
        '(memory (export "_start") 1)',
        '(func (export "_initialize"))',
        '(func (export "start"))',
    ],
)
def test_a_started_module_without_an_entry_has_the_null_fingerprint(exports: str) -> None:
    run = execute(wat(f"(module {exports})"))
    assert (run.outcome, run.fingerprint) == (VMError("invalid_contract"), None)
    assert run.payload == b"\x02" + calldata.encode({"fingerprint": None, "message": "invalid_contract"})
    assert run.payload[:14] == bytes.fromhex("02160b66696e6765727072696e74")[:14]


def test_the_entry_is_the_export_without_a_name_else_start() -> None:
    both = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (func (export "_start") (call $exit (i32.const 1))) (func (export "") {} (call $exit (i32.const 2))))"""
    assert execute(wat(both.format(""))).outcome == VMError("exit_code 2")
    assert execute(wat(both.format("(param i32)"))).outcome == VMError("exit_code 1")


@pytest.mark.parametrize("actions", [{"Seq": []}, {"When": {"cond": "nondet", "action": {"StartWasm": "p"}}}])
def test_actions_without_a_start_are_an_internal_error(actions: Any) -> None:
    run = execute(contract_zip(actions, {"p": contract("")}))
    assert isinstance(run.outcome, InternalError)
    assert run.payload is not None
    assert run.payload.startswith(b"\x02internal error: ")


# --- results stay what they are ----


def test_output_of_the_fingerprint_for_people() -> None:
    run = execute(contract("(call $exit (i32.const 1))"))
    assert fingerprint_text(run.result.fingerprint) == (
        'Fingerprint: {frames: [{module_name: "", func: 3}], module_instances: {"": {memories: '
        f"[{ZERO_PAGE.hex()}]}}}}}}"
    )


def test_memory_limits_of_the_machine_are_what_tests_assume() -> None:
    assert Script().grow(0).run().answers == [END >> 16]
