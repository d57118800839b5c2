"""A call of a contract of ours that changes nothing, played before there is a job: then a job finds all in use.

Python finds out while it runs which instructions, methods and names to be quick about, and a fork copies each page at
its first write. So a template plays a few calls before it forks, and an executor plays one when it has been idle for a
while. They are runs like all others, but for their node, which is in memory and has an empty storage, and their log,
which leads nowhere. Nothing is left of them but the bytecode and the image of their contract, which the first one makes
and the template keeps, like those of any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import Config
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.codec import Request, RequestDecoder, encode_reply
from pygenvm.executor.log import Logger, Remarks
from pygenvm.executor.message import Message
from pygenvm.executor.observer import NOBODY
from pygenvm.executor.outcome import ExecutorFault, Return
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import FrameDecoder, Job, encode_frame
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, HostMethod
from pygenvm.executor.run.console import ProcessConsole
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.parts import process_parts, run_options
from pygenvm.executor.run.prepared import Prepared
from pygenvm.executor.run.process import start_vm_thread
from pygenvm.executor.run.world import assemble
from pygenvm.executor.runner.version import version_limit
from pygenvm.executor.subvm import linear

_log = Remarks("executor.pool.rehearsal")

#: The contract needs one of that name; the last that was prepared is the current one.
_RUNNER = "py-genlayer:"
_CONTRACT = """\
# {version}
# {actions}

from genlayer import *


class Rehearsal(gl.Contract):
    text: str

    @gl.public.write
    def update(self, text: str) -> str:
        self.text = text
        return self.text
"""
_CALLDATA = calldata.encode({"method": "update", "args": ["a text of a few words"]})
_NOBODY = "A" * 27 + "="
_SECONDS = 4_102_444_800
_MESSAGE = json.dumps(
    {
        "contract_address": _NOBODY,
        "sender_address": _NOBODY,
        "origin_address": _NOBODY,
        "chain_id": "0",
        "value": 0,
        "is_init": False,
        "datetime": "2100-01-01T00:00:00Z",
    }
)
_JOB = encode_frame(Job(0, None, RunArguments(_MESSAGE, host="", host_data='{"node_address": "", "tx_id": ""}')))


class Rehearsal:
    """Calls that may be played in a process with ``prepared``, and in those that are forked from it."""

    def __init__(self, config: Config, prepared: Prepared, runner: str) -> None:
        """``runner`` is what the contract runs on."""
        self._config = config
        self._prepared = prepared
        actions = json.dumps({"Depends": runner})
        self._code = _CONTRACT.format(version=version_limit(_SECONDS).version, actions=actions).encode()

    def play(self, unwanted: Callable[[], bool] = lambda: False) -> None:
        """One call, on a thread that may run VMs. It ends early when it is ``unwanted``.

        :raises InternalErrorRaised, VMErrorRaised, StartError, RegistryError: it does not come to its end.
        """
        artefacts = self._prepared.artefacts
        with ExitStack() as stack:
            decoder = FrameDecoder()
            decoder.feed(_JOB)
            job = decoder.next_frame()
            assert isinstance(job, Job)
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            stack.callback(os.close, nowhere)
            stack.callback(artefacts.count_anew)
            log = Logger(fd=nowhere, level=self._config.log_level, disabled=self._config.log_disable)
            ending = Ending()
            host = HostClient(_Node(self._code, unwanted), admission=ending)
            console = ProcessConsole(log)
            parts = process_parts(job.arguments, self._config, self._prepared, host, ending, console, NOBODY)
            supervisor = assemble(Message.parse(job.arguments.message), run_options(job.arguments), parts, log)
            stack.callback(supervisor.close)
            supervisor.start_up()
            result = supervisor.run()
            if not isinstance(result.outcome, Return):
                raise ExecutorFault(f"a rehearsal ends with {result.outcome}")
            ending.vm_delivers()
            host.consume_result(result.payload())
        # That of the contract here is of no use to others.
        linear.forget_overlays()


class _Node:
    """The node of one such call, as the connection of its client: it answers what is sent."""

    def __init__(self, code: bytes, unwanted: Callable[[], bool]) -> None:
        self._unwanted = unwanted
        self._decoder = RequestDecoder()
        self._replies = bytearray()
        self._storage = {CODE_SLOT: bytearray(len(code).to_bytes(4, "little") + code)}

    def sendall(self, data: bytes | memoryview, /) -> None:
        if self._unwanted():
            raise ConnectionError("there is something better to do")
        self._decoder.feed(bytes(data))
        while (request := self._decoder.next_request()) is not None:
            self._replies += encode_reply(request, self._answer(request))

    def recv_into(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._replies))
        buffer[:count] = self._replies[:count]
        del self._replies[:count]
        return count

    def settimeout(self, value: float | None, /) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, request: Request) -> bytes | None:
        fields = request.fields
        match request.method:
            case HostMethod.GET_CALLDATA:
                return _CALLDATA
            case HostMethod.STORAGE_READ:
                start, length = fields["index"], fields["length"]
                return bytes(self._storage.get(fields["slot"], b"")[start : start + length]).ljust(length, b"\0")
            case HostMethod.STORAGE_WRITE:
                content = self._storage.setdefault(fields["slot"], bytearray())
                end = fields["index"] + len(fields["data"])
                content.extend(bytes(max(0, end - len(content))))
                content[fields["index"] : end] = fields["data"]
        return None


def rehearsed(config: Config, prepared: Prepared) -> Rehearsal | None:
    """A rehearsal that was played until Python knows all that it finds out; None if that is not possible.

    When this returns no thread of it is left.
    """
    runners = [runner for runner in prepared.archives if runner.startswith(_RUNNER)]
    if not runners:
        return None
    rehearsal = Rehearsal(config, prepared, runners[-1])
    try:
        for _ in range(limits.POOL_REHEARSALS):
            _on_vm_thread(rehearsal.play)
        return rehearsal
    except Exception as error:
        _log.warning("calls are not rehearsed: %s", error)
        return None
    finally:
        # The last one has nothing left to do but to end, and a fork would not have it.
        deadline = time.monotonic() + limits.POOL_END_SECONDS
        while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
            time.sleep(0.001)


def rehearse_until_wanted(rehearsal: Rehearsal, channel: Channel) -> None:
    """In an executor, before its job comes through ``channel``: play one call if that takes a while to come.

    Then what a call writes to is no longer shared with the template.
    """
    prepare_until_wanted(channel, lambda: _on_vm_thread(lambda: rehearsal.play(lambda: _arrives(channel, 0))))


def prepare_until_wanted(channel: Channel, work: Callable[[], None]) -> None:
    """In an executor, before its job comes through ``channel``: do ``work`` if that takes a while to come.

    Where all processors are in use that would only take time from others; there it looks again later.
    """
    wait = limits.POOL_REHEARSE_SECONDS
    while not _arrives(channel, wait):
        if not is_saturated():
            with contextlib.suppress(Exception):
                work()
            return
        wait = min(2 * wait, limits.POOL_REHEARSE_SECONDS_MAX)


def is_saturated() -> bool:
    """Whether more threads of the machine want to run, this one included, than there are processors for us."""
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:
            # 0.20 0.18 0.12 1/80 11206
            running = int(file.read(128).split()[3].split(b"/")[0])
    except OSError:
        return True  # Nobody knows.
    return running > len(os.sched_getaffinity(0))


def _arrives(channel: Channel, seconds: float) -> bool:
    """Whether something comes, or the other side has gone, within that time."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _on_vm_thread(work: Callable[[], None]) -> None:
    """What ``work`` does, on a thread as the one of a run."""
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    # Of the process, and what a process of a pool reads before its run begins was bounded by it so far.
    depth = sys.getrecursionlimit()
    try:
        start_vm_thread(run)
        done.wait()
    finally:
        sys.setrecursionlimit(depth)
    if failure:
        raise failure[0]
