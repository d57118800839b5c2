"""Runs of the real command that must end by themselves, and hosts that misbehave.

with LyingHost(honest, {5: Lie("closes")}) as host:
    run = bounded_run(host.address)
run.check()                                # what holds for every run, however hostile its surroundings
assert run.peak_bytes < 300 * MIB
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.answering import answer
from pygenvm.executor.host_protocol.codec import Request, RequestDecoder, encode_error, encode_reply
from pygenvm.executor.host_protocol.methods import METHODS, ReplyKind
from pygenvm.executor.host_protocol.result import INTERNAL_ERROR_PREFIX, decode_result
from pygenvm.executor.outcome import InternalError, Outcome, Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from tests.support.execution import command
from tests.support.hosts import InMemoryHost, serving

MIB = 1 << 20
#: A run that has not ended by then hangs. Nothing here takes a tenth of it on an idle machine.
HANGS_SECONDS = 60.0

#: Peak resident memory of an executor that runs a small module: interpreter, engine, and nothing that a host or a
#: contract announced but did not send.
SMALL_RUN_BYTES = 200 * MIB

#: Peak resident memory of any executor, whatever it runs: both memory pools, and what is in proportion to nothing.
EXECUTOR_BYTES = 2 * limits.RAM_POOL_BYTES + (1 << 30)

#: A lying host that announced gigabytes does not have them.
MOST_READ_BYTES = 16 * MIB


@dataclass
class Ended:
    """A run that ended by itself."""

    exit_code: int
    """Minus the signal's number if one killed it."""
    payload: bytes | None
    """Content of consume_result that the host acknowledged."""
    stderr: str
    peak_bytes: int
    """Largest resident set of the process, as often as it was looked at."""

    def check(self) -> None:
        """What spec executor/05 and 10 say of every run."""
        assert self.exit_code in (0, 1), (self.exit_code, self.stderr)
        assert (self.payload is not None) == (self.exit_code == 0), (self.exit_code, self.stderr)
        if self.payload is not None:
            check_payload(self.payload)
        else:
            assert "Error: " in self.stderr, self.stderr
        for sign in ("Traceback", "Fatal Python error", "panicked", "Exception ignored"):
            assert sign not in self.stderr, self.stderr

    @property
    def outcome(self) -> Outcome:
        assert self.payload is not None, (self.exit_code, self.stderr)
        return decode_result(self.payload).outcome


def check_payload(payload: bytes) -> None:
    """A result that hosts can read (spec executor/05 "Payload of consume_result")."""
    outcome = decode_result(payload).outcome
    if isinstance(outcome, InternalError):
        assert payload[1:].decode().startswith(INTERNAL_ERROR_PREFIX), payload[:200]
    elif isinstance(outcome, Return):
        calldata.decode(outcome.calldata)
    else:
        details = calldata.decode(payload[1:])
        assert details.keys() == {"fingerprint", "message"}, payload[:200]


def bounded_run(
    address: str,
    *arguments: str,
    config: Path | None = None,
    result: Callable[[], bytes | None] = lambda: None,
    kill_when: Callable[[], bool] = lambda: False,
    shortage: tuple[int, int] | None = None,
) -> Ended:
    """``genvm run`` against the host at ``address``; fails if it does not end.

    ``result`` tells what the host consumed. SIGTERM is sent as soon as ``kill_when`` is true. ``shortage`` is one of
    ``resource.RLIMIT_*`` and how much the process may have of it.
    """

    def run_short() -> None:
        if shortage is not None:
            resource.setrlimit(shortage[0], (shortage[1], shortage[1]))

    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command(address, *arguments, config=config, global_options=("--log-level", "error")),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=run_short,
        )
        deadline = time.monotonic() + HANGS_SECONDS
        signalled = False
        peak = 0
        while True:
            # Not what the kernel tells of the whole process: that begins with the size of this one.
            peak = max(peak, _peak_of(process.pid))
            ended, status = os.waitpid(process.pid, os.WNOHANG)
            if ended:
                break
            if not signalled and kill_when():
                signalled = True
                os.kill(process.pid, signal.SIGTERM)
            if time.monotonic() > deadline:
                os.kill(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)
                raise AssertionError(f"still running after {HANGS_SECONDS} s")
            time.sleep(0.005)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    return Ended(process.returncode, result(), text, peak)


def _peak_of(pid: int) -> int:
    """Largest resident set of a process since its program was started; 0 once it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def hostile_run(
    code: bytes | None,
    *arguments: str,
    host: InMemoryHost | None = None,
    config: Path | None = None,
    shortage: tuple[int, int] | None = None,
) -> Ended:
    """A contract that misbehaves, and a host that does not; ``code`` None: the host has it."""
    host = host or InMemoryHost()
    if code is not None:
        host.put_code(code)
    with serving(host) as node:
        run = bounded_run(node.address, *arguments, config=config, result=lambda: host.result, shortage=shortage)
    run.check()
    return run


# --- hosts that lie -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lie:
    """What happens instead of an honest reply.

    ======================  ====================================================================  ==============
    kind                    what is sent                                                          may be believed
    ======================  ====================================================================  ==============
    ``unknown error``       a byte above 4                                                        no
    ``closes``              nothing, the connection is closed                                     no
    ``cut``                 a part of the reply, then the connection is closed                    no
    ``announces too much``  length 2**32 - 1 of a slice, some bytes, then closed                  no
    ``says more``           the reply and further bytes                                           no
    ``refuses``             one of the four error bytes                                           yes
    ``slow``                the reply in pieces, with pauses                                      yes
    ``other content``       random bytes of the right form                                        yes
    ``garbage``             random bytes, then closed                                             yes
    ======================  ====================================================================  ==============
    """

    kind: str
    seed: int = 0


#: No run can succeed after one of these. Where a reply has no room for the lie, the connection is closed.
VIOLATIONS = ("unknown error", "closes", "cut", "announces too much", "says more")
BELIEVABLE = ("refuses", "slow", "other content", "garbage")


@dataclass
class LyingHost:
    """Serves one executor like ``honest`` does, but for the replies to the requests whose numbers ``lies`` lists."""

    honest: InMemoryHost
    lies: Mapping[int, Lie] = field(default_factory=dict)
    violated: bool = False
    """A reply that nobody may take for one has been sent."""
    started: bool = False
    """The run has got beyond start-up."""
    acknowledged: bool = False
    gone: bool = False
    """The host has closed the connection."""
    failure: BaseException | None = None

    @property
    def address(self) -> str:
        return f"unix://{self._path}"

    def __enter__(self) -> LyingHost:
        self._folder = tempfile.TemporaryDirectory(prefix="host-")
        self._path = str(Path(self._folder.name) / "host.sock")
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self._path)
        self._listening.listen()
        self._listening.settimeout(HANGS_SECONDS)
        self._thread = threading.Thread(target=self._run, name="lying host", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(HANGS_SECONDS)
        self._listening.close()
        self._folder.cleanup()
        assert not self._thread.is_alive(), "the host does not stop"
        if self.failure is not None:
            raise self.failure

    def result(self) -> bytes | None:
        """What consume_result brought, if it was acknowledged."""
        self._thread.join(HANGS_SECONDS)
        return self.honest.result if self.acknowledged else None

    def run(self, *arguments: str, config: Path | None = None) -> Ended:
        """``genvm run`` against this host."""
        run = bounded_run(self.address, *arguments, config=config, result=self.result)
        run.check()
        return run

    def _run(self) -> None:
        try:
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(HANGS_SECONDS)
                try:
                    self._serve(connection)
                except _Hangup:
                    self.gone = True
                except ConnectionError:
                    pass  # The executor left, because of what it was told.
        except BaseException as error:
            self.failure = error

    def _serve(self, connection: socket.socket) -> None:
        decoder = RequestDecoder()
        number = 0
        while part := connection.recv(1 << 18):
            decoder.feed(part)
            while (request := decoder.next_request()) is not None:
                self.started = self.started or request.method is HostMethod.GET_CALLDATA
                self._answer(connection, request, self.lies.get(number))
                number += 1

    def _answer(self, connection: socket.socket, request: Request, lie: Lie | None) -> None:
        if request.fields.get("length", 0) > MOST_READ_BYTES:
            raise _Hangup
        reply = asyncio.run(answer(self.honest, request))
        layout = METHODS[request.method]
        if lie is None or layout.reply_kind is ReplyKind.NONE:
            connection.sendall(reply)
            self._note_acknowledgement(request)
            return
        chance = random.Random(lie.seed)
        kind = lie.kind
        if request.method is HostMethod.CONSUME_RESULT:
            # Any byte is an acknowledgement, and what follows is not read: the only lie is none at all.
            kind = "slow" if kind in ("slow", "refuses", "other content", "says more") else "closes"
        if kind in VIOLATIONS:
            self.violated = True
        match kind:
            case "unknown error":
                connection.sendall(bytes([chance.randrange(5, 256)]))
            case "closes":
                raise _Hangup
            case "cut":
                connection.sendall(reply[: chance.randrange(len(reply))])
                raise _Hangup
            case "announces too much":
                connection.sendall(b"\0" + b"\xff" * 4)
                raise _Hangup
            case "says more":
                connection.sendall(reply + chance.randbytes(chance.randrange(1, 100)))
            case "refuses":
                connection.sendall(encode_error(request.method, HostErrorCode(chance.randrange(1, 5))))
            case "slow":
                # The executor leaves with the first byte of an acknowledgement.
                connection.sendall(reply[:1])
                self._note_acknowledgement(request)
                for at in range(1, min(20, len(reply))):
                    time.sleep(0.002)
                    connection.sendall(reply[at : at + 1])
                if reply[20:]:
                    connection.sendall(reply[20:])
            case "other content":
                connection.sendall(_other_reply(request, chance))
            case "garbage":
                connection.sendall(chance.randbytes(chance.choice((1, 5, 64, 5000))))
                raise _Hangup

    def _note_acknowledgement(self, request: Request) -> None:
        self.acknowledged = self.acknowledged or request.method is HostMethod.CONSUME_RESULT


class _Hangup(Exception):
    """Close the connection."""


def _other_reply(request: Request, chance: random.Random) -> bytes:
    """A reply of the right form with anything in it."""
    content: Any = None
    match request.method:
        case HostMethod.STORAGE_READ:
            content = chance.randbytes(request.fields["length"])
        case HostMethod.GET_CALLDATA | HostMethod.ETH_CALL | HostMethod.GET_LEADER_NONDET_RESULT:
            content = bytes(chance.choices((0, 1, 2, 3, 0x10), k=1)) + chance.randbytes(chance.choice((0, 1, 3, 1000)))
        case HostMethod.GET_BALANCE:
            content = chance.choice((0, 1, (1 << 256) - 1))
        case HostMethod.REMAINING_FUEL_AS_GEN:
            content = chance.choice((0, (1 << 64) - 1))
    return encode_reply(request, content)


@contextlib.contextmanager
def raw_host(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Hands the connection of one executor to ``serve``, which may do what it likes; the value is the address."""
    with tempfile.TemporaryDirectory(prefix="host-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = str(Path(folder) / "host.sock")
        listening.bind(path)
        listening.listen()
        listening.settimeout(HANGS_SECONDS)

        def run() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.settimeout(HANGS_SECONDS)
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"unix://{path}"
        thread.join(HANGS_SECONDS)
        assert not thread.is_alive(), "the host does not stop"
