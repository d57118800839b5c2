"""Frames of the control channel, and the descriptors that travel with them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import (
    Command,
    Ended,
    Frame,
    FrameDecoder,
    FrameError,
    Job,
    Ready,
    Refused,
    Series,
    Signal,
    Started,
    Visit,
    encode_frame,
)

ARGUMENTS = RunArguments(
    message='{"a": "\udcff ü"}',
    host="unix:///h",
    host_data="{}",
    cookie="c",
    permissions="rw",
    sync=True,
    debug_mode=False,
    printed=frozenset(["result", "fingerprint"]),
    record=Path("/r"),
    trace=True,
)
JOB = Job(7, "debug", ARGUMENTS)
FRAMES: list[Frame] = [
    JOB,
    Job(2**63, None, RunArguments(message="", host="", cookie="")),
    Series(2),
    Visit(b"\0\xff"),
    Command(b"\0\xff"),
    Signal(1, 15),
    Ready(1),
    Started(3, 4242),
    Ended(3, -9),
    Refused(5, "no room"),
]


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(FrameError, match="too large"):
        encode_frame(Signal(1, 1 << 70))


def framed(value: Any) -> bytes:
    data: bytes = msgpack.packb(value)
    return len(data).to_bytes(4, "little") + data


def decoded(data: bytes) -> Frame | None:
    decoder = FrameDecoder()
    decoder.feed(data)
    return decoder.next_frame()


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_there_and_back(frame: Frame) -> None:
    assert decoded(encode_frame(frame)) == frame


def test_byte_by_byte() -> None:
    decoder, found = FrameDecoder(), []
    for byte in b"".join(map(encode_frame, FRAMES)):
        decoder.feed(bytes([byte]))
        while (frame := decoder.next_frame()) is not None:
            found.append(frame)
    assert found == FRAMES


def test_relative_paths_are_those_of_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    frame = decoded(encode_frame(Job(1, None, RunArguments(message="", host="unix://h", record=Path("r")))))
    assert isinstance(frame, Job)
    assert frame.arguments.record == tmp_path / "r"
    assert frame.arguments.host == f"unix://{tmp_path}/h"


def test_too_long_to_be_sent() -> None:
    with pytest.raises(FrameError, match="at most"):
        encode_frame(Job(1, None, RunArguments(message="x" * limits.POOL_FRAME_BYTES, host="")))


def test_too_long_to_be_accepted() -> None:
    with pytest.raises(FrameError, match="at most"):
        decoded((limits.POOL_FRAME_BYTES + 1).to_bytes(4, "little"))


def packed(**changes: Any) -> dict[str, Any]:
    """Arguments of a job as they are in a frame."""
    values = {
        **dict.fromkeys(("message", "host", "host_data", "cookie", "permissions"), ""),
        **{"sync": False, "debug_mode": False, "printed": [], "record": None, "trace": False},
        **changes,
    }
    return {name: value for name, value in values.items() if value is not Ellipsis}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0\0\0\0", id="nothing"),
        pytest.param(b"\1\0\0\0\xc1", id="no msgpack"),
        pytest.param(framed(["ready", 1])[:4] + framed(["ready", 1])[4:-1] + b"\x91", id="cut inside"),
        pytest.param(framed(["ready"]) + b"", id="no field"),
        pytest.param(framed(["ready", 1, 2]), id="one field too many"),
        pytest.param(framed(["ready", True]), id="boolean"),
        pytest.param(framed(["ready", "1"]), id="text"),
        pytest.param(framed(["reedy", 1]), id="unknown kind"),
        pytest.param(framed([["ready"], 1]), id="kind is no text"),
        pytest.param(framed("ready"), id="no array"),
        pytest.param(framed([]), id="empty"),
        pytest.param(framed(["started", 1]), id="started without a process"),
        pytest.param(framed(["series"]), id="series without a number"),
        pytest.param(framed(["command", "text"]), id="request is no bytes"),
        pytest.param(framed(["refused", 1, 2]), id="no reason"),
        pytest.param(framed(["job", 1, "loud", packed()]), id="log level"),
        pytest.param(framed(["job", "1", None, packed()]), id="number of a job"),
        pytest.param(framed(["job", 1, None, []]), id="arguments"),
        pytest.param(framed(["job", 1, None, packed(host=...)]), id="argument missing"),
        pytest.param(framed(["job", 1, None, packed(more=1)]), id="unknown argument"),
        pytest.param(framed(["job", 1, None, packed(host=1)]), id="type of an argument"),
        pytest.param(framed(["job", 1, None, packed(sync=1)]), id="flag"),
        pytest.param(framed(["job", 1, None, packed(printed=[1])]), id="what is printed"),
        pytest.param(framed(["job", 1, None, packed(record=b"r")]), id="record"),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(FrameError):
        decoded(data)


# --- descriptors ----------------------------------------------------------------------------------


@contextlib.contextmanager
def channels() -> Iterator[tuple[Channel, Channel]]:
    one, other = (Channel(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
    with contextlib.closing(one), contextlib.closing(other):
        yield one, other


@contextlib.contextmanager
def files(count: int) -> Iterator[list[int]]:
    numbers = [os.memfd_create(f"file {number}") for number in range(count)]
    try:
        yield numbers
    finally:
        for number in numbers:
            os.close(number)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_descriptors_belong_to_their_jobs() -> None:
    with channels() as (client, template), files(6) as given:
        for number, descriptors in ((1, given[:3]), (2, given[3:])):
            client.send(Signal(number, 15))
            client.send(Job(number, None, ARGUMENTS), descriptors)
        received = [template.receive() for _ in range(4)]
        assert [part and type(part.frame) for part in received] == [Signal, Job] * 2
        names = []
        for part in received:
            assert part is not None
            for descriptor in part.descriptors:
                assert not os.get_inheritable(descriptor)
                names.append(os.readlink(f"/proc/self/fd/{descriptor}").split("memfd:")[1].split(" (")[0])
                os.close(descriptor)
        assert names == [f"file {number}" for number in range(6)]


def test_a_big_job_keeps_its_descriptors() -> None:
    arguments = RunArguments(message="x" * (4 << 20), host="")
    with channels() as (client, template), files(3) as given:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                client.send(Job(1, None, arguments), given)
                os._exit(0)
            os._exit(1)
        received = template.receive()
        assert received is not None
        assert isinstance(received.frame, Job)
        assert received.frame.arguments.message == arguments.message
        assert len(received.descriptors) == 3
        for descriptor in received.descriptors:
            os.close(descriptor)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_job_without_descriptors() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, contextlib.closing(Channel(theirs)) as template:
        ours.sendall(encode_frame(JOB))
        with pytest.raises(FrameError, match="without its descriptors"):
            template.receive()


def test_descriptors_that_nobody_asked_for_are_closed() -> None:
    before = open_files()
    with channels() as (client, template), files(3) as given:
        client.send(JOB, given)
        assert template.fill()
    assert open_files() == before


def test_nothing_is_sent_behind_the_end() -> None:
    """The receiver may be done and gone as soon as it has all bytes; that must not look as if they were lost."""

    class Gone:
        """A connection whose receiver takes everything at once and leaves."""

        def sendmsg(self, buffers: list[memoryview], *_: object) -> int:
            return sum(map(len, buffers))

        def sendall(self, data: memoryview) -> None:
            raise BrokenPipeError

    connection: Any = Gone()
    with files(3) as given:
        Channel(connection).send(JOB, given)


def test_the_end_of_a_stream() -> None:
    with channels() as (client, template):
        client.send(Ready(1))
        client.close()
        received = template.receive()
        assert received is not None
        assert received.frame == Ready(1)
        assert template.receive() is None
