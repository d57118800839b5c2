"""Messages with value, calls to EVM contracts, permissions (spec executor/03, 04)."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.outcome import VMError
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.primitives.address import Address
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import Answer, Script, machine, traffic

TO = Address(bytes([3]) + bytes(19))
U256_MAX = 2**256 - 1
OK, FORBIDDEN, INBALANCE = Answer(0), Answer(6), Answer(7)


def eth_send(value: int) -> dict[str, Any]:
    return {"EthSend": {"address": TO, "calldata": b"\xff", "value": value}}


def post_message(value: int) -> dict[str, Any]:
    return {"PostMessage": {"address": TO, "calldata": {"b": 1, "a": 2}, "value": value, "on": "accepted"}}


def deploy(value: int) -> dict[str, Any]:
    return {
        "DeployContract": {
            "calldata": {"b": 1, "a": 2},
            "code": b"\x00\xff",
            "value": value,
            "on": "finalized",
            "salt_nonce": U256_MAX,
        }
    }


SENDING = [
    (eth_send, HostMethod.ETH_SEND),
    (post_message, HostMethod.POST_MESSAGE),
    (deploy, HostMethod.DEPLOY_CONTRACT),
]


@pytest.mark.parametrize("value", [0, 1, U256_MAX])
def test_what_the_host_gets(value: int) -> None:
    """Calldata is canonical again, raw bytes stay as they are, JSON is compact with sorted keys."""
    host = InMemoryHost(balances={CONTRACT: U256_MAX})
    program = Script().gl_call(eth_send(value))
    assert program.run(host=host).answers == [OK]
    text = hex(value).encode()
    assert host.fields_of(HostMethod.ETH_SEND) == [
        {"address": TO, "calldata": b"\xff", "data": b'{"value":"' + text + b'"}'}
    ]
    host = InMemoryHost(balances={CONTRACT: U256_MAX})
    Script().gl_call(post_message(value)).run(host=host)
    encoded = bytes.fromhex("160161110162 09".replace(" ", ""))
    assert host.fields_of(HostMethod.POST_MESSAGE) == [
        {"receiver": TO, "calldata": encoded, "data": b'{"on":"accepted","value":"' + text + b'"}'}
    ]
    host = InMemoryHost(balances={CONTRACT: U256_MAX})
    Script().gl_call(deploy(value)).run(host=host)
    salt = hex(U256_MAX).encode()
    assert host.fields_of(HostMethod.DEPLOY_CONTRACT) == [
        {
            "calldata": encoded,
            "code": b"\x00\xff",
            "data": b'{"on":"finalized","salt_nonce":"' + salt + b'","value":"' + text + b'"}',
        }
    ]


@pytest.mark.parametrize(("message", "method"), SENDING)
def test_the_balance_is_asked_for_only_when_value_is_sent_and_only_once(message: Any, method: HostMethod) -> None:
    host = InMemoryHost(balances={CONTRACT: 3})
    run = Script().gl_call(message(0)).gl_call(message(1)).gl_call(message(2)).run(host=host)
    assert run.answers == [OK, OK, OK]
    assert [request.method for request in traffic(host)] == [method, HostMethod.GET_BALANCE, method, method]


@pytest.mark.parametrize(("message", "method"), SENDING)
def test_value_above_the_balance_is_refused_and_not_sent(message: Any, method: HostMethod) -> None:
    host = InMemoryHost(balances={CONTRACT: 3})
    run = Script().gl_call(message(4)).gl_call(message(3)).gl_call(message(1)).gl_call(message(0)).run(host=host)
    assert run.answers == [INBALANCE, OK, INBALANCE, OK]
    assert [request.method for request in traffic(host)] == [HostMethod.GET_BALANCE, method, method]


def test_value_already_sent_counts_across_the_kinds_of_messages() -> None:
    host = InMemoryHost(balances={CONTRACT: 10})
    program = Script().gl_call(eth_send(3)).gl_call(post_message(3)).gl_call(deploy(3)).get_self_balance()
    program.gl_call(eth_send(2)).gl_call(post_message(2)).gl_call(deploy(2)).gl_call(eth_send(1)).get_self_balance()
    run = program.run(host=host)
    assert run.answers == [OK, OK, OK, OK, b"\x01" + bytes(31), *[INBALANCE] * 3, OK, OK, bytes(32)]


def test_sums_beyond_256_bits_are_no_balance() -> None:
    host = InMemoryHost(balances={CONTRACT: U256_MAX})
    run = Script().gl_call(eth_send(U256_MAX)).gl_call(eth_send(U256_MAX)).gl_call(post_message(1)).run(host=host)
    assert run.answers == [OK, INBALANCE, INBALANCE]


def test_get_balance_does_not_take_sent_value_off() -> None:
    host = InMemoryHost(balances={CONTRACT: 3})
    run = Script().gl_call(eth_send(2)).get_balance(CONTRACT).run(host=host)
    assert run.answers == [OK, OK, b"\x03" + bytes(31)]


@pytest.mark.parametrize(("message", "method"), SENDING)
def test_a_message_that_the_host_refuses_ends_the_vm(message: Any, method: HostMethod) -> None:
    host = InMemoryHost(refusals={method: HostErrorCode.FORBIDDEN})
    assert Script().gl_call(message(0)).run(host=host).outcome == VMError("forbidden")


@pytest.mark.parametrize(("message", "method"), SENDING)
def test_a_balance_that_the_host_refuses_ends_the_vm(message: Any, method: HostMethod) -> None:
    host = InMemoryHost(refusals={HostMethod.GET_BALANCE: HostErrorCode.ABSENT})
    run = Script().gl_call(message(1)).run(host=host)
    assert run.outcome == VMError("absent")
    assert method not in host.methods


@pytest.mark.parametrize(("message", "_method"), SENDING)
def test_permission_comes_before_the_balance(message: Any, _method: HostMethod) -> None:
    run = Script().gl_call(message(1)).run(permissions="rwcn")
    assert run.answers == [FORBIDDEN]
    assert traffic(run.host) == []


def test_a_sandbox_counts_its_own_sent_value() -> None:
    """It does not see its parent's counter, nor the parent its own."""
    host = InMemoryHost(balances={CONTRACT: 5})
    inner = Script().get_self_balance().gl_call(eth_send(5)).get_self_balance().gl_call(eth_send(1))
    outer = Script().gl_call(eth_send(3)).sandbox(inner, True).get_self_balance().gl_call(eth_send(2))
    run = outer.run(host=host)
    sent, sandbox, errno, balance, again = run.answers
    assert inner.inside(sandbox) == [OK, b"\x05" + bytes(31), OK, OK, bytes(32), INBALANCE]
    assert (sent, errno, balance, again) == (OK, OK, b"\x02" + bytes(31), OK)
    assert [fields["data"] for fields in host.fields_of(HostMethod.ETH_SEND)] == [
        b'{"value":"0x3"}',
        b'{"value":"0x5"}',
        b'{"value":"0x2"}',
    ]


@pytest.mark.parametrize("state", [0, 1, 2])
def test_a_called_contract_sends_of_its_own_balance_and_sees_it_unadjusted(state: int) -> None:
    host = InMemoryHost(balances={CONTRACT: 1, TO: 5})
    host.put_code(machine(), TO)
    inner = Script().gl_call(eth_send(4)).get_self_balance().gl_call(eth_send(2))
    run = Script().call(TO, inner, state).run(host=host)
    assert inner.inside(run.answers[0]) == [OK, OK, b"\x05" + bytes(31), INBALANCE]


# --- EthCall ----


def test_eth_call_gives_the_raw_answer() -> None:
    host = InMemoryHost(eth_calls={(TO, b"\x01\x02"): b"\x00answer", (TO, b""): b""})
    program = Script()
    for data in (b"\x01\x02", b""):
        program.gl_call({"EthCall": {"address": TO, "calldata": data}})
    assert program.run(host=host).answers == [Answer(0, b"\x00answer"), Answer(0, b"")]


def test_eth_call_that_the_host_refuses_ends_the_vm() -> None:
    assert Script().gl_call({"EthCall": {"address": TO, "calldata": b""}}).run().outcome == VMError("absent")


# --- permissions ----

#: What each letter gates, spec executor/03.
GATED = {
    "r": [Script().storage_read(bytes(32), 0, 0)],
    "w": [Script().storage_write(bytes(32), 0, b"")],
    "s": [Script().gl_call(eth_send(0)), Script().gl_call(post_message(0)), Script().gl_call(deploy(0))],
    "c": [
        Script().gl_call({"EthCall": {"address": TO, "calldata": b""}}),
        Script().call(TO, Script()),
    ],
    "n": [Script().nondet(Script())],
}
UNGATED = [
    Script().get_balance(TO),
    Script().get_self_balance(),
    Script().gl_call({"EmitEvent": {"topics": [], "blob": {}}}),
    Script().sandbox(Script()),
    Script().gl_call({"Trace": {"Message": "x"}}),
]


def errnos(program: Script, permissions: str) -> list[int]:
    host = InMemoryHost(eth_calls={(TO, b""): b""})
    host.put_code(machine(), TO)
    answers = program.run(host=host, permissions=permissions).answers
    return [answer.errno for answer in answers if isinstance(answer, Answer)]


@pytest.mark.parametrize("letter", "rwscn")
def test_each_letter_gates_its_calls_and_nothing_else(letter: str) -> None:
    others = "".join(sorted(set("rwscn") - {letter}))
    for gated, programs in GATED.items():
        for program in programs:
            assert errnos(program, letter) == [0 if gated == letter else 6]
            assert errnos(program, others) == [6 if gated == letter else 0]


@pytest.mark.parametrize("program", UNGATED)
def test_what_no_letter_gates(program: Script) -> None:
    assert errnos(program, "") == [0]


def inherited(enter: Any, permissions: str) -> str:
    """Letters that work in the sub-VM that ``enter`` makes."""
    probe = Script()
    letters = []
    for letter, programs in GATED.items():
        for program in programs:
            probe.code += program.code[1:]
            probe.layout += program.layout
            letters += [letter, *["raw"] * (len(program.layout) - 1)]
    outer = enter(Script(), probe)
    host = InMemoryHost(eth_calls={(TO, b""): b""})
    host.put_code(machine(), TO)
    inside = probe.inside(outer.run(host=host, permissions=permissions).answers[0])
    granted: dict[str, set[int]] = {}
    for letter, answer in zip(letters, inside, strict=True):
        if letter != "raw":
            granted.setdefault(letter, set()).add(answer.errno)
    assert all(len(kinds) == 1 for kinds in granted.values())
    return "".join(letter for letter, kinds in granted.items() if kinds == {0})


@pytest.mark.parametrize(
    ("enter", "own", "expected"),
    [
        (lambda outer, inner: outer.call(TO, inner), "rwscn", "rscn"),
        (lambda outer, inner: outer.call(TO, inner), "c", "c"),
        (lambda outer, inner: outer.call(TO, inner), "rc", "rc"),
        (lambda outer, inner: outer.call(TO, inner), "sc", "sc"),
        (lambda outer, inner: outer.call(TO, inner), "nc", "cn"),
        (lambda outer, inner: outer.nondet(inner), "rwscn", ""),
        (lambda outer, inner: outer.sandbox(inner, False), "rwscn", ""),
        (lambda outer, inner: outer.sandbox(inner, True), "rwscn", "ws"),
        (lambda outer, inner: outer.sandbox(inner, True), "w", "w"),
        (lambda outer, inner: outer.sandbox(inner, True), "s", "s"),
        (lambda outer, inner: outer.sandbox(inner, True), "rcn", ""),
    ],
)
def test_inheritance(enter: Any, own: str, expected: str) -> None:
    assert inherited(enter, own) == expected


EMITTING = Script().gl_call({"EmitEvent": {"topics": [], "blob": {}}})


@pytest.mark.parametrize("ways", [(), ("sandbox",), ("call",), ("sandbox", "call"), ("call", "call")])
@pytest.mark.parametrize("effect", [*GATED["s"], EMITTING])
def test_strict_views(effect: Script, ways: tuple[str, ...]) -> None:
    """What is called, at any depth, has no effects in the caller's name; the caller and its sandboxes have."""
    programs = [effect]
    for way in ways:
        inner = programs[0]
        programs.insert(0, Script().call(TO, inner) if way == "call" else Script().sandbox(inner, True))
    for permissions in ("rwscn", "rwScn"):
        host = InMemoryHost()
        host.put_code(machine(), TO)
        (answer,) = programs[0].run(host=host, permissions=permissions).answers
        for program in programs[1:]:
            (answer,) = program.inside(answer)
        refused = "call" in ways and permissions == "rwScn"
        assert answer == (FORBIDDEN if refused else OK)
        effects = {method for _, method in SENDING} | {HostMethod.POST_EVENT}
        assert effects.isdisjoint(host.methods) == refused


def test_a_sandbox_in_a_sandbox_cannot_get_more_than_its_parent() -> None:
    innermost = Script().storage_write(bytes(32), 0, b"x")
    middle = Script().sandbox(innermost, True)
    run = Script().sandbox(middle, False).sandbox(middle, True).run()
    closed, opened = (middle.inside(answer)[0] for answer in run.answers)
    assert innermost.inside(closed) == [FORBIDDEN]
    assert innermost.inside(opened) == [OK]


def test_a_sandbox_of_a_called_contract_cannot_write() -> None:
    host = InMemoryHost()
    host.put_code(machine(), TO)
    innermost = Script().storage_write(bytes(32), 0, b"x")
    callee = Script().sandbox(innermost, True)
    run = Script().call(TO, callee).run(host=host)
    assert innermost.inside(callee.inside(run.answers[0])[0]) == [FORBIDDEN]


def test_a_sandbox_in_a_nondet_block_stays_nondet() -> None:
    innermost = Script().gl_call({"EmitEvent": {"topics": [], "blob": {}}}).get_self_balance()
    block = Script().sandbox(innermost, True)
    run = Script().nondet(block).run()
    assert innermost.inside(block.inside(run.answers[0])[0])[:2] == [FORBIDDEN, FORBIDDEN]
