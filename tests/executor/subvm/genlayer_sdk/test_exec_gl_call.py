"""Requests of gl_call: shapes, unknown fields, the order of checks, version gates, result files (spec executor/04)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import END, OUTPUT, SCRATCH, Answer, Script, traffic

TO = Address(bytes([3]) + bytes(19))
INVAL, FORBIDDEN = Answer(2), Answer(6)


@dataclass(frozen=True)
class Message:
    """One row of the table of request shapes: a valid payload, and values that each field refuses."""

    name: str
    valid: dict[str, Any]
    wrong: dict[str, list[Any]]
    strict: bool = True
    optional: frozenset[str] = frozenset()
    nondet: bool = False

    def variants(self) -> Iterator[Any]:
        """Payloads that are all invalid."""
        yield from (None, [], "x", 1, b"x", True, TO)
        if self.strict:
            yield self.valid | {"unknown": None}
        for field in self.valid.keys() - self.optional:
            yield {name: value for name, value in self.valid.items() if name != field}
        for field, values in self.wrong.items():
            for value in values:
                yield self.valid | {field: value}


NOT_TEXT: list[Any] = [None, 1, b"x", True, [], {}, TO]
NOT_BYTES: list[Any] = [None, 1, "x", True, {}, TO]
NOT_ADDRESS: list[Any] = [None, 1, bytes(20), "0x" + "03" * 20, True, {}]
NOT_U256: list[Any] = [None, -1, 2**256, b"\1", True, [], {}]
NOT_BOOL: list[Any] = [None, 0, "true", b"", [], {}]
NOT_ON = [*NOT_TEXT, "Finalized", "", "latest", {"finalized": 1}, {"finalized": None, "accepted": None}]
TEMPLATES = {
    "EqComparative": ("leader_answer", "validator_answer", "principle"),
    "EqNonComparativeLeader": ("task", "criteria", "input"),
    "EqNonComparativeValidator": ("task", "criteria", "input", "output"),
}

MESSAGES = [
    Message(
        "EthSend",
        {"address": TO, "calldata": b"", "value": 0},
        {"address": NOT_ADDRESS, "calldata": NOT_BYTES, "value": NOT_U256},
    ),
    Message("EthCall", {"address": TO, "calldata": b""}, {"address": NOT_ADDRESS, "calldata": NOT_BYTES}),
    Message(
        "CallContract",
        {"address": TO, "calldata": {}, "state": 2},
        {"address": NOT_ADDRESS, "state": [None, -1, 3, 2**32, "2", True, b"", []]},
    ),
    Message(
        "PostMessage",
        {"address": TO, "calldata": {}, "value": 0, "on": "finalized"},
        {"address": NOT_ADDRESS, "value": NOT_U256, "on": NOT_ON},
    ),
    Message(
        "DeployContract",
        {"calldata": {}, "code": b"#", "value": 0, "on": "finalized", "salt_nonce": 0},
        {"code": NOT_BYTES, "value": NOT_U256, "on": NOT_ON, "salt_nonce": NOT_U256},
    ),
    Message(
        "RunNondet",
        {"data_leader": b"!", "data_validator": b"!"},
        {"data_leader": NOT_BYTES, "data_validator": NOT_BYTES},
    ),
    Message("Sandbox", {"data": b"!", "allow_write_ops": False}, {"data": NOT_BYTES, "allow_write_ops": NOT_BOOL}),
    Message(
        "EmitEvent",
        {"topics": [], "blob": {}},
        {
            "topics": [None, {}, "x", bytes(32), [None], ["x" * 32], [[0] * 32]],
            "blob": [None, [], "x", b"\6", 1],
        },
    ),
    Message(
        "WebRender",
        {"mode": "text", "url": "u", "wait_after_loaded": "0ms"},
        {
            "mode": [*NOT_TEXT, "Text", "pdf", {"text": 1}],
            "url": NOT_TEXT,
            "wait_after_loaded": [*NOT_TEXT, "", "1", "ms", "1m", "-1s", "1.5s", " 1s", "1s ", "1S", "\u0661s", "1s\n"],
        },
        strict=False,
        optional=frozenset(["wait_after_loaded"]),
        nondet=True,
    ),
    Message(
        "WebRequest",
        {"method": "GET", "url": "u", "headers": {}, "body": None, "sign": False},
        {
            "method": [*NOT_TEXT, "get", "PUT", "CONNECT", ""],
            "url": NOT_TEXT,
            "headers": [None, [], "x", {"a": "b"}, {"a": None}, {"a": [1]}],
            "body": [1, "x", True, {}],
            "sign": NOT_BOOL,
        },
        strict=False,
        optional=frozenset(["body", "sign"]),
        nondet=True,
    ),
    Message(
        "ExecPrompt",
        {"prompt": "p", "images": [], "response_format": "text"},
        {
            "prompt": NOT_TEXT,
            "images": [None, {}, b"x", "x", ["x"], [None]],
            "response_format": [*NOT_TEXT, "JSON", "image"],
        },
        strict=False,
        optional=frozenset(["response_format"]),
        nondet=True,
    ),
    *(
        Message(
            "ExecPromptTemplate",
            {"template": template} | dict.fromkeys(fields, "x"),
            {"template": [*NOT_TEXT, "Eq", "eqComparative"]} | dict.fromkeys(fields, NOT_TEXT),
            strict=False,
            nondet=True,
        )
        for template, fields in TEMPLATES.items()
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.valid.get("template", message.name))
def test_wrong_shapes_are_invalid_in_both_modes_before_anything_else(message: Message) -> None:
    """One VM without permissions gets every wrong request, and sends nothing."""
    program = Script()
    payloads = list(message.variants())
    for payload in payloads:
        program.gl_call({message.name: payload})
    run = program.run(permissions="")
    accepted = [payload for payload, answer in zip(payloads, run.answers, strict=True) if answer != INVAL]
    assert accepted == []
    assert traffic(run.host) == []
    run = Script().nondet(program).run(permissions="n")
    inside = program.inside(run.answers[0])
    accepted = [payload for payload, answer in zip(payloads, inside, strict=True) if answer != INVAL]
    assert accepted == []


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.valid.get("template", message.name))
def test_a_valid_shape_in_the_wrong_mode_or_without_permission_is_forbidden(message: Message) -> None:
    program = Script().gl_call({message.name: message.valid})
    if not message.strict:
        program.gl_call({message.name: message.valid | {"unknown": None}})
        program.gl_call({message.name: {key: message.valid[key] for key in message.valid.keys() - message.optional}})
    if message.nondet:
        assert program.run(permissions="rwscn").answers == [FORBIDDEN] * len(program.layout)
    elif message.name == "Sandbox":
        assert program.run(permissions="").answers == [Answer(0, b"\x00\x03")]
    elif message.name == "EmitEvent":
        assert program.run(permissions="").answers == [Answer(0)]
        inside = program.inside(Script().nondet(program).run().answers[0])
        assert inside == [FORBIDDEN]
    else:
        run = program.run(permissions="")
        assert run.answers == [FORBIDDEN]
        assert traffic(run.host) == []
        inside = program.inside(Script().nondet(program).run().answers[0])
        assert inside == [FORBIDDEN]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\x07",
        b"\x0e\x06Return",
        b"\x0e\x06Return\x00\x00",
        b"\x8e\x00\x06Return\x00",
        b"\x06",
        b"\x00",
        b"\x05",
        b"\x34Return",
        b"\x0e\x04Nope\x00",
        b"\x0e\x06return\x00",
        b"\x0e\x00\x00",
        calldata.encode({"Return": None, "Sandbox": None}),
        calldata.encode({"Sandbox": None, "Nope": None}),
        calldata.encode([{"Return": None}]),
        b"\x0e\x06Return" + b"\x0d" * 50_000 + b"\x00",
    ],
)
def test_what_is_no_request_is_invalid(request_bytes: bytes) -> None:
    assert Script().gl_call(request_bytes).run().answers == [INVAL]


# --- examples of the specification ----

TO_HEX = "18" + bytes(TO.as_bytes).hex()


def raw(text: str) -> bytes:
    return bytes.fromhex(re.sub(r"\s", "", text))


def test_example_requests() -> None:
    """Every request example of spec executor/04, byte for byte, with what it makes the host see."""
    program = (
        Script()
        .gl_call(raw("0e0753616e64626f78160f616c6c6f775f77726974655f6f7073100464617461134142"))
        .gl_call(raw("0e0952756e4e6f6e646574160b646174615f6c65616465720b4c0e646174615f76616c696461746f720b56"))
        .gl_call(raw("0e09456d69744576656e741604626c6f620606746f706963730d8302" + "22" * 32))
        .gl_call(
            raw(f"""0e0b506f73744d6573736167652607616464726573 73 {TO_HEX}
            0863616c6c6461746106026f6e4c66696e616c697a65640576616c756529""")
        )
        .gl_call(
            raw("""0e0e4465706c6f79436f6e74726163742e0863616c6c646174610604636f64650b23026f6e4461636365707465640a73
            616c745f6e6f6e6365090576616c756501""")
        )
        .gl_call(raw(f"0e0745746853656e641e0761646472657373 {TO_HEX} 0863616c6c64617461030576616c756529"))
        .gl_call(raw("0e0554726163650e074d657373616765146869"))
        .gl_call(raw("0e0554726163650e0f52756e74696d654d6963726f53656300"))
        .gl_call(
            raw(
                "0e0957656252656e6465721e046d6f646524746578740375726c44687474703a2f2f6111776169745f61667465725f6c6f61"
                "6465641c306d73"
            )
        )
        .gl_call(
            raw(
                "0e0a4578656350726f6d70741e06696d61676573050670726f6d70740c700f726573706f6e73655f666f726d61742474657874"
            )
        )
        .gl_call(raw("0e0652657475726e00"))
    )
    # "AB" and "L" are no programs, so those VMs return at once.
    host = InMemoryHost(balances={CONTRACT: 10})
    run = program.run(host=host)
    assert run.outcome == Return(b"\x00")
    seen = {request.method: request.fields for request in traffic(host)}
    assert seen[HostMethod.POST_EVENT] == {"topics": [b"\x22" * 32], "blob": b"\x06"}
    assert seen[HostMethod.POST_MESSAGE] == {
        "receiver": TO,
        "calldata": b"\x06",
        "data": b'{"on":"finalized","value":"0x5"}',
    }
    assert seen[HostMethod.DEPLOY_CONTRACT] == {
        "calldata": b"\x06",
        "code": b"#",
        "data": b'{"on":"accepted","salt_nonce":"0x1","value":"0x0"}',
    }
    assert seen[HostMethod.ETH_SEND] == {"address": TO, "calldata": b"", "data": b'{"value":"0x5"}'}
    assert [request.method for request in traffic(host)] == [
        HostMethod.GET_LEADER_NONDET_RESULT,
        HostMethod.POST_NONDET_RESULT,
        HostMethod.POST_EVENT,
        HostMethod.GET_BALANCE,
        HostMethod.POST_MESSAGE,
        HostMethod.DEPLOY_CONTRACT,
        HostMethod.ETH_SEND,
    ]


def test_example_of_a_contract_call() -> None:
    """`state` 2, calldata {"method":"g"}; there is no code at the callee, which ends the caller."""
    request = raw(
        f"""0e0c43616c6c436f6e74726163741e0761646472657373 {TO_HEX}
        0863616c6c646174610e066d6574686f640c67057374617465 11"""
    )
    run = Script().gl_call(request).run()
    assert run.outcome == VMError("invalid_contract absent_runner_comment")


def test_example_of_a_rollback() -> None:
    assert Script().gl_call(raw("0e08526f6c6c6261636b146e6f")).run().outcome == UserError("no")


def test_a_variant_without_payload_may_be_given_with_null() -> None:
    program = Script().gl_call({"PostMessage": {"address": TO, "calldata": None, "value": 0, "on": {"accepted": None}}})
    run = program.run()
    assert run.answers == [Answer(0)]
    assert run.host.fields_of(HostMethod.POST_MESSAGE)[0]["data"] == b'{"on":"accepted","value":"0x0"}'


# --- version gates ----

EVENT: dict[str, Any] = {"EmitEvent": {"topics": [], "blob": {}}}
TRACE = {"Trace": {"Message": "x"}}
TIME = {"Trace": {"RuntimeMicroSec": None}}


@pytest.mark.parametrize(
    ("version", "event", "trace"),
    [
        (None, False, False),
        ("v0.1.0", False, False),
        ("v0.1.4", False, False),
        ("v0.1.5", True, False),
        ("v0.1.9", True, False),
        ("v0.1.10", True, True),
        ("v0.2.0", True, True),
    ],
)
def test_events_and_traces_need_a_version(version: str | None, event: bool, trace: bool) -> None:
    ok = Answer(0)
    program = Script().gl_call(EVENT).gl_call(TRACE).gl_call(TIME).gl_call({"Trace": "RuntimeMicroSec"})
    run = program.run(version=version)
    assert run.answers == [
        ok if event else INVAL,
        ok if trace else INVAL,
        *([Answer(0, b"\x01")] * 2 if trace else [INVAL] * 2),
    ]
    assert len(run.host.fields_of(HostMethod.POST_EVENT)) == event


def test_the_version_gate_comes_before_the_mode() -> None:
    program = Script().gl_call(EVENT)
    assert program.inside(Script().nondet(program).run(version="v0.1.4").answers[0]) == [INVAL]
    assert program.inside(Script().nondet(program).run(version="v0.1.5").answers[0]) == [FORBIDDEN]


def test_the_mode_comes_before_the_topics_of_an_event() -> None:
    program = Script()
    for topics in ([bytes(32)] * 5, [bytes(31)], [bytes(33)], [bytes(32), b""]):
        program.gl_call({"EmitEvent": {"topics": topics, "blob": {}}})
    assert program.inside(Script().nondet(program).run().answers[0]) == [FORBIDDEN] * 4
    assert program.run().answers == [INVAL] * 4


# --- events ----


def test_events_reach_the_host_at_once_with_up_to_four_topics() -> None:
    topics = [bytes([number]) * 32 for number in range(4)]
    program = Script().gl_call({"EmitEvent": {"topics": topics, "blob": {"b": 1, "a": [2]}}}).gl_call(EVENT)
    run = program.run()
    assert run.answers == [Answer(0), Answer(0)]
    assert run.host.fields_of(HostMethod.POST_EVENT) == [
        {"topics": topics, "blob": bytes.fromhex("1601610d1101620 9".replace(" ", ""))},
        {"topics": [], "blob": b"\x06"},
    ]


@pytest.mark.parametrize("allow_write_ops", [False, True])
def test_events_of_a_sandbox_reach_the_host(allow_write_ops: bool) -> None:
    inner = Script().gl_call(EVENT)
    run = Script().sandbox(inner, allow_write_ops).run(permissions="")
    assert inner.inside(run.answers[0]) == [Answer(0)]
    assert run.host.fields_of(HostMethod.POST_EVENT) == [{"topics": [], "blob": b"\x06"}]


# --- Trace ----


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "Message",
        "runtimeMicroSec",
        {},
        {"Message": None},
        {"Message": 1},
        {"Message": b"x"},
        {"RuntimeMicroSec": 1},
        {"RuntimeMicroSec": "x"},
        {"Message": "x", "RuntimeMicroSec": None},
        {"Nope": None},
        [],
    ],
)
def test_traces_of_other_shapes_are_invalid(payload: Any) -> None:
    assert Script().gl_call({"Trace": payload}).run().answers == [INVAL]


def test_time_is_zero_in_det_unless_debugged_and_real_in_nondet() -> None:
    program = Script().gl_call(TIME)
    assert program.run().answers == [Answer(0, b"\x01")]
    (answer,) = program.run(debug_mode=True).answers
    assert 0 < calldata.decode(answer.content) < 60_000_000
    (answer,) = program.inside(Script().nondet(program).run().answers[0])
    assert 0 < calldata.decode(answer.content) < 60_000_000


# --- results ----


def test_every_result_is_a_file_of_its_own_with_the_last_freed_number_first() -> None:
    program = (
        Script()
        .gl_call(TIME)
        .gl_call(TIME)
        .gl_call(TIME)
        .close(4)
        .close(5)
        .gl_call(TIME)
        .gl_call(TIME)
        .gl_call(TIME)
        .close(2)
        .gl_call(TIME)
        .close(99)
    )
    answers = program.run().answers
    assert [answer.fd for answer in answers if answer.fd is not None] == [4, 5, 6, 5, 4, 7, 2]
    assert [answer.errno for answer in answers][-1] == 8  # badf
    assert [answer.content for answer in answers if answer.fd is not None] == [b"\x01"] * 7


def test_no_result_is_told_by_the_number_of_no_file() -> None:
    request = calldata.encode(TRACE)
    program = Script().poke(SCRATCH, bytes(4) + request).gl_call_at(SCRATCH + 4, len(request), SCRATCH)
    assert program.peek(SCRATCH, 4).run().answers == [Answer(0), b"\xff\xff\xff\xff"]


def test_the_result_word_stays_untouched_on_failure() -> None:
    program = Script().poke(SCRATCH, b"\xa5" * 4 + b"\x07").gl_call_at(SCRATCH + 4, 1, SCRATCH).peek(SCRATCH, 4)
    # It is not even looked at: this one is outside the memory.
    program.gl_call_at(SCRATCH + 4, 1, END)
    assert program.run().answers == [INVAL, b"\xa5" * 4, INVAL]


def test_result_files_are_read_only() -> None:
    """fd_write gives rofs (69)."""
    assert Script().gl_call(TIME).write(4, b"x").run().answers == [Answer(0, b"\x01"), Answer(69)]


def test_return_is_encoded_canonically_and_ends_any_depth() -> None:
    value = {"b": [1, -1, 2**300], "a": {"": b"", "x": "é", "y": TO, "z": None, "t": True}}
    run = Script().gl_call({"Return": value}).trap("UnreachableCodeReached").run()
    assert run.outcome == Return(calldata.encode(value))


@pytest.mark.parametrize("payload", [None, 1, b"x", ["x"], {"a": "x"}, True])
def test_rollback_takes_text_only(payload: Any) -> None:
    assert Script().gl_call({"Rollback": payload}).run().answers == [INVAL]


def test_a_large_request_and_result() -> None:
    inner = Script().poke(OUTPUT + 0x40000, bytes(0x40000)).peek(OUTPUT + 0x40000, 0x40000)
    run = Script().sandbox(inner).run()
    assert inner.inside(run.answers[0]) == [bytes(0x40000)]
