"""A contract that does what its entry data tells it to: host calls are tested without a module per test.

run = Script().gl_call({"Sandbox": {...}}).storage_read(ROOT, 0, 4).run()
assert run.answers == [Answer(0, b"\\x00…"), Answer(6)]

The entry data is a program of one-letter operations (see the table in the module). Each appends to an output, and at
the end of the program the VM returns the whole output as bytes. Sub-VMs of the machine run it again, with programs of
their own, so a program can hold others.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import Any

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from tests.support.execution import Execution, execute, wat
from tests.support.hosts import InMemoryHost

#: Where the module keeps things: scratch that programs may use, the message from fd 0, the output.
SCRATCH, MESSAGE, OUTPUT, END = 0x100, 0x10000, 0x200000, 0x400000
NO_FILE = 0xFFFF_FFFF

#: Operands of `trap`.
TRAPS = (
    "UnreachableCodeReached",
    "IntegerDivisionByZero",
    "IntegerOverflow",
    "MemoryOutOfBounds",
    "IndirectCallToNull",
    "BadSignature",
    "TableOutOfBounds",
    "StackOverflow",
    "DeterministicMode",
)

_ENTRY_DATA = b"\x0aentry_data"

MACHINE_WAT = f"""
(module $machine
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "genlayer_sdk" "storage_read" (func $storage_read (param i32 i32 i32 i32) (result i32)))
  (import "genlayer_sdk" "storage_write" (func $storage_write (param i32 i32 i32 i32) (result i32)))
  (import "genlayer_sdk" "get_balance" (func $get_balance (param i32 i32) (result i32)))
  (import "genlayer_sdk" "get_self_balance" (func $get_self_balance (param i32) (result i32)))
  (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
  (memory (export "memory") {END >> 16})
  (table 4 funcref)
  (elem (i32.const 1) $takes_an_argument)
  (type $nothing (func))
  (global $ip (mut i32) (i32.const 0))
  (global $out (mut i32) (i32.const {OUTPUT}))
  (global $message_bytes (mut i32) (i32.const 0))
  (data (i32.const 0xd0) "\\0e\\06Return")

  (func $takes_an_argument (param i32))
  (func $byte (result i32)
    (i32.load8_u (global.get $ip))
    (global.set $ip (i32.add (global.get $ip) (i32.const 1))))
  (func $word (result i32)
    (i32.load (global.get $ip))
    (global.set $ip (i32.add (global.get $ip) (i32.const 4))))
  ;; Address of the next n bytes of the program.
  (func $take (param $n i32) (result i32)
    (global.get $ip)
    (global.set $ip (i32.add (global.get $ip) (local.get $n))))
  (func $put (param $word i32)
    (i32.store (global.get $out) (local.get $word))
    (global.set $out (i32.add (global.get $out) (i32.const 4))))
  (func $put_bytes (param $from i32) (param $n i32)
    (memory.copy (global.get $out) (local.get $from) (local.get $n))
    (global.set $out (i32.add (global.get $out) (local.get $n))))
  ;; Everything that fd still holds goes to an address; the result is its length.
  (func $slurp (param $fd i32) (param $to i32) (result i32)
    (local $begin i32)
    (local.set $begin (local.get $to))
    (loop $more
      (i32.store (i32.const 0) (local.get $to))
      (i32.store (i32.const 4) (i32.const 0x100000))
      (if (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
      (local.set $to (i32.add (local.get $to) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8))))
    (i32.sub (local.get $to) (local.get $begin)))
  (func $read_file (param $fd i32)
    (local $length i32)
    (local.set $length (call $slurp (local.get $fd) (i32.add (global.get $out) (i32.const 4))))
    (call $put (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))
  (func $recurse (param i32) (result i32)
    (i32.add (i32.const 1) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
  (func $trap (param $kind i32)
    (if (i32.eq (local.get $kind) (i32.const 0)) (then (unreachable)))
    (if (i32.eq (local.get $kind) (i32.const 1)) (then (drop (i32.div_s (i32.const 1) (i32.const 0)))))
    (if (i32.eq (local.get $kind) (i32.const 2)) (then (drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))))
    (if (i32.eq (local.get $kind) (i32.const 3)) (then (drop (i32.load (i32.const {END - 3})))))
    (if (i32.eq (local.get $kind) (i32.const 4)) (then (call_indirect (type $nothing) (i32.const 0))))
    (if (i32.eq (local.get $kind) (i32.const 5)) (then (call_indirect (type $nothing) (i32.const 1))))
    (if (i32.eq (local.get $kind) (i32.const 6)) (then (call_indirect (type $nothing) (i32.const 4))))
    (if (i32.eq (local.get $kind) (i32.const 7)) (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $kind) (i32.const 8)) (then (drop (f64.add (f64.const 1) (f64.const 2))))))

  (func $uleb (result i32)
    (local $value i32) (local $shift i32) (local $byte i32)
    (loop $more
      (local.set $byte (call $byte))
      (local.set $value (i32.or (local.get $value)
        (i32.shl (i32.and (local.get $byte) (i32.const 0x7f)) (local.get $shift))))
      (local.set $shift (i32.add (local.get $shift) (i32.const 7)))
      (br_if $more (i32.and (local.get $byte) (i32.const 0x80))))
    (local.get $value))
  ;; Sets $ip to the program and returns its end.
  (func $find_program (result i32)
    (local $end i32)
    (global.set $message_bytes (call $slurp (i32.const 0) (i32.const {MESSAGE})))
    (global.set $ip (i32.const {MESSAGE}))
    (loop $search
      (global.set $ip (i32.add (global.get $ip) (i32.const 1)))
      (br_if $search (i64.ne (i64.load (global.get $ip)) (i64.const {struct.unpack("<q", _ENTRY_DATA[:8])[0]})))
      (br_if $search (i32.ne (i32.load offset=7 (global.get $ip))
        (i32.const {struct.unpack("<i", _ENTRY_DATA[7:])[0]}))))
    (global.set $ip (i32.add (global.get $ip) (i32.const {len(_ENTRY_DATA)})))
    (local.set $end (i32.shr_u (call $uleb) (i32.const 3)))
    (local.set $end (i32.add (local.get $end) (global.get $ip)))
    ;; CallContract sends calldata: the program is a byte string of it.
    (if (i32.and (i32.lt_u (global.get $ip) (local.get $end))
                 (i32.eq (i32.and (i32.load8_u (global.get $ip)) (i32.const 7)) (i32.const 3)))
      (then (drop (call $uleb))))
    (if (i32.eq (i32.load8_u (global.get $ip)) (i32.const 0x21)) (then (return (local.get $end))))
    (global.get $ip))
  ;; gl_call Return with the output as bytes: the header goes in front of it.
  (func $finish
    (local $header i32) (local $at i32)
    (local.set $header (i32.or (i32.const 3) (i32.shl (i32.sub (global.get $out) (i32.const {OUTPUT})) (i32.const 3))))
    (local.set $at (i32.const {OUTPUT - 16}))
    (memory.copy (local.get $at) (i32.const 0xd0) (i32.const 8))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (loop $more
      (i32.store8 (local.get $at) (i32.or (i32.and (local.get $header) (i32.const 0x7f))
        (i32.shl (i32.gt_u (local.get $header) (i32.const 0x7f)) (i32.const 7))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $more (local.tee $header (i32.shr_u (local.get $header) (i32.const 7)))))
    (memory.copy (local.get $at) (i32.const {OUTPUT}) (i32.sub (global.get $out) (i32.const {OUTPUT})))
    (global.set $out (i32.add (local.get $at) (i32.sub (global.get $out) (i32.const {OUTPUT}))))
    (drop (call $gl_call (i32.const {OUTPUT - 16}) (i32.sub (global.get $out) (i32.const {OUTPUT - 16})) (i32.const 0)))
    (unreachable))

  (func (export "_start")
    (local $end i32) (local $op i32) (local $a i32) (local $b i32)
    (local.set $end (call $find_program))
    (loop $next
      (if (i32.ge_u (global.get $ip) (local.get $end)) (then (call $finish)))
      (local.set $op (call $byte))
      ;; ! nothing: every program begins with it, other entry data is none
      ;; Q length, request: gl_call; errno, on success fd and, if it is one, length and content
      (if (i32.eq (local.get $op) (i32.const 0x51)) (then
        (local.set $a (call $word))
        (local.set $b (call $gl_call (call $take (local.get $a)) (local.get $a) (i32.const 16)))
        (call $put (local.get $b))
        (if (i32.eqz (local.get $b)) (then
          (call $put (i32.load (i32.const 16)))
          (if (i32.ne (i32.load (i32.const 16)) (i32.const -1))
            (then (call $read_file (i32.load (i32.const 16)))))))))
      ;; q pointer, length, fd pointer: gl_call, errno
      (if (i32.eq (local.get $op) (i32.const 0x71))
        (then (call $put (call $gl_call (call $word) (call $word) (call $word)))))
      ;; S, V slot pointer, index, pointer, length: storage_read, storage_write; errno
      (if (i32.eq (local.get $op) (i32.const 0x53))
        (then (call $put (call $storage_read (call $word) (call $word) (call $word) (call $word)))))
      (if (i32.eq (local.get $op) (i32.const 0x56))
        (then (call $put (call $storage_write (call $word) (call $word) (call $word) (call $word)))))
      ;; B address pointer, result pointer; b result pointer: balances; errno
      (if (i32.eq (local.get $op) (i32.const 0x42))
        (then (call $put (call $get_balance (call $word) (call $word)))))
      (if (i32.eq (local.get $op) (i32.const 0x62))
        (then (call $put (call $get_self_balance (call $word)))))
      ;; P pointer, length, bytes: written to memory
      (if (i32.eq (local.get $op) (i32.const 0x50)) (then
        (local.set $a (call $word))
        (local.set $b (call $word))
        (memory.copy (local.get $a) (call $take (local.get $b)) (local.get $b))))
      ;; O pointer, length: put out
      (if (i32.eq (local.get $op) (i32.const 0x4f))
        (then (call $put_bytes (call $word) (call $word))))
      ;; M: the message, length and content
      (if (i32.eq (local.get $op) (i32.const 0x4d)) (then
        (call $put (global.get $message_bytes))
        (call $put_bytes (i32.const {MESSAGE}) (global.get $message_bytes))))
      ;; m: the message goes to stdout; errno
      (if (i32.eq (local.get $op) (i32.const 0x6d)) (then
        (i32.store (i32.const 0) (i32.const {MESSAGE}))
        (i32.store (i32.const 4) (global.get $message_bytes))
        (call $put (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
      ;; X fd: fd_close; errno
      (if (i32.eq (local.get $op) (i32.const 0x58)) (then (call $put (call $fd_close (call $word)))))
      ;; W fd, length, bytes: fd_write; errno
      (if (i32.eq (local.get $op) (i32.const 0x57)) (then
        (local.set $a (call $word))
        (local.set $b (call $word))
        (i32.store (i32.const 0) (call $take (local.get $b)))
        (i32.store (i32.const 4) (local.get $b))
        (call $put (call $fd_write (local.get $a) (i32.const 0) (i32.const 1) (i32.const 8)))))
      ;; G pages: memory.grow; its result
      (if (i32.eq (local.get $op) (i32.const 0x47)) (then (call $put (memory.grow (call $word)))))
      ;; T kind: trap; E status: proc_exit; R: return from the entry function; L: loop for ever
      (if (i32.eq (local.get $op) (i32.const 0x54)) (then (call $trap (call $word))))
      (if (i32.eq (local.get $op) (i32.const 0x45)) (then (call $proc_exit (call $word))))
      (if (i32.eq (local.get $op) (i32.const 0x52)) (then (return)))
      (if (i32.eq (local.get $op) (i32.const 0x4c)) (then (loop $ever (br $ever))))
      (br $next)))
)
"""


@functools.cache
def machine(version: str | None = "v0.2.16") -> bytes:
    """The module, declaring a version."""
    code = wat(MACHINE_WAT)
    return code if version is None else code + custom_section("genvm.version", version.encode())


def custom_section(name: str, content: bytes) -> bytes:
    """A custom section, ready to be appended to a module; for contents up to 2 MiB."""
    body = bytes([len(name)]) + name.encode() + content
    return bytes([0, len(body) & 0x7F | 0x80, len(body) >> 7 & 0x7F | 0x80, len(body) >> 14]) + body


@dataclass(frozen=True)
class Answer:
    """What one host call gave: errno and, where the call has a result, its bytes; ``fd`` is that of gl_call."""

    errno: int
    content: bytes | None = None
    fd: int | None = field(default=None, compare=False)


@dataclass
class Script:
    """A program for the machine. Every method adds one operation and returns the program."""

    code: bytes = b"!"
    layout: list[str] = field(default_factory=list)
    """What the operations put out: answers ``gl``, ``errno``, ``data <n>`` (errno, then n bytes if it is 0), numbers
    ``u32``, ``bytes`` with their length before them, ``raw <n>`` without."""

    def _add(self, op: bytes, *words: int, tail: bytes = b"", output: str | None = None) -> Script:
        self.code += op + struct.pack(f"<{len(words)}I", *words) + tail
        if output is not None:
            self.layout.append(output)
        return self

    def gl_call(self, request: Any) -> Script:
        """``request`` is encoded unless it is bytes."""
        raw = request if isinstance(request, bytes) else calldata.encode(request)
        return self._add(b"Q", len(raw), tail=raw, output="gl")

    def gl_call_at(self, pointer: int, length: int, result: int) -> Script:
        return self._add(b"q", pointer, length, result, output="errno")

    def sandbox(self, inner: Script, allow_write_ops: bool = False) -> Script:
        return self.gl_call({"Sandbox": {"data": inner.code, "allow_write_ops": allow_write_ops}})

    def nondet(self, leader: Script, validator: Script | None = None) -> Script:
        data_validator = (validator or Script()).code
        return self.gl_call({"RunNondet": {"data_leader": leader.code, "data_validator": data_validator}})

    def call(self, callee: Address, inner: Script, state: int = 2) -> Script:
        return self.gl_call({"CallContract": {"address": callee, "calldata": inner.code, "state": state}})

    def poke(self, pointer: int, data: bytes) -> Script:
        return self._add(b"P", pointer, len(data), tail=data)

    def peek(self, pointer: int, length: int) -> Script:
        return self._add(b"O", pointer, length, output=f"raw {length}")

    def storage_read(self, slot: bytes, index: int, length: int) -> Script:
        """Into memory that was filled with ``a5``; the answer has it all, whatever the errno."""
        self.poke(SCRATCH, slot).poke(SCRATCH + 32, b"\xa5" * min(length, 64))
        return self.storage_read_at(SCRATCH, index, SCRATCH + 32, length).peek(SCRATCH + 32, min(length, 64))

    def storage_read_at(self, slot: int, index: int, buffer: int, length: int) -> Script:
        return self._add(b"S", slot, index, buffer, length, output="errno")

    def storage_write(self, slot: bytes, index: int, data: bytes) -> Script:
        self.poke(SCRATCH, slot + data)
        return self.storage_write_at(SCRATCH, index, SCRATCH + 32, len(data))

    def storage_write_at(self, slot: int, index: int, buffer: int, length: int) -> Script:
        return self._add(b"V", slot, index, buffer, length, output="errno")

    def get_balance(self, address: Address) -> Script:
        self.poke(SCRATCH, address.as_bytes)
        return self._add(b"B", SCRATCH, SCRATCH + 32, output="errno").peek(SCRATCH + 32, 32)

    def get_balance_at(self, address: int, result: int) -> Script:
        return self._add(b"B", address, result, output="errno")

    def get_self_balance(self) -> Script:
        self.poke(SCRATCH + 32, b"\xa5" * 32)
        return self.get_self_balance_at(SCRATCH + 32).peek(SCRATCH + 32, 32)

    def get_self_balance_at(self, result: int) -> Script:
        return self._add(b"b", result, output="errno")

    def message(self) -> Script:
        return self._add(b"M", output="bytes")

    def print_message(self) -> Script:
        """Writes the message to stdout."""
        return self._add(b"m", output="errno")

    def close(self, fd: int) -> Script:
        return self._add(b"X", fd, output="errno")

    def write(self, fd: int, data: bytes) -> Script:
        return self._add(b"W", fd, len(data), tail=data, output="errno")

    def grow(self, pages: int) -> Script:
        return self._add(b"G", pages, output="u32")

    def trap(self, kind: str) -> Script:
        return self._add(b"T", TRAPS.index(kind))

    def exit(self, status: int) -> Script:
        return self._add(b"E", status)

    def leave(self) -> Script:
        return self._add(b"R")

    def loop(self) -> Script:
        return self._add(b"L")

    def read(self, output: bytes) -> list[Any]:
        """The output of the program, one item per entry of ``layout``."""
        items: list[Any] = []
        at = 0

        def word() -> int:
            nonlocal at
            at += 4
            return int(struct.unpack_from("<I", output, at - 4)[0])

        def take(length: int) -> bytes:
            nonlocal at
            at += length
            return output[at - length : at]

        for entry in self.layout:
            kind, _, size = entry.partition(" ")
            match kind:
                case "gl":
                    errno = word()
                    fd = word() if errno == 0 else None
                    items.append(Answer(errno, None if fd in (None, NO_FILE) else take(word()), fd))
                case "errno":
                    items.append(Answer(word()))
                case "u32":
                    items.append(word())
                case "bytes":
                    items.append(take(word()))
                case "raw":
                    items.append(take(int(size)))
        assert at == len(output)
        return items

    def inside(self, answer: Answer) -> list[Any]:
        """What this program put out as the sub-VM whose result is ``answer``."""
        assert answer.errno == 0
        assert answer.content is not None
        assert answer.content[0] == 0, answer.content
        return self.read(returned(answer.content[1:]))

    def run(self, *, host: InMemoryHost | None = None, version: str | None = "v0.2.16", **arguments: Any) -> Ran:
        """The main VM runs this program; ``arguments`` are those of :func:`execute`."""
        host = host or InMemoryHost()
        host.calldata = self.code
        return Ran(self, execute(machine(version), host=host, **arguments))


@dataclass
class Ran:
    """An execution of a program."""

    script: Script
    execution: Execution

    @property
    def host(self) -> InMemoryHost:
        return self.execution.host

    @property
    def outcome(self) -> Any:
        return self.execution.outcome

    @property
    def answers(self) -> list[Any]:
        """Output of the main VM, which has to have returned."""
        outcome = self.outcome
        assert isinstance(outcome, Return), outcome
        return self.script.read(returned(outcome.calldata))


def returned(encoded: bytes) -> bytes:
    """The output of a machine from its calldata."""
    output = calldata.decode(encoded)
    assert isinstance(output, bytes)
    return output


def traffic(host: InMemoryHost) -> list[Any]:
    """The requests of the contract: what comes between loading its code and the result."""
    begin = next(index for index, request in enumerate(host.requests) if request.method is HostMethod.GET_CALLDATA)
    return host.requests[begin + 3 : -1]
