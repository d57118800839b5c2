"""The one engine of the process, with one constant configuration (design §3).

A contradictory Wasmtime configuration aborts the process and several engine settings are accepted
silently in stored artefacts, so nothing here depends on the environment, and :data:`FINGERPRINT`
names everything that an artefact depends on.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

import wasmtime
from wasmtime import Config, Engine
from wasmtime import _ffi as ffi

from executor import limits

#: Feature switches of spec executor/07 "Wasm features", by name of the setting in wasmtime-py.
#: Saturating truncation and extended constants have no switch; executor.subvm.wasm refuses those.
FEATURES: dict[str, bool] = {
    "wasm_multi_value": True,
    "wasm_bulk_memory": True,
    "wasm_tail_call": True,
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


_CPU_INFO_BYTES = 16 << 10


def _config() -> Config:
    config = Config()
    # Reference types can only be switched off after everything that builds on them.
    ffi.wasmtime_config_concurrency_support_set(config.ptr(), False)
    ffi.wasmtime_config_wasm_component_model_async_set(config.ptr(), False)
    for name, value in FEATURES.items():
        setattr(config, name, value)
    # A wasm stack above 2 MiB needs the asynchronous stack size raised first, or the process aborts.
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), limits.WASM_STACK_BYTES + (1 << 20))
    config.max_wasm_stack = limits.WASM_STACK_BYTES
    config.cranelift_nan_canonicalization = True
    return config


@cache
def engine() -> Engine:
    """The engine; built at first use, never with another configuration."""
    return Engine(_config())


def _cpu_features() -> str:
    """What code generation may depend on: architecture and the instruction sets of this machine."""
    try:
        # The first processor's entry is enough; all of them take the kernel milliseconds on a big machine.
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(_CPU_INFO_BYTES).decode("ascii", "replace")
    except OSError:
        return platform.machine() + platform.processor()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return platform.machine() + " ".join(sorted(value.split()))
    return platform.machine()


def _wheel() -> str:
    """Name and version of the engine's wheel; importlib.metadata would cost 30 ms at every start."""
    package = Path(wasmtime.__file__).parent
    names = sorted(path.name for path in package.parent.glob("wasmtime-*.dist-info"))
    library = next(iter(sorted(package.glob("*/_libwasmtime.*"))))
    return f"{names} {library.stat().st_size}"


@cache
def fingerprint() -> bytes:
    """Digest of all that a compiled artefact depends on besides its wasm bytes (32 bytes)."""
    parts = [
        "artefact format 1",
        _wheel(),
        repr(sorted(FEATURES.items())),
        f"stack={limits.WASM_STACK_BYTES} nan=1",
        _cpu_features(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).digest()
