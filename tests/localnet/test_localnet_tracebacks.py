"""Tracebacks and sources, without a sandbox."""

from __future__ import annotations

import random
import time
import traceback as python
from pathlib import Path

import pytest

from pygenvm.executor.outcome import UserError, VMError
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import arguments
from pygenvm.localnet.arguments import Signature, misfit, written_parameters, written_signature
from pygenvm.localnet.chain import Receipt, calldata_of_call
from pygenvm.localnet.chain.explain import explain
from pygenvm.localnet.chain.model import Kind, Status, Transaction
from pygenvm.localnet.failure import FAILURE_LINES, explain_failure, lines
from pygenvm.localnet.sources import Source
from pygenvm.localnet.tracebacks import take_apart

ADDRESS = Address(bytes(20))
HEADER = '# v0.2.16\n# { "Depends": "py-genlayer:test" }\n'

SIMPLE = """\
Traceback (most recent call last):
  File "/py/libs/genlayer/_internal/boot.py", line 162, in main
    _run_main(message_raw)
    ~~~~~~~~~^^^^^^^^^^^^^
  File "/contract.py", line 5, in go
    self.n = a / 2
             ~~^~~
  File "/py/libs/x.py", line 9, in set
    first(
    ...<2 lines>...
    )
ValueError: a text
of two lines
and a note
"""
CHAINED = SIMPLE + "\nDuring handling of the above exception, another exception occurred:\n\n" + SIMPLE


def test_a_traceback_behind_other_output() -> None:
    output, found = take_apart("printed\n" + SIMPLE)
    assert found is not None
    assert output == "printed"
    assert [(frame.file, frame.line, frame.function) for frame in found.frames] == [
        ("/py/libs/genlayer/_internal/boot.py", 162, "main"),
        ("/contract.py", 5, "go"),
        ("/py/libs/x.py", 9, "set"),
    ]
    assert [frame.marked for frame in found.frames] == ["_run_main(message_raw)", "a / 2", "first("]
    assert (found.kind, found.first_line, found.earlier) == ("ValueError", "ValueError: a text", None)
    assert found.exception == "ValueError: a text\nof two lines\nand a note"


def test_chains_and_what_was_printed_before() -> None:
    output, found = take_apart(SIMPLE + CHAINED)
    assert output == SIMPLE.rstrip("\n")
    assert found is not None
    assert found.earlier is not None
    assert found.earlier.earlier is None
    assert found.earlier.exception == found.exception == "ValueError: a text\nof two lines\nand a note"


def test_python_prints_what_is_read() -> None:
    def recurse() -> None:
        recurse()

    for call, kind, depth in (
        (recurse, "RecursionError", 900),
        (lambda: compile("a = = 1", "x", "exec"), "SyntaxError", 1),
    ):
        try:
            call()
        except Exception as error:
            text = "".join(python.format_exception(error))
        found = take_apart(text)[1]
        assert found is not None
        assert found.kind == kind
        assert sum(1 + frame.repeated for frame in found.frames) >= depth


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\nKeyError\n",
        "x Traceback (most recent call last):\n",
        'Traceback (most recent call last):\n  File "a", line 99999999999, in x\n',
        "  + Exception Group Traceback (most recent call last):\n  |   File",
    ],
)
def test_what_is_no_traceback(text: str) -> None:
    assert take_apart(text) == (text, None)


def test_anything_may_be_printed() -> None:
    """A contract may write what it likes: no error, no endless work, at most so many lines."""
    random_ = random.Random(9)
    pieces = [
        *(CHAINED + "SystemError: 6: forbidden block do_read do_write /nondet/web \x1b[31m ~^").split(" "),
        "\n",
        "    ",
    ]
    for number in range(300):
        if number % 2:
            words = CHAINED.split("\n")
            for _ in range(5):
                words[random_.randrange(len(words))] = random_.choice(pieces)
            text = "\n".join(words)
        else:
            text = " ".join(random_.choices(pieces, k=200))
        for outcome in (VMError("exit_code 1"), UserError("vm error: exit_code 1"), VMError("invalid_contract")):
            shown = list(
                lines(explain_failure(receipt(outcome, text, "class A(gl.Contract):\n  def go(self): pass\n")))
            )
            assert len(shown) <= FAILURE_LINES
            assert not any("\x1b" in line or "\n" in line for _, line in shown)


@pytest.mark.parametrize(
    "end", ["block do_read " * 9_000, ".go() missing " * 9_000, "x/set 'int' " * 9_000, "a" * 120_000]
)
def test_much_of_it_takes_no_time(end: str) -> None:
    text = (
        "Traceback (most recent call last):\n" + '  File "/contract.py", line 1, in go\n' * 2_000 + "TypeError: " + end
    )
    started = time.monotonic()
    assert len(list(lines(explain_failure(receipt(VMError("exit_code 1"), text, "x = 1\n"))))) <= FAILURE_LINES
    assert time.monotonic() - started < 3


def receipt(outcome: VMError | UserError, stderr: str, code: str, *, method: str = "go") -> Receipt:
    transaction = Transaction(Kind.CALL, ADDRESS, ADDRESS, ADDRESS, 0, calldata_of_call(method))
    captured = Captured(stderr.encode("utf-8", "replace"))
    source = Source((HEADER + code).encode(), None, "wallet")
    return Receipt(transaction, Status.FAILED, outcome, b"", "", stderr=captured, source=source)


def shown(outcome: VMError | UserError, stderr: str, code: str) -> list[str]:
    return [text for _, text in lines(explain_failure(receipt(outcome, stderr, code)))]


# --- what is shown ----------------------------------------------------------------------------------


def traceback_of(*numbers: int, error: str = "ValueError: x", deepest: str = "") -> str:
    frames = "".join(f'  File "/contract.py", line {number}, in f{number}\n' for number in numbers)
    return f"Traceback (most recent call last):\n{frames}{deepest}{error}\n"


def test_many_calls_are_shortened() -> None:
    code = "\n".join(f"line_{number}()" for number in range(3, 40))
    said = shown(VMError("exit_code 1"), traceback_of(*range(3, 30)), code)
    assert said[:2] == ["wallet:3, in f3", "    line_3()"]
    assert said[2] == "… 24 more calls"
    assert said[5:7] == ["wallet:29, in f29", "    line_29()"]
    assert len(said) <= FAILURE_LINES
    assert shown(VMError("exit_code 1"), traceback_of(*[3] * 20), code)[0] == "wallet:3, in f3 (20 times)"


def test_hints_are_not_for_what_a_contract_raises_itself() -> None:
    own = "    raise ValueError('no contract defined')\n"
    assert "class" in _meaning(traceback_of(4, error="Exception: no contract defined"))
    assert "nobody caught" in _meaning(traceback_of(4, deepest=own, error="Exception: no contract defined"))


def _meaning(stderr: str) -> str:
    found = explain(VMError("exit_code 1"), stderr)
    assert found is not None
    return found.meaning


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("not enough: 5", "raise gl.vm.UserError(f'not enough: {amount}')"),
        ("not enough", "text = 'not enough'"),
        ("never", "raise gl.vm.UserError(f'{x}')"),
        ("twice", ""),
    ],
)
def test_the_line_that_refuses(message: str, line: str) -> None:
    code = "raise gl.vm.UserError(f'not enough: {amount}')\ntext = 'not enough'\na = 'twice'\nb = 'twice'\n"
    said = shown(UserError(message), "", code + "raise gl.vm.UserError(f'{x}')\n")
    assert (f"    {line}" in said) == (message not in ("never", "twice"))


# --- sources ----------------------------------------------------------------------------------------

CODE = """\
class Helper:
    def go(self):
        pass

@decorated
class Wallet(gl.Contract):
    n: u8

    @gl.public.write
    def go(
        self,
        to: Address,
    ) -> None:
        self.n = 1
    # still inside
        self.n = 2

def go():
    pass
"""


def test_blocks_and_methods() -> None:
    source = Source(CODE.encode())
    file = "/contract.py"
    assert source.method("go", "Wallet") == (file, 10)
    assert source.method("go") == (file, 10), "that of the contract"
    assert source.method("gone") is None
    assert source.block(file, 5) == source.block(file, 6) == range(5, 17)
    assert source.block(file, 10) == range(9, 17)
    assert source.block(file, 14) == range(14, 15)
    assert source.block(file, 99) == range(99, 100)
    assert source.line(file, 99) == source.line("/other.py", 1) == ""


def test_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Source(b"# x", tmp_path / "a" / "wallet.py").shown("/contract.py")) == "a/wallet.py"
    assert str(Source(b"# x", Path("/x.py")).shown("/contract.py")) == "/x.py"
    assert str(Source(b"# x", None, "wallet").shown("/contract.py")) == "wallet"
    assert str(Source(b"# x").shown("/contract.py")) == "contract.py"


# --- arguments --------------------------------------------------------------------------------------

SIGNATURE = Signature(
    [("to", "address"), ("amounts", [{"$rep": "int"}]), ("note", {"$or": ["string", "null"]})],
    {"extra": {"$dict": {"a": "bool"}}, "pair": ["int", "bytes"], "any": "any"},
    frozenset({"to"}),
)


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ([ADDRESS, [1, 2], "x"], {}, None),
        ([ADDRESS, [], None], {"extra": {"k": {"a": True, "more": 1}}, "pair": [1, b""], "any": [None]}, None),
        ([ADDRESS], {"amounts": [2**300]}, None),
        ([], {}, "`to` is missing"),
        ([None], {}, "`to` of `go` wants `address`, and was given null"),
        ([ADDRESS, [1, "2"]], {}, '`amounts[1]` of `go` wants `int`, and was given the string "2"'),
        ([ADDRESS, [True]], {}, "`amounts[0]` of `go` wants `int`, and was given true"),
        ([ADDRESS, 5], {}, "`amounts` of `go` wants `list[int]`, and was given the integer 5"),
        ([ADDRESS, [], 5], {}, "`note` of `go` wants `string | null`"),
        ([ADDRESS], {"extra": {"k": {"a": 1}}}, '`extra["k"].a` of `go` wants `bool`'),
        ([ADDRESS], {"pair": [1]}, "`pair` of `go` wants `tuple[int, bytes]`"),
        ([ADDRESS], {"pair": [1, "x"]}, "`pair[1]` of `go` wants `bytes`"),
        ([ADDRESS], {"other": 1}, "and no `other`"),
        ([ADDRESS], {"to": ADDRESS}, "given twice"),
        ([ADDRESS] * 4, {}, "was given 4 arguments"),
    ],
)
def test_arguments(args: list[object], kwargs: dict[str, object], text: str | None) -> None:
    found = misfit("go", args, kwargs, SIGNATURE)
    if text is None:
        assert found is None
    else:
        assert found is not None
        assert text in found.text
        assert found.fix


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            "def go(self, a: int, b: u8 = 1, *, c: str) -> None: ...",
            Signature([("a", "int"), ("b", "int")], {"c": "string"}, frozenset("ac")),
        ),
        (
            "def go(self, a: list[dict[str, bool]]): ...",
            Signature([("a", [{"$rep": {"$dict": "bool"}}])], {}, frozenset("a")),
        ),
        ("def go(self, a: Other): ...", None),
        ("def go(self, a): ...", None),
        ("def go(self, *a: int): ...", None),
        ("@wrapped\n    def go(self): ...", None),
        ("@gl.public.view\n    def go(self): ...", Signature([])),
        ("def other(self): ...", None),
        ("def go(self): ...\n    def go(self, a: int): ...", None),
        ("def go(self) -> = ...", None),
    ],
)
def test_signatures_that_can_be_read(definition: str, expected: Signature | None) -> None:
    source = Source(f"{HEADER}class A(gl.Contract):\n    {definition}\n".encode())
    assert written_signature(source, "go") == expected


def test_parameters_as_they_are_written() -> None:
    lines = (
        "def __init__(self, a: Other, b: u8 = u8(3), *, c, d: 'X' = '\u202e'): ...",
        f"def long(self, a='{'x' * 100}'): ...",
        "def any(self, *rest): ...",
        "def twice(self): ...",
        "def twice(self, a): ...",
        "def own(self): ...",
    )
    body = "".join(f"    @gl.public.view\n    {line}\n" for line in lines[1:-1])
    text = f"{HEADER}class A(gl.Contract):\n    {lines[0]}\n{body}class B:\n    {lines[-1]}\n"
    found = written_parameters(Source(text.encode()), ["__init__", "long", "any", "twice", "own", "none"])
    assert found == {
        "__init__": {"a": ("Other", None), "b": ("u8", "u8(3)"), "c": ("", None), "d": ("'X'", "'\\u202e'")},
        "long": {"a": ("", "'" + "x" * 59 + "…")},
    }
    assert written_parameters(Source(f"{HEADER}class A(gl.Contract:".encode()), ["go"]) == {}


def test_what_cannot_be_read_is_asked_for() -> None:
    source = Source(f"{HEADER}class A(gl.Contract):\n    def go(self, a: Other): ...\n".encode())
    assert not arguments.surely_fits(source, "go", [1], {})
    assert arguments.surely_fits(source, "go", [], {})
