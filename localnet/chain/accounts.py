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
#: Known by heart: ten hashes take as long as all else that most commands ask of their network.
_ADDRESSES = (
    "92169db9e359b0ccc9c7d38836398b20df6a0b36",
    "1a5fdc5f7c508d13c410f8cfc0b22951a99c456d",
    "d52a86bbc8c5110eebc9763887e181023f1c9450",
    "1d70123359f25ce20e12133c97383be25be6f6ad",
    "9c3921675e199b7a8439cc3689df148f27a685b5",
    "0d3344e7f209d927dab7b38612f91d7ad9883667",
    "40f2e63ca95a477592c9907e61f3bc2e96689b86",
    "b8c7b57fd39d895abbb3d0fe1929ddaa53d6f79b",
    "7bbbea595df4ad28db81725c086a64695188fef0",
    "d55e671e7dbef0ef0c0af4a690c2a1d7983ade95",
)
#: Units of one GEN.
GEN = 10**18
START_BALANCE = 1_000_000 * GEN
DEFAULT_SENDER = NAMES[0]
#: Chain id of every local network that has not chosen another one.
CHAIN_ID = 61999


@cache
def named() -> dict[str, Address]:
    """Name to address, in the order of :data:`NAMES`."""
    return {name: Address(bytes.fromhex(address)) for name, address in zip(NAMES, _ADDRESSES, strict=True)}


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
