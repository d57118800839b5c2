"""The command line. Contracts are fakes; see ``tests/end_to_end/test_localnet_end_to_end.py`` for real ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.executor.outcome import InternalError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.localnet import errors, limits
from pygenvm.localnet.chain import accounts, explain
from pygenvm.localnet.cli import default_database
from tests.localnet.printing_fakes import ALICE, BOB, Executor, contract
from tests.support.networks import state_of

#: The last letter has the other case.
WRONG_BOB = re.sub(r"[a-zA-Z](?=[0-9]*$)", lambda letter: letter[0].swapcase(), BOB.as_hex)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder that is the working directory, with a contract file ``thing.py``."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "thing.py").write_bytes(b"# thing")
    monkeypatch.chdir(project)
    executor = Executor({b"# thing": contract})
    monkeypatch.setattr(
        "pygenvm.localnet.executors.commands.few_runs", lambda *_, **__: contextlib.nullcontext(executor)
    )
    return project


@pytest.fixture
def deployed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["local", "deploy", "thing.py", "--value", "5"]) == 0
    capsys.readouterr()
    return folder


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    try:
        code = main(["local", *arguments, "--json"])
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    assert printed.err == ""
    return code, json.loads(printed.out)


def run_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(["local", *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    return code, printed.out, printed.err


def test_deploy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = accounts.contract_address(ALICE, salt=0, nonce=0)
    code, out, err = run_text(capsys, "deploy", "thing.py", "--value", "0x5")
    assert code == 0
    assert f"Deployed thing {address!s}" in out
    assert "thing 0x" in out
    assert "0 → 5 (+5)" in out
    assert "transaction #1, 0.25 s" in out
    assert err == "stdout:\n  printed \\x1b[31m\nstderr:\n  warned\n"
    assert (folder / ".pygenvm" / "local.db").exists()


def test_view_prints_only_the_value_on_stdout(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_text(capsys, "view", "text")[:2] == (0, "plain \\x1b[31m text\n")
    assert run_text(capsys, "view", "thing", "echo", "--args", '["[bold]x"]')[:2] == (0, '[\n  "[bold]x"\n]\n')


def test_call_for_people(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_text(capsys, "call", "pay")
    assert code == 0
    for line in (
        "  method      pay()",
        '  returned    {"big": 1180591620717411303424}',
        '  event       {"who": {"$addr": "' + BOB.as_hex + '"}} (topics 0x01010101…)',
        "  message     to bob (no method) value 3, on finalized",
        "  storage     1 bytes in 1 slot",
        "Delivered messages",
    ):
        assert line in out.splitlines()
    assert "#3 ok transfer thing 0x" in out
    assert "#4 failed call thing 0x" in out
    assert "User error: bad \\x1b[31m luck (from #2)" in out
    assert "#5 ok error thing 0x" in out


def test_call_for_programs(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "call", "pay")
    address = accounts.contract_address(ALICE, salt=0, nonce=0).as_hex
    assert code == 0
    assert document["ok"] is True
    assert document["contract"] == {"address": address, "name": "thing"}
    assert document["result"] == {"big": 2**70}
    transaction = document["transaction"]
    assert transaction["events"] == [{"topics": ["0x" + "01" * 32], "data": {"who": {"$addr": BOB.as_hex}}}]
    assert transaction["messages"][0] == {
        "kind": "message",
        "to": {"address": BOB.as_hex, "name": "bob"},
        "value": 3,
        "on": "finalized",
        "calldata": "0x06",
    }
    assert transaction["balances"] == [{"address": address, "name": "thing", "before": 5, "after": 0}]
    assert transaction["storage"] == {"slots": 1, "bytes": 1}
    assert transaction["stdout"] == "printed \x1b[31m\n"
    assert [item["status"] for item in document["delivered"]] == ["ok", "failed", "ok"]
    assert document["delivered"][1]["outcome"] == {"kind": "user_error", "message": "bad \x1b[31m luck"}
    assert document["delivered"][2]["method"] == "#error"
    code, log = run_json(capsys, "log", "--last", "4")
    assert log["transactions"] == [document["transaction"], *document["delivered"]]


def test_a_failure_for_people(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state_of(deployed / ".pygenvm" / "local.db")
    code, out, err = run_text(capsys, "call", "fail")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "stdout:",
        "  printed \\x1b[31m",
        "stderr:",
        "  warned",
        "User error: bad \\x1b[31m luck",
        "Nothing was changed.",
        "cause: The contract itself refused, with a text of its own choice.",
        "fix: Look for the condition that raises gl.vm.UserError with this text.",
    ]
    assert state_of(deployed / ".pygenvm" / "local.db") == before


def test_a_failure_for_programs(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("call", "view"):
        code, document = run_json(capsys, command, "trap", "--args", '["exit_code 3"]')
        assert code == 1
        assert document["ok"] is False
        assert document["error"]["kind"] == "vm_error"
        assert document["error"]["message"] == "exit_code 3"
        assert "exit()" in document["error"]["advice"]
        assert "result" not in document


def test_schema(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("thing.py",), ("thing",), (accounts.contract_address(ALICE, salt=0, nonce=0).as_hex,)):
        code, document = run_json(capsys, "schema", *words)
        assert code == 0
        assert document["schema"]["methods"]["[b]pay"]["payable"] is True
    code, out, _ = run_text(capsys, "schema", "thing.py")
    assert re.split("  +", out.splitlines()[2]) == [
        "[b]pay",
        "a: address | null, *, k: list[int]",
        "dict[str, any]",
        "payable",
    ]


def test_accounts_and_log(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "accounts")
    assert code == 0
    assert [item["name"] for item in document["accounts"]] == [*accounts.NAMES, "thing"]
    assert document["accounts"][0]["balance"] == accounts.START_BALANCE - 5
    assert sum(item["balance"] for item in document["accounts"]) == 10**25
    assert BOB.as_hex in run_text(capsys, "accounts")[1]
    assert "#1 ok deploy alice → thing 0x" in run_text(capsys, "log")[1]


def test_state_that_cannot_be_decoded(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake executor does not know the longer code, so this contract fails like a broken one."""
    main(["local", "call", "pay"])
    capsys.readouterr()
    code, document = run_json(capsys, "state")
    assert code == 0
    assert document["fields"] is None
    assert document["note"] == "the contract fails when its storage is read: invalid_contract (warned)"
    assert [(slot["name"], slot["size"]) for slot in document["slots"]] == [("root", 1), ("code", 11)]
    assert document["slots"][1]["data"] == "0x07000000" + b"# thing".hex()
    code, out, _ = run_text(capsys, "state")
    assert "not decoded: the contract fails" in out
    assert "    07000000" + b"# thing".hex() in out.splitlines()


def test_after_a_failed_deployment(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (deployed / "newer.py").write_bytes(b"# no contract of ours")
    assert run_json(capsys, "deploy", "newer.py")[0] == 1
    address = accounts.contract_address(ALICE, salt=0, nonce=0).as_hex
    said = (
        "the last deployment, of newer, failed (invalid_contract); the contract deployed before it is still there: to"
        f" use that, name it, thing or {address[:10]}"
    )
    for command in (("call", "echo"), ("view", "echo"), ("state",), ("schema",)):
        code, document = run_json(capsys, *command)
        assert (code, document["error"]) == (2, {"kind": "not_found", "message": said})
    for word in ("thing", address[:10]):
        assert run_json(capsys, "call", word, "echo")[1]["contract"]["name"] == "thing"
    # The file is mended, and the same mistake is made with the one that is there.
    (deployed / "thing.py").write_bytes(b"# no contract of ours")
    assert run_text(capsys, "deploy", "thing.py")[0] == 1
    note = "genvm local: note: the last deployment of thing failed; this is the contract deployed before it\n"
    for words in (("call", "thing", "echo"), ("view", "thing", "echo"), ("state", "thing"), ("schema", "thing")):
        code, _, err = run_text(capsys, *words)
        assert code == 0
        assert note in err
        assert run_text(capsys, words[0], address[:10], *words[2:])[2].count("note:") == 0


def test_failed_commands_are_in_the_log(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (deployed / "newer.py").write_bytes(b"# no contract of ours")
    run_text(capsys, "deploy", "newer.py")
    run_text(capsys, "call", "thing", "fail")
    address = accounts.contract_address(ALICE, salt=0, nonce=1).as_hex
    assert [line for line in run_text(capsys, "log")[1].splitlines() if not line.startswith("   ")] == [
        "  #1 ok deploy alice → thing 0xf3CD8dF1 value 5 = null",
        f"  -- failed deploy alice → newer {address[:10]} VM error: invalid_contract",
        "  -- failed call alice → thing 0xf3CD8dF1 fail() User error: bad \\x1b[31m luck",
    ]
    # The contract that gets the address then.
    run_text(capsys, "deploy", "thing.py", "--name", "later")
    assert f"  -- failed deploy alice → newer {address[:10]} VM" in run_text(capsys, "log")[1]
    one, deployment, call, _ = run_json(capsys, "log")[1]["transactions"]
    assert (one["number"], deployment["number"], call["number"]) == (1, None, None)
    assert deployment["to"] == {"address": address, "name": "newer"}
    assert (deployment["status"], deployment["outcome"]) == (
        "failed",
        {"kind": "vm_error", "message": "invalid_contract"},
    )
    assert (call["method"], call["outcome"]["kind"], call["stderr"]) == ("fail", "user_error", "warned\n")


# --- bad command lines ------------------------------------------------------------------------------

_BAD: list[tuple[list[str], str]] = [
    (["deploy"], "required: FILE"),
    (["deploy", "missing.py"], "cannot read missing.py"),
    (["deploy", "."], ". is no contract: a folder needs a runner.json"),
    (["deploy", "thing.py", "--args", "{}"], "args must be a JSON array"),
    (["deploy", "thing.py", "--args", "[1"], "not JSON"),
    (["deploy", "thing.py", "--kwargs", "[]"], "kwargs must be a JSON object"),
    (["deploy", "thing.py", "--args", "[0.5]"], "no fractions"),
    (
        ["deploy", "thing.py", "--args", '[{"$addr": "nobody"}]'],
        "no account and no contract 'nobody'; accounts are alice, bob, carol,",
    ),
    (["deploy", "thing.py", "--value", "-1"], "--value"),
    (["deploy", "thing.py", "--value", "1.5"], "not a whole number"),
    (["deploy", "thing.py", "--value", str(2**256)], "the value must be from 0"),
    (["deploy", "thing.py", "--value", str(2 * 10**24)], "less than the value"),
    (["deploy", "thing.py", "--from", "nobody"], "no account 'nobody'"),
    (["deploy", "thing.py", "--from", "0x12"], "not an address"),
    (["deploy", "thing.py", "--from", "thing"], "no account 'thing'"),
    (["deploy", "thing.py", "--name", "0x1"], "not a name"),
    (["deploy", "thing.py", "--name", "alice"], "name of an account"),
    (["deploy", "thing.py", "--salt", str(2**256)], "salt"),
    (["deploy", "thing.py", "--timeout", "0"], "seconds"),
    (["deploy", "thing.py", "--nonsense"], "--nonsense"),
    (["call"], "METHOD"),
    (["call", "0x123456"], "no METHOD after the address"),
    (["call", "a", "b", "c"], "too many words"),
    (["call", "other", "echo"], "no contract 'other'"),
    (["call", "0x", "echo"], "no contract '0x'"),
    (["call", "echo", "--args", '[{"$addr": "nobody"}]'], "contracts are thing"),
    (["call", "echo", "--kwargs", '{"a": 1, "a": 2}'], "twice"),
    (["view", "echo", "--value", "1"], "--value"),
    (["deploy", "thing.py", "--db", "no/such/x.db"], "--db: there is no folder no/such; make it first"),
    (["accounts", "--db", "no/x.db"], "--db: there is no folder no; make it first"),
    (["log", "--db", "."], "--db: . is a folder"),
    (["deploy", "thing.py", "--from", WRONG_BOB], f"with the right checksum its digits are {BOB!s}"),
    (["deploy", "thing.py", "--args", f'[{{"$addr": "{WRONG_BOB}"}}]'], f"its digits are {BOB!s}"),
    (["call", "[b]pay", "--args", f'["{WRONG_BOB}"]'], f"its digits are {BOB!s}"),
    (["call", WRONG_BOB, "pay"], f"its digits are {BOB!s}"),
    (["state", WRONG_BOB], f"its digits are {BOB!s}"),
    (["schema", "other"], "no contract 'other'"),
    (["schema", "./other.py"], "cannot read other.py"),
    (["state", "0xff"], "no contract"),
    (["log", "--last", "0"], "--last"),
    (["log", "--last", "x"], "--last"),
]


@pytest.mark.parametrize(("arguments", "text"), _BAD, ids=[" ".join(arguments)[:50] for arguments, _ in _BAD])
def test_bad_command_lines(deployed: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    database = deployed / ".pygenvm" / "local.db"
    before = database.read_bytes()
    code, document = run_json(capsys, *arguments)
    assert code == 2
    assert document["ok"] is False
    assert text in document["error"]["message"]
    code, out, err = run_text(capsys, *arguments)
    assert (code, out) == (2, "")
    assert text in err
    assert database.read_bytes() == before


def test_commands_without_database_make_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "call", "echo")[0] == 2
    assert run_json(capsys, "view", "echo")[0] == 2
    assert run_json(capsys, "accounts")[0] == 0
    assert run_json(capsys, "log")[1] == {"ok": True, "transactions": []}
    assert run_json(capsys, "schema", "thing.py")[0] == 0
    assert not (folder / ".pygenvm").exists()


def test_a_file_that_is_no_database(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.db").write_bytes(b"something else " * 50)
    code, document = run_json(capsys, "deploy", "thing.py", "--db", "x.db")
    assert code == 3
    assert document["error"]["kind"] == "database"
    assert document["error"]["message"].endswith("database x.db: it is not a database; choose another file")
    assert (folder / "x.db").read_bytes() == b"something else " * 50
    assert not (folder / "x.db.lock").exists()


@pytest.mark.parametrize("words", [("accounts",), ("log",), ("view", "text"), ("deploy", "thing.py")], ids=" ".join)
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/dev/full", "/dev/full is a device, a pipe or a socket; choose a file"),
        ("pipe", "pipe is a device, a pipe or a socket; choose a file"),
        ("loop", "cannot open loop: Too many levels of symbolic links; choose another file"),
        ("folder", "folder is a folder; choose a file in it"),
        ("thing.py/x.db", "there is no folder thing.py; make it first"),
        ("folder/" + "x" * 300, f"cannot open folder/{'x' * 300}: File name too long; choose another file"),
        ("closed/x.db", "closed cannot be written to, as a database in it has to be; choose another FILE"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_where_no_database_can_be(
    place: str,
    why: str,
    words: tuple[str, ...],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    Path("closed").mkdir()
    # Whoever is root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "closed")
    before = sorted(folder.rglob("*"))
    code, document = run_json(capsys, *words, "--db", place)
    assert code == 2
    assert document["error"]["kind"] == "usage"
    assert document["error"]["message"].replace(f"{folder}/closed", "closed") == f"--db: {why}"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_where_the_default_database_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    place = folder / ".pygenvm" / "local.db"
    place.parent.mkdir()
    if kind == "loop":
        place.symlink_to("local.db")
    else:
        place.mkdir()
    for words in (("accounts",), ("deploy", "thing.py")):
        code, document = run_json(capsys, *words)
        assert (code, document["error"]["kind"]) == (3, "database")
        assert str(place) in document["error"]["message"]
    assert list(place.parent.iterdir()) == [place]


def test_a_working_folder_that_is_gone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(folder / "x.db")
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    code, document = run_json(capsys, "accounts")
    assert (code, document["error"]["kind"]) == (2, "usage")
    assert "is gone" in document["error"]["message"]
    assert run_json(capsys, "accounts", "--db", database)[0] == 0


def test_a_database_is_put_into_a_folder_that_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "deploy", "thing.py", "--db", "new/x.db")[0] == 2
    assert not (folder / "new").exists()
    (folder / "new").mkdir()
    for name in ("new/x.db", "y.db", f"{folder}/z.db"):
        assert run_json(capsys, "deploy", "thing.py", "--db", name)[0] == 0


def test_addresses_without_a_checksum(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = BOB.as_hex[2:]
    for word in (BOB.as_hex, "0x" + digits.lower(), "0x" + digits.upper()):
        for method, argument in (("[b]pay", f'["{word}"]'), ("echo", f'[{{"$addr": "{word}"}}]')):
            code, document = run_json(capsys, "call", method, "--from", word, "--args", argument)
            assert code == 0
            assert document["transaction"]["args"] == [{"$addr": BOB.as_hex}]
            assert document["transaction"]["from"]["name"] == "bob"


def test_the_database_of_the_nearest_project(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_database() == folder / ".pygenvm" / "local.db"
    assert main(["local", "deploy", "thing.py"]) == 0
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a" / "b")
    assert default_database() == folder / ".pygenvm" / "local.db"
    assert main(["local", "view", "text"]) == 0
    (folder / "a" / ".pygenvm").mkdir()
    assert default_database() == folder / "a" / ".pygenvm" / "local.db"


def test_the_database_may_stand_before_or_after_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "--db", "x.db", "deploy", "thing.py"]) == 0
    assert main(["local", "view", "text", "--db", "x.db"]) == 0
    assert (folder / "x.db").exists()
    assert not (folder / ".pygenvm").exists()


def test_interrupted(deployed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pygenvm.localnet.net.LocalNet.call", interrupt)
    code, document = run_json(capsys, "call", "echo")
    assert (code, document["error"]["kind"]) == (130, "interrupted")


def test_a_bug_of_ours_is_not_blamed_on_the_contract(
    deployed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("pygenvm.localnet.net.LocalNet.call", fail)
    assert main(["local", "call", "echo", "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"] == {"kind": "internal", "message": "ZeroDivisionError: oops"}
    assert "Traceback" in printed.err


def test_help_names_every_kind_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", "--help"])
    text = capsys.readouterr().out
    for kind in [errors.BadRequest, *errors.BadRequest.__subclasses__(), *errors.LocalNetError.__subclasses__()]:
        assert re.search(rf"\b{kind.kind}\b", text)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", "--help"])
    text = capsys.readouterr().out
    for word in ("$addr", "$bytes", "$int", "exit codes", "which contract", ".pygenvm/local.db", "alice", "#error"):
        assert word in text
    assert f"After {limits.DELIVERIES} the rest" in text


# --- explanations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "stderr", "advice"),
    [
        ("timeout", "", "--timeout"),
        ("OOM", "", "grows without bound"),
        ("version_too_big", "", "Lower the number"),
        ("exit_code 1", "Traceback\nSystemError: 7: inbalance\n", "--value"),
        ("exit_code 1", "TypeError: C.f() missing 1 required positional argument: 'x'\n", "genvm local schema"),
        ("exit_code 1", "ZeroDivisionError: x\n", "gl.vm.UserError"),
        ("exit_code 125", "", "sys.exit"),
        ("wasm_trap StackOverflow", "", "recursion"),
        ("wasm_trap IntegerOverflow", "", "report"),
        ("invalid_contract", "", "runner"),
        ("invalid_contract absent_runner_comment", "", "very first byte"),
        ("out_of_storage_gas", "", "several calls"),
        ("something new", "", "report"),
    ],
)
def test_every_error_is_explained(message: str, stderr: str, advice: str) -> None:
    explanation = explain.explain(VMError(message), stderr)
    assert explanation is not None
    assert explanation.meaning
    assert advice in explanation.advice


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("the executor cannot start: the folder of runners", "genvm runners build"),
        ("the executor cannot start: /x", "Correct"),
        ("llm module at ws://x: Prompt: cannot connect: [Errno 111] refused", "leave the address out"),
        ("llm module at ws://x: Prompt: cannot connect: no WebSocket service answers: HTTP 404", "Correct the address"),
        ("web module at ws://x: Render: connection lost: x", "log says more"),
        ("web module at ws://x: Render: module error: x", "log says more"),
        ("web module at ws://x: Render: no answer within 5 s", "log says more"),
        ("llm module at ws://x: Prompt: module error: no language model is configured", "--mocks FILE"),
        ("web module at ws://x: Render: module error: a/m.yaml: No web mock for WebRender https://x.com", "a/m.yaml."),
        (
            "llm module at ws://x: Prompt: module error: a/m.yaml: the answer of the mock 'a': x",
            "Correct it in a/m.yaml",
        ),
        (
            'web module at ws://x: Render: module error: ModuleError { causes: ["SENDING_REQUEST"], fatal: true, ctx:'
            ' {"rust_error": Str("the rendering service does not start: no Chromium is installed to render pages with;'
            ' this installs one: apt-get install -y chromium")} }',
            "Install one: apt-get install -y chromium",
        ),
        ("llm module at ws://x: Prompt: module error: --llm-config: a.yaml:3: backends: x", "Correct what is wrong"),
        ("web module at ws://x: Render: module error: the web module does not start: x", "log says more"),
        ("web module at ws://x: Render: module error: the web module has ended during the request", "Call again"),
        (
            'llm module at ws://x: Prompt: module error: ModuleError { causes: ["NO_PROVIDER_FOR_PROMPT"], fatal: true,'
            " ctx: {} }",
            "genvm modules check",
        ),
        ("web module at ws://x: Request: request of 5 bytes, at most 4 are sent", "Send less"),
        ("web module at ws://x: Render: not calldata: x", "protocol"),
        ("llm module: Prompt: data is a int", "protocol"),
        ("LLM module answered EqComparative with a str", "protocol"),
        ("x", "report"),
    ],
)
def test_internal_errors_are_explained(message: str, advice: str) -> None:
    explanation = explain.explain(InternalError(message))
    assert explanation is not None
    assert advice in explanation.advice
    assert ("cannot be reached" in explanation.meaning) == ("Errno" in message)


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("the archive of a cannot be read: [Errno 24] Too many open files: 'a.tar'", "`ulimit -n 1024`"),
        ("start function: the machine refuses a memory of 9 bytes (os error 12)", "no memory left"),
        ("OSError: [Errno 28] No space left on device", "make room"),
        ("OSError: [Errno 99999] nothing that we know", "report"),
    ],
)
def test_what_the_executor_lacks_is_explained(message: str, advice: str) -> None:
    explanation = explain.explain(InternalError(message))
    assert explanation is not None
    assert advice in explanation.advice


def test_a_return_needs_no_explanation() -> None:
    from pygenvm.executor.outcome import Return

    assert explain.explain(Return(b"\x00")) is None


def test_a_strangers_names_and_calls(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names go to the terminal in words only, and calldata need not look like a call of ours."""
    database = deployed / ".pygenvm" / "local.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE contracts SET name = ?", ("\x1b[2J\nbob",))
        for number, call in enumerate(
            [
                {"method": "\x1b[2J\nx", "kwargs": {"\x1b[2J\n": 1}},
                {"method": 5, "args": 5, "kwargs": [1]},
                {"args": None},
                [1],
            ],
            start=2,
        ):
            connection.execute(
                "INSERT INTO transactions SELECT ?, tx_id, parent, 'call', status, sender, origin, contract, name,"
                " value, ?, released_on, datetime, outcome, details FROM transactions WHERE number = 1",
                (number, calldata.encode(call)),
            )
        connection.commit()
    for command in ("accounts", "log", "state"):
        code, out, _ = run_text(capsys, command)
        assert code == 0
        assert "\\x1b[2J\\x0abob" in out
        assert run_json(capsys, command)[0] == 0
    assert "\\x1b[2J\\x0ax(\\x1b[2J\\x0a=1)" in run_text(capsys, "log")[1]
    assert "5(*5, **[1])" in run_text(capsys, "log")[1]
    assert "(no method)(*null)" in run_text(capsys, "log")[1]


def test_a_database_that_would_never_answer(deployed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(sqlite3.connect(deployed / ".pygenvm" / "local.db")) as connection:
        connection.executescript(
            "DROP TABLE accounts; CREATE VIEW accounts AS"
            " WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n)"
            " SELECT x address, '1' balance, 1 nonce FROM n"
        )
    assert run_text(capsys, "accounts") == (
        3,
        "",
        f"genvm local: {deployed}/.pygenvm/local.db has not the tables of a local network\n",
    )
