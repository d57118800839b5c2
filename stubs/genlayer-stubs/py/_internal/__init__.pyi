# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Helpers shared by the host-independent modules."""
__all__ = ('create2_address',)
from ..address import Address
from ..keccak import Keccak256
from ..types import u256

def create2_address(deployer: Address, salt_nonce: u256, chain_id: u256) -> Address:
    """Address of a contract deployed with a non-zero salt (spec sdk/04 §7).

    First 20 bytes of Keccak-256(``01`` ‖ deployer ‖ salt ‖ chain id), both numbers as 32 bytes big-endian.
    """
