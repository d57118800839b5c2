"""Contract versions by message date, and what a date is (spec executor/07 "Contract version", 10)."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives.abi import CODE_SLOT, HostMethod
from pygenvm.executor.primitives.address import Address
from tests.support.archives import contract_zip
from tests.support.execution import LATE, execute, wat
from tests.support.hosts import InMemoryHost
from tests.support.machine import Script, custom_section, machine

CALLEE = Address(bytes([3]) + bytes(19))
TOO_BIG = VMError("version_too_big")
NOTHING = wat('(module (func (export "_start")))')


def outcome(version: str, datetime: str) -> Any:
    code = NOTHING + custom_section("genvm.version", version.encode())
    return execute(code, message={"datetime": datetime}).outcome


@pytest.mark.parametrize(
    ("datetime", "highest", "next_one"),
    [
        ("1970-01-01T00:00:00Z", "v0.1.0", "v0.1.1"),
        ("2024-08-01T08:59:59Z", "v0.1.0", "v0.1.1"),
        ("2024-08-01T09:00:00Z", "v0.1.0", "v0.1.1"),
        ("2024-11-26T06:42:42.424242Z", "v0.1.0", "v0.1.1"),
        ("2025-07-01T08:59:59.999999999Z", "v0.1.0", "v0.1.1"),
        ("2025-07-01T09:00:00Z", "v0.1.3", "v0.1.4"),
        ("2025-07-01T11:00:00+02:00", "v0.1.3", "v0.1.4"),
        ("2025-07-10T11:56:58.999Z", "v0.1.3", "v0.1.4"),
        ("2025-07-10T11:56:59Z", "v0.1.10", "v0.1.11"),
        ("2025-07-10T11:57:00Z", "v0.1.10", "v0.1.11"),
        ("2025-10-09T23:59:59Z", "v0.1.10", "v0.2.0"),
        ("2025-10-10T00:00:00Z", "v0.2.65535", "v0.3.0"),
        (LATE, "v0.2.65535", "v0.3.0"),
        # Quirk: a time before the epoch counts as far future.
        ("1969-12-31T23:59:59Z", "v0.2.65535", "v0.3.0"),
    ],
)
def test_limits_by_date(datetime: str, highest: str, next_one: str) -> None:
    assert outcome(highest, datetime) == Return(b"\x00")
    assert outcome(next_one, datetime) == TOO_BIG


@pytest.mark.parametrize(
    ("version", "accepted"),
    [
        ("0.1.9", True),
        (" \tv0.1.9\n", True),
        ("v0.0.1", True),
        ("v0.2.0", False),
        ("v1.0.0", False),
        ("v0.1.65535", False),
        ("v0.10.0", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, accepted: bool) -> None:
    assert outcome(version, "2025-08-01T00:00:00Z") == (Return(b"\x00") if accepted else TOO_BIG)


@pytest.mark.parametrize(
    "version", ["", "v", "v0.0.0", "v1", "v0.1", "v0.1.0.0", "v0.1.65536", "v0.1.-1", "vv0.1.0", "x"]
)
def test_what_is_no_version_is_an_invalid_contract(version: str) -> None:
    assert outcome(version, LATE) == VMError("invalid_contract")


def contract(kind: str, version: str) -> bytes:
    """A contract that does nothing, in one of the three forms."""
    if kind == "wasm":
        return NOTHING + custom_section("genvm.version", version.encode())
    if kind == "zip":
        return contract_zip({"StartWasm": "main.wasm"}, {"main.wasm": NOTHING}, version=version)
    return f'# {version}\n# {{ "Depends": "nothing:test" }}\n'.encode()


@pytest.mark.parametrize("kind", ["text", "zip", "wasm"])
@pytest.mark.parametrize("version", ["v0.2.17", "v0.2.18", "v0.3.0", "v1.1.0", "v999.999.999"])
def test_versions_of_every_kind_of_contract(kind: str, version: str) -> None:
    run = execute(contract(kind, version))
    if version.startswith("v0.2."):
        # Only a runner can make something of a text, and there is none here.
        assert run.outcome == (VMError("invalid_contract") if kind == "text" else Return(b"\x00"))
    else:
        assert run.outcome == TOO_BIG
        assert version in run.cause
        assert "v0.2.N" in run.cause


@pytest.mark.parametrize("kind", ["text", "zip", "wasm"])
def test_the_cause_of_an_early_date(kind: str) -> None:
    run = execute(contract(kind, "v0.2.16"), message={"datetime": "2024-11-26T06:42:42.424242Z"})
    assert run.outcome == TOO_BIG
    assert run.cause == (
        "the contract asks for v0.2.16; for a message of 2024-11-26T06:42:42Z the highest version is v0.1.0"
    )


def test_an_absent_version_is_the_first_one() -> None:
    assert execute(NOTHING, message={"datetime": None}).outcome == Return(b"\x00")
    # One that is not UTF-8 counts as absent.
    code = NOTHING + custom_section("genvm.version", b"\xff")
    assert execute(code, message={"datetime": None}).outcome == Return(b"\x00")


@pytest.mark.parametrize(
    "code",
    [
        b"# v9.0.0\n# nonsense",
        b"// v9.0.0\n// nonsense",
        b"-- v9.0.0",
        contract_zip("nonsense", {}, version="v9.0.0"),
    ],
)
def test_the_version_is_checked_before_runner_json_is_looked_at(code: bytes) -> None:
    run = execute(code)
    assert (run.outcome, run.fingerprint) == (TOO_BIG, {"frames": [], "module_instances": {}})


def test_a_callee_with_a_version_above_the_limit_ends_its_caller() -> None:
    host = InMemoryHost()
    host.put_code(machine("v9.0.0"), CALLEE)
    assert Script().call(CALLEE, Script()).run(host=host).outcome == TOO_BIG


def test_each_contract_is_gated_by_its_own_version() -> None:
    host = InMemoryHost()
    host.put_code(machine("v0.1.4"), CALLEE)
    event = Script().gl_call({"EmitEvent": {"topics": [], "blob": {}}})
    program = Script().call(CALLEE, event).sandbox(event).call(CALLEE, Script().sandbox(event))
    run = program.run(host=host)
    assert [answer.errno for answer in event.inside(run.answers[0])] == [2]
    assert [answer.errno for answer in event.inside(run.answers[1])] == [0]
    assert len(host.fields_of(HostMethod.POST_EVENT)) == 1


def test_the_code_of_a_version_that_is_too_big_is_read_once() -> None:
    host = InMemoryHost()
    host.put_code(machine("v9.0.0"))
    execute(host=host)
    reads = [fields for fields in host.fields_of(HostMethod.STORAGE_READ) if fields["slot"] == CODE_SLOT]
    assert [(fields["index"], fields["length"]) for fields in reads] == [(0, 4), (4, len(machine("v9.0.0")))]
