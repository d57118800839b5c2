"""Runs in a pool: it does not matter who started their process, and the death of others does not touch them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.frozen import replaced
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.pool import frames
from pygenvm.executor.pool.client import ExecutorPool
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.primitives.abi import HostMethod
from tests.executor.pool.pool_support import (
    Streams,
    alive,
    arguments,
    children,
    gone,
    job,
    pool,
    template_of,
)
from tests.support.execution import config_file, execute_process
from tests.support.hosts import CONTRACT, PATIENCE_SECONDS, InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.paths import ROOT as REPOSITORY
from tests.support.running import ROOT, WatchedHost, until
from tests.support.slow_module import slow_module

TIMEOUT = VMError("timeout")
#: A program that begins with a storage write, by which a test knows that it runs, and never ends.
ENDLESS = Script().storage_write(ROOT, 0, b"x").loop()


@pytest.fixture(scope="module")
def executors() -> Iterator[ExecutorPool]:
    """For tests that do nothing to the pool itself."""
    with pool() as made:
        yield made


# --- the same as in a process of its own ----------------------------------------------------------


def test_a_run(executors: ExecutorPool) -> None:
    script = Script().write(1, b"out").write(2, b"err").storage_write(ROOT, 0, b"x")
    printed = ("result", "fingerprint", "stderr-full")
    with job(executors, script, printed=frozenset(printed)) as run:
        assert run.ended() == 0
        assert isinstance(run.host.outcome, Return)
        assert run.host.storage[CONTRACT, ROOT] == b"x"
        assert b'"message":"metrics"' in run.streams["log"]
        fresh = execute_process(
            machine(), *(f"--print={what}" for what in printed), host=InMemoryHost(calldata=script.code)
        )
        assert run.host.requests == fresh.host.requests
        assert run.streams["stdout"] == fresh.stdout
        assert run.streams["stderr"] == b"err"


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"message": "{"}, ["--message", "{"]),
        ({"host_data": "[]"}, ["--host-data", "[]"]),
        ({"permissions": "rx"}, ["--permissions", "rx"]),
        ({"host": "unix:///nonexistent"}, ["--host", "unix:///nonexistent"]),
        ({"record": Path("/nonexistent/record")}, ["--record", "/nonexistent/record"]),
    ],
    ids=["message", "host data", "permissions", "host", "record"],
)
def test_what_keeps_a_run_from_starting(changes: dict[str, Any], options: list[str]) -> None:
    fresh = execute_process(machine(), *options)
    assert failure(None, **changes) == (fresh.exit_code, fresh.stderr)


@pytest.mark.parametrize(
    "settings",
    [{"threads": "many"}, {"runners_dir": "/nonexistent"}, {"registry_dir": "/nonexistent"}],
    ids=["configuration", "runners", "registry"],
)
def test_an_installation_that_cannot_be_used(settings: dict[str, Any], tmp_path: Path) -> None:
    config = config_file(tmp_path, **settings)
    fresh = execute_process(machine(), config=config)
    assert fresh.exit_code == 1
    assert failure(config) == (1, fresh.stderr)


def failure(config: Path | None, **changes: Any) -> tuple[int, bytes]:
    """Exit code and stderr of a run that cannot start."""

    async def run(address: str) -> tuple[int, bytes]:
        given = replaced(arguments(address), **changes)
        with pool(config) as executors, contextlib.closing(Streams()) as streams:
            status = await (await executors.run(given, **streams.numbers())).wait()
            return status, streams["stderr"]

    host = InMemoryHost()
    host.put_code(machine())
    with serving(host) as node:
        found = asyncio.run(run(node.address))
    assert host.result is None
    return found


def test_log_levels() -> None:
    with pool(options=["--log-level=error"]) as executors:
        for level, logs in ((None, False), ("info", True), (None, False)):
            with job(executors, Script(), log_level=level) as run:
                assert run.ended() == 0
                assert (b"metrics" in run.streams["log"]) is logs


def test_a_record_of_a_run(executors: ExecutorPool, tmp_path: Path) -> None:
    with job(executors, Script(), record=tmp_path / "record") as run:
        assert run.ended() == 0
    assert (tmp_path / "record").stat().st_size


def test_what_an_executor_has_open(executors: ExecutorPool) -> None:
    """Nothing of the template, of the client or of other executors; new are the log, the host and what wakes it."""
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(job(executors, ENDLESS)) for _ in range(4)]
        for run in runs:
            run.host.reached(HostMethod.STORAGE_WRITE)
        for run in runs:
            links = {}
            for name in os.listdir(f"/proc/{run.run.pid}/fd"):
                links[int(name)] = os.readlink(f"/proc/{run.run.pid}/fd/{name}")
            own = {number: os.readlink(f"/proc/self/fd/{number}") for number in run.streams.numbers().values()}
            stdout, stderr, log = own.values()
            assert (links.pop(0), links.pop(1), links.pop(2)) == ("/dev/null", stdout, stderr)
            rest = [link for link in links.values() if not link.endswith(".cwasm")]
            assert rest.count(log) == 1
            assert sum(link.startswith("socket:") for link in rest) == 3  # the host, and both ends of what wakes it
            assert len(rest) == 4, rest


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_time_is_over(executors: ExecutorPool, number: signal.Signals) -> None:
    with job(executors, ENDLESS, printed=frozenset(["result"])) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal(number)
        assert run.ended() == 0
        assert run.host.outcome == TIMEOUT
        assert run.streams["stdout"] == b'executed with `VMError("timeout")`\n'


def test_a_signal_right_after_the_start() -> None:
    """The handlers are there before the job is."""
    with pool(idle=0) as executors:
        for _ in range(5):
            with job(executors, ENDLESS) as run:
                run.signal(signal.SIGTERM)
                assert run.ended() == 0
                assert run.host.outcome == TIMEOUT


def test_a_signal_for_a_run_that_has_ended() -> None:
    with pool() as executors:
        with job(executors, Script()) as run:
            assert run.ended() == 0
            run.signal(signal.SIGKILL)
        with job(executors, Script()) as run:
            assert run.ended() == 0


def test_a_killed_executor_takes_its_compiler_along(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with pool(config) as executors, job(executors, code=slow_module()) as run:
        (compiler,) = until(lambda: children(run.run.pid), "nothing is compiled")
        run.run.kill()
        assert run.ended() == -signal.SIGKILL
        assert gone(compiler)


# --- deaths ---------------------------------------------------------------------------------------


def test_a_crash_does_not_harm_another_run(executors: ExecutorPool) -> None:
    with job(executors, ENDLESS) as first, job(executors, ENDLESS) as second:
        for run in (first, second):
            run.host.reached(HostMethod.STORAGE_WRITE)
        os.kill(first.run.pid, signal.SIGKILL)
        assert first.ended() == -signal.SIGKILL
        assert first.host.result is None
        assert alive(second.run.pid)
        with job(executors, Script()) as third:
            assert third.ended() == 0
        second.signal(signal.SIGTERM)
        assert second.ended() == 0
        assert second.host.outcome == TIMEOUT


def test_more_runs_than_idle_executors() -> None:
    with pool(idle=1) as executors, contextlib.ExitStack() as stack:
        runs = [stack.enter_context(job(executors, ENDLESS)) for _ in range(5)]
        for run in runs:
            run.host.reached(HostMethod.STORAGE_WRITE)
        assert len({run.run.pid for run in runs}) == 5
        for run in runs:
            run.signal(signal.SIGTERM)
        assert [run.ended() for run in runs] == [0] * 5


def test_idle_executors_that_die() -> None:
    with pool(idle=2) as executors:
        with job(executors, Script()) as run:
            template = template_of(executors)
            assert run.ended() == 0
        for _ in range(3):
            idle = until(lambda: len(children(template)) == 2 and children(template), "no idle executors")
            for pid in idle:
                os.kill(pid, signal.SIGKILL)
            assert all(map(gone, idle))
            with job(executors, Script()) as run:
                assert template_of(executors) == template
                assert run.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_executors_that_are_told_to_end(number: signal.Signals) -> None:
    """That is nothing to the next run."""
    with pool(idle=2) as executors:
        with job(executors, Script()) as run:
            template = template_of(executors)
            assert run.ended() == 0
        idle = until(lambda: len(children(template)) == 2 and children(template), "no idle executors")
        for pid in idle:
            os.kill(pid, number)
        assert all(map(gone, idle))
        with job(executors, Script()) as run:
            assert run.ended() == 0
            assert isinstance(run.host.outcome, Return)
            assert run.streams["stderr"] == b""


def test_a_template_that_dies() -> None:
    with pool() as executors:
        with job(executors, ENDLESS) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            template = template_of(executors)
            others = children(template)
            os.kill(template, signal.SIGKILL)
            with pytest.raises(PoolError, match="ended with status -9"):
                run.ended()
            assert all(map(gone, {*others, run.run.pid}))
            assert run.host.result is None
        with job(executors, Script()) as run:
            assert template_of(executors) != template
            assert run.ended() == 0


def test_closing_ends_everything() -> None:
    with pool() as executors:
        with job(executors, ENDLESS) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            template = template_of(executors)
            others = children(template)
            executors.close()
            assert all(map(gone, {*others, template, run.run.pid}))
            with pytest.raises(PoolError, match="ended with status 0"):
                run.ended()
        with pytest.raises(PoolError, match="closed"):
            executors.start()


def test_a_client_that_is_killed(tmp_path: Path) -> None:
    host = WatchedHost()
    host.put_code(machine())
    host.calldata = ENDLESS.code
    script = (
        "import asyncio, sys\n"
        "from pygenvm.executor.pool.client import ExecutorPool\n"
        "from pygenvm.executor.arguments import RunArguments\n"
        "async def main(config, message, address):\n"
        "    pool = ExecutorPool([sys.executable, '-m', 'pygenvm.cli.main', '--config', config])\n"
        '    given = RunArguments(message=message, host=address, host_data=\'{"node_address": "", "tx_id": ""}\')\n'
        "    run = await pool.run(given, stdout=2, stderr=2, log=2)\n"
        "    print(run.pid, flush=True)\n"
        "    await run.wait()\n"
        "asyncio.run(main(*sys.argv[1:]))"
    )
    with serving(host) as node:
        given = [str(config_file(tmp_path)), arguments("").message, node.address]
        with subprocess.Popen([sys.executable, "-c", script, *given], stdout=subprocess.PIPE, cwd=REPOSITORY) as client:
            assert client.stdout is not None
            executor = int(client.stdout.readline())
            host.reached(HostMethod.STORAGE_WRITE)
            template = int(Path(f"/proc/{executor}/stat").read_text().rsplit(")", 1)[1].split()[1])
            client.kill()
        assert gone(template)
        assert gone(executor)


# --- clients --------------------------------------------------------------------------------------


def test_several_threads_and_loops(executors: ExecutorPool) -> None:
    """As the local network uses a pool: a loop per run, some of them on other threads."""
    host = InMemoryHost(calldata=Script().code)
    host.put_code(machine())
    found: list[int] = []

    async def run(address: str) -> None:
        with contextlib.closing(Streams()) as streams:
            found.append(await (await executors.run(arguments(address), **streams.numbers())).wait())

    with serving(host) as node:
        for _ in range(3):
            threads = [threading.Thread(target=lambda: asyncio.run(run(node.address))) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            asyncio.run(run(node.address))
    assert found == [0] * 12


async def test_waiting_may_be_given_up(executors: ExecutorPool) -> None:
    host = WatchedHost(calldata=ENDLESS.code)
    host.put_code(machine())
    with serving(host) as node, contextlib.closing(Streams()) as streams:
        run = await executors.run(arguments(node.address), **streams.numbers())
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run.wait(), 0.01)
        run.signal(signal.SIGTERM)
        assert await run.wait() == 0
        assert await run.wait() == 0


async def test_giving_up_before_there_is_an_executor() -> None:
    host = InMemoryHost(calldata=ENDLESS.code)
    host.put_code(machine())
    with serving(host) as node, contextlib.closing(Streams()) as streams:
        async with pool_of_own() as executors:
            task = asyncio.create_task(executors.run(arguments(node.address), **streams.numbers()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            run = await executors.run(arguments(node.address), **streams.numbers())
            run.kill()
            assert await run.wait() == -signal.SIGKILL


@contextlib.asynccontextmanager
async def pool_of_own() -> Any:
    with pool() as executors:
        async with executors:
            yield executors


def test_a_job_that_is_too_large() -> None:
    with pool() as executors, contextlib.closing(Streams()) as streams:
        too_large = RunArguments(message="x" * limits.POOL_FRAME_BYTES, host="")
        with pytest.raises(PoolError, match="cannot hand over a job: a frame of"):
            asyncio.run(executors.run(too_large, **streams.numbers()))
        with job(executors, Script()) as run:
            assert run.ended() == 0


def test_a_large_job() -> None:
    """Larger than what a socket takes at once; refused by the executor, not by the pool."""
    status, said = failure(None, message="x" * (limits.POOL_FRAME_BYTES // 2))
    assert status == 1
    assert said.startswith(b"Error: --message: ")


# --- templates that get or give nonsense ----------------------------------------------------------


def given_to_template(data: bytes, tmp_path: Path, *, ends: bool = False) -> tuple[int, str]:
    """Exit code and stderr of a template that gets ``data``."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    command = [sys.executable, "-m", "pygenvm.cli.main", "--config", str(config_file(tmp_path)), "pool"]
    with ours:
        with theirs:
            process = subprocess.Popen(
                [*command, f"--fd={theirs.fileno()}"],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
            )
        ours.sendall(data)
        if ends:
            ours.shutdown(socket.SHUT_WR)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xff\xff\xff", f"at most {limits.POOL_FRAME_BYTES} are accepted"),
        (b"\1\0\0\0\xc1", "not a frame"),
        (frames.encode_frame(frames.Ready(1)), "a template takes no Ready"),
        (frames.encode_frame(frames.Job(1, None, arguments(""))), "without its descriptors"),
    ],
    ids=["too large", "malformed", "wrong way", "no descriptors"],
)
def test_a_template_refuses(data: bytes, said: str, tmp_path: Path) -> None:
    status, error = given_to_template(data, tmp_path)
    assert status == 1
    assert error.startswith("Error: ")
    assert said in error


def test_a_template_whose_client_goes(tmp_path: Path) -> None:
    frame = frames.encode_frame(frames.Signal(1, signal.SIGTERM))
    assert given_to_template(frame + frame[:-1], tmp_path, ends=True) == (0, "")


def test_a_template_without_a_socket() -> None:
    command = [sys.executable, "-m", "pygenvm.cli.main", "pool", "--fd=1000"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: --fd: [Errno 9] Bad file descriptor\n")


STRANGE_TEMPLATE = """
import socket, sys
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import *
channel = Channel(socket.socket(fileno=int(sys.argv[-1].split("=")[1])))
def answer(*answers):
    channel.send(Ready(VERSION))
    while (received := channel.receive()) is not None:
        for frame in answers:
            channel.send(frame)
"""


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("sys.exit('no room')", "the pool of executors has ended with status 1: no room"),
        ("channel.send(Ready(99)); channel.receive()", "the executor has version 99 of pools"),
        ("channel._socket.send(b'\\xff' * 9); channel.receive()", "at most"),
        ("answer(Refused(1, 'cannot start an executor: no room'))", "^cannot start an executor: no room"),
        ("answer(Ended(1, 0))", "ended before it was started"),
        ("answer(Started(2, 1))", "unexpected from a template: Started"),
    ],
)
def test_templates_of_others(behaviour: str, said: str) -> None:
    command = [sys.executable, "-c", STRANGE_TEMPLATE + behaviour]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with pytest.raises(PoolError, match=said):
        run_with(ExecutorPool(command, environment=environment))


def run_with(executors: ExecutorPool) -> None:
    with contextlib.closing(executors), contextlib.closing(Streams()) as streams:
        asyncio.run(executors.run(arguments(""), **streams.numbers()))


def test_no_template_at_all() -> None:
    with pytest.raises(PoolError, match="cannot start a pool of executors"):
        ExecutorPool(["/nonexistent/genvm"]).start()


def test_a_template_that_is_not_ready_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POOL_READY_SECONDS", 0.2)
    with pytest.raises(PoolError, match="was not ready after"):
        run_with(ExecutorPool([sys.executable, "-c", "import time; time.sleep(600)"]))


def test_channels_are_not_inherited(tmp_path: Path) -> None:
    """A program that a client starts must not keep its template alive."""
    with pool() as executors:
        with job(executors, Script()) as run:
            assert run.ended() == 0
            template = template_of(executors)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as bystander:
            executors.close()
            assert gone(template)
            assert bystander.poll() is None
            assert bystander.stdin is not None
            bystander.stdin.close()
