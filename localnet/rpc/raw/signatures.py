"""Who has signed: recovery of the address from a signature over secp256k1."""

from __future__ import annotations

from typing import Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.raw.errors import RawError
from pygenvm.settlement.codec.keccak import keccak256

_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def recover(digest: bytes, parity: int, r: int, s: int) -> Address:
    """The account whose key has signed ``digest``.

    :raises RawError: no signature of anybody, or the second one that everyone can make of one (EIP-2).
    """
    from coincurve import PublicKey

    if parity not in (0, 1):
        raise RawError(f"the parity of a signature is 0 or 1, not {parity}")
    if not 0 < r < _ORDER or not 0 < s < _ORDER:
        raise RawError("the signature is out of range: r and s are above 0 and below the order of the curve")
    if 2 * s > _ORDER:
        raise RawError("the signature is malleable: s is above half of the order of the curve")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    # The library says it in several ways.
    except Exception:
        raise RawError("the signature is not one of any key") from None
    return address_of_key(key.format(compressed=False))


def address_of_key(public_key: bytes) -> Address:
    """:param public_key: uncompressed, 65 bytes."""
    return Address(keccak256(public_key[1:])[12:])


def recover_message(message: bytes, signature: bytes) -> Address:
    """The account that has signed a message as wallets do (EIP-191, ``personal_sign``).

    :param signature: r, s, and the parity, 27 more than that, or 35 and more.
    :raises RawError: see :func:`recover`.
    """
    if len(signature) != 65:
        raise RawError(f"a signature has 65 bytes, not {len(signature)}")
    digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
    parity = signature[64] - 27 if signature[64] >= 27 else signature[64]
    return recover(digest, parity, int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
