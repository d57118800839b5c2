"""What executors write, byte for byte, whatever the pieces (spec modules/04 §6.3)."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from pygenvm.manager import limits
from pygenvm.manager.executions.pipes import Lines, Pipe


def lines_of(data: bytes, sizes: random.Random) -> list[bytes]:
    found: list[bytes] = []
    lines = Lines(found.append)
    while data:
        size = sizes.choice((1, 3, 100, 8192))
        lines.feed(data[:size])
        data = data[size:]
    lines.end()
    return found


@pytest.mark.parametrize("seed", range(10))
def test_lines_in_pieces(seed: int) -> None:
    """Empty ones are given as they are; the last may have no end."""
    sizes = random.Random(seed)
    given = [bytes([65 + number % 26]) * sizes.choice((0, 1, 5, 5000)) for number in range(200)] + [b"last"]
    assert lines_of(b"\n".join(given), sizes) == given


def test_long_lines_are_cut() -> None:
    long = b"x" * (3 * limits.LOG_LINE_BYTES)
    found = lines_of(b"a\n" + long + b"\nb\n" + long, random.Random(1))
    assert [line[:1] for line in found] == [b"a", b"x", b"b", b"x"]
    assert {len(line) for line in found} == {1, limits.LOG_LINE_BYTES}


def test_of_a_log_that_is_too_big_the_end_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_RUN_BYTES", 50_000)
    given = [b"%d" % number for number in range(100_000)]
    found = lines_of(b"\n".join(given), random.Random(1))
    gap = next(index for index, line in enumerate(found) if b"left out" in line)
    assert found[:gap] == given[:gap]
    assert found[-1000:] == given[-1000:]
    shown = sum(len(line) + 1 for line in found[:gap] + found[gap + 1 :])
    assert abs(int(found[gap].split()[0]) + shown - len(b"\n".join(given))) <= 1
    assert len(found) < 10_000


def test_a_handler_that_fails_does_not_stop_the_log() -> None:
    def fail(line: bytes) -> None:
        raise OSError

    lines = Lines(fail)
    lines.feed(b"a\nb\n")
    lines.end()


async def test_a_pipe_to_its_end() -> None:
    found = bytearray()
    pipe = Pipe(found.extend)
    pipe.watch()
    # More than fits into a pipe.
    data = os.urandom(1 << 20)
    fd = os.dup(pipe.write_fd)
    pipe.close_write_end()

    def write() -> None:
        with os.fdopen(fd, "wb") as file:
            file.write(data)

    await asyncio.to_thread(write)
    pipe.finish()
    assert found == data
    pipe.finish()
    pipe.close()


async def test_who_still_has_the_other_end_is_not_waited_for() -> None:
    found = bytearray()
    pipe = Pipe(found.extend)
    other = os.dup(pipe.write_fd)
    os.write(other, b"there")
    pipe.finish()
    assert found == b"there"
    with pytest.raises(BrokenPipeError):
        os.write(other, b"x")
    os.close(other)
