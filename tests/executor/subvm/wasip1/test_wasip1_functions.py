"""Every row of the function table of spec executor/06, with the bytes that a guest sees."""

from __future__ import annotations

import struct

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InternalErrorRaised, InvalidContract
from pygenvm.executor.subvm.wasip1 import ProcExit
from tests.executor.subvm.wasip1.wasi_guest import (
    ACCES,
    BADF,
    BUFFER,
    FILLER,
    HANDLERS,
    ILSEQ,
    INVAL,
    IOVECS,
    ISDIR,
    MEMORY_BYTES,
    NOENT,
    NOTSUP,
    OVERFLOW,
    PATH,
    RESULT,
    ROFS,
    SPIPE,
    SUCCESS,
    FlatMemory,
    StandInVm,
)

FILES = {"/data/hello.txt": b"hello world", "/data/sub/x": b"x", "/empty": b""}

STDIN, STDOUT, STDERR, ROOT, CLOSED = 0, 1, 2, 3, 99


@pytest.fixture
def vm() -> StandInVm:
    return StandInVm(b"0123456789", FILES)


# --- arguments and environment -----------------------------------------------------------------------


def test_arguments_and_environment_are_empty_at_first(vm: StandInVm) -> None:
    for name in ("args", "environ"):
        assert vm.call(f"{name}_sizes_get", RESULT, RESULT + 4) == SUCCESS
        assert vm.result(8) == "0000000000000000"
        before = bytes(vm.memory.data)
        assert vm.call(f"{name}_get", BUFFER, BUFFER) == SUCCESS
        assert vm.memory.data == before


def test_arguments_are_appended(vm: StandInVm) -> None:
    vm.wasi.append_args(["py", "-c"])
    vm.wasi.append_args(["é"])
    assert vm.call("args_sizes_get", RESULT, RESULT + 4) == SUCCESS
    assert vm.result(8) == "0300000009000000"
    assert vm.call("args_get", RESULT, BUFFER) == SUCCESS
    assert vm.result(12) == "000800000308000006080000"
    assert vm.memory.read(BUFFER, 10) == b"py\0-c\0\xc3\xa9\0" + bytes([FILLER])


def test_environment_is_sorted_by_the_bytes_of_the_names(vm: StandInVm) -> None:
    # "A-" sorts before "A=" as text but after the name "A".
    vm.wasi.set_env({"é": "3", "z": "2", "A-": "1", "A": "", "\U00010000": "5", "\uffff": "4"})
    assert vm.call("environ_sizes_get", RESULT, RESULT + 4) == SUCCESS
    text = b"A=\0A-=1\0z=2\0\xc3\xa9=3\0\xef\xbf\xbf=4\0\xf0\x90\x80\x80=5\0"
    assert struct.unpack("<II", vm.memory.read(RESULT, 8)) == (6, len(text))
    assert vm.call("environ_get", RESULT, BUFFER) == SUCCESS
    assert vm.memory.read(BUFFER, len(text)) == text
    starts = [BUFFER + offset for offset in (0, 3, 8, 12, 17, 23)]
    assert list(struct.unpack("<6I", vm.memory.read(RESULT, 24))) == starts


def test_setting_the_environment_replaces_it(vm: StandInVm) -> None:
    vm.wasi.set_env({"a": "1", "b": "2"})
    vm.wasi.set_env({"c": "3"})
    assert vm.wasi.environment == [b"c=3\0"]


def test_text_without_utf8_form_is_an_invalid_contract(vm: StandInVm) -> None:
    with pytest.raises(InvalidContract):
        vm.wasi.append_args(["\ud800"])
    with pytest.raises(InvalidContract):
        vm.wasi.set_env({"x": "\udfff"})


@pytest.mark.parametrize("name", ["args_get", "args_sizes_get"])
def test_argument_pointers(vm: StandInVm, name: str) -> None:
    vm.wasi.append_args(["x"])
    for bad in [(RESULT + 1, BUFFER), (MEMORY_BYTES, BUFFER), (RESULT, MEMORY_BYTES), (2**32 - 4, BUFFER)]:
        with pytest.raises(InternalErrorRaised):
            vm.call(name, *bad)


# --- clock -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", [0, 1, 2, 3])
def test_every_clock_shows_the_message_time(clock: int) -> None:
    vm = StandInVm(clock_ns=0x0123456789ABCDEF)
    assert vm.call("clock_time_get", clock, 2**64 - 1, RESULT) == SUCCESS
    assert vm.result(8) == "efcdab8967452301"
    assert vm.call("clock_res_get", clock, RESULT) == SUCCESS
    assert vm.result(8) == "0100000000000000"


@pytest.mark.parametrize("clock", [4, -1])
def test_unknown_clock(vm: StandInVm, clock: int) -> None:
    assert vm.call("clock_time_get", clock, 0, RESULT) == INVAL
    assert vm.call("clock_res_get", clock, RESULT) == INVAL
    # A result pointer matters only when there is a result.
    assert vm.call("clock_res_get", clock, MEMORY_BYTES) == INVAL


def test_times_outside_u64_wrap_around() -> None:
    vm = StandInVm(clock_ns=-1)
    assert vm.call("clock_time_get", 0, 0, RESULT) == SUCCESS
    assert vm.result(8) == "ff" * 8


# --- random ------------------------------------------------------------------------------------------


def test_random_bytes(vm: StandInVm) -> None:
    assert vm.call("random_get", RESULT, 3) == SUCCESS
    assert vm.result(3) == "fd73bc"
    assert vm.call("random_get", RESULT, 4) == SUCCESS
    assert vm.result(4) == "b239b678"


def test_random_size_is_bounded_by_the_memory(vm: StandInVm) -> None:
    with pytest.raises(InternalErrorRaised):
        vm.call("random_get", 0, 2**32 - 1)


# --- functions that always answer the same -----------------------------------------------------------

ALWAYS = {
    "fd_sync": SUCCESS,
    "fd_datasync": SUCCESS,
    "fd_allocate": ROFS,
    "fd_renumber": NOTSUP,
    "path_create_directory": ROFS,
    "path_filestat_set_times": ROFS,
    "path_link": ROFS,
    "path_remove_directory": ROFS,
    "path_rename": ROFS,
    "path_symlink": ROFS,
    "path_unlink_file": ROFS,
    "path_readlink": BADF,
    "poll_oneoff": NOTSUP,
    "sched_yield": NOTSUP,
    "sock_send": ACCES,
}


@pytest.mark.parametrize(("name", "errno"), ALWAYS.items())
def test_constant_answer(vm: StandInVm, name: str, errno: int) -> None:
    before = bytes(vm.memory.data)
    for fill in (0, 3, 99, -1):
        assert vm.call(name, *[fill] * len(HANDLERS[name].params)) == errno
    assert vm.memory.data == before


#: name, arguments around the checked one, its position, largest valid value, answer when valid
CHECKED = [
    ("fd_advise", [CLOSED, 0, 0, 0], 3, 5, SUCCESS),
    ("fd_fdstat_set_flags", [CLOSED, 0], 1, 0x1F, ROFS),
    ("fd_fdstat_set_rights", [CLOSED, 0, 0], 1, 2**30 - 1, ROFS),
    ("fd_fdstat_set_rights", [CLOSED, 0, 0], 2, 2**30 - 1, ROFS),
    ("fd_filestat_set_times", [ROOT, 0, 0, 0], 3, 0xF, ROFS),
    ("fd_seek", [STDOUT, 0, 0, RESULT], 2, 2, SPIPE),
    ("path_filestat_get", [CLOSED, 0, PATH, 1, RESULT], 1, 1, BADF),
    ("path_open", [CLOSED, 0, PATH, 1, 0, 0, 0, 0, RESULT], 1, 1, BADF),
    ("path_open", [CLOSED, 0, PATH, 1, 0, 0, 0, 0, RESULT], 4, 0xF, BADF),
    ("path_open", [CLOSED, 0, PATH, 1, 0, 0, 0, 0, RESULT], 5, 2**30 - 1, BADF),
    ("path_open", [CLOSED, 0, PATH, 1, 0, 0, 0, 0, RESULT], 6, 2**30 - 1, BADF),
    ("path_open", [CLOSED, 0, PATH, 1, 0, 0, 0, 0, RESULT], 7, 0x1F, BADF),
    ("proc_raise", [0], 0, 30, NOTSUP),
    ("sock_accept", [0, 0, RESULT], 1, 0x1F, ACCES),
    ("sock_recv", [0, IOVECS, 0, 0, RESULT, RESULT], 3, 3, ACCES),
    ("sock_shutdown", [0, 0], 1, 3, ACCES),
]


@pytest.mark.parametrize(("name", "args", "position", "largest", "errno"), CHECKED)
def test_checked_argument(vm: StandInVm, name: str, args: list[int], position: int, largest: int, errno: int) -> None:
    vm.memory.write(PATH, b"x")
    for value in (0, 1, largest):
        assert vm.call(name, *args[:position], value, *args[position + 1 :]) == errno
    # In the width of the type as well as above it: all 32 or 64 bits count.
    for value in (largest + 1, 0x80000000 | largest, -1):
        assert vm.call(name, *args[:position], value, *args[position + 1 :]) == INVAL


def test_proc_exit_hands_the_status_over_unsigned(vm: StandInVm) -> None:
    for status, seen in ((0, 0), (125, 125), (-1, 2**32 - 1)):
        with pytest.raises(ProcExit) as caught:
            vm.call("proc_exit", status)
        assert caught.value.status == seen


# --- descriptors -------------------------------------------------------------------------------------

FDSTAT_OUTPUT = "000000000000000040000000000000004000000000000000"
FDSTAT_FILE = "0400000000000000b7e0240000000000b7e0240000000000"
FDSTAT_DIRECTORY = "030000000000000002e024000000000002e0240000000000"


@pytest.mark.parametrize(
    ("fd", "record"),
    [(STDIN, FDSTAT_FILE), (STDOUT, FDSTAT_OUTPUT), (STDERR, FDSTAT_OUTPUT), (ROOT, FDSTAT_DIRECTORY)],
)
def test_fdstat(vm: StandInVm, fd: int, record: str) -> None:
    assert vm.call("fd_fdstat_get", fd, RESULT) == SUCCESS
    assert vm.result(24) == record


def filestat_hex(filetype: int, links: int, size: int) -> str:
    return (
        "0000000000000000" "0000000000000000"
        + f"{filetype:02x}" + "00000000000000"
        + links.to_bytes(8, "little").hex()
        + size.to_bytes(8, "little").hex()
        + "00" * 24
    )  # fmt: skip


@pytest.mark.parametrize(("fd", "filetype", "size"), [(STDIN, 4, 10), (STDOUT, 2, 0), (STDERR, 2, 0), (ROOT, 3, 0)])
def test_filestat(vm: StandInVm, fd: int, filetype: int, size: int) -> None:
    assert vm.call("fd_filestat_get", fd, RESULT) == SUCCESS
    assert vm.result(64) == filestat_hex(filetype, 1, size)


@pytest.mark.parametrize(
    ("path", "filetype", "size"), [("data/hello.txt", 4, 11), ("/empty", 4, 0), ("data", 3, 0), ("", 3, 0)]
)
def test_path_filestat_has_no_links(vm: StandInVm, path: str, filetype: int, size: int) -> None:
    assert vm.call("path_filestat_get", ROOT, 1, *vm.put_path(path), RESULT) == SUCCESS
    assert vm.result(64) == filestat_hex(filetype, 0, size)


def test_statistics_of_opened_files(vm: StandInVm) -> None:
    fd = vm.open("data/hello.txt")
    assert vm.call("fd_filestat_get", fd, RESULT) == SUCCESS
    assert vm.result(64) == filestat_hex(4, 1, 11)
    fd = vm.open("data")
    assert vm.call("fd_fdstat_get", fd, RESULT) == SUCCESS
    assert vm.memory.read(RESULT, 24).hex() == FDSTAT_DIRECTORY


#: Errno of each function for an fd that is not open, stdout, an open directory, and a file where it is an error.
REFUSALS = [
    ("fd_close", [], BADF, None, None, None),
    ("fd_fdstat_get", [RESULT], BADF, None, None, None),
    ("fd_filestat_get", [RESULT], BADF, None, None, None),
    ("fd_filestat_set_size", [0], BADF, ROFS, ROFS, ROFS),
    ("fd_filestat_set_times", [0, 0, 0], BADF, ROFS, ROFS, ROFS),
    ("fd_pread", [IOVECS, 0, 0, RESULT], BADF, ACCES, ISDIR, None),
    ("fd_prestat_dir_name", [BUFFER, 64], BADF, BADF, None, BADF),
    ("fd_prestat_get", [RESULT], BADF, BADF, None, BADF),
    ("fd_pwrite", [IOVECS, 0, 0, RESULT], BADF, NOTSUP, NOTSUP, NOTSUP),
    ("fd_read", [IOVECS, 0, RESULT], BADF, ACCES, ISDIR, None),
    ("fd_readdir", [BUFFER, 64, 0, RESULT], BADF, BADF, None, BADF),
    ("fd_seek", [0, 0, RESULT], BADF, SPIPE, NOTSUP, None),
    ("fd_seek", [0, 1, RESULT], BADF, SPIPE, NOTSUP, None),
    ("fd_seek", [0, 2, RESULT], BADF, SPIPE, NOTSUP, NOTSUP),
    ("fd_tell", [RESULT], BADF, SPIPE, NOTSUP, None),
    ("fd_write", [IOVECS, 0, RESULT], BADF, None, ROFS, ROFS),
]


@pytest.mark.parametrize(("name", "rest", "closed", "output", "directory", "file"), REFUSALS)
def test_refusals_by_kind(
    vm: StandInVm, name: str, rest: list[int], closed: int, output: int | None, directory: int | None, file: int | None
) -> None:
    for fd in (4, 99, -1):
        assert vm.call(name, fd, *rest) == closed
    for fd, errno in ((STDOUT, output), (STDERR, output), (ROOT, directory), (STDIN, file)):
        assert vm.call(name, fd, *rest) == (SUCCESS if errno is None else errno)


def test_refused_calls_do_not_look_at_pointers(vm: StandInVm) -> None:
    assert vm.call("fd_read", CLOSED, 1, 2**32 - 1, 3) == BADF
    assert vm.call("fd_write", ROOT, 1, 2**32 - 1, 3) == ROFS
    assert vm.call("fd_fdstat_get", CLOSED, 1) == BADF


# --- reading -----------------------------------------------------------------------------------------


def test_read_fills_vectors_in_order(vm: StandInVm) -> None:
    args = vm.put_iovecs((BUFFER + 8, 3), (BUFFER, 0), (BUFFER, 2))
    assert vm.call("fd_read", STDIN, *args, RESULT) == SUCCESS
    assert vm.result(4) == "05000000"
    assert vm.memory.read(BUFFER, 12) == b"34" + bytes([FILLER]) * 6 + b"012" + bytes([FILLER])
    assert vm.read(STDIN) == b"56789"
    assert vm.read(STDIN) == b""
    assert vm.read(STDIN, 0) == b""


def test_read_stops_in_the_middle_of_a_vector(vm: StandInVm) -> None:
    args = vm.put_iovecs((BUFFER, 8), (BUFFER + 16, 8), (BUFFER + 32, 8))
    assert vm.call("fd_read", STDIN, *args, RESULT) == SUCCESS
    assert vm.result(4) == "0a000000"
    assert vm.memory.read(BUFFER + 16, 8) == b"89" + bytes([FILLER]) * 6
    assert vm.memory.read(BUFFER + 32, 8) == bytes([FILLER]) * 8


def test_read_without_vectors(vm: StandInVm) -> None:
    assert vm.call("fd_read", STDIN, IOVECS, 0, RESULT) == SUCCESS
    assert vm.result(4) == "00000000"


def test_pread_leaves_the_position(vm: StandInVm) -> None:
    assert vm.read(STDIN, 2) == b"01"
    for offset, seen in ((0, b"0123"), (7, b"789"), (9, b"9")):
        assert vm.call("fd_pread", STDIN, *vm.put_iovecs((BUFFER, 4)), offset, RESULT) == SUCCESS
        assert vm.memory.read(BUFFER, vm.read_u32(RESULT)) == seen
    assert vm.read(STDIN, 2) == b"23"


@pytest.mark.parametrize("offset", [10, 11, 2**32, 2**63, 2**64 - 1])
def test_pread_at_and_beyond_the_end_reads_nothing(vm: StandInVm, offset: int) -> None:
    assert vm.call("fd_pread", STDIN, *vm.put_iovecs((BUFFER, 4), (BUFFER, 4)), offset, RESULT) == SUCCESS
    assert vm.result(4) == "00000000"
    assert vm.memory.data[BUFFER] == FILLER


@pytest.mark.parametrize("name", ["fd_read", "fd_write"])
@pytest.mark.parametrize(
    ("iovecs", "count"),
    [
        (IOVECS + 1, 0),
        (IOVECS + 2, 1),
        (MEMORY_BYTES - 8, 2),
        (MEMORY_BYTES + 4, 0),
        (IOVECS, 2**29),
        (IOVECS, 2**32 - 1),
    ],
)
def test_bad_vector_arrays(vm: StandInVm, name: str, iovecs: int, count: int) -> None:
    fd = STDIN if name == "fd_read" else STDOUT
    with pytest.raises(InternalErrorRaised):
        vm.call(name, fd, iovecs, count, RESULT)
    assert vm.stdout == []


@pytest.mark.parametrize("name", ["fd_read", "fd_write"])
@pytest.mark.parametrize("vector", [(MEMORY_BYTES, 1), (MEMORY_BYTES - 4, 5), (2**32 - 1, 2**32 - 1), (8192, 0)])
def test_every_vector_must_lie_in_the_memory(vm: StandInVm, name: str, vector: tuple[int, int]) -> None:
    # Also those that stay empty because the file has ended, and without any output of those before them.
    fd = STDIN if name == "fd_read" else STDOUT
    with pytest.raises(InternalErrorRaised):
        vm.call(name, fd, *vm.put_iovecs((BUFFER, 100), vector), RESULT)
    assert vm.stdout == []


@pytest.mark.parametrize("result", [RESULT + 2, MEMORY_BYTES, MEMORY_BYTES - 2])
def test_bad_result_pointers(vm: StandInVm, result: int) -> None:
    calls: list[tuple[str, list[int]]] = [
        ("fd_read", [STDIN, IOVECS, 0]),
        ("fd_pread", [STDIN, IOVECS, 0, 0]),
        ("fd_write", [STDOUT, IOVECS, 0]),
        ("fd_seek", [STDIN, 0, 0]),
        ("fd_tell", [STDIN]),
        ("fd_readdir", [ROOT, BUFFER, 64, 0]),
        ("fd_prestat_get", [ROOT]),
        ("fd_fdstat_get", [ROOT]),
        ("fd_filestat_get", [ROOT]),
        ("path_filestat_get", [ROOT, 0, PATH, 0]),
        ("path_open", [ROOT, 0, PATH, 0, 0, 0, 0, 0]),
        ("clock_time_get", [0, 0]),
        ("clock_res_get", [0]),
    ]
    for name, args in calls:
        with pytest.raises(InternalErrorRaised):
            vm.call(name, *args, result)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("fd_seek", [STDIN, 0, 0]),
        ("fd_tell", [STDIN]),
        ("fd_fdstat_get", [ROOT]),
        ("fd_filestat_get", [ROOT]),
        ("path_filestat_get", [ROOT, 0, PATH, 0]),
        ("clock_time_get", [0, 0]),
    ],
)
def test_records_with_64_bit_fields_are_aligned_to_8(vm: StandInVm, name: str, args: list[int]) -> None:
    assert vm.call(name, *args, RESULT) == SUCCESS
    with pytest.raises(InternalErrorRaised):
        vm.call(name, *args, RESULT + 4)


def test_prestat_is_aligned_to_4(vm: StandInVm) -> None:
    assert vm.call("fd_prestat_get", ROOT, RESULT + 4) == SUCCESS
    with pytest.raises(InternalErrorRaised):
        vm.call("fd_prestat_get", ROOT, RESULT + 2)


# --- writing -----------------------------------------------------------------------------------------


def test_write(vm: StandInVm) -> None:
    vm.memory.write(BUFFER, b"hello world\n")
    args = vm.put_iovecs((BUFFER, 6), (BUFFER, 0), (BUFFER + 6, 6))
    assert vm.call("fd_write", STDOUT, *args, RESULT) == SUCCESS
    assert vm.result(4) == "0c000000"
    assert vm.stdout == [b"hello world\n"]
    assert vm.stderr == []
    assert vm.call("fd_write", STDERR, *vm.put_iovecs((BUFFER, 5)), RESULT) == SUCCESS
    assert vm.stderr == [b"hello"]


def test_write_of_nothing_does_not_reach_the_stream(vm: StandInVm) -> None:
    assert vm.call("fd_write", STDOUT, *vm.put_iovecs((BUFFER, 0), (0, 0)), RESULT) == SUCCESS
    assert vm.result(4) == "00000000"
    assert vm.stdout == []


def test_long_output_is_handed_over_in_pieces(vm: StandInVm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTPUT_CHUNK_BYTES", 10)
    vm.memory.write(BUFFER, bytes(range(64)))
    args = vm.put_iovecs((BUFFER, 4), (BUFFER + 4, 7), (BUFFER + 11, 30))
    assert vm.call("fd_write", STDOUT, *args, RESULT) == SUCCESS
    assert b"".join(vm.stdout) == bytes(range(41))
    assert max(map(len, vm.stdout)) == 10


def test_a_write_whose_size_has_no_u32_writes_nothing(vm: StandInVm) -> None:
    size = 1 << 24
    vm.memory = FlatMemory(size)
    args = vm.put_iovecs(*[(0, size)] * 256)
    assert vm.call("fd_write", STDOUT, *args, RESULT) == INVAL
    assert vm.stdout == []
    assert vm.memory.data[RESULT] == FILLER


# --- positions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [
        (0, 0, 0), (3, 0, 3), (10, 0, 10), (11, 0, 10), (2**63 - 1, 0, 10), (-1, 0, 0), (-(2**63), 0, 0),
        (0, 1, 4), (3, 1, 7), (6, 1, 10), (7, 1, 10), (-4, 1, 0), (-5, 1, 0), (2**63 - 1, 1, 10), (-(2**63), 1, 0),
    ],
)  # fmt: skip
def test_seek(vm: StandInVm, offset: int, whence: int, position: int) -> None:
    assert vm.read(STDIN, 4) == b"0123"
    assert vm.call("fd_seek", STDIN, offset, whence, RESULT) == SUCCESS
    assert vm.result(8) == position.to_bytes(8, "little").hex()
    assert vm.call("fd_tell", STDIN, BUFFER) == SUCCESS
    assert vm.memory.read(BUFFER, 8) == position.to_bytes(8, "little")
    assert vm.read(STDIN) == b"0123456789"[position:]


def test_seek_from_the_end_is_not_supported(vm: StandInVm) -> None:
    assert vm.read(STDIN, 4) == b"0123"
    assert vm.call("fd_seek", STDIN, 0, 2, RESULT) == NOTSUP
    assert vm.read(STDIN, 1) == b"4"


# --- directories -------------------------------------------------------------------------------------


def test_the_scan_for_preopened_directories_finds_the_root_only(vm: StandInVm) -> None:
    assert vm.call("fd_prestat_get", 3, RESULT) == SUCCESS
    assert vm.result(8) == "0000000001000000"
    assert vm.call("fd_prestat_dir_name", 3, BUFFER, 1) == SUCCESS
    assert vm.memory.read(BUFFER, 2) == b"/" + bytes([FILLER])
    assert vm.call("fd_prestat_get", 4, RESULT) == BADF


def test_the_name_of_another_directory_is_its_last_component(vm: StandInVm) -> None:
    fd = vm.open("data/sub")
    assert vm.call("fd_prestat_get", fd, RESULT) == SUCCESS
    assert vm.memory.read(RESULT, 8).hex() == "0000000003000000"
    assert vm.call("fd_prestat_dir_name", fd, BUFFER, 64) == SUCCESS
    assert vm.memory.read(BUFFER, 4) == b"sub" + bytes([FILLER])
    assert vm.call("fd_prestat_dir_name", fd, BUFFER, 2) == OVERFLOW
    assert vm.call("fd_prestat_dir_name", fd, MEMORY_BYTES, 2) == OVERFLOW
    with pytest.raises(InternalErrorRaised):
        vm.call("fd_prestat_dir_name", fd, MEMORY_BYTES, 3)


def dirent(next_cookie: int, name: bytes, filetype: int) -> bytes:
    return struct.pack("<QQIBBBB", next_cookie, 0, len(name), filetype, 0, 0, 0) + name


LISTING = [dirent(1, b".", 3), dirent(2, b"..", 3), dirent(3, b"data", 3), dirent(4, b"empty", 4)]


def readdir(vm: StandInVm, fd: int, size: int, cookie: int) -> bytes:
    vm.memory.data[BUFFER : BUFFER + size + 1] = bytes([FILLER]) * (size + 1)
    assert vm.call("fd_readdir", fd, BUFFER, size, cookie, RESULT) == SUCCESS
    used = vm.read_u32(RESULT)
    assert vm.memory.data[BUFFER + used] == FILLER
    return vm.memory.read(BUFFER, used)


def test_readdir(vm: StandInVm) -> None:
    assert LISTING[0].hex() == "0100000000000000000000000000000001000000030000002e"
    assert readdir(vm, ROOT, 1000, 0) == b"".join(LISTING)
    assert readdir(vm, vm.open("data"), 1000, 2) == dirent(3, b"hello.txt", 4) + dirent(4, b"sub", 3)


@pytest.mark.parametrize("cookie", range(6))
def test_readdir_cookie_skips_entries(vm: StandInVm, cookie: int) -> None:
    assert readdir(vm, ROOT, 1000, cookie) == b"".join(LISTING[cookie:])


@pytest.mark.parametrize("cookie", [2**31, 2**32, 2**63, 2**64 - 1])
def test_readdir_absurd_cookie(vm: StandInVm, cookie: int) -> None:
    assert readdir(vm, ROOT, 1000, cookie) == b""


def test_readdir_cuts_anywhere(vm: StandInVm) -> None:
    whole = b"".join(LISTING)
    for size in range(len(whole) + 2):
        assert readdir(vm, ROOT, size, 0) == whole[:size]


def test_readdir_checks_the_whole_buffer(vm: StandInVm) -> None:
    with pytest.raises(InternalErrorRaised):
        vm.call("fd_readdir", ROOT, MEMORY_BYTES - 8, 9, 2**64 - 1, RESULT)


# --- paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["data/hello.txt", "/data/hello.txt", "./data//hello.txt", "data/./hello.txt/", "//data/hello.txt/./"]
)
def test_path_spellings(vm: StandInVm, path: str) -> None:
    assert vm.read(vm.open(path)) == b"hello world"


@pytest.mark.parametrize(
    ("path", "errno"),
    [
        ("nothing", NOENT),
        ("data/nothing", NOENT),
        ("nothing/below", NOENT),
        ("DATA", NOENT),
        ("data\0", NOENT),
        ("..", NOENT),
        ("data/..", NOENT),
        ("data/../empty", NOENT),
        ("data/hello.txt/x", BADF),
        ("data/hello.txt/..", BADF),
        ("data/hello.txt/../x", BADF),
        (b"data/\xff", ILSEQ),
        (b"\xed\xa0\x80", ILSEQ),
        (b"\xc0\xaf", ILSEQ),
        (b"data/\xc3", ILSEQ),
    ],
)
def test_paths_that_lead_nowhere(vm: StandInVm, path: str | bytes, errno: int) -> None:
    assert vm.try_open(path) == errno
    assert vm.call("path_filestat_get", ROOT, 0, *vm.put_path(path), RESULT) == errno


def test_paths_start_at_the_directory(vm: StandInVm) -> None:
    data = vm.open("data")
    # A leading slash means nothing.
    assert vm.read(vm.open("hello.txt", data)) == b"hello world"
    assert vm.read(vm.open("/hello.txt", data)) == b"hello world"
    assert vm.try_open("empty", data) == NOENT
    # Directories below another than the root work as well.
    sub = vm.open("sub", data)
    assert vm.read(vm.open("x", sub)) == b"x"


def test_path_without_components_is_the_directory_itself(vm: StandInVm) -> None:
    for path in ("", "/", ".", "././/"):
        fd = vm.open(path)
        assert vm.call("fd_prestat_dir_name", fd, BUFFER, 1) == SUCCESS
        assert vm.memory.read(BUFFER, 1) == b"/"


@pytest.mark.parametrize("dir_fd", [STDIN, STDOUT, CLOSED, -1])
def test_paths_need_a_directory(vm: StandInVm, dir_fd: int) -> None:
    assert vm.try_open("empty", dir_fd) == BADF
    assert vm.call("path_filestat_get", dir_fd, 0, *vm.put_path("empty"), RESULT) == BADF


def test_open_ignores_what_the_flags_mean(vm: StandInVm) -> None:
    # create, directory, exclusive, truncate; append; all rights
    args = (ROOT, 1, *vm.put_path("data/hello.txt"), 0xF, 2**30 - 1, 2**30 - 1, 0x1F, RESULT)
    assert vm.call("path_open", *args) == SUCCESS
    fd = vm.read_u32(RESULT)
    assert vm.read(fd) == b"hello world"
    assert vm.call("fd_write", fd, IOVECS, 0, RESULT) == ROFS


def test_each_opening_has_its_own_position(vm: StandInVm) -> None:
    first, second = vm.open("data/hello.txt"), vm.open("data/hello.txt")
    assert vm.read(first, 6) == b"hello "
    assert vm.read(second, 2) == b"he"
    assert vm.read(first) == b"world"


@pytest.mark.parametrize(("path", "size"), [(MEMORY_BYTES, 1), (0, MEMORY_BYTES + 1), (2**32 - 1, 2**32 - 1)])
def test_path_pointers(vm: StandInVm, path: int, size: int) -> None:
    with pytest.raises(InternalErrorRaised):
        vm.call("path_filestat_get", ROOT, 0, path, size, RESULT)
    with pytest.raises(InternalErrorRaised):
        vm.call("path_open", ROOT, 0, path, size, 0, 0, 0, 0, RESULT)


def test_longest_path(vm: StandInVm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WASI_PATH_BYTES", 8)
    assert vm.try_open("///empty") == SUCCESS
    assert vm.try_open("////empty") == NOENT
