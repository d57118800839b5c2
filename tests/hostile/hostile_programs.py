"""Random programs for the machine of tests.support.machine: requests near the valid ones, and wild numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from tests.support.hosts import CONTRACT
from tests.support.machine import END, SCRATCH, TRAPS, Script

CALLEE = Address(bytes([3]) + bytes(19))
_TOPIC = b"\x22" * 32

#: One valid request of each shape of spec executor/04 "Request shapes".
REQUESTS: tuple[dict[str, Any], ...] = (
    {"EthSend": {"address": CALLEE, "calldata": b"", "value": 5}},
    {"EthCall": {"address": CALLEE, "calldata": b"?"}},
    {"CallContract": {"address": CALLEE, "calldata": {"method": "g"}, "state": 2}},
    {"CallContract": {"address": CONTRACT, "calldata": b"AB", "state": 0}},
    {"PostMessage": {"address": CALLEE, "calldata": {}, "value": 5, "on": "finalized"}},
    {"DeployContract": {"calldata": {}, "code": b"#", "value": 0, "on": {"accepted": None}, "salt_nonce": 1}},
    {"RunNondet": {"data_leader": b"L", "data_validator": b"V"}},
    {"Sandbox": {"data": b"AB", "allow_write_ops": True}},
    {"WebRender": {"mode": "text", "url": "http://a", "wait_after_loaded": "1s"}},
    {"WebRequest": {"method": "POST", "url": "http://a", "headers": {"a": b"b"}, "body": b"", "sign": True}},
    {"ExecPrompt": {"prompt": "p", "images": [b"i"], "response_format": "json"}},
    {"ExecPromptTemplate": {"template": "EqNonComparativeLeader", "task": "t", "criteria": "c", "input": "i"}},
    {"ExecPromptTemplate": {"template": "EqComparative", "leader_answer": "", "validator_answer": "", "principle": ""}},
    {"EmitEvent": {"topics": [_TOPIC], "blob": {"a": 1}}},
    {"Rollback": "no"},
    {"Return": {"a": [None, True, -1, b"", "", CALLEE]}},
    {"Trace": {"Message": "hi"}},
    {"Trace": "RuntimeMicroSec"},
)
_NUMBERS = (0, 1, 3, 4, 31, 32, END - 32, END - 4, END - 1, END, END + 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_TEXTS = ("", "\0", "finalized", "1e9s", "9" * 5000 + "ms", "v0.0.0", "\N{PILE OF POO}" * 50, "a" * 70_000)


def nested(depth: int, chance: random.Random) -> bytes:
    """Encoding of arrays and maps inside each other."""
    return b"".join(chance.choice((b"\x0d", b"\x0e\x01a")) for _ in range(depth)) + b"\0"


def anything(chance: random.Random, depth: int = 3) -> Any:
    """A value of calldata, often an extreme one."""
    kind = chance.randrange(9 if depth else 7)
    match kind:
        case 0:
            return chance.choice((None, True, False))
        case 1:
            return chance.choice((0, 1, -1, 2, 3, 1 << 64, (1 << 256) - 1, 1 << 256, -(1 << 70_000), 1 << 200_000))
        case 2:
            return chance.choice(_TEXTS)
        case 3 | 4:
            # Never a program: the machine would run it, and it might loop.
            return chance.choice((b"", _TOPIC, b"\x00", b"a" + chance.randbytes(chance.choice((1, 30, 3000)))))
        case 5:
            return Address(chance.randbytes(20))
        case 6:
            return CONTRACT
        case 7:
            return [anything(chance, depth - 1) for _ in range(chance.choice((0, 1, 2, 5)))]
    return {chance.choice(("", "a", "value", "on", "\u00e9")): anything(chance, depth - 1) for _ in range(2)}


def bent(value: Any, chance: random.Random) -> Any:
    """The value with something inside it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        changed = dict(value)
        key = chance.choice(list(changed))
        match chance.randrange(8):
            case 0:
                del changed[key]
            case 1:
                changed[chance.choice(("x", "", key + "s"))] = anything(chance)
            case 2:
                changed[chance.choice(list(REQUESTS[chance.randrange(len(REQUESTS))]))] = changed.pop(key)
            case _:
                changed[key] = bent(changed[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.5:
        return value * chance.choice((2, 5)) if chance.random() < 0.5 else [bent(value[0], chance), *value[1:]]
    return anything(chance)


def request(chance: random.Random) -> bytes:
    """Encoding of a request that is valid, nearly valid, or not even calldata."""
    value: Any = chance.choice(REQUESTS)
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        value = bent(value, chance)
    raw = bytearray(calldata.encode(value))
    match chance.randrange(8):
        case 0:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        case 1:
            del raw[chance.randrange(len(raw)) :]
        case 2:
            at = chance.randrange(len(raw))
            raw[at:at] = chance.randbytes(chance.choice((1, 2, 10)))
        case 3 if chance.random() < 0.2:
            raw[:] = b"\x0e\x06Return" + nested(chance.choice((100, 9_000, 10_001, 300_000)), chance)
    return bytes(raw)


@dataclass
class Program:
    """A program and what may become of it."""

    script: Script
    blames_nobody: bool
    """It uses a pointer outside its memory or asks a module: by the specification that is an internal error."""


def program(chance: random.Random, *, wild: bool, depth: int = 2) -> Program:
    """A random program; only a ``wild`` one may do what leads to internal errors."""
    made = Program(Script(), False)
    for _ in range(chance.randrange(1, 7)):
        _operation(made, chance, wild, depth)
    return made


def _operation(made: Program, chance: random.Random, wild: bool, depth: int) -> None:
    script = made.script
    kind = chance.randrange(16)
    if kind < 7:
        raw = request(chance)
        # A leader's block runs what it is given; these ask for modules only from programs, so not here.
        script.gl_call(raw)
    elif kind < 10 and depth:
        inner = program(chance, wild=wild, depth=depth - 1)
        made.blames_nobody |= inner.blames_nobody
        match chance.randrange(3):
            case 0:
                script.sandbox(inner.script, chance.random() < 0.5)
            case 1 if wild:
                # Inside a block the requests for modules are served, and there are none.
                made.blames_nobody = True
                script.nondet(inner.script, program(chance, wild=wild, depth=0).script)
            case _:
                script.call(CONTRACT, inner.script, chance.randrange(3))
    elif kind == 10 and wild:
        made.blames_nobody = True
        script.gl_call_at(_number(chance), _number(chance), _number(chance))
    elif kind == 11 and wild:
        made.blames_nobody = True
        use = chance.choice((script.storage_read_at, script.storage_write_at))
        use(_number(chance), _number(chance), _number(chance), _number(chance))
    elif kind == 12 and wild:
        made.blames_nobody = True
        if chance.random() < 0.5:
            script.get_balance_at(_number(chance), _number(chance))
        else:
            script.get_self_balance_at(_number(chance))
    elif kind == 13:
        script.storage_write_at(SCRATCH, chance.choice(_NUMBERS), SCRATCH, chance.choice((0, 1, 100)))
        script.storage_read_at(SCRATCH, chance.choice(_NUMBERS), SCRATCH, chance.choice((0, 1, 100)))
    elif kind == 14:
        script.close(chance.choice((0, 1, 3, 4, 5, 0xFFFF_FFFF)))
        script.write(chance.choice((0, 1, 2, 3, 4, 0xFFFF_FFFF)), b"x")
    elif chance.random() < 0.3:
        script.trap(chance.choice(TRAPS))
    elif chance.random() < 0.3:
        script.exit(chance.choice((0, 1, 125, 126, 0xFFFF_FFFF)))
    else:
        script.grow(chance.choice((0, 1, 0xFFFF, 0x1_0000, 0xFFFF_FFFF)))


def _number(chance: random.Random) -> int:
    return chance.choice((*_NUMBERS, SCRATCH, SCRATCH, SCRATCH + 1, chance.randrange(1 << 32)))
