"""The accounts of a new local network, and the addresses of new contracts.

Ten named accounts exist from the start, each with :data:`START_BALANCE`. Their addresses are the first 20 bytes of
``Keccak256("genvm local account " + name)``, so they are the same in every local network. Nothing creates or destroys
value afterwards, and all balances together fit the 256 bits that a message may carry.
"""

from __future__ import annotations

from functools import cache

from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
#: Units of one GEN.
GEN = 10**18
START_BALANCE = 1_000_000 * GEN
DEFAULT_SENDER = NAMES[0]
#: Chain id of every local network that has not chosen another one.
CHAIN_ID = 61999


@cache
def named() -> dict[str, Address]:
    """Name to address, in the order of :data:`NAMES`."""
    return {name: Address(Keccak256(b"genvm local account " + name.encode()).digest()[:20]) for name in NAMES}


@cache
def names() -> dict[Address, str]:
    """Address to name."""
    return {address: name for name, address in named().items()}


def contract_address(deployer: Address, *, salt: int, nonce: int, chain_id: int = CHAIN_ID) -> Address:
    """Address of a new contract.

    With a salt the create2-like address of spec sdk/04 §7: first 20 bytes of Keccak-256(``01`` ‖ deployer ‖ salt ‖
    chain id), both numbers as 32 bytes big-endian. Without one the same with ``00`` and the deployer's nonce.
    """
    kind, number = (b"\x01", salt) if salt else (b"\x00", nonce)
    data = kind + deployer.as_bytes + number.to_bytes(32, "big") + chain_id.to_bytes(32, "big")
    return Address(Keccak256(data).digest()[:20])
