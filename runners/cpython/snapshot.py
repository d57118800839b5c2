"""Pre-initialised interpreter: its memory after start-up and imports, as the data of a new module.

The interpreter of `cpython.det.wasm` runs `preinit` in a deterministic VM of the executor itself. What its memory holds
then becomes the data section of two modules, with soft and with hardware floats: both have the same code but for the
float instructions, and the same memory at that point. The new modules start with `run`, and export what images of
contracts are made with (:mod:`executor.subvm.image`). They are ordinary wasm, the same bytes for everybody.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path

from pygenvm.executor import limits
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.actions import Source
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.closed import ClosedWorld
from pygenvm.executor.subvm.image import IMAGE_FUNCTION, IMAGE_STACK_POINTER
from pygenvm.executor.subvm.linear import PAGE_BYTES
from pygenvm.executor.subvm.spec import Permissions, VmSpec
from pygenvm.executor.subvm.wasm.binary import SectionId, encode_s, encode_sized, encode_u32, encode_vector
from pygenvm.executor.subvm.wasm.edit import rebuild
from pygenvm.executor.subvm.wasm.module import Export, ExternKind, Module, read_module
from pygenvm.runners.errors import BuildError

MODULE_NAME = "cpython"
#: Zero bytes between two runs of data that are not worth a segment of their own.
GAP_BYTES = 256
_RUN_OF_DATA = re.compile(rb"[^\0](?:\0{0,%d}[^\0])*" % (GAP_BYTES - 1), re.DOTALL)
_I32_CONST, _END, _ACTIVE_IN_MEMORY_0 = b"\x41", b"\x0b", b"\x00"
_STACK_POINTER = Export(IMAGE_STACK_POINTER, ExternKind.GLOBAL, 0)


def snapshots(
    interpreters: Mapping[str, bytes], det: str, softfloat: bytes, files: Mapping[str, bytes], scratch: Path
) -> dict[str, bytes]:
    """Pre-initialised forms of ``interpreters`` (name to wasm), whose memory comes from running the one called ``det``.

    ``files`` is the tree of the VM (path to content), as a contract will see it but for the contract.
    ``scratch`` is an empty folder.

    :raises BuildError: the interpreter did not start, or left traces on its stack pointer.
    """
    memory = _capture(interpreters[det], softfloat, files, scratch)
    return {name: _with_memory(read_module(wasm), memory) for name, wasm in interpreters.items()}


def _capture(interpreter: bytes, softfloat: bytes, files: Mapping[str, bytes], scratch: Path) -> bytes:
    """The interpreter's memory after `preinit`, with the dead part of the stack zeroed."""
    module = read_module(interpreter)
    starting = rebuild(module, {SectionId.EXPORT: _exports(module, {"preinit": ""})})
    outcome: list[bytes | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_run(starting, softfloat, files, scratch))
        except BaseException as error:
            outcome.append(error)

    before = threading.stack_size(4 * limits.WASM_STACK_BYTES)
    thread = threading.Thread(target=work, name="snapshot")
    thread.start()
    threading.stack_size(before)
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    memory = bytearray(outcome[0])
    stack = _stack_pointer(module)
    memory[:stack] = bytes(stack)
    return bytes(memory)


_STORAGE = Permissions(read_storage=True, write_storage=True)


class _Memory:
    """Storage that begins empty and that nobody keeps."""

    def __init__(self) -> None:
        self._slots: dict[bytes, bytearray] = {}

    def storage_read(self, _type: StorageType, _address: Address, slot: bytes, index: int, length: int) -> bytes:
        return bytes(self._slots.get(slot, b"")[index : index + length]).ljust(length, b"\0")

    def storage_write(self, slot: bytes, index: int, data: bytes | memoryview) -> None:
        content = self._slots.setdefault(slot, bytearray())
        content.extend(bytes(max(0, index + len(data) - len(content))))
        content[index : index + len(data)] = data


class _World(ClosedWorld):
    """A closed one, but that there is storage to rehearse with."""

    def __init__(self, artefacts: ArtefactStore) -> None:
        super().__init__(artefacts)
        self.host = _Memory()  # type: ignore[assignment]  # nothing else is asked of it

    @staticmethod
    def spec(entry_data: bytes, permissions: Permissions = _STORAGE) -> VmSpec:
        return ClosedWorld.spec(entry_data, permissions)


def _run(starting: bytes, softfloat: bytes, files: Mapping[str, bytes], scratch: Path) -> bytes:
    world = _World(ArtefactStore(scratch))
    vm = world.vm(calldata.encode({}))
    try:
        for path, content in files.items():
            vm.map_file(path, content)
        archive = Archive("snapshot", {"softfloat": softfloat, "interpreter": starting}, 0)
        vm.link_wasm(archive, "softfloat")
        vm.start_wasm(archive, "interpreter", {}, Source(archive, ()))
        if vm.outcome != Return(b"\x00"):
            raise BuildError(f"the interpreter did not start: {vm.outcome}\n{world.output.decode(errors='replace')}")
        return bytes(vm.memories(MODULE_NAME)[0].whole())
    finally:
        vm.close()


def _stack_pointer(module: Module) -> int:
    """Initial value of the stack pointer, the first global; the stack is below it, data above."""
    section = module.section(SectionId.GLOBAL)
    if section is None:
        raise BuildError("the interpreter has no stack pointer")
    body = module.data[section.start : section.end]
    match = re.match(rb"[\x01-\x7f]\x7f\x01\x41([\x80-\xff]*[\x00-\x7f])\x0b", body)
    if match is None:
        raise BuildError("the first global of the interpreter is no stack pointer")
    digits: bytes = match[1]
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(digits))


def _with_memory(module: Module, memory: bytes) -> bytes:
    """The module with ``memory`` as its initial memory, `run` as its entry, and what images are made with."""
    runs = [(match.start(), match[0]) for match in _RUN_OF_DATA.finditer(memory)]
    if len(runs) > limits.WASM_SEGMENTS_MAX:
        raise BuildError(f"{len(runs)} data segments, the limit is {limits.WASM_SEGMENTS_MAX}")
    segments = [_ACTIVE_IN_MEMORY_0 + _I32_CONST + encode_s(at) + _END + encode_sized(data) for at, data in runs]
    changed = {
        SectionId.MEMORY: encode_vector([b"\x00" + encode_u32(len(memory) // PAGE_BYTES)]),
        SectionId.EXPORT: _exports(module, {"run": "", IMAGE_FUNCTION: IMAGE_FUNCTION}, _STACK_POINTER),
        SectionId.DATA: encode_vector(segments),
    }
    if module.section(SectionId.DATA_COUNT) is not None:
        changed[SectionId.DATA_COUNT] = encode_u32(len(segments))
    return rebuild(module, changed)


def _exports(module: Module, names: Mapping[str, str], *more: Export) -> bytes:
    """Content of an export section with the memory, the functions among ``names`` under new names, and ``more``."""
    kept = [Export(names[item.name], item.kind, item.index) for item in module.exports if item.name in names]
    kept += [item for item in module.exports if item.kind == ExternKind.MEMORY]
    if len(kept) != len(names) + 1:
        raise BuildError(f"the interpreter does not export {', '.join(names)} and one memory")
    kept += more
    return encode_vector(
        [encode_sized(item.name.encode()) + bytes([item.kind]) + encode_u32(item.index) for item in kept]
    )
