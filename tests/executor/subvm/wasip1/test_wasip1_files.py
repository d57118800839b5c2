"""Numbers of open files and what they cost (spec executor/06 "File table", executor/08)."""

from __future__ import annotations

import pytest

from pygenvm.executor.outcome import OutOfMemory
from tests.executor.subvm.wasip1.wasi_guest import BADF, INVAL, NOENT, RESULT, ROFS, SUCCESS, StandInVm


@pytest.fixture
def vm() -> StandInVm:
    return StandInVm(b"message", {"/a": b"aaaa", "/b": b"bb", "/d/e": b"e"})


def test_new_numbers_count_up_and_cost_96_bytes(vm: StandInVm) -> None:
    assert vm.pool.charged == 0
    assert [vm.open("a"), vm.open("b"), vm.open("d")] == [4, 5, 6]
    assert vm.pool.charged == 3 * 96


def test_freed_numbers_come_back_last_first(vm: StandInVm) -> None:
    for _ in range(4):
        vm.open("a")
    for fd in (5, 7, 4):
        assert vm.call("fd_close", fd) == SUCCESS
    assert [vm.open("b") for _ in range(5)] == [4, 7, 5, 8, 9]
    assert vm.pool.charged == 6 * 96


@pytest.mark.parametrize("path", ["nothing", "a/b", b"\xff"])
def test_a_failed_open_burns_a_new_number(vm: StandInVm, path: str | bytes) -> None:
    assert vm.try_open(path) != SUCCESS
    assert vm.pool.charged == 96
    assert vm.open("a") == 5
    assert vm.call("fd_close", 4) == BADF


def test_a_failed_open_burns_a_freed_number(vm: StandInVm) -> None:
    assert [vm.open("a"), vm.open("a")] == [4, 5]
    for fd in (4, 5):
        assert vm.call("fd_close", fd) == SUCCESS
    assert vm.try_open("nothing") == NOENT
    assert vm.pool.charged == 2 * 96
    assert [vm.open("a"), vm.open("a")] == [4, 6]


def test_a_refused_argument_burns_a_number_too(vm: StandInVm) -> None:
    assert vm.call("path_open", 3, 2, *vm.put_path("a"), 0, 0, 0, 0, RESULT) == INVAL
    assert vm.open("a") == 5


def test_other_failures_burn_nothing(vm: StandInVm) -> None:
    assert vm.call("path_filestat_get", 3, 0, *vm.put_path("nothing"), RESULT) == NOENT
    assert vm.call("path_unlink_file", 3, *vm.put_path("a")) == ROFS
    assert vm.open("a") == 4


@pytest.mark.parametrize("fd", [0, 1, 2, 3])
def test_the_first_four_can_be_closed_and_their_numbers_used(vm: StandInVm, fd: int) -> None:
    directory = vm.open("/")
    assert vm.call("fd_close", fd) == SUCCESS
    assert vm.call("fd_close", fd) == BADF
    assert vm.call("fd_fdstat_get", fd, RESULT) == BADF
    assert vm.open("a", directory) == fd
    assert vm.read(fd) == b"aaaa"
    assert vm.call("fd_write", fd, 1024, 0, RESULT) == ROFS
    assert vm.pool.charged == 96


def test_closing_the_message_returns_nothing(vm: StandInVm) -> None:
    assert vm.call("fd_close", 0) == SUCCESS
    assert vm.pool.charged == 0


def test_nothing_can_be_opened_after_the_root_is_closed(vm: StandInVm) -> None:
    assert vm.call("fd_close", 3) == SUCCESS
    # The reserved number is the directory's own; the call fails before something is there.
    assert vm.try_open("a") == BADF


def test_reserved_number_is_not_open_during_the_lookup(vm: StandInVm) -> None:
    assert vm.open("/") == 4
    assert vm.call("fd_close", 4) == SUCCESS
    assert vm.try_open("a", 4) == BADF


def test_results_are_charged_until_closed(vm: StandInVm) -> None:
    fd = vm.wasi.open_result(b"\0result")
    assert fd == 4
    assert vm.pool.charged == 96 + 7
    assert vm.read(fd) == b"\0result"
    assert vm.call("fd_close", fd) == SUCCESS
    assert vm.pool.charged == 96
    # The number is free now and costs nothing a second time.
    assert vm.wasi.open_result(b"") == 4
    assert vm.pool.charged == 96
    assert vm.call("fd_close", 4) == SUCCESS
    assert vm.wasi.open_result(b"x" * 100) == 4
    assert vm.pool.charged == 196
    # Another file in its place returns nothing when it is closed.
    assert vm.call("fd_close", 4) == SUCCESS
    assert vm.open("a") == 4
    assert vm.call("fd_close", 4) == SUCCESS
    assert vm.pool.charged == 96


def test_results_that_do_not_fit_change_nothing() -> None:
    vm = StandInVm(files={"/a": b"a"}, ram=196)
    with pytest.raises(OutOfMemory):
        vm.wasi.open_result(b"x" * 101)
    assert vm.pool.charged == 0
    assert vm.wasi.open_result(b"x" * 100) == 4
    with pytest.raises(OutOfMemory):
        vm.wasi.open_result(b"")
    assert vm.call("fd_close", 4) == SUCCESS
    with pytest.raises(OutOfMemory):
        vm.wasi.open_result(b"x" * 101)
    assert vm.wasi.open_result(b"x" * 100) == 4


def test_no_ram_for_a_new_number() -> None:
    vm = StandInVm(files={"/a": b"a"}, ram=96 + 95)
    assert vm.open("a") == 4
    with pytest.raises(OutOfMemory):
        vm.try_open("a")
    assert vm.pool.charged == 96
    assert vm.call("fd_close", 4) == SUCCESS
    assert vm.open("a") == 4
