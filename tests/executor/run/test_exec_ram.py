"""RAM accounting: each charge at the exact byte where it stops to fit (spec executor/08).

Memories are cheap to promise and never touched here: a memory of 65535 pages leaves 65535 bytes of a pool to the rest.
"""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.limits import RAM_POOL_BYTES
from pygenvm.executor.outcome import OutOfMemory, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, LOCKED_SLOTS_SLOT, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from tests.support.archives import contract_zip, install, runner_tar
from tests.support.execution import Execution, execute, wat
from tests.support.hosts import InMemoryHost
from tests.support.machine import Answer, Script, custom_section, machine

PAGE = 65_536
PAGES = RAM_POOL_BYTES // PAGE
REST = RAM_POOL_BYTES % PAGE
CALLEE = Address(bytes([3]) + bytes(19))
EMPTY: dict[str, Any] = {"frames": [], "module_instances": {}}
OOM = VMError("OOM")
FITS = Return(b"\x00")
#: -1, as the machine puts it out.
NO_GROWTH = (1 << 32) - 1


def padded(code: bytes, size: int) -> bytes:
    """``code`` with a custom section that makes it ``size`` bytes long."""
    missing = size - len(code) - 4 - 4
    assert missing >= 0
    longer = code + custom_section("pad", bytes(missing))
    assert len(longer) == size
    return longer


def starting(pages: int = 0, body: str = "", fields: str = "") -> bytes:
    memory = f'(memory (export "memory") {pages})'
    return wat(f'(module {memory} {fields} (func (export "_start") {body}))')


def test_the_pool() -> None:
    assert (RAM_POOL_BYTES, PAGES, REST) == (4_294_967_295, 65_535, 65_535)


def test_the_first_vm_of_a_contract_pays_its_code_twice() -> None:
    code = starting(PAGES)
    assert execute(padded(code, REST // 2)).outcome == FITS
    run = execute(padded(code, REST // 2 + 1))
    assert (run.outcome, run.fingerprint) == (OOM, EMPTY)


def test_code_is_charged_before_it_is_read() -> None:
    host = InMemoryHost()
    host.slot(CODE_SLOT)[:] = (RAM_POOL_BYTES).to_bytes(4, "little")
    run = execute(host=host)
    assert run.outcome != OOM  # the whole pool may be taken by code; there just is none

    class Full(InMemoryHost):
        async def storage_read(
            self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
        ) -> bytes:
            if slot == CODE_SLOT and index == 4:
                raise AssertionError("code that does not fit must not be asked for")
            return await super().storage_read(storage_type, address, slot, index, length)

    host = Full()
    host.put_locked_slots([bytes(32)])
    host.slot(CODE_SLOT)[:] = (RAM_POOL_BYTES - 31).to_bytes(4, "little")
    assert execute(host=host).outcome == OOM


def test_memory_of_a_started_module() -> None:
    assert execute(starting(PAGES)).outcome == FITS
    run = execute(starting(PAGES + 1))
    assert (run.outcome, run.fingerprint) == (OOM, EMPTY)


def grown(pages: int, body: str, size: int | None = None, fields: str = "") -> Execution:
    """A start function's ``body`` is an expression; the run returns normally if it is 0."""
    code = starting(pages, f"(if {body} (then (unreachable)))", fields)
    return execute(code if size is None else padded(code, size))


def test_growth_takes_exactly_what_is_left() -> None:
    """Code of 32767 bytes leaves one byte above 65535 pages."""
    fits = "(i32.ne (memory.grow (i32.const {})) (i32.const {}))"
    assert grown(1, fits.format(PAGES - 1, 1), REST // 2).outcome == FITS
    assert grown(1, fits.format(PAGES - 1, -1), REST // 2 + 1).outcome == FITS
    assert grown(1, fits.format(PAGES, -1), 300).outcome == FITS


def test_growth_from_nothing_is_out_of_memory_where_growth_gives_minus_one() -> None:
    grow = "(i32.add (i32.const 1) (memory.grow (i32.const {})))"
    run = grown(0, grow.format(PAGES), REST // 2 + 1)
    assert run.outcome == OOM
    assert run.fingerprint["frames"] == [{"func": 0, "module_name": ""}]
    assert grown(0, f"(memory.grow (i32.const {PAGES}))", REST // 2).outcome == FITS
    # The second growth is an ordinary one.
    twice = f"(i32.or (memory.grow (i32.const 1)) {grow.format(PAGES)})"
    assert grown(0, twice, REST // 2).outcome == FITS


def test_growth_from_nothing_in_a_start_function_is_out_of_memory_too() -> None:
    fields = f"(start $s) (func $s (drop (memory.grow (i32.const {PAGES + 1}))))"
    run = execute(starting(0, "", fields))
    assert (run.outcome, run.fingerprint) == (OOM, EMPTY)


def test_growth_in_a_start_function_stays_charged() -> None:
    fields = "(start $s) (func $s (drop (memory.grow (i32.const 10))))"
    last = "(i32.ne (memory.grow (i32.const {})) (i32.const {}))"
    assert grown(1, last.format(PAGES - 11, 11), REST // 2, fields).outcome == FITS
    assert grown(1, last.format(PAGES - 10, -1), REST // 2, fields).outcome == FITS


@pytest.mark.parametrize(("elements", "outcome"), [(1000, FITS), (1001, OOM)])
def test_a_table_costs_64_bytes_per_element(elements: int, outcome: Any) -> None:
    code = wat(f'(module (memory {PAGES}) (table {elements} funcref) (func (export "_start")))')
    size = (REST - 64_000) // 2
    assert execute(padded(code, size)).outcome == outcome


def test_several_memories_share_the_pool_while_they_grow() -> None:
    """Two libraries and the program grow in turns, without a host call between."""
    left = PAGES - 60_003
    growing = '(module ${0} (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))'
    program = wat(
        f"""(module (import "a" "grow" (func $a (param i32) (result i32)))
        (import "b" "grow" (func $b (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory 1)
        (func $check (param i32 i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then (call $exit (local.get 2)))))
        (func (export "_start")
          (call $check (call $a (i32.const 30000)) (i32.const 1) (i32.const 1))
          (call $check (call $b (i32.const 30000)) (i32.const 1) (i32.const 2))
          (call $check (memory.grow (i32.const {left + 1})) (i32.const -1) (i32.const 3))
          (call $check (memory.grow (i32.const {left - 1})) (i32.const 1) (i32.const 4))
          (call $check (call $b (i32.const 2)) (i32.const -1) (i32.const 5))
          (call $check (call $b (i32.const 1)) (i32.const 30001) (i32.const 6))
          (call $check (call $a (i32.const 1)) (i32.const -1) (i32.const 7))))"""
    )
    files = {name: wat(growing.replace("{0}", name)) for name in "ab"} | {"p": program}
    code = contract_zip({"Seq": [{"LinkWasm": "a"}, {"LinkWasm": "b"}, {"StartWasm": "p"}]}, files)
    assert execute(code).outcome == FITS


def archive(actions: Any, files: dict[str, bytes], pages: int, rest: int) -> bytes:
    """A zip whose program takes ``pages``, filled up so that ``rest`` bytes of the pool are left to its actions."""
    start = {"p": starting(pages)}
    size = len(contract_zip(actions, files | start))
    missing = (
        (RAM_POOL_BYTES - pages * PAGE - rest) // 2
        - size
        - len(contract_zip({}, {"x": b""}))
        + len(contract_zip({}, {}))
    )
    code = contract_zip(actions, files | start | {"x": bytes(missing)})
    assert RAM_POOL_BYTES - pages * PAGE - 2 * len(code) in (rest, rest + 1)
    return code


@pytest.mark.parametrize(
    ("mapping", "cost"),
    [
        ({"to": "/a/b", "file": "f"}, 256 + 4),
        ({"to": "a//b/", "file": "f"}, None),
        ({"to": "//a//b", "file": "f"}, 256 + 6),
        ({"to": "/é", "file": "f"}, 256 + 3),
        ({"to": "/d", "file": "dir/"}, 2 * 256 + len("/d/1") + len("/d/sub/22")),
        ({"to": "/d/", "file": "dir/"}, 2 * 256 + len("/d/1") + len("/d/sub/22")),
        ({"to": "d", "file": "nothing/"}, 0),
    ],
)
def test_a_mapped_file_costs_256_and_its_path_as_written(mapping: dict[str, str], cost: int | None) -> None:
    files = {"f": b"x", "dir/1": b"", "dir/sub/22": b""}
    actions = {"Seq": [{"MapFile": mapping}, {"StartWasm": "p"}]}
    if cost is None:
        assert execute(archive(actions, files, PAGES, 1000)).outcome == VMError("invalid_contract")
        return
    assert execute(archive(actions, files, PAGES, cost)).outcome == FITS
    if cost:
        assert execute(archive(actions, files, PAGES, cost - 2)).outcome == OOM


def test_every_use_of_an_archive_costs_its_size(tmp_path: Any) -> None:
    """Depends once per runner and VM, With each time, `<contract>` as often as it is used."""
    tar = runner_tar({"SetArgs": []}, {"data": bytes(100)})
    hashes = install(tmp_path, {"lib": tar})
    lib = f"lib:{hashes['lib']}"
    depends: dict[str, Any] = {"Depends": lib}
    nothing: dict[str, Any] = {"SetArgs": []}
    used = {"With": {"runner": lib, "action": nothing}}
    own = {"With": {"runner": "<contract>", "action": nothing}}
    for actions, cost in (
        ([depends], len(tar)),
        ([depends, depends], len(tar)),
        ([used], len(tar)),
        ([used, used], 2 * len(tar)),
        ([used, depends], 2 * len(tar)),
    ):
        sequence = {"Seq": [*actions, {"StartWasm": "p"}]}
        assert execute(archive(sequence, {}, PAGES, cost), registry=tmp_path).outcome == FITS
        assert execute(archive(sequence, {}, PAGES, cost - 2), registry=tmp_path).outcome == OOM
    sequence = {"Seq": [own, own, {"StartWasm": "p"}]}
    size = len(contract_zip(sequence, {"p": starting(PAGES)}))
    assert 4 * size < REST
    code = contract_zip(sequence, {"p": starting(PAGES), "x": bytes(REST // 4 - size - 100)})
    assert execute(code).outcome == FITS
    assert execute(contract_zip(sequence, {"p": starting(PAGES), "x": bytes(REST // 4 - size)})).outcome == OOM


# --- files ----

GL_CALL = '(import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))'
CLOSE = '(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))'


def calling(value: Any, body: str, pages: int) -> bytes:
    """``$ask`` makes a request, fails the run if it is refused, and gives the fd."""
    raw = calldata.encode(value)
    text = "".join(f"\\{byte:02x}" for byte in raw)
    return wat(
        f"""(module {GL_CALL} {CLOSE} (memory (export "memory") {pages}) (data (i32.const 64) "{text}")
        (func $ask (result i32)
          (if (call $gl_call (i32.const 64) (i32.const {len(raw)}) (i32.const 0)) (then (unreachable)))
          (i32.load (i32.const 0)))
        (func (export "_start") {body}))"""
    )


CALLER_VALUE = {"CallContract": {"address": CALLEE, "calldata": None, "state": 2}}


def called(code: bytes, cost: int, host: InMemoryHost | None = None) -> list[Any]:
    """Outcomes of the run for a called contract that costs ``cost`` besides its code, when there is just enough RAM
    and when two bytes are missing. Where it fails its huge memory is not hashed, that of the caller is.
    """
    caller = calling(CALLER_VALUE, "(drop (call $ask))", 1)
    size, odd = divmod(REST - 2 * len(caller) - cost, 2)
    assert odd
    outcomes = []
    for filled in (size, size + 1):
        host = host or InMemoryHost()
        host.put_code(padded(code, filled), CALLEE)
        outcomes.append(execute(caller, host=host).outcome)
    return outcomes


ETH_CALL = {"EthCall": {"address": CALLEE, "calldata": b""}}


def answering(length: int) -> InMemoryHost:
    return InMemoryHost(eth_calls={(CALLEE, b""): bytes(length)})


@pytest.mark.parametrize(
    ("body", "answer", "cost"),
    [
        ("(drop (call $ask))", 0, 96),
        ("(drop (call $ask))", 1000, 1096),
        ("(drop (call $ask)) (drop (call $ask))", 1000, 2192),
        ("(drop (call $close (call $ask))) (drop (call $close (call $ask)))", 1000, 1096),
        ("(drop (call $close (call $ask))) (drop (call $ask)) (drop (call $ask))", 1000, 2192),
        # A number that was open from the beginning is taken again without a charge.
        ("(drop (call $close (i32.const 2))) (drop (call $ask))", 1000, 1000),
    ],
)
def test_result_files_cost_their_length_and_new_numbers_96(body: str, answer: int, cost: int) -> None:
    code = calling(ETH_CALL, body, PAGES - 1)
    # The file of the call itself (2 bytes, and 96) is made when the callee is gone.
    assert called(code, cost, answering(answer)) == [FITS, OOM]


def test_a_failed_path_open_costs_a_number_for_good() -> None:
    body = """(drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i64.const 0)
      (i64.const 0) (i32.const 0) (i32.const 32)))"""
    code = wat(
        f"""(module (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") {PAGES - 1}) (data (i32.const 64) "nope") (func (export "_start") {body} {body}))"""
    )
    assert called(code, 192) == [FITS, OOM]


# --- several VMs ----


@pytest.mark.parametrize(("inner", "outcome"), [(65_000, FITS), (65_001, VMError("wasm_trap UnreachableCodeReached"))])
def test_a_called_contract_draws_on_the_same_pool_and_gives_everything_back(inner: int, outcome: Any) -> None:
    """The caller's pages, grown by one before the first call, and what the callee takes, growth included."""
    host = InMemoryHost()
    host.put_code(
        starting(inner, f"(if (i32.ne (memory.grow (i32.const 1)) (i32.const {inner})) (then (unreachable)))"), CALLEE
    )
    body = """(drop (memory.grow (i32.const 1))) (drop (call $close (call $ask)))
      (drop (memory.grow (i32.const -1))) (drop (call $close (call $ask)))"""
    code = calling(CALLER_VALUE, body, PAGES - 65_000 - 2)
    assert execute(code, host=host).outcome == outcome


def test_code_of_a_called_contract_stays_charged_to_the_end_of_the_run() -> None:
    """It stays in memory, as every later call runs what the first one has loaded. Everything else is given back."""
    host = InMemoryHost()
    host.put_code(padded(machine(), 10 * PAGE), CALLEE)
    left = PAGES - 64
    assert Script().grow(left).run(host=host).answers == [64]
    for calls in (1, 3):
        program = Script()
        for _ in range(calls):
            program.call(CALLEE, Script().grow(100))
        run = program.grow(left - 9).grow(left - 10).run(host=host)
        assert run.answers[calls:] == [NO_GROWTH, 64]


def test_out_of_memory_in_a_sandbox_is_data_and_its_ram_is_freed() -> None:
    """The machine has 64 pages; the sandbox has the same module, and grows."""
    big = PAGES - 128 - 8
    inner = Script().grow(big)
    run = Script().sandbox(inner).sandbox(inner).grow(big).sandbox(Script()).run()
    first, second, own, last = run.answers
    assert inner.inside(first) == inner.inside(second) == [64]
    assert own == 64
    # There are 72 pages left: enough for the machine itself, once.
    assert last == Answer(0, b"\x00\x03")
    run = Script().grow(big + 9).sandbox(Script()).run()
    assert run.answers == [64, Answer(0, b"\x02OOM")]


def test_nondet_blocks_have_a_pool_of_their_own() -> None:
    big = PAGES - 64 - 8
    inner = Script().grow(big)
    run = Script().grow(big).nondet(inner).nondet(inner).grow(8).run()
    own, first, second, more = run.answers
    assert (own, more) == (64, PAGES - 8)
    assert inner.inside(first) == inner.inside(second) == [64]


def test_each_validator_task_has_the_whole_nondet_pool() -> None:
    """A task that cannot grow fails where it writes to its last page."""
    grown = PAGES - 64 - 8
    task = Script().grow(grown).poke((grown + 64) * PAGE - 1, b"x").gl_call({"Return": True})
    program = Script()
    for _ in range(4):
        program.nondet(Script(), task)
    run = program.run(host=InMemoryHost(leader_results=[b"\x00\x00"] * 4))
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in run.host.methods
    more = Script().grow(grown + 9).poke((grown + 73) * PAGE - 1, b"x").gl_call({"Return": True})
    run = Script().nondet(Script(), more).run(host=InMemoryHost(leader_results=[b"\x00\x00"]))
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT in run.host.methods


def test_locked_slots_cost_32_bytes_each_for_the_whole_run() -> None:
    host = InMemoryHost()
    host.put_locked_slots([bytes([number]) * 32 for number in range(10)])
    code = starting(PAGES)
    assert execute(padded(code, (REST - 320) // 2), host=host).outcome == FITS
    assert execute(padded(code, (REST - 320) // 2 + 1), host=host).outcome == OOM


def test_locked_slots_that_do_not_fit_stop_the_start() -> None:
    host = InMemoryHost()
    host.slot(LOCKED_SLOTS_SLOT)[:] = (RAM_POOL_BYTES // 32 + 1).to_bytes(4, "little")
    with pytest.raises(OutOfMemory):
        execute(starting(1), host=host)
    assert host.result is None
