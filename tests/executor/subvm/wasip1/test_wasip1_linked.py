"""The functions as real wasm sees them: linked by the engine, called by guest code, on a guest's memory."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wasmtime import Engine, Func, FuncType, Instance, Linker, Memory, Module, Store, ValType

from pygenvm.executor.outcome import InternalErrorRaised
from pygenvm.executor.subvm.memory import GuestMemory
from pygenvm.executor.subvm.wasip1 import FUNCTIONS, ProcExit
from tests.executor.subvm.wasip1.wasi_guest import (
    ACCES,
    BADF,
    FILLER,
    HANDLERS,
    INVAL,
    MASKS,
    NOENT,
    NOTSUP,
    ROFS,
    SUCCESS,
    StandInVm,
)

#: The standard signatures, written down a second time: parameters in order, all results i32.
SIGNATURES = """
args_get i32 i32
args_sizes_get i32 i32
environ_get i32 i32
environ_sizes_get i32 i32
clock_res_get i32 i32
clock_time_get i32 i64 i32
fd_advise i32 i64 i64 i32
fd_allocate i32 i64 i64
fd_close i32
fd_datasync i32
fd_fdstat_get i32 i32
fd_fdstat_set_flags i32 i32
fd_fdstat_set_rights i32 i64 i64
fd_filestat_get i32 i32
fd_filestat_set_size i32 i64
fd_filestat_set_times i32 i64 i64 i32
fd_pread i32 i32 i32 i64 i32
fd_prestat_get i32 i32
fd_prestat_dir_name i32 i32 i32
fd_pwrite i32 i32 i32 i64 i32
fd_read i32 i32 i32 i32
fd_readdir i32 i32 i32 i64 i32
fd_renumber i32 i32
fd_seek i32 i64 i32 i32
fd_sync i32
fd_tell i32 i32
fd_write i32 i32 i32 i32
path_create_directory i32 i32 i32
path_filestat_get i32 i32 i32 i32 i32
path_filestat_set_times i32 i32 i32 i32 i64 i64 i32
path_link i32 i32 i32 i32 i32 i32 i32
path_open i32 i32 i32 i32 i32 i64 i64 i32 i32
path_readlink i32 i32 i32 i32 i32 i32
path_remove_directory i32 i32 i32
path_rename i32 i32 i32 i32 i32 i32
path_symlink i32 i32 i32 i32 i32
path_unlink_file i32 i32 i32
poll_oneoff i32 i32 i32 i32
proc_exit i32
proc_raise i32
sched_yield
random_get i32 i32
sock_accept i32 i32 i32
sock_recv i32 i32 i32 i32 i32 i32
sock_send i32 i32 i32 i32 i32
sock_shutdown i32 i32
"""


def wrapper_module() -> str:
    """A module that imports all functions and exports a wasm function around each, and 2 pages of memory."""
    imports, wrappers = [], []
    for line in SIGNATURES.split("\n")[1:-1]:
        name, *params = line.split()
        result = "" if name == "proc_exit" else "(result i32)"
        kinds = " ".join(params)
        imports.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {kinds}) {result}))')
        arguments = " ".join(f"local.get {index}" for index in range(len(params)))
        wrappers.append(f'(func (export "{name}") (param {kinds}) {result} {arguments} call ${name})')
    return f'(module {" ".join(imports)} (memory (export "memory") 2) {" ".join(wrappers)})'


class _PackageMemory:
    """A memory of the package's, as GuestMemory wants it."""

    def __init__(self, store: Store, memory: Memory) -> None:
        self.size = lambda: memory.data_len(store)
        self.address = lambda: ctypes.addressof(memory.data_ptr(store).contents)


class LinkedVm(StandInVm):
    """A VM whose guest is a module in a store of the engine."""

    def __init__(self, wat: str, **options: Any) -> None:
        super().__init__(**options)
        engine = Engine()
        self.store = Store(engine)
        self.linker = Linker(engine)
        types = {"i": ValType.i32, "I": ValType.i64}
        for function in FUNCTIONS:
            signature = FuncType(
                [types[kind]() for kind in function.params], [ValType.i32()] if function.returns else []
            )
            self.linker.define_func("wasi_snapshot_preview1", function.name, signature, self._bound(function.name))
        self.instance: Instance = self.linker.instantiate(self.store, Module(engine, wat))
        memory = self.instance.exports(self.store)["memory"]
        assert isinstance(memory, Memory)
        self._guest_memory = GuestMemory(_PackageMemory(self.store, memory))  # type: ignore[arg-type]
        self.memory = self._guest_memory  # type: ignore[assignment]

    def _bound(self, name: str) -> Callable[..., int]:
        function = HANDLERS[name]
        return lambda *args: function.call(
            self, *(arg & MASKS[kind] for arg, kind in zip(args, function.params, strict=True))
        )

    def call(self, name: str, *args: int) -> int:
        function = self.instance.exports(self.store)[name]
        assert isinstance(function, Func)
        result: int = function(self.store, *args)
        return result

    def close(self) -> None:
        self._guest_memory.drop()
        self.linker.close()
        self.store.close()


FILES = {"/data/hello.txt": b"hello world", "/top": b"t"}


@pytest.fixture
def make() -> Iterator[Callable[..., LinkedVm]]:
    made: list[LinkedVm] = []

    def start(wat: str, **options: Any) -> LinkedVm:
        made.append(LinkedVm(wat, **options))
        return made[-1]

    yield start
    for vm in made:
        vm.close()


@pytest.fixture
def vm(make: Callable[..., LinkedVm]) -> LinkedVm:
    vm = make(wrapper_module(), message=b"0123456789", files=FILES, clock_ns=2**64 - 2)
    vm.memory.write(0, bytes([FILLER]) * 4096)
    return vm


def test_the_engine_knows_the_same_signatures() -> None:
    # The engine's own implementation of the standard is the judge of the text above.
    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    module = Module(engine, wrapper_module())
    assert len(module.imports) == len(FUNCTIONS) == 46
    assert [item.name for item in module.imports] == [function.name for function in FUNCTIONS]
    linker.instantiate_pre(module)


#: What each function answers when all its arguments are 0; fd 0 is a file, until the last one closes it.
ANSWERS_TO_ZEROS = {
    ACCES: "sock_accept sock_recv sock_send sock_shutdown",
    BADF: "fd_prestat_get fd_prestat_dir_name fd_readdir path_filestat_get path_open path_readlink",
    NOTSUP: "fd_pwrite fd_renumber poll_oneoff proc_raise sched_yield",
    ROFS: "fd_allocate fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_set_size fd_filestat_set_times fd_write"
    " path_create_directory path_filestat_set_times path_link path_remove_directory path_rename path_symlink"
    " path_unlink_file",
    SUCCESS: "args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get fd_advise fd_datasync"
    " fd_fdstat_get fd_filestat_get fd_pread fd_read fd_seek fd_sync fd_tell random_get fd_close",
}


def test_every_function_can_be_called(vm: LinkedVm) -> None:
    called = {"proc_exit"}
    with pytest.raises(ProcExit):
        vm.call("proc_exit", 0)
    for errno, names in ANSWERS_TO_ZEROS.items():
        for name in names.split():
            assert vm.call(name, *[0] * len(HANDLERS[name].params)) == errno, name
            called.add(name)
    # One of them closed fd 0, another one burned number 4.
    assert vm.open("top") == 0
    assert vm.open("top") == 5
    assert called == set(HANDLERS)


def test_arguments_arrive_unsigned(vm: LinkedVm) -> None:
    assert vm.call("fd_close", -1) == BADF
    assert vm.call("fd_pread", 0, 1024, 0, -1, 512) == 0
    assert vm.call("fd_seek", 0, -1, 0, 512) == 0
    assert vm.memory.read(512, 8) == bytes(8)
    assert vm.call("clock_res_get", -1, 512) == INVAL
    assert vm.call("clock_time_get", 0, 0, 512) == 0
    assert vm.memory.read(512, 8).hex() == "feffffffffffffff"


def test_files_through_the_engine(vm: LinkedVm) -> None:
    assert vm.read(vm.open("data/hello.txt")) == b"hello world"
    assert vm.try_open("data/nothing") == NOENT
    assert vm.read(0, 3) == b"012"
    assert vm.call("fd_readdir", 3, 2048, 2048, 2, 512) == 0
    assert vm.memory.read(2048, vm.read_u32(512)) == (
        struct.pack("<QQII", 3, 0, 4, 3) + b"data" + struct.pack("<QQII", 4, 0, 3, 4) + b"top"
    )


def test_a_bad_pointer_unwinds_the_guest(vm: LinkedVm) -> None:
    for pointer in (2 * 65536, -1, 513):
        with pytest.raises(InternalErrorRaised):
            vm.call("fd_tell", 0, pointer)


def test_memory_that_has_grown_is_reachable(vm: LinkedVm) -> None:
    memory = vm.instance.exports(vm.store)["memory"]
    assert isinstance(memory, Memory)
    with pytest.raises(InternalErrorRaised):
        vm.call("random_get", 2 * 65536, 4)
    memory.grow(vm.store, 1)
    assert vm.call("random_get", 3 * 65536 - 4, 4) == 0
    assert vm.memory.read(3 * 65536 - 4, 4).hex() == "fd73bcb8"


PROGRAM = r"""(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "data/hello.txt")
  (data (i32.const 80) "missing")
  ;; two vectors that are read into: 5 bytes at 200, 100 bytes at 205; then the whole as one vector
  (data (i32.const 96) "\c8\00\00\00\05\00\00\00\cd\00\00\00\64\00\00\00")
  (func (export "_start")
    (local $fd i32)
    ;; a number is burned by this one
    (call $path_open (i32.const 3) (i32.const 0) (i32.const 80) (i32.const 7) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
    (if (i32.ne (i32.const 44)) (then (call $proc_exit (i32.const 1))))
    (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 14) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
    (if (then (call $proc_exit (i32.const 2))))
    (local.set $fd (i32.load (i32.const 0)))
    (if (call $fd_read (local.get $fd) (i32.const 96) (i32.const 2) (i32.const 4))
      (then (call $proc_exit (i32.const 3))))
    (i32.store (i32.const 112) (i32.const 200))
    (i32.store (i32.const 116) (i32.load (i32.const 4)))
    (if (call $fd_write (i32.const 1) (i32.const 112) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 4))))
    (if (call $fd_close (local.get $fd)) (then (call $proc_exit (i32.const 5))))
    ;; the first argument goes to stderr
    (if (call $args_get (i32.const 16) (i32.const 300)) (then (call $proc_exit (i32.const 6))))
    (i32.store (i32.const 112) (i32.load (i32.const 16)))
    (i32.store (i32.const 116) (i32.const 4))
    (if (call $fd_write (i32.const 2) (i32.const 112) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 7))))
    (call $proc_exit (i32.add (local.get $fd) (i32.const 100)))))
"""


def test_a_whole_program(make: Callable[..., LinkedVm]) -> None:
    vm = make(PROGRAM, files=FILES)
    vm.wasi.append_args(["name", "-x"])
    with pytest.raises(ProcExit) as caught:
        vm.call("_start")
    assert caught.value.status == 105
    assert vm.stdout == [b"hello world"]
    assert vm.stderr == [b"name"]
    assert vm.pool.charged == 2 * 96
