from __future__ import annotations

import pytest

from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.host_protocol.result import ConsumedResult, decode_leader_result, decode_result
from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from tests.support.host_vectors import CONSUMED

EMPTY: dict[str, object] = {"frames": [], "module_instances": {}}
PAGE = bytes.fromhex("3bdeaf8f8e98780b318106aafdc3ca257f73df123d97b69112b26044c91a7d56")


@pytest.mark.parametrize(
    ("name", "outcome", "fingerprint"),
    [
        ("Return(null)", Return(b"\0"), None),
        ("Return(42)", Return(b"\xd1\2"), None),
        ("UserError no", UserError("no"), EMPTY),
        ("VMError version_too_big", VMError("version_too_big"), EMPTY),
        ("VMError timeout", VMError("timeout"), None),
        (
            "VMError exit_code 1",
            VMError("exit_code 1"),
            {"frames": [{"func": 3, "module_name": ""}], "module_instances": {"": {"memories": [PAGE]}}},
        ),
        ("internal error boom", InternalError("boom"), None),
    ],
)
def test_results_of_the_specification(name: str, outcome: Outcome, fingerprint: object) -> None:
    assert decode_result(bytes.fromhex(CONSUMED[name])[5:]) == ConsumedResult(outcome, fingerprint)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"internal error: no module", "no module"),
        (b"", ""),
        (b"\xff\xfe", "��"),
        (b"\x0e\x07messageA", "\x0e\x07messageA"),
        (b"\x06", "\x06"),
        (b"\x0c\xff", "\x0c�"),
    ],
)
def test_vm_error_without_map_is_an_internal_error(payload: bytes, text: str) -> None:
    assert decode_result(b"\2" + payload).outcome == InternalError(text)


@pytest.mark.parametrize("result", [b"", b"\3", b"\xff\0", b"\1no", b"\1", b"\1\x0e", b"\1\x0c\xff"])
def test_malformed_results(result: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_result(result)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (b"\0\xd1\2", Return(b"\xd1\2")),
        (b"\0not calldata", Return(b"not calldata")),
        (b"\1", UserError("")),
        ("\1nö".encode(), UserError("nö")),
        (b"\2exit_code 1", VMError("exit_code 1")),
    ],
)
def test_leader_results(result: bytes, outcome: Outcome) -> None:
    assert decode_leader_result(result) == outcome


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"", "empty leader result"),
        (b"\3boom", "unknown kind 3"),
        (b"\xff", "unknown kind 255"),
        (b"\1\xff", "not UTF-8"),
        (b"\2\xed\xa0\x80", "not UTF-8"),
    ],
)
def test_malformed_leader_results(result: bytes, reason: str) -> None:
    with pytest.raises(ProtocolViolation, match=reason):
        decode_leader_result(result)
