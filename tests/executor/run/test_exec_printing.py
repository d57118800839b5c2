"""What `--print` writes, as text (spec executor/10 "Output on stdout / stderr")."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.printing import escape_payload, fingerprint_text, quote, result_line, stderr_text
from pygenvm.executor.subvm.fingerprint import EMPTY, Fingerprint


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, r"\x00"),
        (True, r"\x10"),
        ({"x": 10}, r"\x0e\x01xQ"),
        (123, r"\d9\x07"),
        (Address(bytes([1, 1]) + bytes(18)), r"\x18\x01\x01" + r"\x00" * 18),
        ("web page?", "Lweb page?"),
        ("x" * 338, r"\94\x15" + "x" * 338),
        ('"\\', '\x14"\\\\'.replace("\x14", r"\x14")),
    ],
)
def test_return(value: object, text: str) -> None:
    assert result_line(Return(calldata.encode(value))) == f'executed with `Return("{text}")`'


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", ""),
        (b"\\", "\\\\"),
        (b"\\x00", "\\\\x00"),
        (bytes(range(0x20)), "".join(f"\\x{code:02x}" for code in range(0x20))),
        (b"\x7f", "\\x7f"),
        ("\x80\x9f\xa0".encode(), "\\x80\\x9f\xa0"),
        (b"\x80\xff", "\\80\\ff"),
        (b"\xc3", "\\c3"),
        (b"\xe2\x82A", "\\e2\\82A"),
        (b"\xed\xa0\x80", "\\ed\\a0\\80"),
        (b"\xf0\x9f\x98\x80\xf0", "\U0001f600\\f0"),
        ("é'\"`".encode(), "é'\"`"),
    ],
)
def test_escapes_of_a_payload(payload: bytes, text: str) -> None:
    assert escape_payload(payload) == text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("no", '"no"'),
        ('"\\', '"\\"\\\\"'),
        ("it's", '"it\'s"'),
        ("\n\r\t\0", '"\\n\\r\\t\\0"'),
        ("\x01\x7f\x85", '"\\u{1}\\u{7f}\\u{85}"'),
        ("é \U0001f600", '"é \U0001f600"'),
        ("\u200b", '"\\u{200b}"'),
    ],
)
def test_user_errors_are_quoted(message: str, text: str) -> None:
    assert quote(message) == text
    assert result_line(UserError(message)) == f"executed with `UserError({text})`"


def test_long_results_are_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces do not show, wherever they end."""
    payload = "a\\é\n\U0001f600".encode() + b"\xe2\x82"
    whole, quoted = escape_payload(payload), quote("a\\é\n\U0001f600\u200b")
    for size in range(1, 12):
        monkeypatch.setattr(limits, "PRINT_PIECE", size)
        assert (escape_payload(payload), quote("a\\é\n\U0001f600\u200b")) == (whole, quoted)


def test_long_results_take_little_memory() -> None:
    """A list of their characters would take ten to a hundred times as much."""
    size = 1 << 20
    shown: tuple[Callable[[], str], ...] = (lambda: escape_payload(bytes(size)), lambda: quote("\1" * size))
    for show in shown:
        tracemalloc.start()
        length = len(show())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * length + 4 * size


def test_other_kinds() -> None:
    assert result_line(VMError("exit_code 1", cause="hidden")) == 'executed with `VMError("exit_code 1")`'
    assert result_line(InternalError("hidden")) == 'executed with `InternalError("")`'


def test_fingerprints() -> None:
    assert fingerprint_text(None) == "Fingerprint: null"
    assert fingerprint_text(EMPTY) == "Fingerprint: {frames: [], module_instances: {}}"
    fingerprint = Fingerprint([("a", 1), ('"', 2)], {"m": [b"\xab", b"\xcd"], "": []})
    assert fingerprint_text(fingerprint) == (
        'Fingerprint: {frames: [{module_name: "a", func: 1}, {module_name: "\\"", func: 2}], '
        'module_instances: {"m": {memories: [ab, cd]}, "": {memories: []}}}'
    )


def test_stderr() -> None:
    assert stderr_text(b'a\n"\xff') == 'stderr: "a\\n\\"\\\\xff"'
