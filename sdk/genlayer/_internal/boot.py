"""Start of a contract process: what to run and how its result leaves (spec sdk/03 §1, §2)."""

__all__ = ("import_contract", "import_sdk", "main", "prepare")

import functools
import os
import sys
import types
import typing
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder

from ..py.public_abi import EntryKind, SpecialMethod

# the contract is /contract.py or /contract/
_CONTRACT_FOLDER = "/"


class _ContractFinder:
    """Finds ``contract`` without listing every folder of ``sys.path``, of which the contract's is the last."""

    @staticmethod
    def find_spec(name: str, _path: typing.Any = None, _target: typing.Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [_CONTRACT_FOLDER]) if name == "contract" else None


class _Sdk(typing.NamedTuple):
    """What a run needs of modules that want the message and are not there yet when this one is imported."""

    genvm_contracts: types.ModuleType
    decode: Callable[[bytes], typing.Any]
    root: typing.Any
    contract_return: Callable[[typing.Any], typing.NoReturn]
    rollback: Callable[[typing.Any], typing.NoReturn]


@functools.cache
def import_sdk() -> _Sdk:
    """Once, since an import of what is there costs as much as a write to storage."""
    from ..gl import genvm_contracts
    from ..gl._internal.gl_call import contract_return, rollback
    from ..py import calldata
    from ..py.storage import Root

    return _Sdk(genvm_contracts, calldata.decode, Root, contract_return, rollback)


def _give_result(fn: Callable[[], typing.Any]) -> typing.NoReturn:
    """Run ``fn``; its UserError or its value ends the process. Any other exception is the process's own."""
    sdk = import_sdk()
    leave = sdk.contract_return
    try:
        result = fn()
    except Exception as exc:
        # a UserError can only come from a module that was imported
        vm = sys.modules.get("genlayer.gl.vm")
        if vm is None or not isinstance(exc, vm.UserError):
            raise
        leave, result = sdk.rollback, exc.message
    leave(result)


def _refusal(method: typing.Any, value: int, hook: str | None = None) -> str | None:
    """Why ``method`` may not be called from outside with ``value``.

    A ``hook``, which the caller did not name and the contract may not have, is called by its name.
    """
    shown = hook or method
    if not getattr(method, "__gl_public__", False):
        return f"call to private method `{shown}`"
    if getattr(method, "__isabstractmethod__", False):
        return f"method is abstract `{shown}`"
    if value > 0 and not getattr(method, "__gl_payable__", False):
        return f"called non-payable method `{shown} with non-zero value`"
    return None


def _undefined(cls: typing.Any, name: str) -> Callable[..., typing.Any]:
    def call(contract: typing.Any, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        return cls.__handle_undefined_method__(contract, name, list(args), kwargs)

    return call


def _resolve_constructor(cls: typing.Any) -> Callable[..., typing.Any]:
    init: Callable[..., typing.Any] = cls.__init__
    if getattr(init, "__gl_public__", False):
        raise TypeError("__init__ must be private")
    if init is object.__init__:
        raise TypeError("improper contract: define __init__")
    return init


def _resolve(cls: typing.Any, name: typing.Any, value: int) -> Callable[..., typing.Any]:
    """Function to call with the contract view and the arguments."""
    if name is None or name == "":
        refusal = _refusal(cls.__receive__, value, "__receive__")
        if refusal is None:
            return typing.cast(Callable[..., typing.Any], cls.__receive__)
        second = _refusal(cls.__handle_undefined_method__, value, "__handle_undefined_method__")
        if second is None:
            return _undefined(cls, "")
        error = ValueError(second)
        error.add_note(refusal)
        raise error
    if not isinstance(name, str):
        raise TypeError(f"method name must be a string, got `{type(name).__name__}`")
    if name[0] in "#_":
        if name == SpecialMethod.ERRORED_MESSAGE:
            return typing.cast(Callable[..., typing.Any], cls.__on_errored_message__)
        if name == SpecialMethod.GET_SCHEMA:
            return lambda _contract, *_args, **_kwargs: cls.__get_schema__()
        if name.startswith("__"):
            raise ValueError("calls to methods that start with __ is forbidden")
        if name.startswith("#"):
            raise ValueError(f"unknown special method {name}")
    if hasattr(cls, name):
        method: Callable[..., typing.Any] = getattr(cls, name)
        refusal = _refusal(method, value)
    else:
        method = _undefined(cls, name)
        refusal = _refusal(cls.__handle_undefined_method__, value, "__handle_undefined_method__")
    if refusal is not None:
        raise ValueError(refusal)
    return method


_finds_contract = False


def _find_contract() -> None:
    global _finds_contract
    if not _finds_contract:
        _finds_contract = True
        sys.path.append(_CONTRACT_FOLDER)
        sys.meta_path.insert(0, _ContractFinder)


def import_contract() -> None:
    """Import the module that defines the contract class, and derive what follows from it."""
    _find_contract()
    import contract as _contract  # noqa: F401

    sdk = import_sdk()
    if sdk.genvm_contracts.__known_contract__ is not None:
        sdk.root.get()._derive_slots(sdk.genvm_contracts.__known_contract__)


def _prepare_call(message: typing.Any) -> Callable[[], typing.Any]:
    """What to run, for a message of the kind MAIN."""
    import contract as _contract  # noqa: F401  defines the contract class

    sdk = import_sdk()
    cls = sdk.genvm_contracts.__known_contract__
    if cls is None:
        raise Exception("no contract defined")
    call = sdk.decode(message["entry_data"])
    if not isinstance(call, dict):
        raise TypeError(f"invalid calldata, expected dict got `{call}`")
    if message["is_init"]:
        sdk.root.get().lock_default()
        method = _resolve_constructor(cls)
    else:
        method = _resolve(cls, call.get("method"), message["value"])
    contract = sdk.root.get().get_contract_instance(cls)
    args, kwargs = call.get("args", []), call.get("kwargs", {})
    return lambda: method(contract, *args, **kwargs)


def _start_profiler() -> None:
    """Print statistics at exit: a marker line, then base64(gzip(marshal(stats))) on stderr."""
    import atexit
    import cProfile

    from .. import gl

    profiler = cProfile.Profile(gl.trace_time_micro, 1e-6)

    def report() -> None:
        import base64
        import gzip
        import io
        import marshal

        profiler.disable()
        profiler.create_stats()
        packed = io.BytesIO()
        with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:
            file.write(marshal.dumps(profiler.stats))
        print("=== stats (gzip, base64) ===", file=sys.stderr)
        print(base64.b64encode(packed.getvalue()).decode("ascii"), file=sys.stderr)

    atexit.register(report)
    profiler.enable()


@functools.cache
def _import_message() -> types.ModuleType:
    """As :func:`import_sdk`; the first import reads the message."""
    from . import msg

    return msg


def prepare() -> Callable[[], typing.Any]:
    """What the start-up message asks for."""
    message_raw = _import_message().message_raw
    kind = message_raw["entry_kind"]
    if kind == EntryKind.MAIN:
        return _prepare_call(message_raw)
    if kind not in (EntryKind.SANDBOX, EntryKind.CONSENSUS_STAGE):
        raise ValueError(f"invalid entry kind {kind}")
    import pickle

    entry = pickle.loads(message_raw["entry_data"])
    if kind == EntryKind.SANDBOX:
        return typing.cast(Callable[[], typing.Any], entry)
    return lambda: entry(message_raw["entry_stage_data"])


def main() -> None:
    """Run what the start-up message asks for and leave with its result."""
    _find_contract()
    # not `os.environ.get`, which raises and catches two exceptions where there is none
    if os.environ._data.get(b"GENLAYER_ENABLE_PROFILER") == b"true":  # type: ignore[attr-defined]
        _start_profiler()
    _give_result(prepare())
