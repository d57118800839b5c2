"""SIGTERM and SIGINT in every state of a run (spec executor/10 "Signals", executor/05)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.record.format import ENDED_BY_SIGNAL
from pygenvm.executor.record.reading import read_record
from tests.support.execution import config_file
from tests.support.hosts import SENDER
from tests.support.machine import Script
from tests.support.module_server import Call, Reply, serving_module
from tests.support.running import ROOT, WatchedHost, full_pipe, running, until
from tests.support.slow_module import slow_module

pytestmark = pytest.mark.slow

TIMEOUT = VMError("timeout")
#: spec executor/02 "consume_result, full messages".
TIMEOUT_PAYLOAD = bytes.fromhex("02160b66696e6765727072696e7400076d6573736167653c74696d656f7574")
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
PROMPT = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}


def writes() -> Script:
    """A program that begins with a storage write, by which a test knows that it runs."""
    return Script().storage_write(ROOT, 0, b"x")


@BOTH
def test_in_wasm(number: signal.Signals) -> None:
    with running(writes().loop(), "--print=result", "--print", "fingerprint") as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal(number)
        assert run.ended() == 0
    assert run.host.result == TIMEOUT_PAYLOAD
    assert run.stdout == b'executed with `VMError("timeout")`\nFingerprint: null\n'
    assert run.stderr.count(b'"message":"sigterm received"') == 1
    assert b"metrics" not in run.stderr


def test_many_signals_end_a_run_once() -> None:
    with running(writes().loop(), "--print=result") as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        for _ in range(100):
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(ProcessLookupError):
                    run.signal(number)
        assert run.ended() == 0
    assert run.host.methods.count(HostMethod.CONSUME_RESULT) == 1
    assert run.stdout == b'executed with `VMError("timeout")`\n'
    assert run.stderr.count(b'"message":"sigterm received"') == 1


def test_in_a_sandbox_of_a_called_contract() -> None:
    host = WatchedHost()
    with running(Script().call(host.contract, Script().sandbox(Script().loop())), host=host) as run:
        # The caller's own code is loaded once, so the last request before the loop is this one.
        until(lambda: len(host.methods) >= 6, "the contract does not start")
        run.signal()
        assert run.ended() == 0
    assert host.outcome == TIMEOUT


@pytest.mark.parametrize("method", [HostMethod.STORAGE_WRITE, HostMethod.STORAGE_READ])
def test_while_the_host_takes_its_time(method: HostMethod) -> None:
    """A request is always finished first: nothing can be sent in the middle of it."""
    host = WatchedHost(holding=method)
    with running(writes().loop(), host=host) as run:
        host.reached(method)
        run.signal()
        assert run.process.stderr is not None
        assert any(b"sigterm received" in line for line in run.process.stderr)
        assert run.process.poll() is None
        assert host.result is None
        requests = len(host.requests)
        host.release.set()
        assert run.ended() == 0
    assert host.result == TIMEOUT_PAYLOAD
    assert host.methods[requests:] == [HostMethod.CONSUME_RESULT]


def test_in_a_module_request(tmp_path: Path) -> None:
    asked = asyncio.Event

    async def script(_: Call) -> Reply:
        await asked().wait()
        return None

    with serving_module(script) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        with running(Script().nondet(Script().gl_call(PROMPT)), config=config) as run:
            until(lambda: server.requests, "the module was not asked")
            run.signal()
            assert run.ended() == 0
    assert run.host.result == TIMEOUT_PAYLOAD


def test_while_compiling(tmp_path: Path) -> None:
    """The compiler ends too, and leaves nothing in the store."""
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with running(code=slow_module(), config=config) as run:
        (child,) = until(run.children, "nothing is compiled")
        run.signal()
        assert run.ended() == 0
        until(lambda: not Path(f"/proc/{child}").exists(), "the compiler goes on")
    assert run.host.result == TIMEOUT_PAYLOAD
    assert [path.suffix for path in (tmp_path / "cache" / "artefacts" / "contracts").iterdir()] in ([], [".lock"])


def test_kill_while_compiling(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with running(code=slow_module(), config=config) as run:
        (child,) = until(run.children, "nothing is compiled")
        run.process.kill()
        until(lambda: not Path(f"/proc/{child}").exists(), "the compiler goes on")
    assert run.host.result is None
    assert [path.suffix for path in (tmp_path / "cache" / "artefacts" / "contracts").iterdir()] == [".lock"]


def test_signals_of_a_terminal_do_not_reach_the_compiler(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole process group; the compiler's death would look like a failure of ours."""
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with running(code=slow_module(), config=config, start_new_session=True) as run:
        (child,) = until(run.children, "nothing is compiled")
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child, number)
        status = Path(f"/proc/{child}/status").read_text()
        blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
        assert blocked >> (signal.SIGINT - 1) & 1
        assert blocked >> (signal.SIGTERM - 1) & 1
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.ended() == 0
    assert run.host.result == TIMEOUT_PAYLOAD


@BOTH
def test_before_the_configuration_is_read(tmp_path: Path, number: signal.Signals) -> None:
    """From the first moment on the signal leads to a result: the run still connects to deliver it."""
    settings = config_file(tmp_path).read_bytes()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with running(writes(), config=fifo) as run:
        with fifo.open("wb", buffering=0) as file:  # opens when the run does
            run.signal(number)
            file.write(settings)
        assert run.ended() == 0
    assert run.host.result == TIMEOUT_PAYLOAD
    # However busy the machine is: of a run that does not begin, nothing else is heard.
    assert run.host.methods == [HostMethod.CONSUME_RESULT]


def test_during_the_first_storage_reads(tmp_path: Path) -> None:
    host = WatchedHost(holding=HostMethod.STORAGE_READ)
    record = tmp_path / "record"
    with running(writes(), "--record", str(record), host=host) as run:
        host.reached(HostMethod.STORAGE_READ)
        run.signal()
        host.release.set()
        assert run.ended() == 0
    assert host.result == TIMEOUT_PAYLOAD
    # The VM thread was cut off: that it could not go on is not how the run ended.
    assert read_record(record).ended == ENDED_BY_SIGNAL


@contextlib.contextmanager
def _full_listener(path: str) -> Iterator[socket.socket]:
    """A socket whose queue of connections is full, so that one more has to wait."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                guest = stack.enter_context(socket.socket(socket.AF_UNIX))
                guest.setblocking(False)
                guest.connect(path)
        yield listener


def test_while_connecting(tmp_path: Path) -> None:
    """Without a host there is nobody to deliver to."""
    path = str(tmp_path / "sock")
    with _full_listener(path), running(address=f"unix://{path}") as run:
        until(lambda: len(list(Path(f"/proc/{run.process.pid}/task").iterdir())) > 1, "it does not begin")
        run.signal()
        assert run.ended() == 1
    assert b"Error: ended by a signal before the host took the connection\n" in run.stderr


def test_contract_output_that_nobody_reads() -> None:
    script = writes()
    for _ in range(4):
        script.write(1, bytes(60_000))
    with running(script, "--print=result") as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal()
        until(lambda: run.host.result, "no result although only stdout is stuck")
        assert run.host.result in (TIMEOUT_PAYLOAD,)


def test_printing_to_a_full_pipe() -> None:
    reading, writing = full_pipe()
    with running(writes().loop(), "--print=result", stdout=writing) as run:
        os.close(writing)
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal()
        assert run.ended() == 0
    os.close(reading)
    assert run.host.result == TIMEOUT_PAYLOAD


def test_logging_to_a_full_pipe() -> None:
    reading, writing = full_pipe()
    with running(writes().loop(), global_options=[f"--log-fd={writing}"], pass_fds=[writing]) as run:
        os.close(writing)
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal()
        assert run.ended() == 0
    os.close(reading)
    assert run.host.result == TIMEOUT_PAYLOAD


def test_result_reaches_the_host_although_nobody_reads_stdout() -> None:
    """No signal here. What could not be printed before the result is printed after it, once somebody reads."""
    reading, writing = full_pipe()
    with running(writes(), "--print=result", stdout=writing) as run:
        os.close(writing)
        until(lambda: run.host.result, "no result")
        assert run.process.poll() is None
        with open(reading, "rb") as pipe:
            assert pipe.read().lstrip(b"\0").startswith(b'executed with `Return("')
        assert run.ended() == 0


def test_stdout_that_is_stuck_after_the_result() -> None:
    reading, writing = full_pipe()
    with running(writes(), "--print=result", stdout=writing) as run:
        os.close(writing)
        until(lambda: run.host.result, "no result")
        run.signal()
        assert run.ended() == 0
    os.close(reading)
    assert run.host.methods.count(HostMethod.CONSUME_RESULT) == 1


def test_while_the_result_is_being_taken() -> None:
    """The result is under way: it is not sent again, and a host that never acknowledges it is not waited for."""
    host = WatchedHost(holding=HostMethod.CONSUME_RESULT)
    with running(Script(), host=host) as run:
        host.reached(HostMethod.CONSUME_RESULT)
        run.signal()
        assert run.ended() == 1
    assert host.methods.count(HostMethod.CONSUME_RESULT) == 1
    assert host.outcome == Return(calldata.encode(b""))


def test_return_stays_while_validators_run(tmp_path: Path) -> None:
    """The validator of the second block has disagreed, that of the first hangs in its module."""

    async def script(_: Call) -> Reply:
        await asyncio.Event().wait()
        return None

    leader_results = [b"\x00\x00", b"\x00\x00"]
    with serving_module(script) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        program = Script().nondet(Script(), Script().gl_call(PROMPT)).nondet(Script(), Script().get_balance(SENDER))
        host = WatchedHost(leader_results=leader_results)
        with running(program, "--print=result", config=config, host=host) as run:
            until(lambda: server.requests, "the validator does not run")
            run.host.reached(HostMethod.GET_BALANCE)
            # Nothing tells that the second validator's VM has ended, which takes less than a millisecond.
            time.sleep(0.5)
            run.signal()
            assert run.ended() == 0
    assert isinstance(run.host.outcome, Return)
    assert run.host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == [{"call_no": 1}]
    assert run.host.methods[-2:] == [HostMethod.NOTIFY_NONDET_DISAGREEMENT, HostMethod.CONSUME_RESULT]
    assert run.stdout.endswith(b"`\nnondet disagreement: 1\n")


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        (Script().gl_call({"Rollback": "no"}), UserError("no")),
        # The fingerprint of the error is kept, the error is not.
        (Script().exit(3), TIMEOUT),
    ],
)
def test_errors_while_validators_run(tmp_path: Path, program: Script, outcome: object) -> None:
    async def script(_: Call) -> Reply:
        await asyncio.Event().wait()
        return None

    with serving_module(script) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        whole = Script().nondet(Script(), Script().gl_call(PROMPT))
        whole.code += program.code[1:]
        with running(whole, config=config, host=WatchedHost(leader_results=[b"\x00\x00"])) as run:
            until(lambda: server.requests, "the validator does not run")
            # Nothing tells that the main VM has ended, which takes less than a millisecond.
            time.sleep(0.5)
            run.signal()
            assert run.ended() == 0
    assert run.host.outcome == outcome
    assert run.host.fingerprint["module_instances"].keys() == {"machine"}
