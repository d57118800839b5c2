"""What authors read when they have made a mistake: at most twelve lines, with file, line, cause and fix.

Each mistake is a small contract, deployed and called by the real command in the real sandbox.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pygenvm.cli.main import main

pytestmark = pytest.mark.usefixtures("built_runners")

#: The line of a contract that is to be named.
HERE = "# <- here"
MOST_LINES = 12


def contract(*methods: str, above: str = "", fields: str = "n: u8", init: str = "pass") -> str:
    """A contract in ``wallet.py``."""
    body = "\n\n".join(textwrap.indent(textwrap.dedent(method).strip("\n"), "    ") for method in methods)
    parts = [
        '# v0.2.16\n# { "Depends": "py-genlayer:test" }\n',
        "from genlayer import *",
        textwrap.dedent(above).strip(),
    ]
    parts += [f"\nclass Wallet(gl.Contract):\n{textwrap.indent(textwrap.dedent(fields).strip(), '    ')}\n"]
    parts += [f"    def __init__(self):\n        {init}\n", body]
    return "\n".join(parts) + "\n"


def write(*lines: str, parameters: str = "") -> str:
    """A write method ``go``."""
    return "\n".join([f"@gl.public.write\ndef go(self{parameters}) -> None:", *(f"    {line}" for line in lines)])


@dataclass(frozen=True)
class Mistake:
    """``call``: the words after ``genvm local`` if the contract can be deployed; ``deploy``: options of that.

    ``cause`` and ``fix`` are patterns.
    """

    name: str
    code: str
    cause: str
    fix: str
    call: Sequence[str] = ("call", "go")
    deploy: Sequence[str] = ()
    exit_code: int = 1


def deployment(name: str, code: str, cause: str, fix: str, *deploy: str, exit_code: int = 1) -> Mistake:
    return Mistake(name, code, cause, fix, (), deploy, exit_code)


def arguments(name: str, parameters: str, cause: str, fix: str, *call: str) -> Mistake:
    """A call that does not get as far as the contract."""
    code = contract(f"@gl.public.write\ndef go(self, {parameters}) -> None: {HERE}\n    self.n = u8(1)")
    return Mistake(name, code, cause, fix, ("call", "go", *call), (), 2)


VIEW = "@gl.public.view\ndef go(self) -> {}:\n    {}"

MOCKS = "mocks.yaml"

MISTAKES = (
    # --- what a sandbox has not ---
    deployment(
        "a package from elsewhere",
        contract(write("requests.get('http://x')"), above=f"import requests {HERE}"),
        "there is no `requests` in a sandbox",
        r"gl\.nondet\.web",
    ),
    deployment(
        "a package whose name is not in the contract",
        contract(
            write("numpy.zeros(5)"), above=f"import importlib\nnumpy = importlib.import_module('num' + 'py') {HERE}"
        ),
        "needs `numpy`, which a contract has whose text mentions it",
        r"Write `import numpy` in it",
    ),
    Mistake(
        "a number with a fraction from a language model",
        contract(
            write(
                f"ask = lambda: gl.nondet.exec_prompt('how much', response_format='json') {HERE}",
                "gl.eq_principle.strict_eq(ask)",
            )
        ),
        "has a number with a fraction, for which calldata has no form",
        "Ask for whole numbers",
        ("call", "go", "--mocks", MOCKS),
    ),
    Mistake(
        "a module for the web",
        contract(write(f"urllib.request.urlopen('http://x') {HERE}"), above="import urllib.request"),
        r"`urllib\.request\.urlopen` fails: there is no network",
        r"gl\.nondet\.web",
    ),
    Mistake(
        "the web by a name that is not known before",
        contract(write(f"getattr(urllib.request, 'url' + 'open')('http://x') {HERE}"), above="import urllib.request"),
        "A contract has no network of its own",
        r"gl\.nondet\.web",
    ),
    Mistake(
        "a socket",
        contract(write(f"socket.create_connection(('example.com', 80)) {HERE}"), above="import socket"),
        "there is no network",
        r"gl\.nondet\.web",
    ),
    Mistake(
        "a file",
        contract(write(f"with open('data.json') as file: {HERE}", "    file.read()")),
        r"there is no file `data\.json`",
        "Keep data in fields",
    ),
    Mistake(
        "a file whose name is not known before",
        contract(write(f"open(name) {HERE}", parameters=", name: str")),
        "A contract finds no files but its own code",
        "Keep data in fields",
        ("call", "go", "--args", '["x"]'),
    ),
    Mistake(
        "waiting",
        contract(write(f"time.sleep(1) {HERE}"), above="import time"),
        "`time.sleep` fails: nobody can wait",
        "time stands still",
    ),
    # --- storage ---
    Mistake(
        "a float for an integer field",
        contract(write(f"self.n = 1.5 {HERE}")),
        "`self.n` is a `u8` and is given a `float`",
        "integer of a small unit",
    ),
    Mistake(
        "a float that comes of an argument",
        contract(
            write(f"self.n = half(amount) {HERE}", parameters=", amount: int"), above="def half(n):\n    return n / 2"
        ),
        "`self.n` stores an integer, and was given a `float`",
        "`a // b` divides without fractions",
        ("call", "go", "--args", "[3]"),
    ),
    Mistake(
        "a constant out of range",
        contract(write(f"self.n = u8(256) {HERE}")),
        r"`u8\(256\)` does not fit `self\.n`",
        "`u16`",
    ),
    Mistake(
        "a sum out of range",
        contract(write(f"self.n = u8(amount) {HERE}", parameters=", amount: int")),
        "`self.n` stores an integer of a fixed size, and was given one that is too large",
        "larger type",
        ("call", "go", "--args", "[300]"),
    ),
    Mistake(
        "less than nothing",
        contract(write(f"self.n = u8(self.n - 1) {HERE}")),
        "without a sign, and was given a negative one",
        "Check the value before",
    ),
    Mistake(
        "a key that is not in a map",
        contract(
            write(f"self.paid[who] = u8(self.paid[who] + 1) {HERE}", parameters=", who: str"),
            fields="paid: TreeMap[str, u8]",
        ),
        r"The TreeMap has no such key: `self\.paid\[who\]`",
        r"\.get\(KEY, DEFAULT\)",
        ("call", "go", "--args", '["bob"]'),
    ),
    Mistake(
        "a dict for a map",
        contract(write(f"self.paid = {{'a': 1}} {HERE}"), fields="paid: TreeMap[str, u8]"),
        "a `dict` cannot be assigned to the `TreeMap` field `paid`",
        r"self\.paid\.update",
    ),
    Mistake(
        "a text for an address",
        contract(write(f"self.owner = text {HERE}", parameters=", text: str"), fields="owner: Address"),
        "`self.owner` stores an `Address`, and was given a `str`",
        r"Address\(…\)",
        ("call", "go", "--args", '["bob"]'),
    ),
    deployment(
        "a class without @allow_storage",
        contract(
            write("pass"),
            above="from dataclasses import dataclass\n\n@dataclass\nclass Entry:\n    amount: u8\n",
            fields=f"entries: TreeMap[str, Entry] {HERE}",
        ),
        "the class `Entry` is not marked for storage",
        "Put `@allow_storage` above the class `Entry`",
    ),
    deployment(
        "a dataclass field without default behind one with",
        contract(
            write("pass"),
            above="from dataclasses import dataclass\n\n@allow_storage\n@dataclass\nclass Entry:\n"
            f"    amount: u8 = u8(1)\n    owner: str {HERE}\n",
            fields="entries: DynArray[Entry]",
        ),
        "`owner` has no default and stands behind `amount`",
        "Move it above `amount`",
    ),
    deployment(
        "a dict in storage",
        contract(write("pass"), fields=f"paid: dict[str, int] {HERE}"),
        "a `dict` cannot be stored",
        r"`TreeMap\[str, bigint\]`",
    ),
    # --- methods ---
    Mistake(
        "a method that is not public",
        contract(f"def go(self) -> None: {HERE}\n    pass"),
        "`go` exists in wallet .*, but has no @gl.public",
        r"Put `@gl\.public\.view` or `@gl\.public\.write` above `def go`",
    ),
    Mistake(
        "a misspelt method",
        contract(write("pass")),
        "There is no public method `goo` in wallet .*; it has go",
        "Did you mean `go`",
        ("call", "goo"),
    ),
    Mistake(
        "a view that writes",
        contract(VIEW.format("None", f"self.n = u8(1) {HERE}")),
        "the view `go` changes the field `n`",
        r"Make it `@gl\.public\.write`",
        ("view", "go"),
    ),
    Mistake(
        "value for a method that takes none",
        contract(f"@gl.public.write\ndef go(self) -> None: {HERE}\n    pass"),
        "`go` takes no value",
        r"@gl\.public\.write\.payable",
        ("call", "go", "--value", "5"),
    ),
    Mistake(
        "a fraction as result",
        contract(VIEW.format("float", f"return 0.5 {HERE}")),
        "`0.5` is a float, which cannot be returned",
        "integer of a small unit",
        ("view", "go"),
    ),
    Mistake(
        "a language model outside of a block",
        contract(write(f"gl.nondet.exec_prompt('hi') {HERE}")),
        "`gl.nondet.exec_prompt` is called outside of a non-deterministic block",
        r"gl\.eq_principle\.strict_eq",
    ),
    Mistake(
        "storage in a block",
        contract(write(f"gl.eq_principle.strict_eq(lambda: str(self.n)) {HERE}")),
        "`self.n` is read in a non-deterministic block",
        "Write `n = self.n` before the function",
    ),
    Mistake(
        "more than there is",
        contract(write(f"gl.get_contract_at(to).emit_transfer(value=u256(10)) {HERE}", parameters=", to: Address")),
        "tried to send more than it has",
        "--value",
        ("call", "go", "--args", '[{"$addr": "bob"}]'),
    ),
    # --- Python ---
    Mistake(
        "a misspelt attribute",
        contract(write(f"self.items.apend(u8(1)) {HERE}"), fields="items: DynArray[u8]"),
        "object has no attribute 'apend'",
        "Write `append`",
    ),
    Mistake(
        "a recursion without end",
        contract(write(f"self.go() {HERE}")),
        r"`self.go\(\)` calls itself without an end",
        "recursion",
    ),
    Mistake(
        "a refusal of one's own",
        contract(write("if self.n < 3:", f"    raise gl.vm.UserError('too little') {HERE}")),
        "The contract itself refused",
        "Look for the condition",
    ),
    deployment(
        "a syntax error",
        contract(write(f"self.n = = 1 {HERE}")),
        "Python cannot read the file",
        "Correct the syntax",
    ),
    deployment(
        "the SDK is not imported",
        contract(write("pass"))
        .replace("from genlayer import *", "import genlayer")
        .replace("(gl.Contract):", f"(gl.Contract): {HERE}"),
        "`gl` is not imported",
        r"from genlayer import \*",
    ),
    deployment(
        "a runner that there is not",
        contract(write("pass"))
        .replace('# { "Depends": "py-genlayer:test" }', f'# {{ "Depends": "py-genlayr:test" }} {HERE}')
        .replace(f" {HERE}", ""),
        "there is no runner `py-genlayr`",
        "py-genlayer",
    ),
    # --- arguments ---
    arguments(
        "a name for an address",
        "to: Address, amount: int",
        '`to` of `go` wants `address`, and was given the string "bob"',
        r'\{"\$addr": "bob"\}',
        *("--args", '["bob", 5]'),
    ),
    arguments(
        "a text for an integer",
        "to: str, amount: int",
        '`amount` of `go` wants `int`, and was given the string "5"',
        "Write 5 without quotes",
        *("--args", '["bob", "5"]'),
    ),
    arguments(
        "a text in a list of integers",
        "amounts: list[int]",
        r'`amounts\[1\]` of `go` wants `int`, and was given the string "x"',
        "Write a whole number",
        *("--args", '[[1, "x"]]'),
    ),
    arguments(
        "too few arguments",
        "to: str, amount: int, note: str = ''",
        r"`amount` is missing: `go` takes \(to: string, amount: int, note: string\)",
        "the next item of --args",
        *("--args", '["bob"]'),
    ),
    arguments(
        "too many arguments",
        "to: str",
        r"`go` takes \(to: string\), and was given 3 arguments",
        "Leave out the last 2",
        *("--args", '["bob", 1, 2]'),
    ),
    arguments(
        "a misspelt name of an argument",
        "amount: int",
        r"`go` takes \(amount: int\), and no `amout`",
        "Did you mean `amount`",
        *("--kwargs", '{"amout": 1}'),
    ),
)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and all output of one command."""
    capsys.readouterr()
    code = main(["local", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def make(mistake: Mistake, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The mistake in ``wallet.py`` of the working directory."""
    Path("wallet.py").write_text(mistake.code, encoding="utf-8")
    code, output = run(capsys, "deploy", "wallet.py", *mistake.deploy)
    if mistake.call:
        assert code == 0, output
        code, output = run(capsys, *mistake.call)
    return code, output


def line_of(code: str) -> int | None:
    """The number of the line that is marked, if there is one."""
    return next((number for number, line in enumerate(code.splitlines(), 1) if HERE in line), None)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_mistakes(
    mistake: Mistake, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(MOCKS).write_text("llm: {how much: {price: 0.5}}")
    code, output = make(mistake, capsys)
    lines = output.splitlines()
    assert code == mistake.exit_code, output
    assert len(lines) <= MOST_LINES, output
    assert "/py/" not in output
    assert "/contract" not in output
    if number := line_of(mistake.code):
        assert re.search(rf"\bwallet\.py:{number}\b", output), output
    assert re.search(mistake.cause, output), output
    assert re.search(f"^fix: .*{mistake.fix}", output, re.MULTILINE), output
    assert lines[-1].startswith("fix: ")


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 30
    assert sum(line_of(mistake.code) is not None for mistake in MISTAKES) >= 30


@pytest.mark.parametrize(
    ("option", "text", "picture", "fix"),
    [
        ("--args", '["bob", ]', ['    ["bob", ]', "          ^"], "Take the last comma away"),
        ("--args", "[bob]", ["    [bob]", "     ^"], 'Write "bob"'),
        ("--args", "[True]", ["    [True]", "     ^"], "Write true"),
        ("--args", "bob", ["    bob", "    ^"], "Write --args '[\"hello\", 5]'"),
        ("--args", '["bob"', ['    ["bob"', "          ^"], "Close what was opened"),
        ("--args", "[1] [2]", ["    [1] [2]", "        ^"], "into one array"),
        ("--args", '["1.5", 1.5]', ['    ["1.5", 1.5]', "            ^"], "smaller unit"),
        ("--kwargs", "{'to': 'x'}", ["    {'to': 'x'}", "     ^"], 'Write --kwargs \'{"name": "hello"}\''),
    ],
)
def test_texts_that_are_no_arguments(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    text: str,
    picture: list[str],
    fix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wallet.py").write_text(contract(write("pass")), encoding="utf-8")
    code, output = run(capsys, "deploy", "wallet.py", option, text)
    lines = output.splitlines()
    assert code == 2
    assert lines[0].startswith(f"genvm local: {option}: ")
    assert lines[1:3] == picture
    assert len(lines) == 4
    assert lines[-1].startswith("fix: ")
    assert fix in lines[-1]


# --- places -----------------------------------------------------------------------------------------

CALLEE = contract(
    f"@gl.public.view\ndef look(self) -> int:\n    return 1 // self.n {HERE}",
    write("try:", "    {}['x']", "except KeyError:", "    self.n = amount - 1", parameters=", amount: int"),
)
CALLER = contract(
    "@gl.public.view\ndef ask(self, to: Address) -> int:\n    return gl.get_contract_at(to).view().look()",
    "@gl.public.write\ndef send(self, to: Address) -> None:\n    gl.get_contract_at(to).emit().go(0)",
)


def test_the_right_file_of_the_right_contract(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, code in (("callee", CALLEE), ("caller", CALLER)):
        Path(f"{name}.py").write_text(code, encoding="utf-8")
        assert run(capsys, "deploy", f"{name}.py")[0] == 0
    callee = ("--args", '[{"$addr": "callee"}]')
    status, output = run(capsys, "view", "ask", *callee)
    assert status == 1
    assert output.startswith(f"callee.py:{line_of(CALLEE)}, in look\n    return 1 // self.n")
    status, output = run(capsys, "call", "send", *callee)
    assert status == 0
    assert re.search(r"#4 failed call .*\n +callee\.py:\d+, in go\n", output)
    assert "after KeyError: 'x' (callee.py:" in output
    assert "a negative one" in output


def test_a_sandbox_that_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ("def inner() -> int:", f"    return [][1] {HERE}", "gl.vm.unpack_result(gl.vm.spawn_sandbox(inner))")
    code = contract(write(*lines))
    Path("wallet.py").write_text(code, encoding="utf-8")
    assert run(capsys, "deploy", "wallet.py")[0] == 0
    status, output = run(capsys, "call", "go")
    assert status == 1
    assert output.startswith(f"wallet.py:{line_of(code)}, in inner\n")
    assert "User error: vm error: exit_code 1" in output
    assert "cause: A sandbox or another contract failed with `exit_code 1`. There are not so many items" in output


def test_a_file_that_has_changed_since(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("callee.py").write_text(CALLEE, encoding="utf-8")
    assert run(capsys, "deploy", "callee.py")[0] == 0
    assert "has changed" not in run(capsys, "view", "look")[1]
    Path("callee.py").write_text("# something else\n" * 50, encoding="utf-8")
    Path("inner").mkdir()
    monkeypatch.chdir("inner")
    _, output = run(capsys, "view", "look")
    assert output.startswith(f"../callee.py:{line_of(CALLEE)}, in look\n    return 1 // self.n")
    assert "The file has changed since it was deployed" in output


def test_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    package = Path("pack/contract")
    package.mkdir(parents=True)
    Path("pack/runner.json").write_text('{ "Depends": "py-genlayer-multi:test" }')
    Path("pack/version").write_text("v0.2.16")
    main_file = contract(
        "@gl.public.write\ndef go(self, n: int) -> None:\n    self.n = half(n)", above="from .tools import half"
    )
    (package / "__init__.py").write_text(main_file.partition("\n\n")[2])
    (package / "tools.py").write_text("import requests\n")
    _, output = run(capsys, "deploy", "pack")
    assert "pack/contract/tools.py:1\n    import requests" in output
    assert "cause: there is no `requests`" in output
    (package / "tools.py").write_text("def half(n: int) -> int:\n    return n // (n - 4)\n")
    assert run(capsys, "deploy", "pack")[0] == 0
    _, output = run(capsys, "call", "go", "--args", "[4]")
    assert re.search(r"pack/contract/__init__\.py:\d+, in go\n.*\npack/contract/tools\.py:2, in half\n", output)


def test_full_tracebacks(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("callee.py").write_text(CALLEE, encoding="utf-8")
    assert run(capsys, "deploy", "callee.py")[0] == 0
    _, output = run(capsys, "view", "look", "--traceback", "full")
    assert f'File "callee.py", line {line_of(CALLEE)}, in look' in output
    assert "/genlayer/_internal/boot.py" in output
    assert "cause: " in output


def test_a_failure_for_programs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mistake = next(one for one in MISTAKES if one.name == "a constant out of range")
    Path("wallet.py").write_text(mistake.code, encoding="utf-8")
    assert run(capsys, "deploy", "wallet.py")[0] == 0
    error = json.loads(run(capsys, "call", "go", "--json")[1])["error"]
    assert (error["kind"], error["message"], error["rule"]) == ("vm_error", "exit_code 1", "GL318")
    assert error["exception"] == "OverflowError: int too big to convert"
    (place,) = error["traceback"]
    assert place == {
        "file": "wallet.py",
        "line": line_of(mistake.code),
        "function": "go",
        "source": f"self.n = u8(256) {HERE}",
    }
    error = json.loads(run(capsys, "call", "go", "--args", "[1]", "--json")[1])["error"]
    assert error["kind"] == "bad_value"
    assert error["advice"] == "Leave out the last one."


# --- pytest -----------------------------------------------------------------------------------------

#: Mistakes, and what a test calls.
IN_PYTEST = {
    "a package from elsewhere": "",
    "a float for an integer field": "direct_vm.call(wallet, 'go')",
    "a key that is not in a map": "wallet.go('bob')",
    "storage in a block": "wallet.go()",
    "too few arguments": "wallet.go('bob')",
}


@pytest.mark.parametrize("name", IN_PYTEST)
def test_mistakes_through_pytest(name: str, tmp_path: Path) -> None:
    mistake = next(one for one in MISTAKES if one.name == name)
    (tmp_path / "wallet.py").write_text(mistake.code, encoding="utf-8")
    last = IN_PYTEST[name] or "assert wallet"
    test = f"def test_wallet(direct_vm, direct_deploy):\n    wallet = direct_deploy('wallet.py')\n    {last}\n"
    (tmp_path / "test_wallet.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:faulthandler", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    said = [line.removeprefix("E").strip() for line in done.stdout.splitlines() if re.match(r"E\s", line)]
    assert done.returncode == 1, done.stdout + done.stderr
    assert 0 < len(said) <= MOST_LINES, done.stdout
    assert any(re.match(rf"wallet\.py:{line_of(mistake.code)}\b", line) for line in said)
    assert re.search(mistake.cause, "\n".join(said)), done.stdout
    assert said[-1].startswith("fix: ")
    # No text twice, no calls of ours, none of the SDK's.
    assert all(done.stdout.count(line) == 1 for line in said if line.startswith(("cause: ", "fix: ")))
    assert "Captured stderr" not in done.stdout
    assert "pytest_plugin/" not in done.stdout
    assert "localnet/" not in done.stdout
    assert "/py/libs" not in done.stdout
    place = re.findall(r"^(\S+):(\d+): ", done.stdout, re.MULTILINE)
    assert place == [("test_wallet.py", "3" if IN_PYTEST[name] else "2")]
