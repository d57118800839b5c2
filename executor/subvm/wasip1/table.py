"""The functions of ``wasi_snapshot_preview1`` with their standard signatures (spec executor/06)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.subvm.wasip1.functions import args, clock, fd, path, poll, proc, random, sock


class WasiFunction(metaclass=Frozen):
    """One importable function: ``call(vm, *arguments)`` returns the errno.

    ``params`` has one letter per parameter, ``i`` for i32 and ``I`` for i64; arguments are handed over as
    unsigned numbers. ``returns`` tells whether the wasm function has a result (an i32, the errno).
    """

    name: str
    params: str
    returns: bool
    call: Callable[..., int]


def _function(name: str, params: str, call: Callable[..., int]) -> WasiFunction:
    return WasiFunction(name, params, call is not proc.proc_exit, call)


FUNCTIONS: Final[tuple[WasiFunction, ...]] = (
    _function("args_get", "ii", args.args_get),
    _function("args_sizes_get", "ii", args.args_sizes_get),
    _function("environ_get", "ii", args.environ_get),
    _function("environ_sizes_get", "ii", args.environ_sizes_get),
    _function("clock_res_get", "ii", clock.clock_res_get),
    _function("clock_time_get", "iIi", clock.clock_time_get),
    _function("fd_advise", "iIIi", fd.fd_advise),
    _function("fd_allocate", "iII", fd.fd_allocate),
    _function("fd_close", "i", fd.fd_close),
    _function("fd_datasync", "i", fd.fd_sync),
    _function("fd_fdstat_get", "ii", fd.fd_fdstat_get),
    _function("fd_fdstat_set_flags", "ii", fd.fd_fdstat_set_flags),
    _function("fd_fdstat_set_rights", "iII", fd.fd_fdstat_set_rights),
    _function("fd_filestat_get", "ii", fd.fd_filestat_get),
    _function("fd_filestat_set_size", "iI", fd.fd_filestat_set_size),
    _function("fd_filestat_set_times", "iIIi", fd.fd_filestat_set_times),
    _function("fd_pread", "iiiIi", fd.fd_pread),
    _function("fd_prestat_get", "ii", fd.fd_prestat_get),
    _function("fd_prestat_dir_name", "iii", fd.fd_prestat_dir_name),
    _function("fd_pwrite", "iiiIi", fd.fd_pwrite),
    _function("fd_read", "iiii", fd.fd_read),
    _function("fd_readdir", "iiiIi", fd.fd_readdir),
    _function("fd_renumber", "ii", fd.fd_renumber),
    _function("fd_seek", "iIii", fd.fd_seek),
    _function("fd_sync", "i", fd.fd_sync),
    _function("fd_tell", "ii", fd.fd_tell),
    _function("fd_write", "iiii", fd.fd_write),
    _function("path_create_directory", "iii", path.path_change),
    _function("path_filestat_get", "iiiii", path.path_filestat_get),
    _function("path_filestat_set_times", "iiiiIIi", path.path_change),
    _function("path_link", "iiiiiii", path.path_change),
    _function("path_open", "iiiiiIIii", path.path_open),
    _function("path_readlink", "iiiiii", path.path_readlink),
    _function("path_remove_directory", "iii", path.path_change),
    _function("path_rename", "iiiiii", path.path_change),
    _function("path_symlink", "iiiii", path.path_change),
    _function("path_unlink_file", "iii", path.path_change),
    _function("poll_oneoff", "iiii", poll.poll_oneoff),
    _function("proc_exit", "i", proc.proc_exit),
    _function("proc_raise", "i", proc.proc_raise),
    _function("sched_yield", "", proc.sched_yield),
    _function("random_get", "ii", random.random_get),
    _function("sock_accept", "iii", sock.sock_accept),
    _function("sock_recv", "iiiiii", sock.sock_recv),
    _function("sock_send", "iiiii", sock.sock_send),
    _function("sock_shutdown", "ii", sock.sock_shutdown),
)
