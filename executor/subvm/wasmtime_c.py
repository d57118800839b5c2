"""What sub-VMs need of Wasmtime's C interface, by ctypes on the library in the package ``wasmtime``.

The package itself defines the whole interface when it is imported, which takes longer than everything else that a short
run does. Names and layouts are those of its version 50 (``pyproject.toml`` pins it; ``tests/executor/subvm`` compares
the layouts with the package's). Pointers are plain integers.

Stores and linkers are freed by ``close``, modules with their last reference, and what there is one of never. A store
belongs to one thread at a time.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping
from ctypes import byref, c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any

# What is behind the module, which takes longer to load than to use.
if TYPE_CHECKING:
    from importlib.machinery import PathFinder
else:
    from _frozen_importlib_external import PathFinder

# --- layouts ----------------------------------------------------------------------------------------


class Bytes(ctypes.Structure):
    """``wasm_byte_vec_t``, and with other pointers every ``wasm_*_vec_t``."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class FuncStruct(ctypes.Structure):
    """``wasmtime_func_t``"""

    _fields_ = (("store_id", c_uint64), ("private", c_void_p))


class _StoreAndIndex(ctypes.Structure):
    _fields_ = (("store_id", c_uint64), ("private1", c_uint32))


class MemoryStruct(ctypes.Structure):
    """``wasmtime_memory_t``, and ``wasmtime_table_t``"""

    _fields_ = (("first", _StoreAndIndex), ("private2", c_uint32))


class GlobalStruct(ctypes.Structure):
    """``wasmtime_global_t``"""

    _fields_ = (("store_id", c_uint64), ("private1", c_uint32), ("private2", c_uint32), ("private3", c_uint32))


class InstanceStruct(ctypes.Structure):
    """``wasmtime_instance_t``"""

    _fields_ = (("store_id", c_uint64), ("private", c_size_t))


class _ExternUnion(ctypes.Union):
    _fields_ = (("func", FuncStruct), ("global_", GlobalStruct), ("memory", MemoryStruct), ("shared", c_void_p))


class Extern(ctypes.Structure):
    """``wasmtime_extern_t``"""

    _fields_ = (("kind", c_uint8), ("of", _ExternUnion))


class LinearMemoryStruct(ctypes.Structure):
    """``wasmtime_linear_memory_t``"""

    _fields_ = (("env", c_size_t), ("get_memory", c_size_t), ("grow_memory", c_size_t), ("finalizer", c_size_t))


class MemoryCreatorStruct(ctypes.Structure):
    """``wasmtime_memory_creator_t``"""

    _fields_ = (("env", c_size_t), ("new_memory", c_size_t), ("finalizer", c_size_t))


class _Reference(ctypes.Structure):
    _fields_ = (("store_id", c_uint64), ("private1", c_uint32), ("private2", c_uint32), ("private3", c_void_p))


class _ValueUnion(ctypes.Union):
    _fields_ = (("i32", ctypes.c_int32), ("i64", c_int64), ("reference", _Reference), ("v128", c_uint8 * 16))


class Value(ctypes.Structure):
    """``wasmtime_val_t``"""

    _fields_ = (("kind", c_uint8), ("of", _ValueUnion))


I32, I64 = 0, 1
_PAGE_BYTES = 1 << 16
#: Pages of a memory that can be addressed.
_PAGES_MAX = 1 << 16
EXTERN_FUNC, EXTERN_GLOBAL, EXTERN_MEMORY = 0, 1, 3
_MUTABLE = 1

#: ``wasmtime_trap_code_t``
STACK_OVERFLOW = 0
MEMORY_OUT_OF_BOUNDS = 1
HEAP_MISALIGNED = 2
TABLE_OUT_OF_BOUNDS = 3
INDIRECT_CALL_TO_NULL = 4
BAD_SIGNATURE = 5
INTEGER_OVERFLOW = 6
INTEGER_DIVISION_BY_ZERO = 7
BAD_CONVERSION_TO_INTEGER = 8
UNREACHABLE = 9
NULL_REFERENCE = 13
ALLOCATION_TOO_LARGE = 15

# --- the library ------------------------------------------------------------------------------------

_LIBRARIES = {"linux": "_libwasmtime.so", "darwin": "_libwasmtime.dylib"}
_MACHINES = {"arm64": "aarch64"}


@cache
def library_path() -> str:
    """Path of the library in the installed package.

    :raises ImportError: there is none for this machine.
    """
    spec = PathFinder.find_spec("wasmtime")
    folders = spec.submodule_search_locations if spec is not None else None
    machine = os.uname().machine
    name = os.path.join(f"{sys.platform}-{_MACHINES.get(machine, machine)}", _LIBRARIES.get(sys.platform, "-"))
    for folder in folders or ():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    raise ImportError(f"the package wasmtime is not installed, or has no {name}")


# A library that finds no memory aborts. If it is to print where, it may wait for itself for ever instead.
os.environ["RUST_BACKTRACE"] = "0"
_lib = ctypes.CDLL(library_path())


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_lib, name)
    function.restype = result
    function.argtypes = arguments
    return function


#: How the engine ends its account of a refusal of the operating system.
_OS_ERROR = r"(?:\(os error \d+\)|out of memory \(failed to allocate \d+ bytes\))\s*\Z"
#: Any pointer of the engine's own, and any structure of the caller's.
_P, _S = c_void_p, c_void_p

_byte_vec_delete = _function("wasm_byte_vec_delete", None, _S)
_error_new = _function("wasmtime_error_new", _P, c_char_p)
_error_message = _function("wasmtime_error_message", None, _P, _S)
_error_delete = _function("wasmtime_error_delete", None, _P)
_config_memory_creator = _function("wasmtime_config_host_memory_creator_set", None, _P, _S)
_config_new = _function("wasm_config_new", _P)
_engine_new = _function("wasm_engine_new_with_config", _P, _P)
_module_deserialize = _function("wasmtime_module_deserialize", _P, _P, c_char_p, c_size_t, _S)
_module_deserialize_file = _function("wasmtime_module_deserialize_file", _P, _P, c_char_p, _S)
_module_new = _function("wasmtime_module_new", _P, _P, c_char_p, c_size_t, _S)
_module_validate = _function("wasmtime_module_validate", _P, _P, c_char_p, c_size_t)
_module_serialize = _function("wasmtime_module_serialize", _P, _P, _S)
_module_image_range = _function("wasmtime_module_image_range", None, _P, _S, _S)
_module_delete = _function("wasmtime_module_delete", None, _P)
_store_new = _function("wasmtime_store_new", _P, _P, _P, _P)
_store_context = _function("wasmtime_store_context", _P, _P)
_store_limiter = _function("wasmtime_store_limiter", None, _P, c_int64, c_int64, c_int64, c_int64, c_int64)
_store_delete = _function("wasmtime_store_delete", None, _P)
_linker_new = _function("wasmtime_linker_new", _P, _P)
_linker_clone = _function("wasmtime_linker_clone", _P, _P)
_linker_delete = _function("wasmtime_linker_delete", None, _P)
_linker_define = _function("wasmtime_linker_define", _P, _P, _P, c_char_p, c_size_t, c_char_p, c_size_t, _S)
_linker_define_function = _function(
    "wasmtime_linker_define_func_unchecked", _P, _P, c_char_p, c_size_t, c_char_p, c_size_t, _P, _P, _P, _P
)
_linker_allow_shadowing = _function("wasmtime_linker_allow_shadowing", None, _P, c_bool)
_linker_get = _function("wasmtime_linker_get", c_bool, _P, _P, c_char_p, c_size_t, c_char_p, c_size_t, _S)
_linker_define_instance = _function("wasmtime_linker_define_instance", _P, _P, _P, c_char_p, c_size_t, _S)
_linker_instantiate = _function("wasmtime_linker_instantiate", _P, _P, _P, _P, _S, _S)
_instance_export = _function("wasmtime_instance_export_get", c_bool, _P, _S, c_char_p, c_size_t, _S)
_func_call = _function("wasmtime_func_call", _P, _P, _S, _S, c_size_t, _S, c_size_t, _S)
_func_type = _function("wasmtime_func_type", _P, _P, _S)
_functype_new = _function("wasm_functype_new", _P, _S, _S)
_functype_params = _function("wasm_functype_params", ctypes.POINTER(Bytes), _P)
_functype_results = _function("wasm_functype_results", ctypes.POINTER(Bytes), _P)
_functype_delete = _function("wasm_functype_delete", None, _P)
_valtype_new = _function("wasm_valtype_new", _P, c_uint8)
_valtype_vec_new = _function("wasm_valtype_vec_new", None, _S, c_size_t, _S)
_globaltype_new = _function("wasm_globaltype_new", _P, _P, c_uint8)
_globaltype_delete = _function("wasm_globaltype_delete", None, _P)
_global_new = _function("wasmtime_global_new", _P, _P, _P, _S, _S)
_global_get = _function("wasmtime_global_get", None, _P, _S, _S)
_global_set = _function("wasmtime_global_set", _P, _P, _S, _S)
_memory_data = _function("wasmtime_memory_data", _P, _P, _S)
_memory_grow = _function("wasmtime_memory_grow", _P, _P, _S, c_uint64, _S)
_memory_size = _function("wasmtime_memory_data_size", c_size_t, _P, _S)
_memory_type = _function("wasmtime_memory_type", _P, _P, _S)
_memorytype_maximum = _function("wasmtime_memorytype_maximum", c_bool, _P, _S)
_memorytype_delete = _function("wasm_memorytype_delete", None, _P)
_caller_export = _function("wasmtime_caller_export_get", c_bool, _P, c_char_p, c_size_t, _S)
_trap_message = _function("wasm_trap_message", None, _P, _S)
_trap_code = _function("wasmtime_trap_code", c_bool, _P, _S)
_trap_trace = _function("wasm_trap_trace", None, _P, _S)
_trap_delete = _function("wasm_trap_delete", None, _P)
_frame_function = _function("wasm_frame_func_index", c_uint32, _P)
_frame_module = _function("wasmtime_frame_module_name", ctypes.POINTER(Bytes), _P)
_frame_vec_delete = _function("wasm_frame_vec_delete", None, _S)

#: ``wasmtime_error_t* (void* env, wasm_memorytype_t*, size_t minimum, size_t maximum, size_t reserved, size_t guard,
#: wasmtime_linear_memory_t* made)``, in bytes, and what such a memory has: ``uint8_t* (void* env, size_t* size, size_t*
#: capacity)``, ``wasmtime_error_t* (void* env, size_t size)``, ``void (void* env)``; all as integers.
_NewMemory = ctypes.CFUNCTYPE(c_size_t, *[c_size_t] * 7)
GetMemory = ctypes.CFUNCTYPE(c_size_t, *[c_size_t] * 3)
GrowMemory = ctypes.CFUNCTYPE(c_size_t, *[c_size_t] * 2)
FreeMemory = ctypes.CFUNCTYPE(None, c_size_t)

#: ``wasm_trap_t* (void* env, wasmtime_caller_t*, wasmtime_val_raw_t* args, size_t count)``, all as integers.
Callback = ctypes.CFUNCTYPE(c_size_t, *[c_size_t] * 4)
_new_trap = _function("wasmtime_trap_new_code", _P, c_uint8)


def new_trap(code: int) -> int:
    """A trap for a callback to return; the engine takes it over then."""
    return int(_new_trap(code))


def delete_trap(trap: int) -> None:
    """Free a trap that the engine has not got."""
    _trap_delete(trap)


def new_error(text: str) -> int:
    """An error for a callback to return; the engine takes it over then."""
    return int(_error_new(text.encode()))


def address_of(callback: Any) -> int:
    """Of a C function, which is there as long as ``callback``."""
    return ctypes.cast(callback, c_void_p).value or 0


class MemoryCreator:
    """Where engines have memories from; kept as long as they."""

    def __init__(self, new_memory: Callable[..., int]) -> None:
        self._callback = _NewMemory(new_memory)
        self.struct = MemoryCreatorStruct(0, address_of(self._callback), 0)


# --- errors -----------------------------------------------------------------------------------------


class WasmtimeError(Exception):
    """The engine refuses something, or a callback's trap without a code came back."""

    @property
    def is_of_the_machine(self) -> bool:
        """Whether the operating system refused, for want of memory or mappings: that says nothing of the module."""
        return re.search(_OS_ERROR, str(self)) is not None


class Trap(Exception):
    """Wasm trapped. What the engine has noted of it is looked at when somebody asks: most calls of a contract end in
    one, and nobody does.

    Its only argument is the engine's object, which :meth:`close` frees: where memory runs out a finalizer fails, and
    whoever has raised it would not hear of that.
    """

    @property
    def _pointer(self) -> int:
        return self.args[0]  # type: ignore[no-any-return]

    @property
    def code(self) -> int | None:
        """One of the numbers above, or another."""
        code = c_uint8()
        return code.value if _trap_code(self._pointer, byref(code)) else None

    @property
    def frames(self) -> list[tuple[str, int]]:
        """Innermost first, 20 at most: the name of its module, which may be empty, and the index of its function."""
        frames = Bytes()
        _trap_trace(self._pointer, byref(frames))
        pointers = (c_void_p * frames.size).from_address(frames.data) if frames.size else ()
        found = [(_module_of(frame), int(_frame_function(frame))) for frame in pointers]
        _frame_vec_delete(byref(frames))
        return found

    def __str__(self) -> str:
        message = Bytes()
        _trap_message(self._pointer, byref(message))
        return _take_text(message).rstrip("\0")

    def close(self) -> None:
        """Free it; it has no code, frames and text any more."""
        _trap_delete(self._pointer)


def _take_text(vector: Bytes) -> str:
    text = ctypes.string_at(vector.data, vector.size).decode("utf-8", "replace") if vector.size else ""
    _byte_vec_delete(byref(vector))
    return text


def _check(error: int | None) -> None:
    if error:
        message = Bytes()
        _error_message(error, byref(message))
        _error_delete(error)
        raise WasmtimeError(_take_text(message))


def _check_trap(trap: c_void_p) -> None:
    if trap.value is not None:
        raise Trap(trap.value)


def _module_of(frame: int) -> str:
    name = _frame_module(frame)
    return ctypes.string_at(name[0].data, name[0].size).decode("utf-8", "replace") if name else ""


# --- objects ----------------------------------------------------------------------------------------


class Engine:
    """Made once, and never freed."""

    def __init__(self, settings: Mapping[str, bool | int | str], memory_creator: MemoryCreator | None = None) -> None:
        """``settings`` has the values of ``wasmtime_config_<name>_set``, in the order in which they are set; names that
        begin with ``has_`` are instruction sets of the target, where one is set.

        Without ``memory_creator`` memories are the engine's own. A contradictory configuration aborts the process.
        """
        self.settings = dict(settings)
        config = _config_new()
        for name, value in settings.items():
            if isinstance(value, str):
                _check(_function(f"wasmtime_config_{name}_set", _P, _P, c_char_p)(config, value.encode()))
            elif name.startswith("has_"):
                _function("wasmtime_config_cranelift_flag_enable", None, _P, c_char_p)(config, name.encode())
            else:
                kind = c_bool if isinstance(value, bool) else c_size_t
                _function(f"wasmtime_config_{name}_set", None, _P, kind)(config, value)
        if memory_creator is not None:
            _config_memory_creator(config, byref(memory_creator.struct))
        self.pointer: int = _engine_new(config)

    def store(self) -> Store:
        """An empty store for one VM."""
        return Store(self)


class Module:
    """A compiled module."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    @classmethod
    def deserialize(cls, engine: Engine, artefact: bytes) -> Module:
        """:raises WasmtimeError: it was not made by this engine."""
        pointer = c_void_p()
        _check(_module_deserialize(engine.pointer, artefact, len(artefact), byref(pointer)))
        return cls(pointer.value or 0)

    @classmethod
    def deserialize_file(cls, engine: Engine, path: str) -> Module:
        """Map an artefact, whose bytes are trusted.

        :raises WasmtimeError: it cannot be read, or was not made by this engine.
        """
        pointer = c_void_p()
        _check(_module_deserialize_file(engine.pointer, os.fsencode(path), byref(pointer)))
        return cls(pointer.value or 0)

    @classmethod
    def compile(cls, engine: Engine, wasm: bytes) -> Module:
        """:raises WasmtimeError: the module is not valid."""
        pointer = c_void_p()
        _check(_module_new(engine.pointer, wasm, len(wasm), byref(pointer)))
        return cls(pointer.value or 0)

    @staticmethod
    def validate(engine: Engine, wasm: bytes) -> None:
        """:raises WasmtimeError: the module is not valid."""
        _check(_module_validate(engine.pointer, wasm, len(wasm)))

    def image_bytes(self) -> int:
        """Memory that its code and data take, mapped from a file or not."""
        start, end = c_void_p(), c_void_p()
        _module_image_range(self.pointer, byref(start), byref(end))
        return (end.value or 0) - (start.value or 0)

    def serialize(self) -> bytes:
        """The artefact."""
        content = Bytes()
        _check(_module_serialize(self.pointer, byref(content)))
        artefact = ctypes.string_at(content.data, content.size)
        _byte_vec_delete(byref(content))
        return artefact

    def __del__(self) -> None:
        _module_delete(self.pointer)


class Store:
    """Everything of one VM."""

    __slots__ = ("_pointer", "context")

    def __init__(self, engine: Engine) -> None:
        self._pointer: int | None = _store_new(engine.pointer, None, None)
        self.context: int = _store_context(self._pointer)

    def limit(self, *, instances: int, tables: int, memories: int) -> None:
        """How many of them there may be."""
        _store_limiter(self._pointer, -1, -1, instances, tables, memories)

    def close(self) -> None:
        if self._pointer is not None:
            _store_delete(self._pointer)
            self._pointer = None


class Global:
    """A mutable global of type i32 or i64, made by the host."""

    __slots__ = ("_context", "_reference", "_value", "struct")

    def __init__(self, store: Store, kind: int, value: int) -> None:
        self.struct = GlobalStruct()
        self._context = store.context
        self._reference = byref(self.struct)
        self._value = Value(kind)
        self._value.of.i64 = value
        type_ = _globaltype_new(_valtype_new(kind), _MUTABLE)
        error = _global_new(store.context, type_, byref(self._value), self._reference)
        _globaltype_delete(type_)
        _check(error)

    def get(self) -> int:
        _global_get(self._context, self._reference, byref(self._value))
        return int(self._value.of.i64 if self._value.kind == I64 else self._value.of.i32)

    def set(self, value: int) -> None:
        self._value.of.i64 = value
        _global_set(self._context, self._reference, byref(self._value))


def value_of(store: Store, item: Extern) -> int:
    """The value of an exported global of type i32 or i64."""
    value = Value()
    _global_get(store.context, byref(item.of.global_), byref(value))
    return int(value.of.i64 if value.kind == I64 else value.of.i32)


class Function:
    """A function of an instance."""

    __slots__ = ("_store", "struct")

    def __init__(self, store: Store, struct: FuncStruct) -> None:
        self._store = store
        # The structure may be part of an Extern that does not live as long.
        self.struct = FuncStruct.from_buffer_copy(struct)

    def is_plain(self) -> bool:
        """Whether its type is ``() -> ()``."""
        type_ = _func_type(self._store.context, byref(self.struct))
        plain = not _functype_params(type_)[0].size and not _functype_results(type_)[0].size
        _functype_delete(type_)
        return plain

    def __call__(self) -> None:
        """Call a plain function.

        :raises Trap, WasmtimeError: it did not return.
        """
        trap = c_void_p()
        error = _func_call(self._store.context, byref(self.struct), None, 0, None, 0, byref(trap))
        _check_trap(trap)
        _check(error)


class Instance:
    """An instance of a module in a store."""

    __slots__ = ("_store", "struct")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.struct = InstanceStruct()

    def export(self, name: str) -> Extern | None:
        item = Extern()
        encoded = name.encode()
        found = _instance_export(self._store.context, byref(self.struct), encoded, len(encoded), byref(item))
        return item if found else None

    def function(self, name: str) -> Function | None:
        item = self.export(name)
        return None if item is None or item.kind != EXTERN_FUNC else Function(self._store, item.of.func)


class Memory:
    """A linear memory of an open store."""

    __slots__ = ("_context", "_reference", "_struct")

    def __init__(self, context: int, struct: MemoryStruct) -> None:
        self._context = context
        self._struct = MemoryStruct.from_buffer_copy(struct)
        self._reference = byref(self._struct)

    def address(self) -> int:
        return int(_memory_data(self._context, self._reference) or 0)

    def size(self) -> int:
        """Bytes."""
        return int(_memory_size(self._context, self._reference))

    def grow(self, size: int) -> None:
        """``size`` is in bytes, whole pages.

        :raises WasmtimeError: it cannot have so many more.
        """
        _check(_memory_grow(self._context, self._reference, size // _PAGE_BYTES, byref(c_uint64())))

    def maximum_pages(self) -> int:
        """Pages that it may have, as far as its type says."""
        type_ = _memory_type(self._context, self._reference)
        pages = c_uint64()
        declared = _memorytype_maximum(type_, byref(pages))
        _memorytype_delete(type_)
        return pages.value if declared else _PAGES_MAX


class FunctionType:
    """Type of a host function; kept as long as linkers that know it."""

    __slots__ = ("pointer",)

    def __init__(self, params: list[int], results: list[int]) -> None:
        self.pointer: int = _functype_new(byref(_types(params)), byref(_types(results)))


def _types(kinds: list[int]) -> Bytes:
    """A vector of value types, to be taken over."""
    vector = Bytes()
    _valtype_vec_new(byref(vector), len(kinds), (c_void_p * len(kinds))(*[_valtype_new(kind) for kind in kinds]))
    return vector


class Linker:
    """Names for what modules import."""

    __slots__ = ("_pointer",)

    def __init__(self, engine: Engine | None, *, like: Linker | None = None) -> None:
        """An empty one for ``engine``, or a copy of ``like``."""
        assert (engine is None) != (like is None)
        self._pointer: int | None = _linker_new(engine.pointer) if engine else _linker_clone(like._pointer)  # type: ignore[union-attr]

    def define_function(self, module: str, name: str, kind: FunctionType, callback: Any) -> None:
        """Define a host function. ``callback`` is a :data:`Callback`, to be kept as long as the linker and its copies.

        :raises WasmtimeError: the name is taken.
        """
        a, b = module.encode(), name.encode()
        address = address_of(callback)
        _check(_linker_define_function(self._pointer, a, len(a), b, len(b), kind.pointer, address, None, None))

    def define_global(self, store: Store, module: str, name: str, item: Global) -> None:
        """:raises WasmtimeError: the name is taken."""
        a, b = module.encode(), name.encode()
        extern = Extern(EXTERN_GLOBAL)
        extern.of.global_ = item.struct
        _check(_linker_define(self._pointer, store.context, a, len(a), b, len(b), byref(extern)))

    def redefine_global(self, store: Store, module: str, name: str, item: Global) -> None:
        """Define a global, in place of one that has the name."""
        self.allow_shadowing(True)
        try:
            self.define_global(store, module, name, item)
        finally:
            self.allow_shadowing(False)

    def allow_shadowing(self, allowed: bool) -> None:
        """Whether names may be defined that are taken."""
        _linker_allow_shadowing(self._pointer, allowed)

    def get(self, store: Store, module: str, name: str) -> Extern | None:
        """What modules get who import this name."""
        item = Extern()
        a, b = module.encode(), name.encode()
        found = _linker_get(self._pointer, store.context, a, len(a), b, len(b), byref(item))
        return item if found else None

    def define_instance(self, store: Store, module: str, instance: Instance) -> None:
        """Define all exports of ``instance``.

        :raises WasmtimeError: a name is taken.
        """
        name = module.encode()
        _check(_linker_define_instance(self._pointer, store.context, name, len(name), byref(instance.struct)))

    def instantiate(self, store: Store, module: Module, instance: Instance) -> None:
        """Fill in ``instance``, and run the start function of the module.

        :raises Trap, WasmtimeError: an import is missing, a limit is exceeded, or the start function did not return.
        """
        trap = c_void_p()
        error = _linker_instantiate(self._pointer, store.context, module.pointer, byref(instance.struct), byref(trap))
        _check_trap(trap)
        _check(error)

    def close(self) -> None:
        if self._pointer is not None:
            _linker_delete(self._pointer)
            self._pointer = None


def caller_export(caller: int, name: str) -> Extern | None:
    """What the instance that called the running host function exports as ``name``."""
    item = Extern()
    encoded = name.encode()
    return item if _caller_export(caller, encoded, len(encoded), byref(item)) else None
