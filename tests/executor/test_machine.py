"""Threads that find no memory, and the stacks on which their signals are handled."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.machine import (
    SignalStack,
    allow,
    clear,
    give_addresses_back,
    keep_small,
    map_over,
    mapped_file,
    memory_at,
    reserve_addresses,
    start_thread,
    take_back,
)
from pygenvm.executor.outcome import InstallationFault, InternalError, Return
from pygenvm.executor.pagemap import mappings
from pygenvm.executor.runner.actions import run_actions
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.subvm import linking
from pygenvm.executor.subvm.closed import ClosedWorld
from tests.hostile.kernel_calls import FailingCalls, numbers, possible
from tests.hostile.shortage_start import command
from tests.support.execution import artefacts, on_big_stack, wat

MIB = 1 << 20


def test_a_file_over_memory(tmp_path: Path) -> None:
    page = mmap.PAGESIZE
    path = tmp_path / "content"
    path.write_bytes(b"ab" * page)
    with mmap.mmap(-1, 4 * page) as memory:
        place = ctypes.c_char.from_buffer(memory)
        first = ctypes.addressof(place)
        with path.open("rb") as file:
            map_over(first + page, 2 * page, file.fileno(), 0)
            with pytest.raises(OSError, match="Invalid argument"):
                map_over(first + 1, page, file.fileno(), 0)
        memory[page] = 0
        assert memory[:] == bytes(page) + b"\0b" + b"ab" * (page - 1) + bytes(page)
        assert path.read_bytes() == b"ab" * page
        del place


def test_memory_that_was_reserved() -> None:
    """It is zeros when it may be used, and again when its content was let go."""
    page = mmap.PAGESIZE
    first = reserve_addresses(4 * page)

    def rights() -> list[bytes]:
        return [rights for begin, end, rights, _ in mappings() if first <= begin < first + 4 * page]

    assert b"rw-p" not in rights()
    allow(first, 2 * page)
    keep_small(first, 2 * page)
    content = memory_at(first, 2 * page)
    assert content == bytes(2 * page)
    content[:] = b"x" * 2 * page
    clear(first, page)
    assert content == bytes(page) + b"x" * page
    take_back(first + page, page)
    assert rights().count(b"rw-p") == 1
    allow(first + page, page)
    assert content == bytes(2 * page)
    del content
    give_addresses_back(first, 4 * page)
    assert rights() == []
    with pytest.raises(OSError, match="Cannot allocate memory"):
        allow(first, page)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        reserve_addresses(1 << 62)


def test_a_mapped_file(tmp_path: Path) -> None:
    """It is there as long as somebody looks at it, and not longer; no descriptor is kept."""

    def mappings() -> str:
        return Path("/proc/self/maps").read_text()

    path = tmp_path / "content"
    path.write_bytes(bytes(range(256)) * 64)
    before = len(os.listdir("/proc/self/fd"))
    with path.open("rb") as file:
        whole = mapped_file(file.fileno())
    part = whole[256:512]
    del whole
    assert len(os.listdir("/proc/self/fd")) == before
    assert part == bytes(range(256))
    assert part.readonly
    assert str(path) in mappings()
    del part
    assert str(path) not in mappings()
    path.write_bytes(b"")
    with path.open("rb") as file:
        assert not len(mapped_file(file.fileno()))
    with tmp_path.joinpath("written").open("wb") as written:
        written.write(b"x")
        written.flush()
        with pytest.raises(PermissionError):
            mapped_file(written.fileno())


def test_a_thread() -> None:
    found: list[Any] = []
    over = threading.Event()

    def work() -> None:
        found.append(threading.get_ident())
        over.set()

    start_thread(work, MIB)
    assert over.wait(60)
    assert found != [threading.get_ident()]
    with pytest.raises(InstallationFault, match="bytes of memory"):
        start_thread(work, 1 << 50)


#: Starts a thread when it is told to, and says how that went.
STARTING = """
import sys
from pygenvm.executor import limits, machine
from pygenvm.executor.outcome import InternalErrorRaised
limits.THREAD_BEGIN_SECONDS = 1.0
begun = []
try:
    print("now", flush=True)
    sys.stdin.read(1)
    machine.start_thread(lambda: begun.append(True), 1 << 20)
    print("begun")
except InternalErrorRaised as error:
    print(error)
"""


@pytest.mark.skipif(possible() is not None, reason=possible() or "")
def test_a_thread_that_finds_no_memory_to_begin_with_is_not_waited_for() -> None:
    said: dict[int, str] = {}
    for after in range(12):
        with FailingCalls(errno.ENOMEM, after=after, times=9) as calls:
            start = {"calls": [numbers("memory calls"), calls.theirs.fileno()]}
            with subprocess.Popen(
                command(start, sys.executable, "-c", STARTING),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(calls.theirs.fileno(),),
                text=True,
            ) as process:
                calls.listen()
                assert process.stdout is not None
                assert process.stdout.readline() == "now\n"
                calls.begin()
                said[after] = process.communicate("\n", timeout=60)[0].strip()
    assert "has no" in said[0]
    assert any("has not begun" in text for text in said.values()), said
    assert said[11] == "begun"


class Stack(ctypes.Structure):
    _fields_ = (("first", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> tuple[Any, int]:
    """Where that of this thread is, and its size."""
    found = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.first, found.size


@pytest.mark.skipif(sys.platform != "linux", reason="the engine makes its own there")
def test_the_engine_takes_the_stack_that_is_there() -> None:
    """Also for what it does with it: the trap of a guest is a signal."""
    code = wat(
        """(module (memory (export "memory") 1)
        (func (export "_start") (drop (i32.load (i32.const 0x7fffffff)))))"""
    )

    def work() -> None:
        vm = ClosedWorld(artefacts()).vm(b"")
        run_actions(parse_contract(code), vm, None, lambda: None)  # type: ignore[arg-type]
        assert not isinstance(vm.outcome, Return | InternalError)
        vm.close()
        stack = linking.running.signal_stack
        assert stack is not None
        first = ctypes.addressof(ctypes.c_char.from_buffer(stack._memory))
        assert signal_stack() == (first, limits.SIGNAL_STACK_BYTES)

    on_big_stack(work)


@pytest.mark.skipif(sys.platform != "linux", reason="the engine makes its own there")
def test_a_signal_stack_ends_with_its_object() -> None:
    def work() -> None:
        before = signal_stack()
        stack = SignalStack()
        assert signal_stack() != before
        del stack
        assert signal_stack() == (None, 0)

    on_big_stack(work)
