# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Gives ``genlayer.py.evm`` the calls of the VM."""
__all__ = ('evm',)
import _genlayer_wasi as wasi
from ...py import evm
from ...py.types import Address, u256
from .gl_call import gl_call, gl_call_generic
