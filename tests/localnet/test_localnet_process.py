"""Executors as processes: output, deadlines, crashes. The executor is ``fake_genvm.py``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.limits import HOST_REQUEST_BYTES, OUTPUT_HEAD_BYTES
from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.spawn.output import Captured, Output
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.net import LocalNet
from tests.support.networks import state_of
from tests.support.quick import few

FAKE = [sys.executable, str(Path(__file__).with_name("fake_genvm.py"))]


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # What pytest makes for the first test of a session lies where temporary folders are, and not in this one.
    assert tmp_path.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    return short_folder


@pytest.fixture
def net(tmp_path: Path) -> LocalNet:
    return make_net(tmp_path)


def make_net(tmp_path: Path, *, timeout: float = 60.0) -> LocalNet:
    net = LocalNet(tmp_path / "local.db", executor=ExecutorProcess(FAKE, grace=0.5), timeout=timeout)
    if not (tmp_path / "local.db").exists():
        assert net.deploy(b"# fake", name="fake").receipt.ok
    return net


def test_what_an_executor_is_given_and_what_it_prints(net: LocalNet, own_temporary_folder: Path) -> None:
    receipt = net.call("fake", "options").receipt
    tx_id = "0x" + receipt.tx_id.hex()
    assert receipt.value == {
        "permissions": "rwscn",
        "sync": False,
        "host_data": f'{{"node_address": "0x", "tx_id": "{tx_id}"}}',
    }
    assert (receipt.stdout.text(), receipt.stderr.text()) == ("out\n", "err\n")
    assert list(own_temporary_folder.iterdir()) == []


def test_only_the_last_result_line_is_taken_off(net: LocalNet) -> None:
    assert net.view("fake", "unfinished_line").stdout.text() == "no newline"
    receipt = net.view("fake", "long_result")
    assert receipt.stdout.text().startswith("before")
    assert isinstance(receipt.outcome, Return)
    assert len(receipt.value) == 300_015


@pytest.mark.parametrize("written", [0, 10, 99, 100, 101, 149, 150, 151, 1000])
@pytest.mark.parametrize("end_length", [1, 50, 99, 400])
def test_taking_the_end_off_a_shortened_stream(written: int, end_length: int) -> None:
    stream = (b"0123456789" * 100)[:written]
    end = b"e" * end_length
    left = _captured(stream + end).without_end(end)
    assert len(left.head) + left.dropped + len(left.tail) == written
    assert stream.startswith(left.head)
    assert stream.endswith(left.tail)


def _captured(data: bytes) -> Captured:
    output = Output(100, 50)
    for start in range(0, len(data), 7):
        output.feed(data[start : start + 7])
    return output.captured()


def test_output_that_is_not_the_result_line_stays() -> None:
    assert Captured(b"abc").without_end(b"x\n") == Captured(b"abc")


def test_endless_output_ends_with_timeout_and_little_memory(tmp_path: Path) -> None:
    make_net(tmp_path)
    receipt = make_net(tmp_path, timeout=1.0).call("fake", "flood").receipt
    assert receipt.outcome == VMError("timeout")
    assert receipt.stdout.head == b"x" * OUTPUT_HEAD_BYTES
    assert set(receipt.stdout.tail) == {ord("x")}
    assert receipt.stdout.dropped > 0
    assert receipt.number is None


def test_an_executor_that_does_not_end_is_killed(tmp_path: Path) -> None:
    make_net(tmp_path)
    receipt = make_net(tmp_path, timeout=0.5).call("fake", "stubborn").receipt
    assert receipt.outcome == InternalError("the executor did not end after its time was over and was killed")


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("start_error", "the executor cannot start: no runners"),
        ("exit", "the executor ended with exit code 1 and without a result: oops"),
        ("abort", "the executor was ended by signal SIGABRT"),
    ],
)
def test_crashes(net: LocalNet, tmp_path: Path, method: str, text: str) -> None:
    before = state_of(tmp_path / "local.db")
    assert net.call("fake", method).receipt.outcome == InternalError(text)
    assert state_of(tmp_path / "local.db") == before


def test_an_executor_that_breaks_the_protocol(tmp_path: Path) -> None:
    make_net(tmp_path)
    receipt = make_net(tmp_path, timeout=1.0).call("fake", "garbage").receipt
    assert isinstance(receipt.outcome, InternalError)


def test_requests_that_the_host_refuses_are_told_as_such(net: LocalNet) -> None:
    """Not as an executor that cannot start, though that looks the same from outside."""
    limit = HOST_REQUEST_BYTES
    assert net.call("fake", "oversized").receipt.outcome == InternalError(
        f"the connection to the executor broke: executor violates the protocol: message of more than {limit} bytes"
    )


def test_children_of_an_executor_do_not_outlive_it(net: LocalNet) -> None:
    child = net.view("fake", "leave_child").value
    _wait_until(lambda: not _alive(child))


def test_an_executor_that_cannot_be_started(tmp_path: Path) -> None:
    net = LocalNet(tmp_path / "local.db", executor=ExecutorProcess(["/nonexistent/genvm"]))
    with pytest.raises(ExecutorError, match="cannot start the executor"):
        net.deploy(b"# fake")
    assert not (tmp_path / "local.db").exists()


def test_a_socket_path_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(ExecutorError, match="cannot listen"):
        LocalNet(tmp_path / "local.db", executor=ExecutorProcess(FAKE)).deploy(b"# fake")


async def test_inside_an_event_loop(net: LocalNet) -> None:
    assert net.view("fake", "options").ok
    await asyncio.sleep(0)


def test_a_killed_command_leaves_the_database_and_no_executor(
    net: LocalNet, tmp_path: Path, own_temporary_folder: Path
) -> None:
    before = (tmp_path / "local.db").read_bytes()
    pid_file = tmp_path / "pid"
    script = (
        "import sys; from pygenvm.localnet.net import LocalNet;"
        "from pygenvm.localnet.executors.process import ExecutorProcess;"
        f"LocalNet({str(tmp_path / 'local.db')!r}, executor=ExecutorProcess({FAKE!r}))"
        f".call('fake', 'hold', [{str(pid_file)!r}], value=5)"
    )
    environment = {**os.environ, "TMPDIR": str(own_temporary_folder)}
    command = subprocess.Popen([sys.executable, "-c", script], env=environment)
    _wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
    command.kill()
    command.wait(30)
    executor_pid = int(pid_file.read_text())
    if sys.platform == "linux":
        _wait_until(lambda: not _alive(executor_pid))
    else:
        os.kill(executor_pid, signal.SIGKILL)
    assert (tmp_path / "local.db").read_bytes() == before
    assert net.call("fake", "options", value=1).receipt.ok
    assert net.accounts()[0].balance == accounts.START_BALANCE - 1


#: What becomes of an interrupt that arrives where a lock is being taken or released.
TURNED = """
from concurrent.futures import Future
result = Future.result
def turned(*args):
    try:
        return result(*args)
    except KeyboardInterrupt:
        raise RuntimeError("cannot release un-acquired lock") from None
Future.result = turned
"""


@pytest.mark.parametrize("turned", ["", TURNED], ids=["itself", "another error"])
@pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], signal.SIGINT))
def test_a_command_that_is_told_to_end_leaves_nothing(
    net: LocalNet, tmp_path: Path, own_temporary_folder: Path, number: signal.Signals, turned: str
) -> None:
    before = (tmp_path / "local.db").read_bytes()
    pid_file = tmp_path / "pid"
    script = f"""
import contextlib, sys
from pygenvm.cli.main import main
from pygenvm.executor.pool import handover
from pygenvm.localnet.executors import commands
from pygenvm.localnet.executors.process import ExecutorProcess

handover.RUNNING = ()  # None is forked.
commands.few_runs = lambda *_: contextlib.nullcontext(ExecutorProcess({FAKE!r}))
{turned}
sys.exit(main())
"""
    words = ["local", "--db", str(tmp_path / "local.db"), "call", "hold", "--args", f'["{pid_file}"]']
    environment = {**os.environ, "TMPDIR": str(own_temporary_folder)}
    with subprocess.Popen(
        [sys.executable, "-c", script, *words], env=environment, text=True, stderr=subprocess.PIPE
    ) as command:
        _wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
        # The socket of the run, and the configuration of its executor.
        assert len(list(own_temporary_folder.iterdir())) == 2
        command.send_signal(number)
        if number is not signal.SIGINT:
            # Whoever starts a group of processes may tell all of it and its members.
            command.send_signal(number)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert err.startswith("genvm local: interrupted: the running transaction was dropped")
    assert list(own_temporary_folder.iterdir()) == []
    _wait_until(lambda: not _alive(int(pid_file.read_text())))
    assert (tmp_path / "local.db").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("view", "get"), "interrupted"),
        (
            ("call", "get"),
            "interrupted: the server goes on with what it was asked; `genvm local log` tells what it has done",
        ),
    ],
    ids=["view", "call"],
)
def test_an_interrupted_command_does_not_wait_for_its_server(
    own_temporary_folder: Path, words: tuple[str, ...], told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-m", "pygenvm.cli.main", "local", "--rpc"]
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [*command, url, *words], cwd=own_temporary_folder, stderr=subprocess.PIPE, text=True
        ) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)  # It would wait for 600 seconds.
    assert (process.returncode, err) == (130, f"genvm local: {told}\n")


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    return False
