"""A service as a process: its start, its signals, its parent, and what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pygenvm.executor.module_protocol.codec import Hello, Ok, Request, decode_answer, encode_hello, encode_request
from tests.support.quick import few

PATIENCE = 30.0
#: A service whose only request waits; its session says in the log when it ends.
PROGRAM = """
import asyncio, os, sys
from pygenvm.modules.log import Logger
from pygenvm.modules.process import Hosted, run
from pygenvm.modules.service import Statistics

LOG_TARGET = "genvm_modules::slow"
grace, fails, parent = float(sys.argv[1]), sys.argv[2], sys.argv[3] == "parent"
document = {"bind_address": "127.0.0.1:0", "lua_script_path": "", "vm_count": 1, "lua_path": "", "signer_url": "",
    "signer_headers": {"authorization": "Bearer s1gner"}, "threads": 1, "blocking_threads": 1, "log_disable": "",
    "path_token": "t0ken-0123456789"}

class Slow:
    def __init__(self, setup):
        self.log = setup.log
    async def start(self):
        if fails == "start":
            raise RuntimeError("no script") from OSError("no file")
        if fails == "slowly":
            print("starting", flush=True)
            await asyncio.sleep(60)
    async def open_session(self, hello):
        return self
    async def check(self):
        if fails == "check":
            raise OSError("nobody answers, Bearer s1gner")
    async def stop(self):
        self.log.info("part stopped")
    async def ask(self, request):
        try:
            await asyncio.sleep(float(request.payload))
        finally:
            self.log.info("asked")
    def statistics(self):
        return Statistics()
    async def close(self):
        pass

log = Logger()
hosted = Hosted("llm", document, Slow, log=log)
run(lambda: hosted, log=log, grace=grace, parent=os.getppid() if parent else None,
    on_listening=lambda address: print(address, file=sys.stderr, flush=True))
"""


@dataclass
class Process:
    popen: subprocess.Popen[bytes]
    address: str = ""

    def ended(self) -> tuple[int, list[dict[str, Any]], str]:
        """Exit code, records on stdout, stderr."""
        out, err = self.popen.communicate(timeout=PATIENCE)
        return self.popen.returncode, [json.loads(line) for line in out.splitlines()], err.decode()

    @property
    def stderr(self) -> IO[bytes]:
        assert self.popen.stderr is not None
        return self.popen.stderr


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[Process]:
    """A process that is no more at the end."""
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    with popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()


@contextlib.contextmanager
def slow_service(*, grace: float = PATIENCE, fails: str = "", parent: str = "") -> Iterator[Process]:
    with started([sys.executable, "-c", PROGRAM, str(grace), fails, parent]) as process:
        process.address = process.stderr.readline().decode().strip()
        yield process


def asking(address: str, seconds: float) -> ClientConnection:
    """A session whose request is at work."""
    connection = connect(address, compression=None, proxy=None)
    connection.send(encode_hello(Hello("c", {"node_address": "", "tx_id": ""})))
    connection.send(encode_request(Request("Wait", str(seconds))))
    # The answer to a ping comes behind what was sent before.
    assert connection.ping().wait(PATIENCE)
    return connection


def messages(records: list[dict[str, Any]]) -> list[str]:
    return [record["message"] for record in records]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_when_its_sessions_have_finished(number: int) -> None:
    with slow_service() as process:
        connection = asking(process.address, 0.5)
        process.popen.send_signal(number)
        assert decode_answer(connection.recv(PATIENCE, decode=False)) == Ok(None)
        connection.close()
        status, records, _ = process.ended()
    assert status == 0
    told = messages(records)
    assert told[:1] in (["listening"], ["the check at start succeeded"])
    assert told[-4:] == ["stopping", "asked", "part stopped", "stopped"]
    reasons = [record["reason"] for record in records if record["message"] == "stopping"]
    assert reasons == [signal.Signals(number).name]


def test_sessions_that_take_longer_than_the_grace_are_broken_off() -> None:
    with slow_service(grace=0.2) as process:
        connection = asking(process.address, 60)
        process.popen.terminate()
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)
        status, records, _ = process.ended()
    assert status == 0
    assert messages(records)[-4:] == ["asked", "request abandoned", "part stopped", "stopped"]


def test_a_second_signal_breaks_them_off() -> None:
    with slow_service() as process:
        connection = asking(process.address, 60)
        process.popen.terminate()
        time.sleep(0.2)
        process.popen.terminate()
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)
        status, records, _ = process.ended()
    assert status == 0
    assert "breaking off" in messages(records)
    assert messages(records)[-1] == "stopped"


def test_a_signal_while_it_starts_ends_it() -> None:
    with started([sys.executable, "-c", PROGRAM, "30", "slowly", ""]) as process:
        assert process.popen.stdout is not None
        assert process.popen.stdout.readline() == b"starting\n"
        process.popen.terminate()
        status, records, _ = process.ended()
    assert status == 0
    assert messages(records) == ["part stopped", "stopped before it was started"]


def test_a_part_that_does_not_start_is_stopped() -> None:
    with started([sys.executable, "-c", PROGRAM, "30", "start", ""]) as process:
        status, records, stderr = process.ended()
    assert status == 1
    assert messages(records) == ["part stopped"]
    assert stderr.endswith("RuntimeError: no script\n")


def test_a_check_that_fails_is_told_and_no_more() -> None:
    with slow_service(fails="check") as process:
        connection = asking(process.address, 0)
        assert decode_answer(connection.recv(PATIENCE, decode=False)) == Ok(None)
        connection.close()
        process.popen.terminate()
        status, records, _ = process.ended()
    assert status == 0
    (failed,) = [record for record in records if record["message"] == "the check at start failed"]
    assert (failed["level"], failed["error"]) == ("warn", "nobody answers, ***")


def test_neither_token_nor_signer_is_logged() -> None:
    with slow_service() as process:
        assert process.address.endswith("/t0ken-0123456789")
        process.popen.terminate()
        _, records, _ = process.ended()
    (listening,) = [record for record in records if record["message"] == "listening"]
    assert listening["address"] + "/t0ken-0123456789" == process.address
    assert "t0ken" not in json.dumps(records)


def test_it_ends_with_its_parent_if_it_shall() -> None:
    """The process in between starts the service, tells its address, and ends at once."""
    between = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    command = [sys.executable, "-c", between, sys.executable, "-c", PROGRAM, "30", ""]
    for parent, ends in (("parent", True), ("", False)):
        with started([*command, parent], stdin=subprocess.PIPE) as process:
            address = process.stderr.readline().decode().strip()
            connection = asking(address, 0)
            connection.recv(PATIENCE)
            connection.close()
            assert process.popen.stdin is not None
            process.popen.stdin.close()
            assert process.popen.wait(PATIENCE) == 0
            assert process.popen.stdout is not None
            records: list[dict[str, Any]] = []
            if ends:
                # The end of the service closes the pipe.
                records = [json.loads(line) for line in process.popen.stdout]
                assert messages(records)[-1] == "stopped"
                assert records[-3]["reason"] == "the parent process has ended"
            else:
                asking(address, 0).close()
                first = json.loads(process.popen.stdout.readline())
                rest = [first, json.loads(process.popen.stdout.readline())]
                (pid,) = [record["pid"] for record in rest if "pid" in record]
                os.kill(pid, signal.SIGTERM)
                assert process.popen.stdout.read().splitlines()


def test_a_parent_that_has_ended_before_it_listens() -> None:
    """Nothing may outlive whoever was killed while it started a service."""
    read, write = os.pipe()
    between = "import subprocess, sys; subprocess.Popen(sys.argv[2:], pass_fds=[int(sys.argv[1])], stdin=0)"
    arguments = [*command("web"), "--config", "-", "--die-with-parent", "--ready-fd", str(write)]
    program = [sys.executable, "-c", between, str(write), *arguments]
    with started(program, stdin=subprocess.PIPE, pass_fds=[write]) as process:
        os.close(write)
        assert process.popen.wait(PATIENCE) == 0
        # The service cannot begin before it has its configuration.
        os.close(read)
        assert process.popen.stdin is not None
        process.popen.stdin.write(WEB.encode())
        process.popen.stdin.close()
        process.popen.stdin = None
        # Whoever has these pipes open is still there.
        assert process.ended()[2] == "Error: cannot start: whoever has started it is gone\n"


# --- the command line -----------------------------------------------------------------------------

WEB = """\
bind_address: 127.0.0.1:0
lua_script_path: ${modulesDir}/web/web.lua
lua_path: ${modulesDir}/scripting/lua/?.lua
vm_count: 1
signer_url: ""
signer_headers: {}
threads: 1
blocking_threads: 1
log_disable: ""
webdriver_host: ""
extra_tld: []
always_allow_hosts: []
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pygenvm.modules.cli", *arguments]


def finished(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), input=text, capture_output=True, text=True, timeout=PATIENCE)


@contextlib.contextmanager
def serving(arguments: Sequence[str], config: str | None = None) -> Iterator[tuple[Process, str]]:
    """The process, and its line on --ready-fd."""
    read, write = os.pipe()
    stdin = subprocess.PIPE if config is not None else subprocess.DEVNULL
    with started([*arguments, "--ready-fd", str(write)], pass_fds=[write], stdin=stdin) as process:
        os.close(write)
        if config is not None:
            assert process.popen.stdin is not None
            process.popen.stdin.write(config.encode())
            process.popen.stdin.close()
            process.popen.stdin = None
        with open(read) as ready:
            yield process, ready.readline()


@pytest.mark.parametrize("program", [command("web"), [sys.executable, "-m", "pygenvm.cli.main", "web"]])
def test_a_configuration_from_stdin_and_the_line_when_it_listens(program: list[str]) -> None:
    with serving([*program, "--config", "-"], WEB) as (process, line):
        address = json.loads(line)["listening"]
        connection = asking(address, 0)
        connection.recv(PATIENCE)
        connection.close()
        process.popen.terminate()
        status, records, _ = process.ended()
    assert status == 0
    assert records[0]["message"] == "configuration"
    assert records[0]["path"] == "stdin"


def test_without_a_configuration_the_one_that_is_shipped_is_used(tmp_path: Path) -> None:
    """And the one beside the program if there is one."""
    program = tmp_path / "bin" / "genvm-modules"
    program.parent.mkdir()
    program.write_text("import sys\nfrom pygenvm.modules.cli import main\nsys.exit(main())\n")
    shown = [sys.executable, str(program), "web", "--log-level", "debug"]
    installed = tmp_path / "config" / "genvm-module-web.yaml"
    with started(shown) as process:
        assert process.popen.stdout is not None
        first = json.loads(process.popen.stdout.readline())
    assert first["path"].endswith("modules/web/default.yaml")
    assert first["why"] == "there is no other"
    installed.parent.mkdir()
    installed.write_text(WEB)
    with started(shown) as process:
        assert process.popen.stdout is not None
        first = json.loads(process.popen.stdout.readline())
    assert (first["path"], first["why"]) == (str(installed), "installed")


@pytest.mark.parametrize("name", few(["llm", "web", "webdriver"], "llm"))
def test_the_printed_configuration_can_be_used(name: str) -> None:
    printed = finished(name, "--print-config")
    assert (printed.returncode, printed.stderr) == (0, "")
    extra = {"llm": ["--allow-empty-backends"], "webdriver": ["--port", "0"]}.get(name, [])
    text = printed.stdout.replace("127.0.0.1:3031", "127.0.0.1:0").replace("127.0.0.1:3032", "127.0.0.1:0")
    with serving([*command(name), "--config", "-", *extra], text) as (process, line):
        if "error" in json.loads(line) and name == "webdriver":
            pytest.skip(json.loads(line)["error"])
        assert "127.0.0.1" in json.loads(line)["listening"]
        process.popen.terminate()
        assert process.ended()[0] == 0


@pytest.mark.parametrize("name", ["llm", "web"])
def test_the_printed_configuration_explains_every_common_key(name: str) -> None:
    from dataclasses import fields

    from pygenvm.modules.config import CommonSettings

    lines = finished(name, "--print-config").stdout.splitlines()
    for field in fields(CommonSettings):
        (at,) = [at for at, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{field.name}:")]
        assert any(line.startswith("#") for line in lines[max(0, at - 5) : at]), field.name


def test_a_key_that_nobody_reads_is_logged() -> None:
    with serving([*command("web"), "--config", "-"], WEB + "always_allow_host: []\n") as (process, line):
        assert "listening" in json.loads(line)
        process.popen.terminate()
        _, records, _ = process.ended()
    (record,) = [record for record in records if record["level"] == "warn"]
    assert record["message"] == "a key of the configuration is ignored"
    assert "always_allow_host: there is no such key" in record["detail"]


BAD = {
    "vm_count: 1": ("vm_count: 0", "stdin: vm_count: must be at least 1, not 0\n"),
    "extra_tld: []": ("extra_tld: 5", "extra_tld: must be a list of texts, not 5\n"),
    "signer_headers: {}": ("", "signer_headers: is missing\n  --print-config shows every key with its meaning\n"),
    "bind_address: 127.0.0.1:0": ("bind_address: 192.0.2.1:80", "bind_address: cannot listen on 192.0.2.1:80: "),
    "${modulesDir}/web/web.lua": ("/no/such.lua", "/no/such.lua"),
    "threads: 1": ("threads: [", "not YAML"),
}


@pytest.mark.parametrize("good", BAD)
def test_what_keeps_it_from_starting_is_told(tmp_path: Path, good: str) -> None:
    bad, told = BAD[good]
    path = tmp_path / "web.yaml"
    path.write_text(WEB.replace(good, bad, 1))
    with serving([*command("web"), "--config", str(path)]) as (process, line):
        status, _, stderr = process.ended()
    assert status == 1
    assert stderr.startswith("Error: ")
    assert told.replace("stdin", f"{path}:4") in stderr
    assert json.loads(line) == {"error": stderr.removeprefix("Error: ").removesuffix("\n")}


def test_bad_command_lines() -> None:
    for arguments in ([], ["nothing"], ["web", "--nothing"], ["webdriver", "--port", "x"], ["check", "--only", "x"]):
        bad = finished(*arguments)
        assert bad.returncode == 2, arguments
        assert "usage: genvm-modules" in bad.stderr


def test_version_and_help() -> None:
    from importlib.metadata import version

    assert finished("--version").stdout == f"genvm-modules {version('pygenvm')}\n"
    for name in ("llm", "web", "webdriver", "check"):
        shown = finished(name, "--help")
        assert shown.returncode == 0
        assert "examples:" in shown.stdout
        assert "exit codes: " in shown.stdout


def test_help_does_not_load_the_services() -> None:
    code = "import sys; from pygenvm.modules.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('websockets', 'aiohttp', 'lupa', 'PIL', 'rich') if name in sys.modules])"
    for name in ("llm", "web", "webdriver", "check"):
        shown = subprocess.run([sys.executable, "-c", code, name, "--help"], capture_output=True, text=True)
        assert shown.stdout.endswith("[]\n"), shown.stdout[-200:]
