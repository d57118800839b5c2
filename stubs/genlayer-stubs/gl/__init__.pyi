# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Blockchain API, the object that contracts call ``gl`` (spec sdk/01 §3). Importing it reads the start-up message."""
__all__ = ('BaseContract', 'Contract', 'ContractProxy', 'Event', 'Lazy', 'MessageRawType', 'MessageType', 'advanced', 'calldata', 'contract_interface', 'deploy_contract', 'eq_principle', 'evm', 'get_contract_at', 'message', 'message_raw', 'nondet', 'private', 'public', 'storage', 'trace', 'trace_time_micro', 'vm', 'wasi')
import typing
import _genlayer_wasi as wasi
from .._internal.msg import MessageRawType, MessageType, message, message_raw
from ..py import calldata, storage
from ..py.types import *
from ..py.types import Lazy
from ._internal import storage as _host_storage
from ._internal.gl_call import gl_call as _gl_call
from ._internal.gl_call import gl_call_generic as _gl_call_generic
from .annotations import private, public
from .events import Event
from .genvm_contracts import BaseContract, Contract, ContractProxy, contract_interface, deploy_contract, get_contract_at
from ..py import evm
from . import advanced, eq_principle, nondet, vm

def trace(*objs: typing.Any, sep: str=...) -> None:
    """Log values. Header version v0.1.10 is needed, else SystemError."""

def trace_time_micro() -> int:
    """Microseconds of run time, 0 in deterministic mode outside of debugging. Needs header version v0.1.10."""
