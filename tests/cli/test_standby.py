"""Commands of `genvm local` leave a pool behind for those that follow (cli/standby.py)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pygenvm.cli import main, standby
from pygenvm.executor import limits
from pygenvm.executor.cache_folder import check_trusted
from pygenvm.executor.pool import handover
from tests.support.paths import ROOT
from tests.support.running import until

pytestmark = pytest.mark.slow

#: Enough for a command behind another one, and no more than a test can wait.
IDLE = "3"
PROGRAM = (sys.executable, "-P", "-m", "pygenvm.cli.main")
#: It runs nothing, for there is no contract; but that is found out when it might have.
COMMAND = ("local", "view", "total")


class Author:
    """At a terminal, or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pools = folder / "cache" / "pools"
        self.variables = {"PYGENVM_CACHE": str(folder / "cache"), "PYGENVM_POOL_IDLE": IDLE, "PYTHONPATH": str(ROOT)}

    def types(
        self,
        *words: str,
        variables: Mapping[str, str] = types.MappingProxyType({}),
        terminal: bool = True,
        program: tuple[str, ...] = PROGRAM,
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end; its output is what it has printed to the terminal."""
        ours, theirs = pty.openpty() if terminal else os.pipe()
        output: list[bytes] = []
        # It has little room.
        reader = threading.Thread(target=lambda: output.extend(read(ours)))
        reader.start()
        try:
            words = (*program, *words)
            environment = {**os.environ, **self.variables, **variables}
            done = subprocess.run(
                words, cwd=self.folder, env=environment, timeout=60,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
            )  # fmt: skip
        finally:
            os.close(theirs)
            reader.join(60)
        return subprocess.CompletedProcess(words, done.returncode, b"".join(output).decode())

    def has_pool(self) -> bool:
        """Whether a process keeps the place of one."""
        for lock in self.pools.glob("*.lock"):
            with open(lock, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        return False

    def processes(self) -> list[int]:
        """Those that keep a place of one."""
        locks = {file.stat().st_ino for file in self.pools.glob("*.lock")}
        table = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        found = [int(row[4]) for row in table if int(row[5].rpartition(":")[2]) in locks]
        # Other disks have files with the same number.
        return [pid for pid in found if is_pool(pid)]

    def has_tried(self) -> bool:
        return bool([*self.pools.glob("*.started")])


def is_pool(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"pool" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def read(descriptor: int) -> Iterator[bytes]:
    """To its end, which is an error of a terminal."""
    with open(descriptor, "rb", buffering=0) as output, contextlib.suppress(OSError):
        while piece := output.read(1 << 16):
            yield piece


def loaded_network(done: subprocess.CompletedProcess[str]) -> bool:
    """Of a command that tells what it imports: whether it has carried itself out."""
    return "pygenvm.localnet" in done.stdout


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    made = Author(tmp_path)
    yield made
    for pid in made.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until(lambda: not made.has_pool(), "it does not end")


def test_the_next_command_is_handed_over(author: Author) -> None:
    telling = {"PYTHONPROFILEIMPORTTIME": "1"}
    first = author.types(*COMMAND, variables=telling)
    assert loaded_network(first)
    until(author.has_pool, "nobody has started one")
    until(lambda: not loaded_network(author.types(*COMMAND, variables=telling)), "it takes nothing over")
    last = author.types(*COMMAND, variables=telling)
    assert last.returncode == first.returncode == 2
    said = [line for line in first.stdout.splitlines() if not line.startswith("import time:")]
    assert said == [line for line in last.stdout.splitlines() if not line.startswith("import time:")]
    assert said


@pytest.mark.parametrize(
    ("words", "variables", "terminal"),
    [
        (COMMAND, {}, False),
        (COMMAND, {"CI": "true"}, True),
        (COMMAND, {"PYGENVM_POOL_IDLE": "0"}, True),
        (COMMAND, {"PYGENVM_POOL_IDLE": "soon"}, True),
        (("--config=none.yaml", *COMMAND), {}, True),
        (("local", "accounts"), {}, True),
        (("local", "--help"), {}, True),
        (("--version",), {}, True),
    ],
)
def test_nothing_is_left(author: Author, words: tuple[str, ...], variables: dict[str, str], terminal: bool) -> None:
    author.types(*words, terminal=terminal, variables=variables)
    assert not author.has_tried()


def test_it_holds_nothing_of_its_command(author: Author) -> None:
    """Who waits for the end of a pipe does not wait for the pool."""
    ours, theirs = os.pipe()
    terminal, slave = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *COMMAND], cwd=author.folder, env={**os.environ, **author.variables}, pass_fds=(theirs,),
        stdin=theirs, stdout=theirs, stderr=slave,
    )  # fmt: skip
    os.close(theirs)
    os.close(slave)
    assert process.wait(60) == 2
    until(author.has_pool, "nobody has started one")
    with open(ours, "rb") as pipe:
        assert pipe.read() == b""
    assert author.has_pool()
    assert b"there is no contract yet" in b"".join(read(terminal))
    assert author.has_pool()


def test_one_is_tried_at_a_time(author: Author) -> None:
    author.types(*COMMAND)
    (mark,) = author.pools.glob("*.started")
    tried = mark.stat().st_mtime_ns
    until(author.has_pool, "nobody has started one")
    author.types(*COMMAND, variables={"PYGENVM_POOL_IDLE": "4"})
    assert mark.stat().st_mtime_ns == tried
    until(lambda: not author.has_pool(), "it does not end")
    author.types(*COMMAND)
    assert mark.stat().st_mtime_ns == tried
    os.utime(mark, (0, 0))
    author.types(*COMMAND)
    assert mark.stat().st_mtime_ns > tried
    until(author.has_pool, "nobody has started another one")


def test_it_ends_when_the_program_has_changed(author: Author, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("pygenvm", "cli", "executor", "localnet", "schemas", "runners", "lint", "settlement", "modules"):
        shutil.copytree(ROOT / name, sources / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    author.variables |= {"PYTHONPATH": str(sources), "PYGENVM_POOL_IDLE": "60"}
    author.types(*COMMAND)
    until(author.has_pool, "nobody has started one")
    with open(sources / "cli" / "run.py", "a") as source:
        source.write("# changed")

    def is_gone() -> bool:
        author.types(*COMMAND)
        return not author.has_pool()

    until(is_gone, "it goes on")


NAMELESS = """\
import ctypes, os, sys
library = ctypes.CDLL(None)
def array(texts):
    return (ctypes.c_char_p * (len(texts) + 1))(*texts)
variables = [name + b"=" + value for name, value in os.environb.items()]
words = [os.fsencode(word) for word in sys.argv[1:]]
library.execve(words[0], array(words), array([*variables, b"=::=::\\\\", b"nothing"]))
"""


def test_variables_that_cannot_be_handed_on(author: Author) -> None:
    done = author.types(*COMMAND, program=(sys.executable, "-c", NAMELESS, *PROGRAM))
    assert done.returncode == 2
    assert "Traceback" not in done.stdout
    until(author.has_pool, "nobody has started one")


def test_no_other_program_is_started_again(author: Author, tmp_path: Path) -> None:
    """What a program of the author's does for itself is not done twice."""
    script, ran = tmp_path / "script.py", tmp_path / "ran"
    script.write_text(
        f"import sys\nopen({str(ran)!r}, 'a').write('x')\nsys.argv = ['genvm', *{COMMAND}]\n"
        "from pygenvm.cli.main import main\nsys.exit(main())\n"
    )
    assert author.types("a", "b", "c", "d", program=(sys.executable, str(script))).returncode == 2
    assert not author.has_tried()
    assert ran.read_text() == "x"


def test_a_mark_that_is_a_pipe_is_not_waited_for(author: Author) -> None:
    author.types(*COMMAND)
    until(author.has_pool, "nobody has started one")
    until(lambda: not author.has_pool(), "it does not end")
    (mark,) = author.pools.glob("*.started")
    mark.unlink()
    os.mkfifo(mark)
    os.utime(mark, (0, 0))
    assert author.types(*COMMAND).returncode == 2


def test_it_hears_what_its_command_ignores(author: Author) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        author.types(*COMMAND, variables={"PYGENVM_POOL_IDLE": "60"})
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    until(author.has_pool, "nobody has started one")
    (process,) = author.processes()
    os.kill(process, signal.SIGTERM)


INTERRUPTED = """\
import os, signal, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == {name!r}:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
from pygenvm.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(("name", "status"), [("pygenvm.cli.standby", 2), ("pygenvm.cli.streams", 130)])
def test_an_interrupt_between_what_a_command_does(author: Author, name: str, status: int) -> None:
    done = author.types(*COMMAND, program=(sys.executable, "-P", "-c", INTERRUPTED.format(name=name)))
    assert "Traceback" not in done.stdout
    assert done.returncode == status


def test_what_is_on_the_way_to_its_place_is_private(author: Author, tmp_path: Path) -> None:
    """Others may write to no folder above it: the caches beside it would not be believed any more."""
    author.variables["PYGENVM_CACHE"] = str(tmp_path / "home" / "cache")
    before = os.umask(0)
    try:
        author.types(*COMMAND)
    finally:
        os.umask(before)
    check_trusted(tmp_path / "home" / "cache" / "pools")
    author.pools = tmp_path / "home" / "cache" / "pools"
    until(author.has_pool, "nobody has started one")


def test_who_is_refused_does_not_keep_it(author: Author) -> None:
    author.types(*COMMAND)
    until(author.has_pool, "nobody has started one")

    def is_gone() -> bool:
        author.types("local", "accounts", variables={"PYTHONHASHSEED": "1"})
        return not author.has_pool()

    until(is_gone, "it goes on")


SOON = "from pygenvm.executor import limits\nlimits.POOL_RETRY_SECONDS = 0.1\nfrom pygenvm.cli.main import main\nmain()"


def test_its_place_is_for_those_who_come(author: Author) -> None:
    program = (sys.executable, "-P", "-c", SOON)
    author.variables["PYGENVM_POOL_IDLE"] = "60"
    author.types(*COMMAND, program=program)
    until(author.has_pool, "nobody has started one")

    def is_gone() -> bool:
        author.types("local", "accounts", variables={"PYTHONHASHSEED": "1"}, program=program)
        return not author.has_pool()

    until(is_gone, "it goes on")


def test_one_that_somebody_asks_for_takes_its_place(author: Author) -> None:
    author.types(*COMMAND, variables={"PYGENVM_POOL_IDLE": "60"})
    until(author.has_pool, "nobody has started one")
    pool = subprocess.Popen(
        [*PROGRAM, "pool"], env={**os.environ, **author.variables, "PYGENVM_POOL_IDLE": "60"}, cwd=author.folder,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pool:
        assert pool.stdout is not None
        try:
            assert pool.stdout.readline().startswith("takes over runs at ")
            assert author.processes() == [pool.pid]
            second = author.types("pool")
            assert (second.returncode, "there is such a pool already" in second.stdout) == (1, True)
        finally:
            pool.kill()


@pytest.mark.parametrize(("text", "seconds"), [("", limits.POOL_UNTIL_IDLE_SECONDS), ("1.5", 1.5), ("0", 0)])
def test_seconds(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv(standby.IDLE_VARIABLE, text)
    assert standby.idle_seconds() == seconds


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "x", "604801"])
def test_no_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(standby.IDLE_VARIABLE, text)
    told = f"PYGENVM_POOL_IDLE is '{text}', which is no number of seconds from 0 \\(never\\) to 604800"
    with pytest.raises(ValueError, match=f"^{told}$"):
        standby.idle_seconds()


def test_a_variable_that_cannot_be_read_is_told_to_who_may_have_set_it(author: Author) -> None:
    bad = {"PYGENVM_POOL_IDLE": "10min"}
    told = "genvm local: no pool is left behind: PYGENVM_POOL_IDLE is '10min', which is no number of seconds"
    done = author.types(*COMMAND, variables=bad)
    assert (done.returncode, done.stdout.splitlines()[-1][: len(told)]) == (2, told)
    for others in (author.types(*COMMAND, variables=bad, terminal=False), author.types("local", variables=bad)):
        assert "no pool is left behind" not in others.stdout
    assert not author.has_tried()


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--idle", "65", "'65' is no number from 0 to 64"),
        ("--idle", "-1", "'-1' is no number from 0 to 64"),
        ("--idle", "1.5", "'1.5' is no number from 0 to 64"),
        ("--until-idle", "0", "'0' is no number of seconds above 0, at most 604800"),
        ("--until-idle", "nan", "'nan' is no number of seconds above 0, at most 604800"),
    ],
)
def test_options_of_a_pool(capsys: pytest.CaptureFixture[str], option: str, value: str, why: str) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main.main(["pool", f"{option}={value}"])
    assert capsys.readouterr().err.splitlines()[-1] == f"genvm pool: error: argument {option}: {why}"


def test_who_keeps_a_pool_is_told_apart(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be handed over does not tell whether there is a pool."""
    monkeypatch.setenv("PYGENVM_CACHE", author.variables["PYGENVM_CACHE"])
    assert handover.attempt(["genvm", "local", "accounts"])
    assert not handover.attempt(["genvm", "local", "accounts", "/dev/stdin"])
    assert not handover.attempt(["genvm", "local", "--help"])

    # Of a command whose standard input is closed.
    def fstat(_descriptor: int) -> os.stat_result:
        raise OSError(errno.EBADF, "closed")

    with monkeypatch.context() as closed:
        closed.setattr(os, "fstat", fstat)
        assert not handover.attempt(["genvm", "local", "accounts"])
    gone = author.folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("PYGENVM_CACHE", "cache")
    assert not handover.attempt(["genvm", "local", "accounts"])
