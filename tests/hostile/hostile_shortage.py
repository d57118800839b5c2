"""Runs on a machine that is short of something: memory, address space, descriptors, threads, disk.

with Machine() as machine:
    end = machine.run(seed)          # AssertionError: it ended in a way in which no run may end

What a machine lacks is not the contract's affair (spec executor/05 "Internal errors"). Such a run ends as it does on a
machine that lacks nothing, or as an internal error, or without a result and with a reason; never by a signal, and never
with another result. What it has told the host until then is what it tells on any machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pygenvm.executor.config import cache_root
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.outcome import InternalError
from pygenvm.executor.primitives.abi import HostMethod
from tests.hostile import shortage_start
from tests.hostile.hostile_runs import HANGS_SECONDS, check_payload
from tests.hostile.kernel_calls import FailingCalls, numbers, possible
from tests.hostile.shortage_subjects import Subject, example, hostile
from tests.support.example_runs import answers
from tests.support.execution import Execution, artefacts, command, config_file
from tests.support.hosts import InMemoryHost, serving
from tests.support.module_server import serving_module

_EFFECTS = frozenset(
    (
        HostMethod.STORAGE_WRITE,
        HostMethod.POST_NONDET_RESULT,
        HostMethod.POST_MESSAGE,
        HostMethod.POST_EVENT,
        HostMethod.DEPLOY_CONTRACT,
        HostMethod.ETH_SEND,
        HostMethod.NOTIFY_NONDET_DISAGREEMENT,
    )
)
#: A failure that nobody has foreseen. (Destructors may find no memory.)
_UNFORESEEN = re.compile(r"^(Traceback|Fatal Python error|thread .* panicked)", re.MULTILINE)
#: Users from this number on are nobody.
_NOBODY = 2_000_000

#: How a run "ends" that this machine cannot make.
NOT_POSSIBLE = "not possible here"

MIB = 1 << 20


@dataclass(frozen=True)
class Shortage:
    """What a run gets too little of."""

    kind: str
    moment: int | None
    """From this request to the host on, counted from 0; None: from the start of the program on."""
    amount: int
    """What there is, or from the moment on: what there is besides what is in use. Of calls: how many do not fail."""
    times: int = 0
    """How many calls fail."""

    def __str__(self) -> str:
        when = "from the start" if self.moment is None else f"from request {self.moment} on"
        calls = f", {self.times} fail" if self.times else ""
        return f"{self.kind}: {self.amount}{calls}, {when}"


#: The limits of the kernel that are kinds of shortage: what bounds them, and how much of it a process uses.
_LIMITS: dict[str, tuple[int, Callable[[int], int]]] = {
    "data": (resource.RLIMIT_DATA, lambda pid: _status(pid, "VmData") << 10),
    "address space": (resource.RLIMIT_AS, lambda pid: _status(pid, "VmSize") << 10),
    "descriptors": (resource.RLIMIT_NOFILE, lambda pid: 1 + max(map(int, os.listdir(f"/proc/{pid}/fd")))),
    "threads": (resource.RLIMIT_NPROC, lambda pid: len(os.listdir(f"/proc/{pid}/task"))),
    "file size": (resource.RLIMIT_FSIZE, lambda pid: 0),
}


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"{pid} has ended")


def _amount(chance: random.Random, least: int, most: int) -> int:
    """All orders of magnitude are as likely."""
    return int(least * (most / least) ** chance.random())


def shortage(chance: random.Random, requests: int) -> Shortage:
    """Something that a run which makes so many ``requests`` may lack."""
    kind = chance.choice((*_LIMITS, "disk", "device", "memory calls", "memory calls", "starts"))
    late = kind not in ("threads", "disk", "device") and chance.random() < 0.7
    moment = chance.randrange(requests) if late else None
    match kind:
        case "data":
            amount = _amount(chance, 1 << 12, 1 << 30) if late else chance.randrange(16 * MIB, 1500 * MIB)
        case "address space":
            amount = _amount(chance, 1 << 12, 1 << 36) if late else _amount(chance, 1 << 26, 1 << 37)
        case "descriptors":
            amount = chance.randrange(4) if late else chance.randrange(4, 20)
        case "threads":
            amount = chance.randrange(1, 10)
        case "file size":
            amount = chance.choice((0, 1, 1000, 100_000))
        case "disk":
            amount = 4096 * chance.choice((1, 2, 8, 20, 100, 1000))
        case "device":
            amount = chance.randrange(1, 4)
        case "memory calls":
            amount = _amount(chance, 1, 300 if late else 1000)
            return Shortage(kind, moment, amount, chance.choice((1, 1, 1, 5, 1 << 40)))
        case "starts":
            return Shortage(kind, moment, chance.randrange(3 if late else 8), chance.choice((1, 1, 1 << 40)))
    return Shortage(kind, moment, amount)


@cache
def why_not(kind: str) -> str | None:
    """Why this machine cannot be short of that; None if it can."""
    if kind in ("memory calls", "starts"):
        return possible()
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        # Only root can become somebody whose processes are counted on their own.
        start: dict[str, dict[str, object]] = {"disk": {"disk": [MIB, folder, []]}, "threads": {"user": _NOBODY}}
        program = shortage_start.command(start.get(kind, {}), sys.executable, "-c", "pass")
        done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.stderr.strip() or None


@cache
def calls_of_python(kind: str) -> int:
    """How many calls the interpreter makes until it runs anything. It dies of failing ones, as do many programs."""
    with FailingCalls(errno.ENOMEM, after=0, times=0) as calls:
        start = {"calls": [numbers(kind), calls.theirs.fileno()]}
        calls.begin()
        python = shortage_start.command(start, sys.executable, "-c", "pass")
        with subprocess.Popen(python, pass_fds=(calls.theirs.fileno(),)):
            calls.listen()
    return calls.seen


@dataclass(frozen=True)
class End:
    """How a run has ended."""

    subject: str
    shortage: Shortage
    how: str


class Machine:
    """Makes runs; with the services that examples ask, and folders for configuration and records."""

    def __enter__(self) -> Machine:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shortage-")))
            self._services = stack.enter_context(serving_module(answers)).address
            self._modules = {name: {"address": self._services} for name in ("llm", "web")}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, seed: int) -> End:
        """The run of a seed; what is wrong with its end is raised.

        :raises AssertionError: the run broke a rule; the text says which, and what was short.
        """
        chance = random.Random(f"shortage {seed}")
        subject = example(chance, self._services) if chance.random() < 0.5 else hostile(chance)
        reference = subject.run(self._services)
        short = shortage(chance, len(reference.host.requests))
        reason = why_not(short.kind)
        if reason is not None:
            return End(subject.name, short, f"{NOT_POSSIBLE}: {reason}")
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                how = _Run(subject, short, self._modules, Path(folder)).against(reference)
        except AssertionError as error:
            raise AssertionError(f"{subject.name}; {short}: {error}") from None
        return End(subject.name, short, how)


class _Run:
    """One run of ``genvm run``."""

    def __init__(self, subject: Subject, short: Shortage, modules: dict[str, Any], folder: Path) -> None:
        self._subject = subject
        self._short = short
        self._folder = folder
        self._cache = cache_root() / "executor" if subject.built else Path(artefacts().folder.path).parent
        if subject.cold:
            self._cache = folder / "cache"
        self._config = config_file(folder, built=subject.built, modules=modules, cache_dir=str(self._cache))
        self._process: subprocess.Popen[bytes] | None = None
        self._calls: FailingCalls | None = None

    def against(self, reference: Execution) -> str:
        """How it ended, compared with how it ends where nothing is short."""
        host = ShortHost(self._short.moment, self._begin)
        self._subject.put_into(host)
        with contextlib.ExitStack() as stack:
            node = stack.enter_context(serving(host))
            stderr = stack.enter_context(tempfile.TemporaryFile())
            status = self._execute(stack, node.address, stderr)
            stderr.seek(0)
            text = stderr.read().decode("utf-8", "replace")
        assert status != shortage_start.NOT_SHORT, text
        return _compare(reference, status, host, text)

    def _execute(self, stack: contextlib.ExitStack, address: str, stderr: Any) -> int:
        short = self._short
        start: dict[str, Any] = {}
        descriptors: dict[str, int] = {"stdout": subprocess.DEVNULL, "log": 2}
        arguments: list[str] = []
        environment = dict(os.environ)
        match short.kind:
            case "disk":
                disk = self._folder / "disk"
                disk.mkdir()
                start["disk"] = [short.amount, str(disk), self._kept_folders()]
                environment["TMPDIR"] = str(disk / "tmp")
                if short.amount % 3 == 0:
                    arguments += ["--record", str(disk / "record")]
            case "device":
                full = os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
                stack.callback(os.close, full)
                descriptors.update({name: full for bit, name in ((1, "stdout"), (2, "log")) if short.amount & bit})
                arguments += ["--print", "result", "--print", "fingerprint"]
            case "memory calls" | "starts":
                error = errno.ENOMEM if short.kind == "memory calls" else errno.EAGAIN
                after = short.amount if short.moment is not None else short.amount + calls_of_python(short.kind)
                self._calls = stack.enter_context(FailingCalls(error, after=after, times=short.times))
                start["calls"] = [numbers(short.kind), self._calls.theirs.fileno()]
            case "threads":
                start["user"] = _NOBODY + os.getpid()
        if short.moment is None:
            self._from_start(start)
        inherited = {descriptors["log"], *(start["calls"][1:] if "calls" in start else ())} - {2}
        whole = command(
            address,
            *arguments,
            config=self._config,
            message=self._subject.message,
            global_options=("--log-level", "error", "--log-fd", str(descriptors["log"])),
        )
        self._process = subprocess.Popen(
            shortage_start.command(start, *whole),
            stdin=subprocess.DEVNULL,
            stdout=descriptors["stdout"],
            stderr=stderr,
            pass_fds=tuple(inherited),
            env=environment,
        )
        if self._calls is not None:
            self._calls.listen()
        try:
            return self._process.wait(HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {HANGS_SECONDS} s") from None
        finally:
            self._process.kill()
            self._process.wait()

    def _kept_folders(self) -> list[str]:
        """Where a run keeps what it may need again."""
        folders = [self._cache / "derived", self._cache / "images", self._cache / "artefacts" / "contracts"]
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return list(map(str, folders))

    # --- the shortage begins ---

    def _from_start(self, start: dict[str, Any]) -> None:
        if self._short.kind in _LIMITS:
            start["limits"] = [[_LIMITS[self._short.kind][0], self._short.amount]]
        elif self._calls is not None:
            self._calls.begin()

    def _begin(self) -> None:
        assert self._process is not None
        if self._calls is not None:
            self._calls.begin()
            return
        limit, in_use = _LIMITS[self._short.kind]
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            amount = in_use(self._process.pid) + self._short.amount
            resource.prlimit(self._process.pid, limit, (amount, amount))


class ShortHost(InMemoryHost):
    """Calls ``begin`` when a certain request has come, before it is answered."""

    def __init__(self, moment: int | None, begin: Callable[[], None]) -> None:
        super().__init__()
        self._moment = moment
        self._begin = begin

    def _note(self, method: HostMethod, **fields: Any) -> None:
        if len(self.requests) == self._moment:
            self._begin()
        super()._note(method, **fields)


def _compare(reference: Execution, status: int, host: InMemoryHost, stderr: str) -> str:
    ended = f"exit code {status}, stderr {stderr[-3000:]!r}"
    assert status >= 0, f"a signal: {ended}"
    done, expected = _effects(host), _effects(reference.host)
    assert done == expected[: len(done)], f"other effects: {done} instead of {expected}; {ended}"
    if host.requests:
        # Before, it may be Python that cannot start. Last comes an internal error's text, perhaps a compiler's.
        found = _UNFORESEEN.findall(stderr.partition("internal error: ")[0])
        assert found == _UNFORESEEN.findall(reference.stderr.decode("utf-8", "replace"))[: len(found)], ended
    if host.result is None:
        assert status > 0, f"no result: {ended}"
        assert stderr, f"no result and no reason: {ended}"
        return "no result" if host.requests else "not started"
    assert status == 0, f"a result: {ended}"
    check_payload(host.result)
    if host.result == reference.payload:
        assert done == expected, f"effects are missing: {done} instead of {expected}"
        return "the same"
    outcome = decode_result(host.result).outcome
    assert isinstance(outcome, InternalError), f"{outcome} instead of {reference.outcome}; {ended}"
    return "internal error"


def _effects(host: InMemoryHost) -> list[Any]:
    """What a run has done to the world: in the same order on every machine, unlike what its threads ask."""
    return [request for request in host.requests if request.method in _EFFECTS]
