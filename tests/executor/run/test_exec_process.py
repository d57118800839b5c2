"""`genvm run` as a process: options, order of failures, printing, streams, logs, exit codes (spec executor/10)."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from tests.support.archives import contract_zip
from tests.support.execution import (
    HOST_DATA,
    command,
    config_file,
    execute_process,
    message_json,
    wat,
)
from tests.support.hosts import InMemoryHost, serving
from tests.support.machine import Script, custom_section, machine, returned

NOTHING = wat('(module (func (export "_start")))')


def run(program: Script, *arguments: str, host: InMemoryHost | None = None, **others: Any) -> Any:
    host = host or InMemoryHost()
    host.calldata = program.code
    return execute_process(machine(), *arguments, host=host, **others)


# --- start-up time ----

#: What only some runs need, or none.
NOT_LOADED = {
    *("argparse", "asyncio", "contextvars", "dataclasses", "encodings.ascii", "inspect", "logging", "OpenSSL"),
    *("random", "shutil", "socket", "ssl", "subprocess", "traceback", "wasmtime", "websockets"),
    *(f"pygenvm.executor.{name}" for name in ("forward", "record", "replay", "stream", "terminal_text")),
    *(f"pygenvm.executor.module_protocol.{name}" for name in ("client", "codec")),
    *(f"pygenvm.executor.run.{name}" for name in ("printing", "tracing")),
    *(f"pygenvm.executor.pool.{name}" for name in ("channel", "circumstances", "client", "frames", "template")),
    *(f"pygenvm.executor.subvm.{name}" for name in ("compiler", "wasm.binary", "wasm.instructions")),
}


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What measures how much of the code is tested loads much."""
    for name in [name for name in os.environ if name.startswith("COV_")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("unmeasured")
def test_a_plain_run_loads_only_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    code = machine()
    assert execute_process(code).exit_code == 0  # Compiled now.
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    done = execute_process(code)
    assert (done.exit_code, type(done.outcome)) == (0, Return)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines() if "import time:" in line}
    assert "pygenvm.executor.run.supervisor" in loaded
    assert loaded & NOT_LOADED == set()


def at_the_end_of_a_run(expression: str) -> str:
    """Text of what it is worth in the process of a run, when that is about to leave."""
    program = f"""
import gc, os, sys
from pygenvm.cli import main
from pygenvm.executor.run import process

def leave(status):
    os.write(1, str({expression}).encode())
    os._exit(status)

process.leave = leave
main.main()
"""
    host = InMemoryHost()
    host.put_code(machine())
    with serving(host) as node:
        words = [sys.executable, "-c", program, *command(node.address)[3:]]
        done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    return done.stdout.decode()


def test_garbage_is_collected_from_the_execution_on() -> None:
    """And never looked for in what was loaded before."""
    assert at_the_end_of_a_run("(gc.isenabled(), gc.get_freeze_count() > 10_000)") == "(True, True)"


@pytest.mark.usefixtures("unmeasured")
def test_what_runs_import_brings_nothing_that_a_configuration_may_bring() -> None:
    """Libraries that YAML needs too."""
    code = (
        "import sys, pygenvm.executor.run.console, pygenvm.executor.run.parts; print({'math', 'yaml'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"


@pytest.mark.usefixtures("unmeasured")
def test_a_run_loads_its_modules_in_the_quick_way() -> None:
    """Without the package that Python has for that."""
    loader = "type(sys.modules['pygenvm.executor.run.supervisor'].__loader__).__module__"
    assert at_the_end_of_a_run(f"({loader}, 'importlib' in sys.modules)") == "('pygenvm.cli.own_modules', False)"


# --- results and printing ----


@pytest.mark.parametrize(
    ("program", "outcome", "line"),
    [
        (Script().gl_call({"Return": {"x": 10}}), Return(b"\x0e\x01xQ"), 'Return("\\x0e\\x01xQ")'),
        (Script().gl_call({"Rollback": 'a "b"\n'}), UserError('a "b"\n'), 'UserError("a \\"b\\"\\n")'),
        (Script().exit(4), VMError("exit_code 4"), 'VMError("exit_code 4")'),
    ],
)
def test_the_result_goes_to_the_host_and_to_stdout(program: Script, outcome: Any, line: str) -> None:
    done = run(program, "--print", "result")
    assert (done.exit_code, done.outcome) == (0, outcome)
    assert done.stdout.decode() == f"executed with `{line}`\n"


def test_an_internal_error_exits_with_0_and_its_details_go_to_stderr() -> None:
    done = run(Script().gl_call_at(0xFFFF_FFFF, 1, 0), "--print=result")
    assert done.exit_code == 0
    assert isinstance(done.outcome, InternalError)
    assert done.stdout == b'executed with `InternalError("")`\n'
    assert b"out of bounds" in done.stderr


def test_a_disagreement_is_printed_after_the_result() -> None:
    host = InMemoryHost(leader_results=[b"\x00\x00", b"\x00\x00"])
    program = Script().nondet(Script(), Script().gl_call({"Return": True})).nondet(Script(), Script()).leave()
    done = run(program, "--print", "result", host=host)
    assert done.stdout == b'executed with `Return("\\x00")`\nnondet disagreement: 1\n'


def test_nothing_is_printed_unless_it_is_asked_for() -> None:
    done = run(Script().leave())
    assert (done.exit_code, done.stdout) == (0, b"")


def test_everything_that_can_be_printed() -> None:
    """What contracts wrote comes first; stderr is passed on as well."""
    program = Script().write(1, b"out\n").write(2, b"err\n").exit(1)
    done = run(program, "--print", "fingerprint", "--print=stderr-full", "--print", "result")
    lines = done.stdout.decode().splitlines()
    assert lines[:3] == ["out", 'stderr: "err\\n"', 'executed with `VMError("exit_code 1")`']
    assert lines[3].startswith('Fingerprint: {frames: [{module_name: "machine", func: 22}')
    assert len(lines) == 4
    assert done.stderr.startswith(b"err\n")


def test_the_result_is_printed_before_the_host_confirms_it() -> None:
    class Slow(InMemoryHost):
        async def consume_result(self, result: bytes) -> None:
            await super().consume_result(result)
            raise ConnectionError("the host dies with the result in its hands")

    host = Slow(calldata=Script().leave().code)
    done = execute_process(machine(), "--print", "result", host=host)
    assert done.stdout == b'executed with `Return("\\x00")`\n'
    assert done.exit_code == 1
    assert b"Error: " in done.stderr


def test_host_over_tcp() -> None:
    host = InMemoryHost(calldata=Script().leave().code)
    host.put_code(machine())
    with serving(host, tcp=True) as node:
        assert execute_process(address=node.address).exit_code == 0
    assert host.outcome == Return(b"\x00")


def test_permissions_are_those_of_the_command_line() -> None:
    program = Script().storage_write(bytes(32), 0, b"x").storage_read(bytes(32), 0, 1)
    host = InMemoryHost()
    done = run(program, "--permissions", "nr", host=host)
    answers = program.read(returned(done.outcome.calldata))
    assert [getattr(answer, "errno", answer) for answer in answers] == [6, 0, b"\0"]


def test_sync() -> None:
    host = InMemoryHost(leader_results=[b"\x00\x00"])
    run(Script().nondet(Script(), Script().exit(1)).leave(), "--sync", host=host)
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods


def test_real_time_in_debug_mode() -> None:
    program = Script().gl_call({"Trace": {"RuntimeMicroSec": None}})
    done = run(program, "--debug-mode")
    (answer,) = program.read(returned(done.outcome.calldata))
    assert answer.content not in (None, b"\x01")


# --- messages ----


def test_message_of_the_default_date_and_unknown_keys() -> None:
    message = json.loads(message_json())
    del message["datetime"], message["value"]
    message |= {"$schema": "x", "gas": 5}
    host = InMemoryHost(calldata=Script().message().code)
    done = execute_process(machine("v0.1.0"), host=host, message=json.dumps(message))
    assert isinstance(done.outcome, Return)
    assert b"2024-11-26T06:42:42.424242Z" in done.outcome.calldata


def without(key: str) -> str:
    message = json.loads(message_json())
    del message[key]
    return json.dumps(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "@message.json",
        *(without(key) for key in ("contract_address", "sender_address", "origin_address", "chain_id", "is_init")),
        message_json(chain_id="0x1"),
        message_json(chain_id=1),
        message_json(value=-1),
        message_json(value=2**256),
        message_json(value="1"),
        message_json(is_init=1),
        message_json(datetime="yesterday"),
        message_json(contract_address=base64.b64encode(bytes(19)).decode()),
        message_json(sender_address="0x" + "01" * 20),
    ],
)
def test_bad_messages_stop_the_start_before_the_host_is_contacted(message: str) -> None:
    done = execute_process(message=message, address="unix:///nowhere/host.sock")
    assert done.exit_code == 1
    assert done.stderr.startswith(b"Error: --message: ")
    assert done.stdout == b""


# --- failures at start-up, in the order of the specification ----


def failing(*arguments: str, **others: Any) -> str:
    """The complaint of a process that has to stop with exit code 1; several steps of it would fail."""
    done = execute_process(NOTHING, *arguments, **others)
    assert done.exit_code == 1
    assert done.payload is None
    lines = done.stderr.decode().splitlines()
    assert lines[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr.decode()
    return lines[-1]


def test_order_of_failures(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("threads: x")
    nowhere = {"address": "unix:///nowhere/host.sock"}
    bad_permissions = ("--permissions", "rx")
    bad_data = ("--host-data", "{}")
    refusing = InMemoryHost(refusals={HostMethod.STORAGE_READ: HostErrorCode.FORBIDDEN})
    no_registry = config_file(tmp_path, runners_dir="/nowhere", registry_dir="/nowhere")

    assert "broken.yaml" in failing(*bad_permissions, *bad_data, message="{", config=broken, **nowhere)
    assert "--message" in failing(*bad_permissions, *bad_data, message="{", **nowhere)
    assert "host.sock" in failing(*bad_permissions, *bad_data, **nowhere)
    assert failing(*bad_permissions, *bad_data, host=refusing) == "Error: Invalid permissions rx"
    assert "node_address, tx_id" in failing(*bad_data, host=refusing)
    assert "forbidden" in failing(host=refusing, config=no_registry)
    assert "/nowhere" in failing(config=no_registry)


@pytest.mark.parametrize("permissions", ["x", "rr", "rwscnr", "R", " r", "sS", "SS"])
def test_invalid_permissions(permissions: str) -> None:
    assert failing("--permissions", permissions) == f"Error: Invalid permissions {permissions}"


@pytest.mark.parametrize("permissions", ["", "r", "ncswr"])
def test_valid_permissions(permissions: str) -> None:
    assert execute_process(NOTHING, f"--permissions={permissions}").exit_code == 0


@pytest.mark.parametrize(
    ("host_data", "complaint"),
    [
        ("{}", "node_address, tx_id"),
        ('{"node_address": "0x"}', "tx_id"),
        ('{"node_address": 1, "tx_id": "0x"}', "node_address"),
        ("[]", "object"),
        ("{", "JSON"),
        ("[" * 10_000, "JSON"),
        ('{"node_address": "0x", "tx_id": "0x", "x": NaN}', "JSON"),
    ],
)
def test_host_data_errors_name_what_is_missing(host_data: str, complaint: str) -> None:
    assert complaint in failing("--host-data", host_data)


def test_host_data_that_is_missing_is_told_before_the_host_is_contacted() -> None:
    """Nothing listens at the address."""
    words = ["run", "--message", message_json(), "--host", "unix:///nowhere/host.sock"]
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", *words], capture_output=True, check=False, timeout=60, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'Error: --host-data is missing; give for example {"node_address": "0x…", "tx_id": "0x…"}\n'


def test_host_data_is_shown_as_required() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", "run", "--help"], capture_output=True, check=False, timeout=60
    )
    assert done.stdout.startswith(b"usage: genvm run --message TEXT --host ADDR --host-data TEXT [options]\n")


def test_host_data_may_hold_more() -> None:
    assert execute_process(NOTHING, "--host-data", json.dumps(HOST_DATA | {"x": [1, {"y": None}]})).exit_code == 0


def test_latest_list_is_needed_in_debug_mode_only(tmp_path: Path) -> None:
    (tmp_path / "runners").mkdir()
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "all.json").write_text("{}")
    config = config_file(tmp_path, registry=tmp_path)
    assert execute_process(NOTHING, config=config).exit_code == 0
    assert "latest.json" in failing("--debug-mode", config=config)
    (tmp_path / "registry" / "all.json").unlink()
    assert "all.json" in failing(config=config)


def test_a_cache_that_cannot_be_made_only_disables_caching(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = config_file(tmp_path, cache_dir=str(tmp_path / "file" / "cache"))
    assert execute_process(NOTHING, config=config).exit_code == 0


# --- command line ----


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["run"],
        ["run", "--message", "{}"],
        ["run", "--message", "{}", "--host", "x:1", "--nope"],
        ["run", "--message", "{}", "--host", "x:1", "--print", "nope"],
        ["run", "--message", "{}", "--host", "x:1", "--log-fd", "1"],
        ["run", "--message", "{}", "--host", "x:1", "extra"],
        ["--log-level", "loud", "run", "--message", "{}", "--host", "x:1"],
        ["--log-fd", "x", "run", "--message", "{}", "--host", "x:1"],
        ["--log-fd=-1", "run", "--message", "{}", "--host", "x:1"],
        ["--log-fd", "2147483648", "run", "--message", "{}", "--host", "x:1"],
    ],
)
def test_a_bad_command_line_exits_with_2(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", *arguments], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == b""


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["parse-version-pattern", "--help"]]
)
def test_help_and_version(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", *arguments], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"genvm " if arguments == ["--version"] else b"usage: genvm")


def test_stdin_is_not_read() -> None:
    host = InMemoryHost()
    host.put_code(NOTHING)
    with serving(host) as node, subprocess.Popen(command(node.address), stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 0


# --- logs ----


def records(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_log_records() -> None:
    done = run(Script().gl_call({"Trace": {"Message": "$hello"}}).leave())
    lines = records(done.stderr)
    (trace,) = [record for record in lines if record["message"] == "trace"]
    assert list(trace)[:3] == ["level", "target", "message"]
    assert list(trace)[-2:] == ["file", "ts"]
    assert (trace["level"], trace["text"]) == ("info", "$$hello")
    assert trace["ts"].isdigit()
    (metrics,) = [record for record in lines if record["message"] == "metrics"]
    assert metrics["metrics"].keys() == {"gvm", "llm", "web"}
    assert metrics["metrics"]["llm"] is metrics["metrics"]["web"] is None
    assert metrics["metrics"]["gvm"]["supervisor"].keys() == {"precompile_hits", "compiled_modules", "compilation_time"}


def test_log_level_and_descriptor() -> None:
    program = Script().gl_call({"Trace": {"Message": "x"}}).leave()
    assert run(program, global_options=("--log-level", "error")).stderr == b""
    reading, writing = os.pipe()
    try:
        done = run(program, global_options=("--log-fd", str(writing)), pass_fds=(writing,))
        assert done.stderr == b""
        os.close(writing)
        assert "trace" in [record["message"] for record in records(os.read(reading, 1 << 16))]
    finally:
        os.close(reading)


def test_log_level_of_the_configuration_and_disabled_targets(tmp_path: Path) -> None:
    program = Script().gl_call({"Trace": {"Message": "x"}}).leave()
    assert run(program, config=config_file(tmp_path, log_level="error")).stderr == b""
    assert run(program, config=config_file(tmp_path, log_disable="executor*")).stderr == b""


def test_contract_output_is_separate_from_logs_and_unbuffered() -> None:
    program = Script().write(1, b"a").write(2, b"b").write(1, b"c")
    done = run(program, global_options=("--log-level", "error"))
    assert (done.stdout, done.stderr) == (b"ac", b"b")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_do_not_become_the_connection(closed: str) -> None:
    """Else the contract would speak to the host: `03…` is how a result begins."""
    program = Script().write(1, b"\3\2\0\0\0\0\0").write(2, b"\3\2\0\0\0\0\0").storage_write(bytes(32), 0, b"x").exit(3)
    host = InMemoryHost(calldata=program.code)
    host.put_code(machine())
    with serving(host) as node:
        shell = ["bash", "-c", f'exec "$@" {closed}', "bash", *command(node.address, "--print=result")]
        done = subprocess.run(shell, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0
    assert host.outcome == VMError("exit_code 3")
    assert host.methods[-2:] == [HostMethod.STORAGE_WRITE, HostMethod.CONSUME_RESULT]


@pytest.mark.parametrize("number", [0, 3, 4, 5, 6, 1000, 2**31 - 1])
def test_logs_to_a_descriptor_that_nobody_opened_go_nowhere(number: int) -> None:
    program = Script().gl_call({"Trace": {"Message": "x"}}).leave()
    done = run(program, "--print=result", global_options=(f"--log-fd={number}",))
    assert (done.exit_code, done.outcome) == (0, Return(b"\0"))
    assert (done.stdout, done.stderr) == (b'executed with `Return("\\x00")`\n', b"")


# --- parse-version-pattern ----


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (b'# v0.2.0\n# { "Depends": "py-genlayer:test" }', b" v0.2.0"),
        (b"//v1.2.3  \n//{}", b"v1.2.3  "),
        (b"# {}", b"v0.1.0"),
        (NOTHING, b"v0.1.0"),
        (NOTHING + custom_section("genvm.version", b"v0.2.3"), b"v0.2.3"),
        (contract_zip({}, {}), b"v*.*.*"),
        (contract_zip({}, {}, version="v7.8.9\n"), b"v7.8.9\n"),
        (b"no comment", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_parse_version_pattern(code: bytes, text: bytes | None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", "--config", str(config_file(tmp_path)), "parse-version-pattern"],
        input=code,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == ((0, text) if text is not None else (1, b""))
    assert done.stderr.startswith(b"Error: ") == (text is None)


def test_parse_version_pattern_needs_a_valid_configuration(tmp_path: Path) -> None:
    (tmp_path / "genvm.yaml").write_text("[]")
    done = subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", "--config", str(tmp_path / "genvm.yaml"), "parse-version-pattern"],
        input=b"# {}",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, b"")
