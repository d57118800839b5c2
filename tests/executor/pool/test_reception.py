"""A `genvm run` that hands itself over to a pool: nobody can tell it from one that does not; it never runs twice."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.pool import handover
from pygenvm.executor.primitives.abi import HostMethod
from tests.executor.pool.pool_support import alive, children, gone
from tests.executor.pool.user_pool import PROGRAM, Pool, started
from tests.support.execution import config_file
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.paths import ROOT as REPOSITORY
from tests.support.running import ROOT, Running, WatchedHost, until
from tests.support.slow_module import slow_module

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="pools need Linux")]

TIMEOUT = VMError("timeout")
#: A program that begins with a storage write, by which a test knows that it runs, and never ends.
ENDLESS = Script().storage_write(ROOT, 0, b"x").loop()


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """For tests that do nothing to the pool itself."""
    with started() as made:
        yield made


@contextlib.contextmanager
def running(
    pool: Pool,
    script: Script | None = ENDLESS,
    *arguments: str,
    code: bytes | None = None,
    stdout: int = subprocess.PIPE,
    **others: Any,
) -> Iterator[Running]:
    host = WatchedHost()
    host.put_code(machine() if code is None else code)
    if script is not None:
        host.calldata = script.code
    with serving(host) as node:
        process = subprocess.Popen(
            pool.words(node.address, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            **{"env": pool.environment, **others},
        )
        try:
            yield Running(process, host)
        finally:
            process.kill()
            process.communicate()


def executor_of(pool: Pool, run: Running) -> int:
    """The process that carries it out, once it does."""

    def found() -> list[int]:
        return [line["executor"] for line in pool.records("taken over") if line["client"] == run.process.pid]

    pid = until(found, "it was not taken over")[0]
    assert isinstance(pid, int)
    return pid


def is_handed_over(run: Running) -> bool:
    """Whether the process itself has no engine."""
    return "wasmtime" not in Path(f"/proc/{run.process.pid}/maps").read_text()


# --- the same as in a process of its own ----------------------------------------------------------


def seen(words: list[str], host: InMemoryHost, environment: Mapping[str, str], **others: Any) -> tuple[Any, ...]:
    """All that can be seen of a run but times."""
    log_reading, log = os.pipe()
    with open(log_reading, "rb") as records:
        words = [word.replace("LOG", str(log)) for word in words]
        done = subprocess.run(
            words,
            capture_output=True,
            env=environment,
            pass_fds=(log,),
            timeout=PATIENCE_SECONDS,
            check=False,
            **others,
        )
        os.close(log)
        lines = [json.loads(line) for line in records.read().splitlines()]
    for line in lines:
        del line["ts"]
        line.pop("metrics", None)
    return done.returncode, done.stdout, done.stderr, lines, host.requests, host.result


PRINTED = ("--print=result", "--print=fingerprint", "--print=stderr-full")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (Script().write(1, b"out\xff").write(2, b"err").storage_write(ROOT, 0, b"x"), PRINTED),
        (Script().write(1, b"out").gl_call({"Rollback": "no"}), PRINTED),
        (Script().trap("IntegerDivisionByZero"), PRINTED),
        (Script().exit(7), PRINTED),
        (Script(), ("--host-data={}",)),
        (Script(), ("--message={",)),
        (Script(), ("--permissions=rx",)),
        (Script(), ("--host=unix:///nonexistent",)),
        (Script(), ("--record=nonexistent/record",)),
        (Script(), ("--help",)),
        (Script(), ("--no-such-option",)),
        (Script(), ("--print=nothing",)),
        (Script(), ("--message=\udcff",)),
        (Script(), ("--host",)),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_can_be_seen(pool: Pool, script: Script, arguments: tuple[str, ...], tmp_path: Path) -> None:
    found = []
    for environment, is_taken in ((pool.environment, True), ({**pool.environment, "GENVM_TEST": "own"}, False)):
        host = InMemoryHost(calldata=script.code)
        host.put_code(machine())
        before = len(pool.records("taken over"))
        with serving(host) as node:
            words = pool.words(node.address, *arguments, global_options=("--log-fd=LOG", "--log-level=info"))
            found.append(seen(words, host, environment, cwd=tmp_path))
        pool.has_taken_over(before + is_taken)
    assert found[0] == found[1]


def test_paths_are_those_of_the_caller(pool: Pool, tmp_path: Path) -> None:
    host = InMemoryHost()
    host.put_code(machine())
    with serving(host) as node:
        link = tmp_path / "host.sock"
        link.symlink_to(node.address.removeprefix("unix://"))
        words = pool.words("unix://host.sock", "--record=record")
        before = len(pool.records("taken over"))
        done = subprocess.run(words, env=pool.environment, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr[:300].count(b"Error")) == (0, 0)
    pool.has_taken_over(before + 1)
    assert (tmp_path / "record").stat().st_size


def test_variables_of_the_configuration() -> None:
    """The same file means something else for somebody with other variables: he is not taken over."""
    with started() as made:
        made.stop()
        made.config.write_text(made.config.read_text() + "log_level: ${ENV[LEVEL_OF_TEST]}\n")
        os.environ["LEVEL_OF_TEST"] = "info"
        try:
            made.start()
        finally:
            del os.environ["LEVEL_OF_TEST"]
        for level in ("info", "error"):
            host = InMemoryHost()
            host.put_code(machine())
            with serving(host) as node:
                environment = {**made.environment, "LEVEL_OF_TEST": level}
                done = subprocess.run(made.words(node.address), env=environment, capture_output=True, check=False)
            assert done.returncode == 0
            assert (b"metrics" in done.stderr) is (level == "info")
            assert isinstance(host.outcome, Return)
            assert host.methods.count(HostMethod.CONSUME_RESULT) == 1
        assert [record["why"] for record in made.records("not taken over")] == ["its configuration differs"]


def test_where_nobody_reads(pool: Pool) -> None:
    """A reader that is gone, and streams that nobody has opened."""
    for close in ((), (1,), (2,), (0, 1, 2)):
        host = InMemoryHost(calldata=Script().write(1, b"out").code)
        host.put_code(machine())
        reading, writing = os.pipe()
        os.close(reading)
        with serving(host) as node:
            process = subprocess.Popen(
                pool.words(node.address, "--print=result"),
                env=pool.environment,
                stdout=writing,
                stderr=writing,
                preexec_fn=partial(closing, close),
            )
            assert process.wait(PATIENCE_SECONDS) == 0
        os.close(writing)
        assert isinstance(host.outcome, Return)


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_what_is_written_where_nothing_is_open_reaches_nobody(pool: Pool, closed: tuple[int, ...]) -> None:
    """Sockets of the hand-over would get the numbers of closed streams, and the pool a contract's bytes as signals."""
    for number in (signal.SIGTERM, signal.SIGSTOP):
        script = Script().write(1, bytes([number])).write(2, bytes([number])).storage_write(ROOT, 0, b"x")
        with running(pool, script, preexec_fn=partial(closing, closed)) as run:
            assert run.ended() == 0
            assert isinstance(run.host.outcome, Return)


def closing(descriptors: tuple[int, ...]) -> None:
    for number in descriptors:
        os.close(number)


def test_what_is_handed_over_loads_next_to_nothing(pool: Pool) -> None:
    """A process that waits has no more than it needs for that."""
    host = InMemoryHost()
    host.put_code(machine())
    with serving(host) as node:
        # Options of the interpreter are part of what must be the same, so this is how a refused one begins.
        words = [sys.executable, "-X", "importtime", *pool.words(node.address)[1:]]
        done = subprocess.run(words, env=pool.environment, capture_output=True, check=False)
    assert isinstance(host.outcome, Return)
    loaded = [line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines() if "import time:" in line]
    before = loaded[: loaded.index("pygenvm.cli.own_modules")]
    ours = {name for name in before if name.startswith("pygenvm")}
    assert ours <= {
        *("pygenvm", "pygenvm.cli", "pygenvm.cli.main", "pygenvm.executor", "pygenvm.executor.cache_root"),
        *("pygenvm.executor.inherited", "pygenvm.executor.limits"),
        *("pygenvm.executor.pool", "pygenvm.executor.pool.handover"),
    }
    assert {"argparse", "contextlib", "socket", "typing"}.isdisjoint(before[loaded.index("pygenvm") :])


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_time_is_over(pool: Pool, number: signal.Signals) -> None:
    with running(pool, ENDLESS, "--print=result") as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert is_handed_over(run)
        run.signal(number)
        assert run.ended() == 0
        assert run.host.outcome == TIMEOUT
        assert run.stdout == b'executed with `VMError("timeout")`\n'
        assert b"sigterm received" in run.stderr


@pytest.mark.slow
def test_a_signal_right_after_the_start(pool: Pool) -> None:
    """It ends the process, or the run with a result; never is there a result of a run that has gone on."""
    for milliseconds in range(0, 60, 3):
        with running(pool) as run:
            time.sleep(milliseconds / 1000)
            run.signal(signal.SIGTERM)
            status = run.ended()
            assert status in (0, -signal.SIGTERM)
            if status == 0:
                assert run.host.outcome == TIMEOUT
            else:
                assert run.host.result is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_what_ends_the_process_ends_its_executor(pool: Pool, number: signal.Signals) -> None:
    with running(pool) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        executor = executor_of(pool, run)
        run.signal(number)
        assert run.ended() == -number
        assert gone(executor)
        assert run.host.result is None


def test_its_compiler_goes_along(pool: Pool) -> None:
    with running(pool, None, code=slow_module()) as run:
        executor = executor_of(pool, run)
        (compiler,) = until(lambda: children(executor), "nothing is compiled")
        run.signal(signal.SIGKILL)
        assert gone(executor)
        assert gone(compiler)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_it_ends_like_its_executor(pool: Pool, number: signal.Signals) -> None:
    with running(pool) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        os.kill(executor_of(pool, run), number)
        assert run.ended() == -number
        assert run.stderr == b""


def test_it_stops_and_goes_on(pool: Pool) -> None:
    # With a group of its own it is an orphan, which is never stopped; this one is not.
    with running(pool, process_group=0) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        executor = executor_of(pool, run)
        run.signal(signal.SIGTSTP)
        assert os.WSTOPSIG(os.waitpid(run.process.pid, os.WUNTRACED)[1]) == signal.SIGTSTP
        until(lambda: state(executor) == "T", "the executor goes on")
        run.signal(signal.SIGCONT)
        until(lambda: state(executor) != "T", "the executor does not go on")
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
        assert run.host.outcome == TIMEOUT


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


# --- deaths ---------------------------------------------------------------------------------------


def test_a_pool_that_dies_under_a_run() -> None:
    with started() as pool, running(pool) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        executor = executor_of(pool, run)
        pool.stop()
        assert run.ended() == handover.EXIT_LOST["run"]
        assert run.stderr.endswith(b"Error: the pool of executors has ended, and this command with it\n")
        assert gone(executor)
        assert run.host.methods.count(HostMethod.STORAGE_WRITE) == 1
        # Its socket is still there, and leads nowhere.
        with running(pool, Script(), "--print=result") as after:
            assert after.ended() == 0
            assert isinstance(after.host.outcome, Return)
        pool.start()
        with running(pool) as again:
            again.host.reached(HostMethod.STORAGE_WRITE)
            assert is_handed_over(again)


def test_a_pool_that_dies_where_nobody_reads() -> None:
    """Not being able to say so is no reason for a second run."""
    with started() as pool:
        host = WatchedHost(calldata=ENDLESS.code)
        host.put_code(machine())
        reading, writing = os.pipe()
        os.close(reading)
        with serving(host) as node:
            process = subprocess.Popen(pool.words(node.address), env=pool.environment, stdout=writing, stderr=writing)
            host.reached(HostMethod.STORAGE_WRITE)
            pool.stop()
            assert process.wait(PATIENCE_SECONDS) == handover.EXIT_LOST["run"]
        os.close(writing)
        assert host.methods.count(HostMethod.STORAGE_WRITE) == 1


@pytest.mark.slow
def test_a_pool_that_dies_at_any_time() -> None:
    """The run takes place once, or is lost, and then its exit code says so."""
    with started() as pool:
        for milliseconds in range(0, 50, 5):
            with running(pool, Script().storage_write(ROOT, 0, b"x")) as run:
                time.sleep(milliseconds / 1000)
                os.kill(pool.pid, signal.SIGKILL)
                status = run.ended()
                writes = run.host.methods.count(HostMethod.STORAGE_WRITE)
                assert (status, writes) == (0, 1) or (status == handover.EXIT_LOST["run"] and writes <= 1)
            pool.stop()
            pool.start()


def test_a_pool_that_does_not_answer() -> None:
    with started() as pool:
        os.kill(pool.pid, signal.SIGSTOP)
        with running(pool, Script().storage_write(ROOT, 0, b"x")) as run:
            assert run.ended() == 0
            os.kill(pool.pid, signal.SIGCONT)
            # What it finds then is the request of somebody who is gone.
            with running(pool, Script()) as after:
                assert after.ended() == 0
            assert run.host.methods.count(HostMethod.STORAGE_WRITE) == 1
            assert run.host.methods.count(HostMethod.CONSUME_RESULT) == 1


def test_more_runs_than_idle_executors(pool: Pool) -> None:
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(running(pool)) for _ in range(6)]
        for run in runs:
            run.host.reached(HostMethod.STORAGE_WRITE)
        assert len({executor_of(pool, run) for run in runs}) == 6
        for run in runs:
            run.signal(signal.SIGTERM)
        assert [run.ended() for run in runs] == [0] * 6


def test_who_holds_signals_back_can_send_them(pool: Pool) -> None:
    """As a process has it that is started by one that waits for them. The executor would not be told to end."""
    held = partial(signal.pthread_sigmask, signal.SIG_BLOCK, [signal.SIGTERM])
    for environment, is_taken in ((pool.environment, True), ({**pool.environment, "GENVM_TEST": "own"}, False)):
        with running(pool, env=environment, preexec_fn=held) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            assert is_handed_over(run) is is_taken
            run.signal()
            assert run.ended() == 0
        assert run.host.outcome == TIMEOUT


def test_a_pool_of_a_program_that_ignores_the_end_of_its_children(tmp_path: Path) -> None:
    """Which the pool inherits; it needs their exit codes."""
    pool = Pool(tmp_path, REPOSITORY, None)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        pool.start()
    finally:
        signal.signal(signal.SIGCHLD, before)
    try:
        for _ in range(2):
            with running(pool) as run:
                run.host.reached(HostMethod.STORAGE_WRITE)
                assert is_handed_over(run)
                run.signal()
                assert run.ended() == 0
    finally:
        pool.stop()


def test_nothing_is_left() -> None:
    """Neither descriptors nor processes of runs that are over, and none of the pool in an executor."""
    with started("--idle=1") as pool:

        def open_files() -> int:
            return len(os.listdir(f"/proc/{pool.pid}/fd"))

        def at_rest() -> bool:
            return len(children(pool.pid)) == 1

        until(at_rest, "no idle executor")
        before = open_files()
        for _ in range(3):
            with running(pool) as run:
                run.host.reached(HostMethod.STORAGE_WRITE)
                folder = f"/proc/{executor_of(pool, run)}/fd"
                links = [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
                # Its client, the host, and the two ends of what wakes it.
                assert sum(link.startswith("socket:") for link in links) == 4
                assert not [link for link in links if "pools" in link or "anon_inode" in link]
        until(at_rest, "executors are left")
        assert until(lambda: open_files() == before, "descriptors are left")


# --- who is not taken over ------------------------------------------------------------------------


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"preexec_fn": limited}, "its rights, limits or surroundings differ"),
        ({"preexec_fn": lambda: os.nice(1)}, "its rights, limits or surroundings differ"),
        ({"umask": 0o077}, "its rights, limits or surroundings differ"),
        ({"variable": "PYTHONHASHSEED"}, "its environment differs"),
        ({"variable": "LD_BIND_NOW"}, "its environment differs"),
        ({"variable": "GENVM_TEST"}, "its environment differs"),
    ],
    ids=["limit", "priority", "umask", "Python", "loader", "ours"],
)
def test_what_differs(pool: Pool, differs: dict[str, Any], why: str) -> None:
    variable = differs.pop("variable", None)
    if variable is not None:
        differs = {"env": {**pool.environment, variable: "1"}}
    before = len(pool.records("not taken over"))
    with running(pool, **differs) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert not is_handed_over(run)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
    assert [record["why"] for record in pool.records("not taken over")[before:]] == [why]


def test_how_long_others_are_left_behind_is_nothing_to_it(pool: Pool) -> None:
    with running(pool, env={**pool.environment, "PYGENVM_POOL_IDLE": "1234"}) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert is_handed_over(run)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0


@pytest.mark.parametrize(
    "arguments",
    [("--record=/dev/null",), ("--cookie=" + "x" * (limits.HANDOVER_REQUEST_BYTES // 2),) * 2],
    ids=["device", "too long"],
)
def test_what_a_pool_is_not_asked(pool: Pool, arguments: tuple[str, ...]) -> None:
    with running(pool, ENDLESS, *arguments) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert not is_handed_over(run)


def test_another_configuration(pool: Pool, tmp_path: Path) -> None:
    words = pool.words("unix:///nonexistent")
    words[words.index(f"--config={pool.config}")] = f"--config={config_file(tmp_path)}"
    before = len(pool.records("taken over")), len(pool.records("not taken over"))
    assert subprocess.run(words, env=pool.environment, capture_output=True, check=False).returncode == 1
    assert (len(pool.records("taken over")), len(pool.records("not taken over"))) == before


def copy_of_sources(folder: Path, *more: str) -> None:
    """What a pool needs for runs alone, and more."""
    for name in ("cli", "executor", "pygenvm", "schemas", *more):
        shutil.copytree(REPOSITORY / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))


def test_a_program_that_has_changed(tmp_path: Path) -> None:
    """Whoever has the new files does not get the old program."""
    copy_of_sources(tmp_path)
    with started(sources=tmp_path) as pool:
        for is_taken in (True, False):
            with running(pool) as run:
                run.host.reached(HostMethod.STORAGE_WRITE)
                assert is_handed_over(run) is is_taken
            with open(tmp_path / "executor" / "run" / "printing.py", "a") as source:
                source.write("# changed")


def test_one_that_was_left_behind_ends_behind_its_last_run(tmp_path: Path) -> None:
    copy_of_sources(tmp_path, "localnet", "lint", "runners", "settlement", "modules")
    with started("--until-idle=60", sources=tmp_path) as pool, running(pool, ENDLESS) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert is_handed_over(run)
        with open(tmp_path / "executor" / "run" / "printing.py", "a") as source:
            source.write("# changed")
        with running(pool) as later:
            later.host.reached(HostMethod.STORAGE_WRITE)
            assert not is_handed_over(later)
        assert run.process.poll() is None
        assert Path(f"/proc/{pool.pid}").exists()
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
        assert run.host.outcome == TIMEOUT
        until(lambda: state(pool.pid) == "Z", "it goes on")


def test_one_that_was_left_behind_makes_way() -> None:
    """For a pool that somebody asks for; what it has taken over goes on."""
    with started("--until-idle=60") as pool, running(pool, ENDLESS) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert is_handed_over(run)
        other = copy.copy(pool)
        try:
            other.start()
            with running(other, ENDLESS) as later:
                later.host.reached(HostMethod.STORAGE_WRITE)
                assert is_handed_over(later)
                assert run.process.poll() is None
                run.signal(signal.SIGTERM)
                assert run.ended() == 0
                assert run.host.outcome == TIMEOUT
                until(lambda: state(pool.pid) == "Z", "it goes on")
                assert later.process.poll() is None
        finally:
            other.stop()


def test_who_is_refused_keeps_nobody(pool: Pool) -> None:
    with started("--until-idle=2", config=pool.config) as left_behind:
        environment = {**left_behind.environment, "LANG": "other"}

        def has_ended() -> bool:
            own = subprocess.run(left_behind.words("unix:///nobody"), env=environment, capture_output=True)
            assert own.returncode == 1
            return state(left_behind.pid) == "Z"

        until(has_ended, "it goes on")


def test_a_local_network_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Half of an upgrade: whoever asks for it goes his own way, and runs that are under way or come later go on."""
    copy_of_sources(tmp_path)
    with started(sources=tmp_path) as pool, running(pool) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        assert is_handed_over(run)
        asked = [*PROGRAM, f"--config={pool.config}", "local", "accounts"]
        for why in ("the local network is not loaded yet", "the local network could not be loaded"):
            own = subprocess.run(asked, cwd=tmp_path, env=pool.environment, capture_output=True)
            assert b"No module named 'pygenvm.localnet'" in own.stderr
            until(lambda: pool.records("cannot load the local network"), "it has not tried")
            assert pool.records("not taken over")[-1]["why"] == why
        assert run.process.poll() is None
        with running(pool) as later:
            later.host.reached(HostMethod.STORAGE_WRITE)
            assert is_handed_over(later)


# --- other users ----------------------------------------------------------------------------------

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")


def test_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    with started() as pool:
        folder = pool.cache / "pools"
        for mode, is_taken in ((0o755, False), (0o710, False), (0o700, True)):
            folder.chmod(mode)
            with running(pool) as run:
                run.host.reached(HostMethod.STORAGE_WRITE)
                assert is_handed_over(run) is is_taken
        folder.chmod(0o755)
        pool.stop()
        words = [*PROGRAM, f"--config={pool.config}", "pool"]
        done = subprocess.run(words, env=pool.environment, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (
            1,
            f"Error: others may enter {folder}; say `chmod 700 {folder}` if it is yours\n".encode(),
        )


def test_a_folder_by_a_link(tmp_path: Path) -> None:
    with started() as pool:
        folder = pool.cache / "pools"
        folder.rename(tmp_path / "pools")
        folder.symlink_to(tmp_path / "pools")
        with running(pool) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            assert not is_handed_over(run)


@as_root
def test_a_folder_of_somebody_else() -> None:
    with started() as pool:
        os.chown(pool.cache / "pools", NOBODY, NOBODY)
        with running(pool) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            assert not is_handed_over(run)


@as_root
def test_a_pool_of_somebody_else() -> None:
    """Whoever has managed to put his socket there is not asked."""
    with started() as pool:
        pool.stop()
        (path,) = (path for path in (pool.cache / "pools").iterdir() if not path.suffix)
        path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as theirs:
            theirs.bind(str(path))
            listen_as_nobody(theirs)
            with running(pool, Script()) as run:
                assert run.ended() == 0
                assert isinstance(run.host.outcome, Return)
            connection, _ = theirs.accept()
            with connection:
                # Neither a word nor a descriptor.
                assert connection.recv(1) == b""


def listen_as_nobody(listening: socket.socket) -> None:
    pid = os.fork()
    if pid == 0:
        os.setuid(NOBODY)
        listening.listen()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@as_root
def test_a_client_of_somebody_else() -> None:
    with started() as pool:
        (path,) = (path for path in (pool.cache / "pools").iterdir() if not path.suffix)
        for folder in (pool.folder, pool.cache, pool.cache / "pools"):
            folder.chmod(0o755)
        path.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.connect(str(path))
                os._exit(0 if connection.recv(1) == b"" else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert alive(pool.pid)


def test_what_is_no_request(pool: Pool) -> None:
    (path,) = (path for path in (pool.cache / "pools").iterdir() if not path.suffix)
    nonsense = [
        b"x",
        b"a\0b",
        b"a\0" + b"9" * 20 + b"\0c",
        bytes(limits.HANDOVER_REQUEST_BYTES + 1),
        b"\0".join([b"1"] * 9),
    ]
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with silent, open(os.devnull) as nothing:
        silent.connect(str(path))
        for request in nonsense:
            for count in (0, 1, 2, 3):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                    connection.connect(str(path))
                    socket.send_fds(connection, [request], [nothing.fileno()] * count)
                    assert connection.recv(1) == b""
        # Others are served, whoever says nothing.
        with running(pool) as run:
            run.host.reached(HostMethod.STORAGE_WRITE)
            assert is_handed_over(run)


# --- the pool itself ------------------------------------------------------------------------------


def test_there_is_one(pool: Pool) -> None:
    words = [*PROGRAM, f"--config={pool.config}", "pool"]
    done = subprocess.run(words, env=pool.environment, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: there is such a pool already, at ")
