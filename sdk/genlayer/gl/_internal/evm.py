"""Gives ``genlayer.py.evm`` the calls of the VM."""

__all__ = ("evm",)

import _genlayer_wasi as wasi

from ...py import evm
from ...py.types import Address, u256
from .gl_call import gl_call, gl_call_generic


class _VmBackend:
    def call(self, address: Address, data: bytes, /) -> bytes:
        return gl_call_generic({"EthCall": {"address": address, "calldata": data}}, bytes).get()

    def send(self, address: Address, data: bytes, value: u256, /) -> None:
        gl_call({"EthSend": {"address": address, "calldata": data, "value": value}})

    def balance(self, address: Address, /) -> u256:
        return u256(wasi.get_balance(address.as_bytes))


evm.contract_interface = evm.contract_generator(_VmBackend())
