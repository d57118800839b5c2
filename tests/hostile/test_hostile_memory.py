"""Contracts that make the executor hold more memory than they pay for; peaks are those of the real command."""

from __future__ import annotations

import resource
from itertools import pairwise
from typing import Any

import pytest

from pygenvm.executor.limits import VM_DEPTH
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from tests.hostile.hostile_runs import MIB, hostile_run
from tests.support.archives import contract_zip
from tests.support.execution import wat
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import custom_section
from tests.support.quick import few

#: What interpreter, engine and a small module take, and what comes and goes.
SMALL = 64 * MIB
GL_CALL = '(import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))'
EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
VERSION = custom_section("genvm.version", b"v0.2.16")


def text(data: bytes) -> str:
    """Content of a data segment."""
    return "".join(f"\\{byte:02x}" for byte in data)


# --- requests: decoded, a map of one entry takes 70 times what it takes in a request -----------------

#: `{"a": null}`
MAP = b"\x0e\x01a\x00"
MAPS = 500_000
REQUEST_BYTES = MAPS * len(MAP)


def with_maps(request: Any) -> bytes:
    """A module that makes the request once, with an array of ``MAPS`` maps where it says MAPS.

    It exits with 50 + errno, or returns normally after success.
    """
    mark = calldata.encode("MAPS")
    head, _, tail = calldata.encode(request).partition(mark)
    head += _uleb(MAPS << 3 | 5)
    at, end = 65_536 + len(head), 65_536 + len(head) + REQUEST_BYTES
    return (
        wat(
            f"""(module {GL_CALL} {EXIT} (memory (export "memory") {(end + len(tail) >> 16) + 1})
        (data (i32.const 65536) "{text(head)}") (data (i32.const 1024) "{text(tail)}")
        (func (export "_start") (local $at i32) (local $errno i32)
          (local.set $at (i32.const {at}))
          (loop $next
            (i32.store (local.get $at) (i32.const {int.from_bytes(MAP, "little")}))
            (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const {end}))))
          (memory.copy (local.get $at) (i32.const 1024) (i32.const {len(tail)}))
          (local.set $errno (call $gl_call (i32.const 65536) (i32.const {end + len(tail) - 65_536}) (i32.const 0)))
          (if (local.get $errno) (then (call $exit (i32.add (i32.const 50) (local.get $errno)))))))"""
        )
        + VERSION
    )


def _uleb(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


@pytest.mark.slow
def test_a_chain_of_calls_holds_each_request_twice() -> None:
    """In the memory of the caller, which is charged, and in the message of the callee."""
    levels = 8
    contracts = [CONTRACT, *(Address(bytes([100 + level]) + bytes(19)) for level in range(levels))]
    host = InMemoryHost()
    for caller, callee in pairwise(contracts):
        host.put_code(with_maps({"CallContract": {"address": callee, "calldata": "MAPS", "state": 2}}), caller)
    host.put_code(wat('(module (memory (export "memory") 1) (func (export "_start")))'), contracts[-1])
    run = hostile_run(None, host=host)
    assert run.outcome == Return(b"\x00")
    assert run.peak_bytes < SMALL + 3 * levels * REQUEST_BYTES


TO = Address(bytes([3]) + bytes(19))
#: What is passed on as it is, and what it is to end with.
PASSED_ON: dict[str, Any] = {
    "Return": {"Return": "MAPS"},
    "PostMessage": {"PostMessage": {"address": TO, "calldata": "MAPS", "value": 0, "on": "accepted"}},
    "DeployContract": {
        "DeployContract": {"calldata": "MAPS", "code": b"#", "value": 0, "on": "accepted", "salt_nonce": 0}
    },
    "EmitEvent": {"EmitEvent": {"topics": [], "blob": {"x": "MAPS"}}},
}


@pytest.mark.parametrize("name", few(PASSED_ON, "PostMessage"))
def test_calldata_that_is_passed_on_is_not_decoded(name: str) -> None:
    run = hostile_run(with_maps(PASSED_ON[name]))
    assert run.outcome == Return(b"\x00") or name == "Return"
    assert run.peak_bytes < SMALL + 6 * REQUEST_BYTES


#: What is refused for what stands where it says MAPS.
REFUSED: dict[str, Any] = {
    "a field": {"Sandbox": {"allow_write_ops": False, "data": "MAPS"}},
    "an array of something else": {"EmitEvent": {"blob": {}, "topics": "MAPS"}},
    "no request": {"Nope": "MAPS", "Sandbox": {}},
    "a text": {"Trace": {"Message": "MAPS"}},
    "a variant": {"PostMessage": {"address": TO, "calldata": None, "on": {"accepted": "MAPS"}, "value": 0}},
}


@pytest.mark.parametrize("name", few(REFUSED, "a field"))
def test_what_is_refused_is_not_decoded(name: str) -> None:
    run = hostile_run(with_maps(REFUSED[name]))
    assert run.outcome == VMError("exit_code 52")
    assert run.peak_bytes < SMALL + 6 * REQUEST_BYTES


# --- validators --------------------------------------------------------------------------------------


def busy_blocks(blocks: int, size: int) -> bytes:
    """Starts blocks whose validators get ``size`` bytes and compute for a while, then agree.

    A nondet VM knows that it is one because it may not start blocks.
    """
    request = calldata.encode({"RunNondet": {"data_leader": b"", "data_validator": bytes(size)}})
    head = request[: len(request) - size]
    agree = calldata.encode({"Return": True})
    return wat(
        f"""(module {GL_CALL} (memory (export "memory") {(65_536 + len(request) >> 16) + 1})
        (data (i32.const 65536) "{text(head)}") (data (i32.const 1024) "{text(agree)}")
        (func (export "_start") (local $i i32) (local $n i64)
          (loop $next
            (if (call $gl_call (i32.const 65536) (i32.const {len(request)}) (i32.const 0)) (then
              (loop $busy
                (br_if $busy (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (i64.const 60000000))))
              (drop (call $gl_call (i32.const 1024) (i32.const {len(agree)}) (i32.const 0)))))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {blocks})))))) """
    )


@pytest.mark.slow
def test_waiting_validators_are_bounded_by_their_bytes() -> None:
    """The block that does not fit any more waits; nothing else shows."""
    blocks, size = 40, 8 * MIB
    host = InMemoryHost(leader_results=[b"\x00\x00"] * blocks)
    run = hostile_run(busy_blocks(blocks, size), host=host)
    assert run.outcome == Return(b"\x00")
    assert host.methods.count(HostMethod.GET_LEADER_NONDET_RESULT) == blocks
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
    # What waits, what two VMs have of it in their memories and messages, and copies that come and go.
    assert run.peak_bytes < SMALL + 64 * MIB + 8 * size


def test_data_of_validators_that_alone_are_too_many_wait_for_the_others() -> None:
    host = InMemoryHost(leader_results=[b"\x00\x00"] * 3)
    run = hostile_run(busy_blocks(3, 80 * MIB), host=host)
    assert run.outcome == Return(b"\x00")
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods


def test_validators_do_not_hold_their_memories_at_the_same_time() -> None:
    """Each has a right to the whole pool, all of them together to hardly more."""
    pages = 3_000
    fill = f"(memory.fill (i32.const 65536) (i32.const 1) (i32.const {(pages - 1) << 16}))"
    request = calldata.encode({"RunNondet": {"data_leader": b"", "data_validator": b""}})
    agree = calldata.encode({"Return": True})
    code = wat(
        f"""(module {GL_CALL} (memory (export "memory") 1)
        (data (i32.const 1024) "{text(request)}") (data (i32.const 2048) "{text(agree)}")
        (func (export "_start") (local $i i32)
          (loop $next
            (if (call $gl_call (i32.const 1024) (i32.const {len(request)}) (i32.const 0)) (then
              (if (i32.ne (memory.grow (i32.const {pages - 1})) (i32.const 1)) (then (unreachable)))
              {fill}
              (drop (call $gl_call (i32.const 2048) (i32.const {len(agree)}) (i32.const 0)))))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 6))))))"""
    )
    host = InMemoryHost(leader_results=[b"\x00\x00"] * 6)
    run = hostile_run(code, host=host)
    assert run.outcome == Return(b"\x00")
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
    assert run.peak_bytes < SMALL + (pages << 16) * 3 // 2


@pytest.mark.slow
def test_validators_that_nest_vms_with_many_memories_agree() -> None:
    """Four times 64 levels of some memories. With 100 of them these would be more maps than Linux gives to a process.

    So many modules take long to compile; the address space of a few is bounded instead.
    """
    libraries, level_bytes = 3, 4 * 0x1_0400_0000
    library = '(module $l{0} (memory 1) (data (i32.const 32768) "x"))'
    requests = {
        "block": calldata.encode({"RunNondet": {"data_leader": b"", "data_validator": b""}}),
        "sandbox": calldata.encode({"Sandbox": {"data": b"", "allow_write_ops": False}}),
        "agree": calldata.encode({"Return": True}),
    }
    places = dict(zip(requests, (1024, 2048, 3072), strict=True))
    calls = {
        name: f"(call $gl_call (i32.const {places[name]}) (i32.const {len(request)}) (i32.const 0))"
        for name, request in requests.items()
    }
    data = "".join(f'(data (i32.const {places[name]}) "{text(request)}")' for name, request in requests.items())
    program = f"""(module {GL_CALL} (memory (export "memory") 1) {data}
      (func (export "_start")
        (if {calls["block"]} (then (drop {calls["sandbox"]}) (drop {calls["agree"]})))
        {f"(drop {calls['block']})" * 3}))"""
    files = {f"l{number}": wat(library.format(number)) for number in range(libraries)} | {"p": wat(program)}
    actions = {"Seq": [*({"LinkWasm": f"l{number}"} for number in range(libraries)), {"StartWasm": "p"}]}
    host = InMemoryHost(leader_results=[b"\x00\x00"] * 4)
    shortage = resource.RLIMIT_AS, 2 * (VM_DEPTH + 1) * level_bytes
    run = hostile_run(contract_zip(actions, files), host=host, shortage=shortage)
    assert run.outcome == Return(b"\x00")
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
