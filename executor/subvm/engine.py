"""The one engine of the process, with one constant configuration.

A contradictory Wasmtime configuration aborts the process and several engine settings are accepted
silently in stored artefacts, so nothing here depends on the environment, and :func:`fingerprint`
names everything that an artefact depends on. Only benchmarks make another engine, to count instructions.
"""

from __future__ import annotations

import os
from functools import cache

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.subvm.linear import CREATOR
from pygenvm.executor.subvm.wasmtime_c import Engine, library_path

#: Feature switches of spec executor/07 "Wasm features", by the name of Wasmtime's setting, in an order that keeps each
#: step consistent: reference types can only be switched off after everything that builds on them.
#: Saturating truncation and extended constants have no switch; executor.subvm.wasm refuses those.
FEATURES: dict[str, bool] = {
    "wasm_multi_value": True,
    "wasm_bulk_memory": True,
    "wasm_tail_call": True,
    "concurrency_support": False,
    "wasm_component_model_async": False,
    "wasm_component_model": False,
    "wasm_gc": False,
    "wasm_function_references": False,
    "wasm_exceptions": False,
    "wasm_reference_types": False,
    "wasm_relaxed_simd": False,
    "wasm_simd": False,
    "wasm_threads": False,
    "wasm_multi_memory": False,
    "wasm_memory64": False,
    "wasm_wide_arithmetic": False,
    "wasm_custom_page_sizes": False,
    "wasm_stack_switching": False,
}
SETTINGS: dict[str, bool | int] = {
    **FEATURES,
    # A wasm stack above 2 MiB needs the asynchronous stack size raised first, or the process aborts.
    "async_stack_size": limits.WASM_STACK_BYTES + (1 << 20),
    "max_wasm_stack": limits.WASM_STACK_BYTES,
    "cranelift_nan_canonicalization": True,
    # It would only do that for memories of its own.
    "memory_init_cow": False,
}

_CPU_INFO_BYTES = 16 << 10

#: Instruction sets that compiled modules of packages may use, by architecture: on x86-64 those of level v3, which
#: machines have since 2015. The engine looks for them when it loads a module, and refuses it where they are not there.
_PORTABLE = {
    "x86_64": tuple(
        f"has_{name}"
        for name in ("sse3", "ssse3", "sse41", "sse42", "popcnt", "avx", "avx2", "fma", "bmi1", "bmi2", "lzcnt")
    ),
}
_SYSTEMS = {"Linux": "unknown-linux-gnu", "Darwin": "apple-darwin"}


@cache
def engine() -> Engine:
    """The engine; built at first use, never with another configuration."""
    return Engine(SETTINGS, CREATOR)


def _cpu_features() -> str:
    """What code generation may depend on: architecture and the instruction sets of this machine."""
    try:
        # The first processor's entry is enough; all of them take the kernel milliseconds on a big machine.
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(_CPU_INFO_BYTES).decode("ascii", "replace")
    except OSError:
        return os.uname().machine
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return os.uname().machine + " ".join(sorted(value.split()))
    return os.uname().machine


def _wheel() -> str:
    """Name and version of the engine's wheel; importlib.metadata would cost 30 ms at every start."""
    library = library_path()
    packages = os.path.dirname(os.path.dirname(os.path.dirname(library)))
    names = sorted(name for name in os.listdir(packages) if name.startswith("wasmtime-"))
    return f"{names} {os.stat(library).st_size}"


@cache
def fingerprint(engine: Engine, portable: bool = False) -> bytes:
    """Digest of all that an artefact of ``engine`` depends on besides its wasm bytes (32 bytes).

    That of ``portable`` artefacts (:func:`portable_settings`) is the same on all machines of a platform.
    """
    parts = [
        "artefact format 3",
        _wheel(),
        repr(sorted(engine.settings.items())),
        f"portable {_target()} {_PORTABLE.get(_machine())}" if portable else _cpu_features(),
    ]
    return blake3("\n".join(parts).encode()).digest()


def portable_settings() -> dict[str, bool | int | str]:
    """Settings that give modules which :func:`engine` can run on most machines of this platform."""
    return {**SETTINGS, "target": _target(), **dict.fromkeys(_PORTABLE.get(_machine(), ()), True)}


def _machine() -> str:
    machine = os.uname().machine
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(machine, machine)


def _target() -> str:
    system = os.uname().sysname
    return f"{_machine()}-{_SYSTEMS.get(system, system)}"
