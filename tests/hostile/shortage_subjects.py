"""What runs on a machine that is short of something: calls of the examples, and contracts that want much.

Every subject gives the same result whenever it is run.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.runners.registry import ensure_built
from tests.hostile.hostile_programs import CALLEE, program
from tests.support.example_runs import EXAMPLE_RUNS, Step, example_host
from tests.support.execution import Execution, execute, wat
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import Script, machine


@dataclass
class Subject:
    """A run."""

    name: str
    host: InMemoryHost
    """In the state before the run."""
    built: bool = False
    """Whether it needs the built-in runners."""
    cold: bool = False
    """Whether nothing is in the cache folder, so that its modules have to be compiled."""
    message: dict[str, Any] = field(default_factory=dict)

    def put_into(self, host: InMemoryHost) -> InMemoryHost:
        """``host`` in the state before the run."""
        host.__dict__.update({name: value for name, value in vars(self.host).items() if name in _STATE})
        host.storage = {place: bytearray(content) for place, content in self.host.storage.items()}
        host.finalized = host.storage
        return host

    def run(self, services: str) -> Execution:
        """In this process, which lacks nothing; ``services`` is the address of both modules."""
        host = self.put_into(InMemoryHost())
        return execute(host=host, built=self.built, message=self.message, web=services, llm=services)


_STATE = ("calldata", "balances", "leader_results", "eth_calls")

# --- examples -----------------------------------------------------------------------------------------

#: Who calls.
LEADER, VALIDATOR, DISAGREEING = "leader", "validator", "disagreeing validator"


def example(chance: random.Random, services: str) -> Subject:
    """Some call of some example that needs no more than the plain runners."""
    name = chance.choice(sorted(EXAMPLE_RUNS.keys() - {"faq.py"}))
    steps = EXAMPLE_RUNS[name][1]
    number = chance.randrange(-1, len(steps))
    role = LEADER
    if number >= 0 and steps[number].blocks:
        role = chance.choice((LEADER, VALIDATOR, VALIDATOR, DISAGREEING))
    subject = example_call(name, number, services)
    if role != LEADER:
        posted = _posted(name, number, services)
        wrong = [b"\x01the leader was wrong"] * len(posted)
        subject.host.leader_results = list(posted) if role == VALIDATOR else wrong
    return subject if role == LEADER else dataclasses.replace(subject, name=f"{subject.name}, {role}")


def example_call(name: str, number: int, services: str) -> Subject:
    """Call ``number`` of an example, -1 for its constructor, in the state that the calls before it leave."""
    args, steps = EXAMPLE_RUNS[name]
    if number < 0:
        host = example_host(name)
        host.calldata = calldata.encode({"args": args})
        return Subject(f"{name}: constructor", host, built=True, message={"is_init": True})
    before = _after(name, number - 1, services)
    host = InMemoryHost(calldata=_calldata(steps[number]), balances=before.balances, eth_calls=before.eth_calls)
    host.storage = {place: bytearray(content) for place, content in before.storage.items()}
    step = steps[number]
    message = {"sender": step.sender, "value": step.value, "datetime": step.datetime}
    return Subject(f"{name}: {step.method}", host, built=True, message=message)


def _calldata(step: Step) -> bytes:
    return calldata.encode({"method": step.method, "args": step.args})


@cache
def _after(name: str, number: int, services: str) -> InMemoryHost:
    """The host of an example as a call leaves it."""
    return example_call(name, number, services).run(services).host


def _posted(name: str, number: int, services: str) -> list[bytes]:
    """The leader's results of a call's nondet blocks."""
    return [fields["result"] for fields in _after(name, number, services).fields_of(HostMethod.POST_NONDET_RESULT)]


# --- contracts that want much -------------------------------------------------------------------------

_ALLOCATING = """
from genlayer import *

class Allocating(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def take(self, size: int) -> int | str:
        try:
            return len(bytearray(size))
        except MemoryError:
            return "no memory"

    @gl.public.write
    def nest(self, size: int, levels: int) -> int | str:
        mine = self.take(size)
        if levels:
            return gl.vm.unpack_result(gl.vm.spawn_sandbox(lambda: self.nest(size, levels - 1)))
        return mine
"""

#: Grows its memory a MiB at a time and writes to all of it; exits with 100 where it gets no more.
_TOUCHING = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{request}")
  (func (export "_start") (local $left i32) (local.set $left (i32.const {mebibytes}))
    (loop $more
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (call $exit (i32.const 100))))
      (memory.fill
        (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 0x100000)) (i32.const 1) (i32.const 0x100000))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (if (i32.const {length}) (then
      (drop (call $gl_call (i32.const 0) (i32.const {length}) (i32.const 0x1000)))))))"""


def _running(script: Script, **arguments: Any) -> InMemoryHost:
    """A host whose contract runs ``script``."""
    host = InMemoryHost(calldata=script.code, balances={CONTRACT: 5}, eth_calls={(CALLEE, b"?"): b"!"}, **arguments)
    host.put_code(machine())
    host.put_code(machine(), CALLEE)
    return host


def _random_program(chance: random.Random) -> InMemoryHost:
    made = program(chance, wild=chance.random() < 0.3, depth=chance.choice((1, 2, 3)))
    return _running(made.script)


def _nesting(chance: random.Random) -> InMemoryHost:
    inner = Script().grow(chance.choice((1, 100, 1000)))
    for _ in range(chance.choice((3, 10, 40, 70))):
        if chance.random() < 0.6:
            inner = Script().storage_write(bytes(32), 0, b"x").sandbox(inner, True)
        else:
            inner = Script().call(CONTRACT, inner)
    return _running(inner)


def _blocks(chance: random.Random) -> InMemoryHost:
    """Nondet blocks, for their leader or for a validator that agrees with all of them."""
    blocks, count = Script(), chance.randrange(1, 8)
    for number in range(count):
        agree = Script().grow(chance.choice((1, 1000, 20_000))).sandbox(Script().grow(10)).gl_call({"Return": True})
        blocks.nondet(Script().grow(5).gl_call({"Return": number}), agree).storage_write(bytes(32), number, b"b")
    leader_results = [b"\x00" + calldata.encode(number) for number in range(count)]
    return _running(blocks, leader_results=chance.choice((None, leader_results, leader_results)))


def _growing(chance: random.Random) -> InMemoryHost:
    script = Script()
    for _ in range(chance.randrange(1, 20)):
        script.grow(chance.choice((1, 16, 256, 4096, 16_000, 40_000))).storage_write(bytes(32), 0, b"g")
    return _running(script)


def _touching(chance: random.Random) -> InMemoryHost:
    return _touching_host(chance.choice((1, 10, 100, 700)))


def _touching_host(mebibytes: int, request: bytes = b"", **arguments: Any) -> InMemoryHost:
    host = InMemoryHost(**arguments)
    text = "".join(f"\\{byte:02x}" for byte in request)
    host.put_code(wat(_TOUCHING.format(mebibytes=mebibytes, request=text, length=len(request))))
    return host


def _touching_both(chance: random.Random) -> InMemoryHost:
    """Touches as much again of the other pool, in a nondet block: there are no blocks inside that one."""
    block = calldata.encode({"RunNondet": {"data_leader": b"L", "data_validator": b"V"}})
    mebibytes = chance.choice((100, 700, 700, 1500, 1500, 1500, 4000))
    return _touching_host(mebibytes, block, leader_results=chance.choice((None, None, [b"\x00\x00"])))


def _allocating(chance: random.Random) -> InMemoryHost:
    runner = ensure_built(progress=False).latest["py-genlayer"]
    size = chance.choice((1_000, 1_000_000, 30_000_000, 300_000_000))
    call = chance.choice(({"method": "take", "args": [size]}, {"method": "nest", "args": [size, 3]}))
    host = InMemoryHost(calldata=calldata.encode(call))
    host.put_code(f'# v0.2.16\n# {{ "Depends": "py-genlayer:{runner}" }}\n{_ALLOCATING}'.encode())
    return host


#: How they are made, and how often they are chosen.
HOSTILE: dict[str, tuple[Callable[[random.Random], InMemoryHost], int]] = {
    "random program": (_random_program, 8),
    "nesting": (_nesting, 4),
    "blocks": (_blocks, 5),
    "growing": (_growing, 3),
    "touching": (_touching, 2),
    "allocating": (_allocating, 4),
}


def hostile(chance: random.Random) -> Subject:
    """Some contract that wants much."""
    (name,) = chance.choices(list(HOSTILE), [weight for _, weight in HOSTILE.values()])
    host = HOSTILE[name][0](chance)
    if name == "allocating":
        return Subject(name, host, built=True)
    cold = chance.random() < 0.3
    return Subject(f"{name}, cold" if cold else name, host, cold=cold)


def greedy(chance: random.Random) -> tuple[str, InMemoryHost]:
    """Some contract that wants as much memory as there is, without the built-in runners."""
    name = chance.choice(("random program", "nesting", "blocks", "growing", "touching", "touching both"))
    return name, _touching_both(chance) if name == "touching both" else HOSTILE[name][0](chance)
