"""The VM in which the image of a contract is made (:mod:`executor.subvm.image`).

It lives in a closed world and is built by the actions of the contract. What its program may ask for depends on what it
was built from only: its files, arguments and environment, and the position in its randomness. Whoever asks for anything
else, above all for the message, has no image.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NoReturn

from pygenvm.executor.outcome import InstallationFault, Return, VMErrorRaised
from pygenvm.executor.subvm import genlayer_sdk, linking, wasip1
from pygenvm.executor.subvm.fingerprint import hash_memory
from pygenvm.executor.subvm.image import (
    IMAGE_FUNCTION,
    IMAGE_STACK_POINTER,
    Image,
    beginning_of_page,
    changed_runs,
)
from pygenvm.executor.subvm.random import DetRandom
from pygenvm.executor.subvm.vm import SubVM
from pygenvm.executor.subvm.wasmtime_c import Linker, value_of

if TYPE_CHECKING:
    from pygenvm.executor.runner.actions import Source
    from pygenvm.executor.runner.archive import Archive
    from pygenvm.executor.subvm.linking import HostFunction
    from pygenvm.executor.subvm.wasip1 import WasiFunction

#: What depends on what the VM was built from only.
_FREE = frozenset(
    (
        *("args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "random_get", "sched_yield"),
        *("fd_prestat_get", "fd_prestat_dir_name", "path_filestat_get", "path_open", "path_readlink"),
    )
)
#: The same, if the file, which is their first argument, is not the message.
_FREE_BUT_FOR_MESSAGE = frozenset(
    ("fd_close", "fd_fdstat_get", "fd_filestat_get", "fd_pread", "fd_read", "fd_readdir", "fd_seek", "fd_tell")
)
_MESSAGE_FD = 0


class _Refused(VMErrorRaised):
    """The program asked for what not everybody knows."""


class ImageMaker(SubVM):
    """Once its actions have been run, ``image`` is the image, if there is one.

    There is none if ``outcome`` says that the program did not come to its end. That is an internal error if it was not
    the contract's doing, or ``timeout``.
    """

    image: Image | None = None

    def start_wasm(self, archive: Archive, name: str, env: dict[str, str], source: Source) -> None:
        """In place of the entry, call the function that makes the image."""
        self.wasi.set_env(env)
        loaded = self._load(archive, name)
        if not loaded.facts.makes_images:
            raise InstallationFault(f"{archive.id}: {name} has no images")
        instance = self._instantiate(loaded)
        function, pointer = instance.raw.function(IMAGE_FUNCTION), instance.raw.export(IMAGE_STACK_POINTER)
        assert function is not None
        assert pointer is not None
        memory = instance.memories[0]
        stack = value_of(self._store, pointer)
        start = beginning_of_page(stack)
        fresh = bytes(memory.whole()[start:])
        linked = self._linked_memories()
        self._run_entry(function)
        if (
            isinstance(self.outcome, Return)
            and self.wasi.files.untouched()
            and value_of(self._store, pointer) == stack
            and self._linked_memories() == linked
        ):
            runs = changed_runs(fresh, memory, start)
            if runs is not None:
                files, freed = self.wasi.files.numbers
                assert isinstance(self.wasi.random, DetRandom)
                self.image = Image(memory.size(), files, freed, self.wasi.random.state(), tuple(runs))

    def _linked_memories(self) -> list[list[bytes]]:
        """Digests of the memories of all modules but the last."""
        return [[hash_memory(memory) for memory in item.memories] for item in self._instances[:-1]]


@cache
def imaging_functions(host_functions: Linker) -> Linker:
    """These host functions, of which those refuse that would tell what not everybody knows."""
    linker = Linker(None, like=host_functions)
    linker.allow_shadowing(True)
    for wasi in wasip1.FUNCTIONS:
        if wasi.name not in _FREE:
            handler = _but_for_message(wasi) if wasi.name in _FREE_BUT_FOR_MESSAGE else _refusal(wasi.name)
            linking.bind(linker, "wasi_snapshot_preview1", wasi.name, wasi.params, wasi.returns, handler)
    for sdk in genlayer_sdk.FUNCTIONS:
        linking.bind(linker, "genlayer_sdk", sdk.name, sdk.params, True, _refusal(sdk.name))
    return linker


def _refusal(name: str) -> HostFunction:
    def refuse(*_: object) -> NoReturn:
        raise _Refused(f"asks for {name}")

    return refuse


def _but_for_message(wasi: WasiFunction) -> HostFunction:
    def call(vm: SubVM, fd: int, *arguments: int) -> int:
        if fd == _MESSAGE_FD:
            raise _Refused(f"asks for {wasi.name} of the message")
        return wasi.call(vm, fd, *arguments)

    return call
