"""Contracts that want too much, through the real command: huge requests, nesting without end, work without end."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pygenvm.executor.limits import STORAGE_WRITE_BYTES, VM_DEPTH
from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from tests.hostile.hostile_runs import MIB, SMALL_RUN_BYTES, Ended, bounded_run, hostile_run
from tests.support.execution import wat
from tests.support.hosts import CONTRACT, InMemoryHost, serving
from tests.support.machine import Script, custom_section, machine
from tests.support.quick import few

HUGE = 100_000_000
#: Memory of the contract, a copy of the request and what is made of it; the interpreter is small against that.
HUGE_RUN_BYTES = 1000 * MIB
TIMEOUT = VMError("timeout")

IMPORTS = """
  (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
  (import "genlayer_sdk" "storage_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"""


def text(data: bytes) -> str:
    """Content of a data segment."""
    return "".join(f"\\{byte:02x}" for byte in data)


def uleb(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def requesting(head: bytes, fill: int, tail: bytes, *, again: bool = False) -> bytes:
    """Makes a request of ``HUGE`` bytes ``fill`` between ``head`` and ``tail`` and exits with 50 + errno.

    ``again``: writes to storage once, then makes it over and over.
    """
    at, size = 65_536, len(head) + HUGE + len(tail)
    call = f"(call $gl_call (i32.const {at}) (i32.const {size}) (i32.const 0))"
    body = f"(call $exit (i32.add (i32.const 50) {call}))"
    if again:
        write = "(drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))"
        body = f"{write} (loop $ever (drop {call}) (br $ever))"
    return wat(
        f"""(module {IMPORTS} (memory (export "memory") {(at + size >> 16) + 1})
        (data (i32.const {at}) "{text(head)}") (data (i32.const 1024) "{text(tail)}")
        (func (export "_start")
          (memory.fill (i32.const {at + len(head)}) (i32.const {fill}) (i32.const {HUGE}))
          (memory.copy (i32.const {at + len(head) + HUGE}) (i32.const 1024) (i32.const {len(tail)}))
          {body}))"""
    )


#: `{"Sandbox": {"allow_write_ops": …`: not a bool, so that only its size is of interest.
SANDBOX = b"\x0e\x07Sandbox\x16\x0fallow_write_ops"
#: Head, byte, tail; all of them are refused.
REFUSED = {
    "an integer": (SANDBOX + b"\xf9", 0xFF, b"\x01\x04data\x03"),
    "bytes": (SANDBOX + uleb(HUGE << 3 | 3), 0xFF, b"\x04data\x03"),
    "a text": (SANDBOX + uleb(HUGE << 3 | 4), 0x61, b"\x04data\x03"),
    "no text": (SANDBOX + uleb(HUGE << 3 | 4), 0xFF, b"\x04data\x03"),
    "a list": (SANDBOX + uleb(HUGE << 3 | 5), 0x00, b"\x04data\x03"),
    "lists in lists": (SANDBOX, 0x0D, b"\x00\x04data\x03"),
    "a name": (b"\x0e" + uleb(HUGE), 0x61, b"\x00"),
    "a length": (b"\xfb", 0xFF, b"\x01"),
    "an integer without an end": (b"\xf9", 0xFF, b""),
    "nothing but zeros": (b"", 0x00, b""),
}


@pytest.mark.parametrize("name", few(REFUSED, "a text", "a list", "nothing but zeros"))
def test_huge_requests_are_refused(name: str) -> None:
    run = hostile_run(requesting(*REFUSED[name]))
    assert run.outcome == VMError("exit_code 52")
    assert run.peak_bytes < HUGE_RUN_BYTES


def test_requests_of_gigabytes_are_refused_unread() -> None:
    """Nearly all of the memory that a contract can have, never touched; a pointer outside of it is still no errno."""
    body = (
        f"(call $exit (i32.add (i32.const 50) (call $gl_call (i32.const 0) (i32.const {65_000 << 16}) (i32.const 0))))"
    )
    code = f'(module {IMPORTS} (memory (export "memory") {{}}) (func (export "_start") {body}))'
    run = hostile_run(wat(code.format(65_000)))
    assert run.outcome == VMError("exit_code 52")
    assert run.peak_bytes < SMALL_RUN_BYTES
    assert isinstance(hostile_run(wat(code.format(64_999))).outcome, InternalError)


@pytest.mark.parametrize("name", few(["an integer", "a text"], "a text"))
def test_a_signal_ends_huge_requests(name: str) -> None:
    """They are made in the interpreter, where the main thread has to get its turn."""
    host = InMemoryHost()
    run = _signalled(requesting(*REFUSED[name], again=True), host, lambda: HostMethod.STORAGE_WRITE in host.methods)
    assert run.outcome == TIMEOUT


def test_huge_writes_reach_the_host_whole() -> None:
    """One request each; this host forgets what it gets."""
    sizes: list[int] = []

    class Forgetful(InMemoryHost):
        async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
            sizes.append(len(data))

    code = wat(
        f"""(module {IMPORTS} (memory (export "memory") {(HUGE >> 16) + 1}) (func (export "_start")
          (drop (call $write (i32.const 0) (i32.const 5) (i32.const 0) (i32.const {HUGE})))))"""
    )
    run = hostile_run(code, host=Forgetful())
    assert run.outcome == Return(b"\x00")
    assert sizes == [HUGE]
    assert run.peak_bytes < HUGE_RUN_BYTES


def test_a_write_above_the_limit_of_every_host() -> None:
    """A host would have to hang up, and nobody would know whose fault it was."""
    size = STORAGE_WRITE_BYTES + 1
    code = wat(
        f"""(module {IMPORTS} (memory (export "memory") {(size >> 16) + 1}) (func (export "_start")
          (drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {size})))))"""
    )
    host = InMemoryHost()
    run = hostile_run(code, host=host)
    assert run.outcome == VMError("out_of_storage_gas")
    assert HostMethod.STORAGE_WRITE not in host.methods
    assert run.peak_bytes < SMALL_RUN_BYTES


# --- nesting ----


def nested(levels: int) -> Script:
    """Sandboxes inside each other."""
    program = Script()
    for _ in range(levels):
        program = Script().sandbox(program)
    return program


@pytest.mark.parametrize("levels", [512, 3000])
def test_hundreds_of_nested_sandboxes(levels: int) -> None:
    """The one that is too deep ends with OOM, which is data for the one around it; the same on every run."""
    program = nested(levels)
    runs = [hostile_run(machine(), host=InMemoryHost(calldata=program.code)) for _ in range(2)]
    assert runs[0].payload == runs[1].payload
    outcome = runs[0].outcome
    assert isinstance(outcome, Return), outcome
    content = calldata.decode(outcome.calldata)
    for _ in range(VM_DEPTH):
        assert isinstance(content, bytes)
        errno, _, length = struct.unpack_from("<III", content)
        assert (errno, len(content)) == (0, 12 + length)
        assert content[12] == 0
        content = calldata.decode(content[13:])
    assert content == struct.pack("<III", 0, 4, 4) + b"\x02OOM"


#: Calls itself, or starts a sandbox of itself, whatever it is given; a sub-VM that fails makes it exit with 7.
CALL_ITSELF = calldata.encode({"CallContract": {"address": CONTRACT, "calldata": None, "state": 2}})
SANDBOX_ITSELF = calldata.encode({"Sandbox": {"data": b"", "allow_write_ops": True}})


def endless(request: bytes) -> bytes:
    call = f"(call $gl_call (i32.const 64) (i32.const {len(request)}) (i32.const 0))"
    return wat(
        f"""(module {IMPORTS} (memory (export "memory") 1) (data (i32.const 64) "{text(request)}")
        (func (export "_start") (if {call} (then (call $exit (i32.const 7))))))"""
    )


@pytest.mark.parametrize(
    ("request_bytes", "outcome"),
    [(CALL_ITSELF, VMError("OOM")), (SANDBOX_ITSELF, Return(b"\x00"))],
    ids=["calls", "sandboxes"],
)
def test_a_contract_that_enters_itself_for_ever(request_bytes: bytes, outcome: object) -> None:
    """The error of a called contract ends its callers, that of a sandbox does not."""
    runs = [hostile_run(endless(request_bytes)) for _ in range(2)]
    assert runs[0].outcome == outcome
    assert runs[0].payload == runs[1].payload


def test_nested_calls_from_deep_inside() -> None:
    """Every level has used most of its wasm stack when it calls the next one."""
    code = wat(
        f"""(module {IMPORTS} (memory (export "memory") 1) (data (i32.const 64) "{text(CALL_ITSELF)}")
        (func $down (param i32) (result i32)
          (if (result i32) (local.get 0)
            (then (i32.add (i32.const 0) (call $down (i32.sub (local.get 0) (i32.const 1)))))
            (else (call $gl_call (i32.const 64) (i32.const {len(CALL_ITSELF)}) (i32.const 0)))))
        (func (export "_start") (if (call $down (i32.const 15000)) (then (unreachable)))))"""
    )
    runs = [hostile_run(code) for _ in range(2)]
    assert runs[0].outcome == VMError("OOM")
    assert runs[0].payload == runs[1].payload


def test_blocks_cannot_be_started_from_where_they_are_not_allowed() -> None:
    """From sandboxes and from blocks: forbidden, as often as it is tried, and nobody is asked."""
    block = calldata.encode({"RunNondet": {"data_leader": b"", "data_validator": b""}})
    tries = Script()
    for _ in range(1000):
        tries.gl_call(block)
    host = InMemoryHost(calldata=Script().sandbox(tries, True).nondet(tries).code)
    run = hostile_run(machine(), host=host)
    assert isinstance(run.outcome, Return)
    forbidden = struct.pack("<I", 6) * 1000
    assert calldata.decode(run.outcome.calldata).count(forbidden) == 2
    assert host.methods.count(HostMethod.GET_LEADER_NONDET_RESULT) == 1


# --- without end ----


def _signalled(code: bytes, host: InMemoryHost, when: Callable[[], bool]) -> Ended:
    host.put_code(code)
    with serving(host) as node:
        run = bounded_run(node.address, result=lambda: host.result, kill_when=when)
    run.check()
    return run


ENDLESS = {
    "events": {"EmitEvent": {"topics": [bytes(32)] * 4, "blob": {"a": bytes(1000)}}},
    "messages": {"PostMessage": {"address": CONTRACT, "calldata": bytes(1000), "value": 0, "on": "accepted"}},
    "blocks": {"RunNondet": {"data_leader": b"!R", "data_validator": b"!R"}},
}
METHODS = {
    "events": HostMethod.POST_EVENT,
    "messages": HostMethod.POST_MESSAGE,
    "blocks": HostMethod.POST_NONDET_RESULT,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_a_contract_does_for_ever_ends_with_the_signal(name: str) -> None:
    """Every request was carried out by then, and none is half sent."""
    raw = calldata.encode(ENDLESS[name])
    entry = f"""(loop $ever
      (if (call $gl_call (i32.const 64) (i32.const {len(raw)}) (i32.const 0)) (then (unreachable)))
      (drop (call $close (i32.const 4))) (br $ever))"""
    # A block runs the contract again, which must not go on for ever then: nondet VMs cannot start blocks.
    if name == "blocks":
        entry = entry.replace("(then (unreachable))", "(then (return))")
    code = wat(
        f"""(module {IMPORTS} (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 64) "{text(raw)}") (func (export "_start") {entry}))"""
    )
    host = InMemoryHost()
    method = METHODS[name]
    run = _signalled(code + custom_section("genvm.version", b"v0.2.16"), host, lambda: host.methods.count(method) > 100)
    assert run.outcome == TIMEOUT
    assert host.methods[-1] is HostMethod.CONSUME_RESULT
