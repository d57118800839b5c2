"""Blockchain API, the object that contracts call ``gl`` (spec sdk/01 §3). Importing it reads the start-up message."""

__all__ = (
    "BaseContract",
    "Contract",
    "ContractProxy",
    "Event",
    "Lazy",
    "MessageRawType",
    "MessageType",
    "advanced",
    "calldata",
    "contract_interface",
    "deploy_contract",
    "eq_principle",
    "evm",
    "get_contract_at",
    "message",
    "message_raw",
    "nondet",
    "private",
    "public",
    "storage",
    "trace",
    "trace_time_micro",
    "vm",
    "wasi",
)

import typing

import _genlayer_wasi as wasi

from .._internal.msg import MessageRawType, MessageType, message, message_raw
from ..py import calldata, storage
from ..py.types import *  # noqa: F403
from ..py.types import Lazy
from ._internal import storage as _host_storage  # noqa: F401  makes the host's storage the contract's
from ._internal.gl_call import gl_call as _gl_call
from ._internal.gl_call import gl_call_generic as _gl_call_generic
from .annotations import private, public
from .events import Event
from .genvm_contracts import (
    BaseContract,
    Contract,
    ContractProxy,
    contract_interface,
    deploy_contract,
    get_contract_at,
)

if typing.TYPE_CHECKING:
    from ..py import evm
    from . import advanced, eq_principle, nondet, vm


def trace(*objs: typing.Any, sep: str = " ") -> None:
    """Log values. Header version v0.1.10 is needed, else SystemError."""
    _gl_call({"Trace": {"Message": sep.join(map(str, objs))}})


def trace_time_micro() -> int:
    """Microseconds of run time, 0 in deterministic mode outside of debugging. Needs header version v0.1.10."""
    micros: int = _gl_call_generic({"Trace": {"RuntimeMicroSec": None}}, calldata.decode).get()
    return micros


_LAZY = ("advanced", "eq_principle", "evm", "nondet", "vm")
# These are missing while an image of the contract is made, which cannot have them.
_OF_MESSAGE = ("message", "message_raw")


def __getattr__(name: str) -> typing.Any:
    if name in _OF_MESSAGE:
        from .._internal import msg

        return getattr(msg, name)
    if name not in _LAZY:
        from ._internal.renamed import NOW

        error = AttributeError(f"module 'genlayer.gl' has no attribute '{name}'")
        if name in NOW:
            error.add_note(f"`gl.{name}` is from an earlier release; now it is {NOW[name]}")
        raise error
    import importlib

    module = importlib.import_module("genlayer.gl._internal.evm" if name == "evm" else f"genlayer.gl.{name}")
    if name == "evm":
        module = module.evm
    globals()[name] = module
    return module


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_OF_MESSAGE})
