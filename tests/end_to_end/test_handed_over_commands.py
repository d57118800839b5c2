"""Commands of `genvm local` that hand themselves over to a pool: nobody can tell them from those that do not."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from tests.executor.pool.pool_support import alive, children, gone
from tests.executor.pool.user_pool import PROGRAM, Pool, started
from tests.support.execution import config_file
from tests.support.hosts import PATIENCE_SECONDS
from tests.support.networks import state_of
from tests.support.running import until

pytestmark = [
    pytest.mark.usefixtures("built_runners"),
    pytest.mark.skipif(sys.platform != "linux", reason="pools need Linux"),
]

CONTRACT = """# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *


class Counter(gl.Contract):
    count: u32
    names: TreeMap[str, Address]

    def __init__(self, count: int):
        self.count = u32(count)

    @gl.public.write
    def add(self, amount: int) -> int:
        print("adding", amount)
        if amount < 0:
            raise gl.vm.UserError("not below zero")
        self.count += amount
        self.names["last"] = gl.message.sender_address
        return self.count

    @gl.public.write
    def ask(self) -> str:
        return gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt("capital of France?"))

    @gl.public.view
    def get(self) -> int:
        return self.count

    @gl.public.view
    def broken(self) -> int:
        return {}["nothing"]

    @gl.public.view
    def leave(self) -> None:
        import os
        os._exit(7)

    @gl.public.view
    def loop(self) -> None:
        while True:
            pass
"""
MOCKS = "llm: {capital: Paris}\n"
#: Endless, until somebody ends it.
LOOP = ("view", "loop", "--timeout", "900")


class Place:
    """A project, and who carries out its commands: a pool, or nobody else."""

    def __init__(self, folder: Path, pool: Pool, *, alone: bool = False) -> None:
        self.folder = folder
        self.database = folder / ".pygenvm" / "local.db"
        self.pool = pool
        self.environment = {**pool.environment, "COLUMNS": "100"}
        if alone:
            self.environment["PYGENVM_CACHE"] = str(folder / "cache")
        #: The processes of its commands.
        self.clients: list[int] = []
        folder.mkdir()
        (folder / "counter.py").write_text(CONTRACT)
        (folder / "mocks.yaml").write_text(MOCKS)

    def words(self, *words: str) -> list[str]:
        return [*PROGRAM, f"--config={self.pool.config}", "local", *words]

    @contextlib.contextmanager
    def start(self, *words: str, **others: Any) -> Iterator[subprocess.Popen[bytes]]:
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others}
        with subprocess.Popen(self.words(*words), cwd=self.folder, env=self.environment, **given) as process:
            self.clients.append(process.pid)
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str, **others: Any) -> tuple[int, str, str]:
        """Exit code and what was printed."""
        with self.start(*words, **others) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, (out or b"").decode(), (err or b"").decode()

    def is_taken_over(self, process: subprocess.Popen[bytes]) -> bool:
        return any(line["client"] == process.pid for line in self.pool.records("taken over"))

    def executor_of(self, process: subprocess.Popen[bytes]) -> int:
        """The process that carries out its command, which lasts.

        Once it has the database open: one that has been given the command, and has not been told to begin, does not
        carry it out if the pool ends now. The command itself does.
        """

        def begun() -> list[int]:
            records = self.pool.records("taken over")
            executors = [line["executor"] for line in records if line["client"] == process.pid]
            return [pid for pid in executors if self.has_opened(pid)]

        return int(until(begun, "it was not taken over")[0])

    def has_opened(self, pid: int) -> bool:
        """Whether a process has the database open now."""
        with contextlib.suppress(OSError):
            files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
            return any(file.startswith(str(self.database)) for file in files)
        return False


@contextlib.contextmanager
def ready_pool(folder: Path, *options: str) -> Iterator[Pool]:
    """One that has loaded what commands need."""
    with started(*options, config=config_file(folder, built=True, modules={})) as pool:
        place = Place(folder / "first", pool)
        # It is loaded for the first one, which does not wait for it.
        assert place.run("accounts")[0] == 0
        assert [line["why"] for line in pool.records("not taken over")] == ["the local network is not loaded yet"]
        until(lambda: place.run("accounts") and pool.records("taken over"), "it is not loaded")
        yield pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with ready_pool(tmp_path_factory.mktemp("pool")) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, pool: Pool) -> Place:
    """A project with the contract."""
    made = Place(tmp_path / "project", pool)
    assert made.run("deploy", "counter.py", "--args", "[1]")[0] == 0
    return made


#: What no two commands have in common: transaction ids, which depend on the time, and times.
_VARYING = (
    (r'"(id|tx_id|parent)": "0x[0-9a-f]{64}"', r'"\1": ID'),
    (r'"datetime": "[^"]*"', '"datetime": TIME'),
    (r'"seconds": [0-9.e-]+', '"seconds": TIME'),
    (r"[0-9]+\.[0-9]+ s\b", "TIME s"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+(Z| UTC)?", "TIME"),
)


def seen(place: Place, *words: str, **others: Any) -> tuple[int, str, str]:
    status, *texts = place.run(*words, **others)
    texts = [text.replace(str(place.folder), "FOLDER") for text in texts]
    for pattern, replacement in _VARYING:
        texts = [re.sub(pattern, replacement, text) for text in texts]
    return status, texts[0], texts[1]


def rows_of(path: Path) -> dict[str, list[Any]]:
    """A database without what follows from the time."""
    state = state_of(path)
    # Identity, datetime, details with times.
    for name in ("transactions", "queue"):
        state[name] = [(row[0], *row[2:12], row[13]) for row in state.get(name, [])]
    return state


COMMANDS = [
    ("accounts", "--json"),
    ("deploy", "counter.py", "--args", "[1]"),
    ("deploy", "counter.py", "--args", "[5]", "--json", "--name", "second", "--salt", "7", "--value", "3"),
    ("deploy", "counter.py", "--args", '["no number"]'),
    ("deploy", "missing.py"),
    ("call", "add", "--args", "[2]", "--from", "bob"),
    ("call", "counter", "add", "--args", "[2]", "--json"),
    ("call", "add", "--args", "[-1]"),
    ("call", "add", "--args", "[-1]", "--json"),
    ("call", "add", "--args", "[1]", "--validators", "3", "--json"),
    ("call", "ask", "--mocks", "mocks.yaml", "--validators", "3"),
    ("call", "ask", "--mocks", "missing.yaml"),
    ("view", "get"),
    ("view", "counter", "get", "--json"),
    ("view", "get", "--args", "[1]"),
    ("view", "missing"),
    ("view", "broken"),
    ("view", "broken", "--traceback", "full", "--json"),
    ("view", "leave"),
    ("view", "loop", "--timeout", "1"),
    ("view", "get", "--args", "nonsense"),
    ("view", "get", "--args", "nonsense", "--json"),
    ("view", "nobody", "get"),
    ("view",),
    ("view", "get", "--json", "--no-such-option"),
    ("schema",),
    ("schema", "counter.py", "--json"),
    ("state",),
    ("state", "second", "--raw", "--json"),
    ("accounts",),
    ("log",),
    ("log", "--last", "3", "--json"),
    ("--db", "missing/net.db", "view", "get"),
    ("--db=counter.py", "accounts"),
    ("--rpc", "http://127.0.0.1:9", "view", "get"),
]


def test_nobody_can_tell(tmp_path: Path, pool: Pool) -> None:
    with_pool, alone = Place(tmp_path / "one", pool), Place(tmp_path / "two", pool, alone=True)
    for words in COMMANDS:
        assert seen(with_pool, *words) == seen(alone, *words), words
        assert rows_of(with_pool.database) == rows_of(alone.database), words
    clients = set(with_pool.clients)
    until(lambda: clients <= {line["client"] for line in pool.records("taken over")}, "some were not taken over")


@pytest.mark.parametrize("words", [("--help",), ("view", "--help"), ("lint", "counter.py"), ("nonsense",)])
def test_these_are_no_commands_for_a_pool(place: Place, words: tuple[str, ...]) -> None:
    place.run(*words)
    with place.start("accounts") as process:
        until(lambda: place.is_taken_over(process), "it was not taken over")
    # It comes to its records in order.
    assert place.clients[-2] not in {line["client"] for line in place.pool.records("taken over")}


def test_a_server_is_none_either(place: Place) -> None:
    with place.start("serve", "--port", "0") as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert not place.is_taken_over(server)
        # Commands go to it, by way of the pool.
        assert place.run("deploy", "counter.py", "--args", "[4]")[0] == 0
        assert place.run("view", "get") == (0, "4\n", "")


@pytest.mark.parametrize("words", [("call", "add", "--args", "[1]"), ("view", "get")])
def test_output_that_cannot_be_written(tmp_path: Path, pool: Pool, words: tuple[str, ...]) -> None:
    told = []
    for name in ("one", "two"):
        place = Place(tmp_path / name, pool, alone=name == "two")
        place.run("deploy", "counter.py", "--args", "[1]")
        with open("/dev/full", "wb") as full:
            to_full = seen(place, *words, stdout=full)
        reading, writing = os.pipe()
        os.close(reading)
        to_nobody = seen(place, *words, stdout=writing)
        os.close(writing)
        closed = seen(place, *words, stdout=None, preexec_fn=lambda: os.close(1))
        told.append((to_full, to_nobody, closed, rows_of(place.database)))
    assert told[0] == told[1]
    assert told[0][0][0] == 4


def test_a_database_that_cannot_be_written(tmp_path: Path, pool: Pool) -> None:
    told = []
    for name in ("one", "two"):
        place = Place(tmp_path / name, pool, alone=name == "two")
        place.run("deploy", "counter.py", "--args", "[1]")
        (place.folder / ".pygenvm" / "local.db").write_bytes(b"no database")
        told.append([seen(place, "call", "add", "--args", "[1]"), seen(place, "view", "get")])
    assert told[0] == told[1]
    assert [status for status, *_ in told[0]] == [3, 3]


def test_no_contract_runs_where_the_database_is_open(place: Place) -> None:
    with place.start(*LOOP) as process:
        command = place.executor_of(process)

        def busy() -> list[int]:
            return [pid for pid in children(place.pool.pid) if pid != command and _seconds(pid) > 0.5]

        running = until(busy, "nobody runs it")
        assert {pid for pid in children(place.pool.pid) if place.has_opened(pid)} == {command}
    # Both go with the process.
    assert gone(command)
    assert gone(running[0])


def test_a_command_waits_without_an_event_loop(place: Place) -> None:
    with place.start(*LOOP) as process:
        threads = os.listdir(f"/proc/{place.executor_of(process)}/task")
    assert len(threads) == 1


def test_what_runs_contracts_ends_with_the_command(place: Place) -> None:
    """Nobody has told it to: the pool ends it, which also has others ready again then."""
    idle = limits.POOL_IDLE + limits.POOL_IDLE_COMMANDS
    for _ in range(idle):
        assert place.run("view", "get") == (0, "1\n", "")
    had = {line["executor"] for line in place.pool.records("taken over")}
    until(lambda: len(children(place.pool.pid)) == idle and not had & {*children(place.pool.pid)}, "executors are left")


def _seconds(pid: int) -> float:
    """Of processor time that a process has had."""
    with contextlib.suppress(OSError):
        user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


@pytest.mark.parametrize("is_json", [False, True])
def test_a_pool_that_dies(tmp_path: Path, is_json: bool) -> None:
    with ready_pool(tmp_path) as pool:
        place = Place(tmp_path / "project", pool)
        place.run("deploy", "counter.py", "--args", "[1]")
        with place.start(*LOOP, *(["--json"] if is_json else [])) as process:
            command = place.executor_of(process)
            pool.stop()
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 3
        # Its executor dies with the pool, and may or may not notice first that there is none any more.
        ends = (b"", b", and this command with it")
        advice = b"; `genvm local log` tells whether its transaction was stored"
        told = [
            b"genvm local: the pool of executors has ended\n",
            b"genvm local: the pool of executors has ended%s%s\n" % (ends[1], advice),
        ]
        if is_json:
            document = json.loads(out)
            assert (document["ok"], document["error"]["kind"]) == (False, "executor")
            assert document["error"]["message"].encode() in [b"the pool of executors has ended" + end for end in ends]
            assert out == json.dumps(document, indent=2).encode() + b"\n"
            assert err in (b"", told[1])
        else:
            assert out == b""
            assert err in told
        assert gone(command)
        # Its socket is still there, and leads nowhere.
        assert place.run("view", "get") == (0, "1\n", "")


# --- signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(tmp_path: Path, pool: Pool, number: signal.Signals) -> None:
    told = []
    for name in ("one", "two"):
        place = Place(tmp_path / name, pool, alone=name == "two")
        place.run("deploy", "counter.py", "--args", "[1]")
        with place.start("call", "loop", "--timeout", "900") as process:
            # It has the lock as long as it runs.
            until(partial(_is_locked, place.database.with_name("local.db.lock")), "it does not run")
            time.sleep(0.3)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        # A process of its own may have said before that it lost its executor, which it has killed.
        told.append((process.returncode, out, err.splitlines()[-1], rows_of(place.database)))
    assert told[0] == told[1]
    assert told[0][:2] == (130, b"")
    assert told[0][2].startswith(b"genvm local: interrupted: the running transaction was dropped")


def _is_locked(path: Path) -> bool:
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_any_moment(place: Place, number: signal.Signals) -> None:
    """The run never ends, so what ends it is the signal, whenever it comes."""
    begun = time.monotonic()
    with place.start(*LOOP) as process:
        until(lambda: place.is_taken_over(process), "it was not taken over")
        until_taken_over = time.monotonic() - begun
    taken_over = 0
    for milliseconds in range(0, 60, 2):
        with place.start(*LOOP) as process:
            time.sleep(until_taken_over / 2 + milliseconds / 1000)
            process.send_signal(number)
            _, err = process.communicate(timeout=PATIENCE_SECONDS)
        if place.is_taken_over(process):
            taken_over += 1
            assert process.returncode == 130, err
            assert b"Traceback" not in err
        else:
            # Python itself was starting.
            assert process.returncode in (130, -number, 1)
    assert taken_over > 10


def test_signals_that_are_ignored(place: Place) -> None:
    """As `nohup` and shells in the background start commands."""

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    with place.start(*LOOP[:-1], "3", preexec_fn=ignore) as process:
        place.executor_of(process)
        for number in (signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"timeout" in err


def test_stopped_and_continued(place: Place) -> None:
    # In a group of its own: ours may be an orphan, which is never stopped.
    with place.start(*LOOP, process_group=0) as process:
        executor = place.executor_of(process)
        time.sleep(0.2)
        process.send_signal(signal.SIGTSTP)
        assert os.WSTOPSIG(os.waitpid(process.pid, os.WUNTRACED)[1]) == signal.SIGTSTP
        state = Path(f"/proc/{executor}/stat")
        until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "it goes on")
        process.send_signal(signal.SIGCONT)
        until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] != "T", "it does not go on")
        assert alive(process.pid)
