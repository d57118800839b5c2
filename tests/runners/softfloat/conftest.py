"""The kernels beside NumPy's loops, compiled, and the module as it runs with hardware floats and with soft ones."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import wasmtime

from pygenvm.executor.config import cache_root
from pygenvm.runners import toolchain
from pygenvm.runners.numeric.command import KERNELS
from pygenvm.runners.softfloat.rewrite import rewrite
from pygenvm.runners.workshop import Workshop
from tests.executor.subvm.wasm.conftest import softfloat_wasm
from tests.support.package_engine import engine

__all__ = ["softfloat_wasm"]

NUMPY_LOOPS = Path(__file__).with_name("numpy_loops.c")
MEMORY_BYTES = 16 << 20
#: Where the arguments of a loop are put; tests have the memory from DATA on.
_ARGUMENTS, DATA = 1 << 20, 2 << 20


@pytest.fixture(scope="session")
def loops_wasm(softfloat_wasm: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """NumPy's loops and their kernels in one module."""
    folder = tmp_path_factory.mktemp("loops")
    workshop = Workshop(cache_root(), cache_root() / "sources", jobs=1)
    with workshop.locked(visible=False):
        compiler = toolchain.zig(workshop.result(toolchain.zig_step()))
    command: list[str | Path] = [compiler, "cc", "-target", "wasm32-freestanding", toolchain.WASM_FEATURES, "-nostdlib"]
    command += ["-O2", "-std=gnu11", "-g0", "-fno-sanitize=all", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
    command += ["-Wl,--no-entry", "-Wl,--export-memory", f"-Wl,--initial-memory={MEMORY_BYTES}"]
    command += [NUMPY_LOOPS, *sorted(KERNELS.glob("*.c")), "-o", folder / "loops.wasm"]
    caches = {f"ZIG_{scope}_CACHE_DIR": str(folder / "zig") for scope in ("GLOBAL", "LOCAL")}
    subprocess.run(command, check=True, env={**os.environ, **caches})
    return (folder / "loops.wasm").read_bytes()


class Machine:
    """An instance of the loops."""

    def __init__(self, wasm: bytes, softfloat: bytes | None) -> None:
        self.store = wasmtime.Store(engine())
        linker = wasmtime.Linker(engine())
        if softfloat is not None:
            library = linker.instantiate(self.store, wasmtime.Module(engine(), softfloat))
            linker.define_instance(self.store, "softfloat", library)
        self.exports = linker.instantiate(self.store, wasmtime.Module(engine(), wasm)).exports(self.store)

    def loop(self, name: str, arguments: Sequence[int], dimensions: Sequence[int], steps: Sequence[int]) -> None:
        """Calls an inner loop of ufuncs."""
        self.call(name, *self._placed(arguments, dimensions, steps), 0)

    def einsum(self, name: str, data: Sequence[int], steps: Sequence[int], count: int) -> None:
        """Calls an inner loop of einsum."""
        self.call(name, len(data) - 1, *self._placed(data, steps), count)

    def _placed(self, *lists: Sequence[int]) -> list[int]:
        places = []
        at = _ARGUMENTS
        for values in lists:
            places.append(at)
            at = self.write(struct.pack(f"<{len(values)}i", *values), at)
        return places

    def call(self, name: str, *arguments: int) -> None:
        self.exports[name](self.store, *arguments)

    def write(self, data: bytes, at: int) -> int:
        """Writes to memory; returns the place behind."""
        self.exports["memory"].write(self.store, data, at)
        return at + len(data)

    def read(self, at: int, size: int) -> bytes:
        return bytes(self.exports["memory"].read(self.store, at, at + size))


class Both:
    """The loops with hardware floats, and with soft floats and kernels, on the same memory."""

    def __init__(self, wasm: bytes, softfloat: bytes) -> None:
        self.hard, self.soft = Machine(wasm, None), Machine(rewrite(wasm), softfloat)

    def write(self, data: bytes, at: int) -> int:
        self.hard.write(data, at)
        return self.soft.write(data, at)

    def loop(self, name: str, arguments: Sequence[int], dimensions: Sequence[int], steps: Sequence[int]) -> None:
        for machine in (self.hard, self.soft):
            machine.loop(name, arguments, dimensions, steps)

    def einsum(self, name: str, data: Sequence[int], steps: Sequence[int], count: int) -> None:
        for machine in (self.hard, self.soft):
            machine.einsum(name, data, steps, count)

    def call(self, name: str, *arguments: int) -> None:
        for machine in (self.hard, self.soft):
            machine.call(name, *arguments)

    def check(self, at: int, size: int, itemsize: int) -> bytes:
        """The memory there, after a check that both have the same."""
        hard, soft = self.hard.read(at, size), self.soft.read(at, size)
        if hard != soft:
            first = next(i for i in range(0, size, itemsize) if hard[i : i + itemsize] != soft[i : i + itemsize])
            bits = [memory[first : first + itemsize][::-1].hex() for memory in (hard, soft)]
            pytest.fail(f"at {first // itemsize}: {bits[0]} by hardware, {bits[1]} by kernels")
        return hard


@pytest.fixture(scope="session")
def both(loops_wasm: bytes, softfloat_wasm: bytes) -> Both:
    return Both(loops_wasm, softfloat_wasm)
