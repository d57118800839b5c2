"""Output that cannot be written, or not be encoded: the work is done, and the exit code tells of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli import main, streams
from pygenvm.localnet import cli as localnet_cli
from pygenvm.localnet.net import LocalNet
from tests.support.paths import ROOT
from tests.support.quick import few

#: ``genvm`` with the contract of :mod:`tests.localnet.printing_fakes`.
FAKED = """
import contextlib, sys
from pygenvm.cli.main import main

if sys.argv[1] == "local" and sys.argv[2] in ("deploy", "call", "view"):
    from pygenvm.executor.pool import handover
    from pygenvm.localnet.executors import commands
    from tests.localnet.printing_fakes import Executor, contract

    handover.RUNNING = ()  # None is forked.
    commands.few_runs = lambda *_: contextlib.nullcontext(Executor({b"# thing": contract}))
sys.exit(main())
"""
UNPRINTED = "genvm: done, but the output could not be printed: "


def start(folder: Path, *arguments: str, encoding: str | None = None, **streams: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    if encoding:
        environment["PYTHONIOENCODING"] = encoding
    return subprocess.Popen(
        [sys.executable, "-c", FAKED, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def genvm(folder: Path, *arguments: str, **options: Any) -> tuple[int, str | None, str | None]:
    with start(folder, *arguments, **options) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "thing.py").write_bytes(b"# thing")
    return tmp_path


def transactions(folder: Path) -> int:
    return len(LocalNet(folder / ".pygenvm" / "local.db").log(100))


@contextlib.contextmanager
def sink(name: str) -> Iterator[int]:
    """Where nothing can be written."""
    if name == "full device":
        number = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, number = os.pipe()
        os.close(reader)
    try:
        yield number
    finally:
        os.close(number)


@pytest.mark.parametrize("json", few([(), ("--json",)], ()), ids=["text", "json"])
@pytest.mark.parametrize(("where", "why"), [("full device", "No space left on device"), ("closed pipe", "Broken pipe")])
def test_a_committed_transaction_that_cannot_be_told(folder: Path, json: tuple[str, ...], where: str, why: str) -> None:
    with sink(where) as number:
        for count, words in enumerate((("deploy", "thing.py", "--value", "5"), ("call", "pay")), start=1):
            code, _, err = genvm(folder, "local", *words, *json, stdout=number)
            assert code == streams.EXIT_UNPRINTED
            assert err is not None
            assert err.endswith(f"{UNPRINTED}{why}\n")
            assert "Traceback" not in err
            assert transactions(folder) >= count


@pytest.mark.parametrize("json", few([(), ("--json",)], ()), ids=["text", "json"])
def test_what_a_contract_prints_is_lost_alone(folder: Path, json: tuple[str, ...]) -> None:
    with sink("full device") as number:
        code, out, _ = genvm(folder, "local", "deploy", "thing.py", *json, stderr=number)
        assert code == (0 if json else streams.EXIT_UNPRINTED)
        assert out is not None
        assert "thing" in out
        assert genvm(folder, "local", "call", "fail", *json, stderr=number)[0] == localnet_cli.EXIT_CONTRACT


@pytest.mark.parametrize("json", few([(), ("--json",)], ()), ids=["text", "json"])
def test_other_verdicts_stay(folder: Path, json: tuple[str, ...]) -> None:
    assert genvm(folder, "local", "deploy", "thing.py")[0] == 0
    with sink("full device") as number:
        both = {"stdout": number, "stderr": number}
        assert genvm(folder, "local", "call", "fail", *json, **both)[0] == localnet_cli.EXIT_CONTRACT
        assert genvm(folder, "local", "call", "fail", "--nonsense", *json, **both)[0] == localnet_cli.EXIT_USAGE
        assert genvm(folder, "local", "accounts", "--db", ".", *json, **both)[0] != 0


def test_a_reader_who_has_seen_enough_is_not_told(folder: Path) -> None:
    assert genvm(folder, "local", "deploy", "thing.py")[0] == 0
    with sink("closed pipe") as number:
        for words in (("log",), ("view", "text"), ("state", "--json")):
            code, _, err = genvm(folder, "local", *words, stdout=number)
            assert code == streams.EXIT_UNPRINTED
            assert "Broken pipe" not in (err or "")


@pytest.mark.parametrize("encoding", few(["ascii", "latin-1"], "ascii"))
def test_an_encoding_without_our_characters(folder: Path, encoding: str) -> None:
    for words in (("deploy", "thing.py", "--value", "5"), ("call", "echo", "--args", '["→"]'), ("log",)):
        code, out, err = genvm(folder, "local", *words, encoding=encoding)
        assert code == 0
        assert "Traceback" not in (err or "")
    assert out is not None
    assert r"deploy alice \u2192 thing" in out
    assert transactions(folder) == 2


@pytest.mark.parametrize("command", [(), *((name,) for name in main.COMMANDS), ("runners", "build"), ("local", "call")])
def test_help_in_ascii(folder: Path, command: tuple[str, ...]) -> None:
    code, out, err = genvm(folder, *command, "--help", encoding="ascii")
    assert (code, err) == (0, "")
    assert out is not None
    assert out.startswith("usage: genvm")


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("run", "--help"), ("local", "log")])
def test_whatever_is_printed_may_fail(folder: Path, command: tuple[str, ...]) -> None:
    with sink("full device") as number:
        assert genvm(folder, *command, stdout=number)[0] == streams.EXIT_UNPRINTED


@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        ("local", "deploy", "--help"),
        ("local", "accounts"),
        ("local", "accounts", "--json"),
        ("local", "log", "--json"),
        ("local", "lint", "--rules"),
        ("local", "deploy", "thing.py", "--json"),
    ],
    ids=" ".join,
)
def test_a_stdout_that_is_closed(folder: Path, command: tuple[str, ...]) -> None:
    code, _, err = genvm(folder, *command, stdout=None, preexec_fn=lambda: os.close(1))
    assert (code, err) == (streams.EXIT_UNPRINTED, f"{UNPRINTED}stdout is closed\n")


def test_who_prints_nothing_needs_no_stdout(folder: Path) -> None:
    code, _, err = genvm(folder, "precompile", "--info", stdout=None, preexec_fn=lambda: os.close(1))
    assert code == 0
    assert "could not be printed" not in str(err)


def test_a_closed_stderr_is_meant_so(folder: Path) -> None:
    code, out, _ = genvm(folder, "local", "deploy", "thing.py", stderr=None, preexec_fn=lambda: os.close(2))
    assert code == 0
    assert "Deployed thing" in str(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_it_is_told(folder: Path, number: signal.Signals) -> None:
    """More than a pipe takes, and nobody reads."""
    assert genvm(folder, "local", "deploy", "thing.py")[0] == 0
    with start(folder, "local", "call", "echo", "--json", "--args", f'["{"x" * 100_000}"]') as process:
        deadline = time.monotonic() + 60
        while transactions(folder) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == streams.EXIT_UNPRINTED
        assert "done, but the output could not be written: interrupted" in err
        assert "dropped" not in err


def test_a_bug_in_telling_is_no_verdict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.localnet.printing_fakes import Executor, contract

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.chdir(folder)
    executor = Executor({b"# thing": contract})
    monkeypatch.setattr("pygenvm.localnet.executors.commands.few_runs", lambda *_: contextlib.nullcontext(executor))
    monkeypatch.setattr("pygenvm.localnet.render.Printer.execution", fail)
    assert main.main(["local", "deploy", "thing.py"]) == localnet_cli.EXIT_UNPRINTED == streams.EXIT_UNPRINTED
    assert transactions(folder) == 1
    assert capsys.readouterr().err.endswith(
        "genvm local: done, but the output could not be written: ZeroDivisionError: oops\n"
    )


def test_a_pipe_that_does_not_wait(folder: Path) -> None:
    """Somebody else has made it non-blocking; all of a long output arrives."""
    assert genvm(folder, "local", "deploy", "thing.py")[0] == 0
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    text = "x" * 120_000
    with start(folder, "local", "view", "echo", "--args", f'["{text}"]', stdout=writer) as process:
        os.close(writer)
        time.sleep(1)
        with open(reader) as output:
            assert text in output.read()
        assert process.wait(60) == 0
