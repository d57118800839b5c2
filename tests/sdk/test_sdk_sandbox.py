"""The SDK together with the executor: what crosses VM boundaries, and what reaches the host (spec sdk/04)."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives.abi import (
    CODE_SLOT,
    INSTANCE_SLOT,
    LOCKED_SLOTS_SLOT,
    UPGRADERS_SLOT,
    HostErrorCode,
    HostMethod,
)
from pygenvm.executor.primitives.address import Address
from pygenvm.runners.registry import BuiltRunners
from tests.sdk.sandboxed.storage_program import DIGESTS, ODD_DIGEST, ODD_TOLD, ROUNDS, digest, told_digest
from tests.sdk.sandboxed.storage_program import SOURCE as STORAGE_PROGRAM
from tests.sdk.sdk_sandbox import call, value_of
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost

SOURCE = (Path(__file__).parent / "sandboxed" / "contract.py").read_text(encoding="utf-8")


@pytest.fixture
def host(built_runners: BuiltRunners) -> InMemoryHost:
    """A host with the contract deployed."""
    host = InMemoryHost(balances={CONTRACT: 10})
    host.put_code(SOURCE.replace("{py-genlayer}", built_runners.latest["py-genlayer"]).encode())
    assert value_of(host, {}, is_init=True) is None
    return host


def test_deployed_state(host: InMemoryHost) -> None:
    # x, user (name, n), counts
    fields = "06000000" + "03000000" + "05000000" + "0100000001000000" + "00000000"
    assert host.slot(INSTANCE_SLOT).hex() == fields
    assert host.slot(LOCKED_SLOTS_SLOT)[:4].hex() == "04000000"
    assert isinstance(call(host, {"method": "relock"}), VMError)


def test_sandboxes(host: InMemoryHost) -> None:
    assert value_of(host, {"method": "sandboxes"}) == [
        "VMError(message='exit_code 1')",
        "UserError(message='RB')",
        "Return(calldata=None)",
        "Return(calldata={'k': 42})",
        "Return(calldata='6: forbidden')",
        "Return(calldata='not ok 6: forbidden')",
        "VMError(message='exit_code 1')",
        5,
        "Return(calldata=None)",
        77,
        "Return(calldata=None)",
        "blind",
        "VMError(message='exit_code 1')",
        "Return(calldata=True)",
        False,
    ]


def test_maps_without_a_type(host: InMemoryHost) -> None:
    seen = "Return(calldata={'k': {'a': {'x': 1}, 'b': {}}})"
    assert value_of(host, {"method": "maps"}) == [seen, {"a": {"x": 1}, "c": {}}, {}]
    # x, user, counts (cleared by the sandbox), later
    fields = "06000000" + "03000000" + "05000000" + "00" * 12 + "02000000" + "02000000" + "00000000"
    assert host.slot(INSTANCE_SLOT).hex() == fields


@pytest.fixture
def storage_host(built_runners: BuiltRunners) -> InMemoryHost:
    host = InMemoryHost()
    runner = built_runners.latest["py-genlayer"]
    host.put_code(f'# {{ "Depends": "py-genlayer:{runner}" }}\n{STORAGE_PROGRAM}'.encode())
    return host


def _requests_digest(host: InMemoryHost) -> str:
    requests = [
        (
            fields["slot"],
            fields["index"],
            fields["data"] if request.method is HostMethod.STORAGE_WRITE else fields["length"],
        )
        for request in host.requests
        if request.method in (HostMethod.STORAGE_READ, HostMethod.STORAGE_WRITE)
        and (fields := request.fields)["slot"] not in (CODE_SLOT, LOCKED_SLOTS_SLOT, UPGRADERS_SLOT)
    ]
    found: str = digest(requests)
    return found


@pytest.mark.parametrize("seed", DIGESTS)
def test_storage_requests(storage_host: InMemoryHost, seed: int) -> None:
    """They are those that the SDK sends elsewhere, where it has nothing in C."""
    assert value_of(storage_host, {"method": "operate", "args": [seed, ROUNDS]}) > ROUNDS / 2
    assert _requests_digest(storage_host) == DIGESTS[seed]


def test_storage_requests_of_odd_keys(storage_host: InMemoryHost) -> None:
    assert told_digest(value_of(storage_host, {"method": "odd"})) == ODD_TOLD
    assert _requests_digest(storage_host) == ODD_DIGEST


def test_requests_by_hand(host: InMemoryHost) -> None:
    assert value_of(host, {"method": "by_hand"}) == [36, 3, "6: forbidden"]


NONDET = [["in memory", "not ok 6: forbidden", "ada"], "UserError(message='told')", 5, "2025-12-26 06:42:42.424242"]


def test_leader_of_nondet_blocks(host: InMemoryHost) -> None:
    assert value_of(host, {"method": "nondet"}) == NONDET
    assert [fields["result"][:1] for fields in host.fields_of(HostMethod.POST_NONDET_RESULT)] == [b"\0", b"\1", b"\0"]


def test_validator_of_nondet_blocks(host: InMemoryHost) -> None:
    call(host, {"method": "nondet"})
    results = [bytes(fields["result"]) for fields in host.fields_of(HostMethod.POST_NONDET_RESULT)]
    host.leader_results = results
    assert value_of(host, {"method": "nondet"}) == NONDET
    assert host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == []
    host.leader_results = [*results[:2], b"\x00\x31"]
    assert value_of(host, {"method": "nondet"})[2] == 6
    assert host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == [{"call_no": 2}]
    host.leader_results = [HostErrorCode.ABSENT]
    assert isinstance(call(host, {"method": "nondet"}), VMError)


def test_effects(host: InMemoryHost) -> None:
    got = value_of(host, {"method": "effects"})
    viewed = [3, "stored", {"name": "ada", "n": 5}, {"a": 1}, [CONTRACT], SENDER]
    deployed = Address("0xf539Cb83f077Cd01BDd1a4E002866dCC0D15D633")
    assert got == [viewed, "UserError(message='bad')", 10, 5, 10, deployed, 0]
    methods = (HostMethod.POST_MESSAGE, HostMethod.DEPLOY_CONTRACT, HostMethod.POST_EVENT)
    assert [request.method for request in host.requests if request.method in methods] == list(methods)
    (event,) = host.fields_of(HostMethod.POST_EVENT)
    assert event["topics"][1].hex() == "29" + "00" * 31


def test_ends(host: InMemoryHost) -> None:
    assert call(host, {"method": "err"}) == UserError("bad")
    for calldata in ({}, {"method": "nothing"}, {"method": "get"}, {"method": 5}, 5):
        outcome = call(host, calldata)
        assert isinstance(outcome, VMError)
        assert outcome.message == "exit_code 1"
    outcome = call(host, {"method": "get", "args": [1]}, value=1)
    assert isinstance(outcome, VMError)
    assert isinstance(call(host, {"method": "#error"}, value=1), Return)
