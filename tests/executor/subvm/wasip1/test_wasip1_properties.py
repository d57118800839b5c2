"""Whatever a guest does, handlers end as they may, and numbers and RAM charges stay consistent."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygenvm.executor.outcome import InternalErrorRaised, OutOfMemory
from pygenvm.executor.subvm.wasip1 import ProcExit
from tests.executor.subvm.wasip1.wasi_guest import (
    BADF,
    BUFFER,
    FILLER,
    HANDLERS,
    IOVECS,
    MEMORY_BYTES,
    PATH,
    RESULT,
    SUCCESS,
    StandInVm,
)
from tests.support.properties import examples

FILES = {"/data/hello.txt": b"hello world", "/data/sub/x": b"x" * 600, "/empty": b""}
ALLOWED = {0, 2, 8, 25, 28, 31, 44, 58, 61, 69, 70}

#: i32 values that are likely to hit something, and any others.
WORDS = st.one_of(
    st.integers(0, 8),
    st.sampled_from([PATH, RESULT, IOVECS, BUFFER, MEMORY_BYTES - 8, MEMORY_BYTES - 1, MEMORY_BYTES, 24, 64, 500]),
    st.sampled_from([2**31 - 1, 2**31, 2**32 - 8, 2**32 - 4, 2**32 - 1]),
    st.integers(0, 2**32 - 1),
)
DOUBLES = st.one_of(st.integers(0, 16), st.sampled_from([2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
NAMES = sorted(HANDLERS)
CALLS = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.just(name), st.tuples(*(DOUBLES if kind == "I" else WORDS for kind in HANDLERS[name].params))
    )
)
#: Calls with sound arguments, so that sequences get somewhere.
SOUND = st.one_of(
    st.builds(
        lambda fd, size: ("path_open", (fd, 0, PATH, size, 0, 0, 0, 0, RESULT)),
        st.sampled_from([3, 3, 3, 4, 5]),
        st.sampled_from([0, 4, 8, 14, 3]),
    ),
    st.builds(lambda fd: ("fd_close", (fd,)), st.integers(0, 9)),
    st.builds(lambda fd: ("fd_read", (fd, IOVECS, 2, RESULT)), st.integers(0, 9)),
    st.builds(lambda size: ("result", (size,)), st.integers(0, 300)),
)


def check(vm: StandInVm, results: dict[int, int]) -> None:
    """The RAM charge is exactly 96 for each number above 3 ever given, plus what open results hold."""
    table = vm.wasi.files
    numbers = len(table._files)
    assert vm.pool.charged == 96 * (numbers - 4) + sum(results.values())
    assert vm.pool.charged <= vm.pool.total
    freed = table._freed
    assert len(set(freed)) == len(freed)
    assert all(0 <= fd < numbers and table[fd].fdstat is None for fd in freed)
    for fd in range(numbers):
        file = table[fd]
        if fd in results:
            assert file.charged == results[fd]  # type: ignore[attr-defined]
        position = getattr(file, "position", 0)
        assert 0 <= position <= len(getattr(file, "content", b""))


@examples(200)
@given(st.lists(st.one_of(CALLS, SOUND), max_size=30))
@example([("result", (0,)), ("fd_close", (4,)), ("result", (300,)), ("fd_close", (4,)), ("fd_close", (4,))])
def test_any_sequence_of_calls(calls: list[tuple[str, tuple[int, ...]]]) -> None:
    vm = StandInVm(b"0123456789", FILES, ram=2000)
    vm.wasi.append_args(["python", "-c", "pass"])
    vm.wasi.set_env({"PATH": "/", "A": ""})
    vm.put_path("data/hello.txt")
    vm.put_iovecs((BUFFER, 3), (BUFFER + 3, 200))
    results: dict[int, int] = {}
    for name, args in calls:
        before = vm.pool.charged
        try:
            if name == "result":
                results[vm.wasi.open_result(b"r" * args[0])] = args[0]
            else:
                errno = vm.call(name, *args)
                assert errno in ALLOWED
                if name == "fd_close" and errno == SUCCESS:
                    results.pop(args[0], None)
        except OutOfMemory:
            assert name in ("path_open", "result")
            assert vm.pool.charged == before
        except ProcExit:
            assert name == "proc_exit"
        except InternalErrorRaised:
            pass
        check(vm, results)


@examples(200)
@given(CALLS)
def test_refused_calls_leave_the_memory_alone(call: tuple[str, tuple[int, ...]]) -> None:
    vm = StandInVm(b"0123456789", FILES)
    name, args = call
    try:
        errno = vm.call(name, *args)
    except (InternalErrorRaised, ProcExit):
        return
    if errno != SUCCESS:
        assert vm.memory.data == bytes([FILLER]) * MEMORY_BYTES


def test_a_flood_of_open_files_ends_with_the_ram() -> None:
    vm = StandInVm(files=FILES, ram=96 * 1000)
    for number in range(1000):
        assert vm.open("empty") == 4 + number
    with pytest.raises(OutOfMemory):
        vm.try_open("empty")
    assert vm.call("fd_close", 1003) == SUCCESS
    assert vm.call("fd_close", 1003) == BADF
    assert vm.open("empty") == 1003


def test_huge_numbers_of_vectors_are_bounded_by_the_memory() -> None:
    vm = StandInVm()
    for name in ("fd_read", "fd_pread", "fd_write"):
        fd = 1 if name == "fd_write" else 0
        offset = [0] if name == "fd_pread" else []
        with pytest.raises(InternalErrorRaised):
            vm.call(name, fd, 0, 2**31, *offset, RESULT)
