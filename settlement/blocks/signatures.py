"""Signature schemes by their byte. There is one; another takes a byte of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.words import Address, Hash

#: Recoverable ECDSA over secp256k1; the address is that of Ethereum.
SECP256K1: Final = 1
#: Bytes of a signature by scheme.
SIGNATURE_SIZES: Final = {SECP256K1: 65}

#: Half of the order of the curve: the other signature that everyone can make of one is refused.
_S_MAX: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class MissingLibrary(ValueError):
    """There is no library for the curve; the text says what to do."""


def require_library() -> None:
    """:raises MissingLibrary: nothing can be signed or checked here."""
    try:
        import coincurve  # noqa: F401
    except ImportError as error:
        raise MissingLibrary(
            "signatures need the package coincurve, which this Python does not have; it has wheels for Python 3.11 to"
            " 3.13"
        ) from error


class Signer(Protocol):
    @property
    def scheme(self) -> int: ...
    @property
    def address(self) -> Address: ...
    def sign(self, digest: Hash) -> bytes: ...


@dataclass(frozen=True)
class Secp256k1Key:
    """A private key of 32 bytes; ``ValueError`` for one that is no scalar of the curve."""

    secret: bytes

    def __post_init__(self) -> None:
        require_library()
        from coincurve import PrivateKey

        PrivateKey(self.secret)

    def __repr__(self) -> str:
        return f"Secp256k1Key(0x{self.address.hex()})"

    @property
    def scheme(self) -> int:
        return SECP256K1

    @property
    def address(self) -> Address:
        from coincurve import PrivateKey

        return _address(PrivateKey(self.secret).public_key.format(compressed=False))

    def sign(self, digest: Hash) -> bytes:
        """r, s, and the parity that tells the public key."""
        from coincurve import PrivateKey

        return PrivateKey(self.secret).sign_recoverable(digest, hasher=None)


def check(scheme: int, signature: bytes, digest: Hash, sender: Address) -> None:
    """Raises ``ErrTransactionScheme`` or ``ErrTransactionSignature``."""
    if scheme != SECP256K1:
        raise BlockError(BlockRefusal.ErrTransactionScheme)
    if int.from_bytes(signature[32:64], "big") > _S_MAX or _recovered(signature, digest) != sender:
        raise BlockError(BlockRefusal.ErrTransactionSignature)


def _recovered(signature: bytes, digest: Hash) -> Address | None:
    require_library()
    from coincurve import PublicKey

    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    # The library says it in several ways.
    except Exception:
        return None
    return _address(key.format(compressed=False))


def _address(public_key: bytes) -> Address:
    return Address(keccak256(public_key[1:])[12:])
