"""Signed Ethereum transactions: legacy, with an access list (EIP-2930), with a priority fee (EIP-1559)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.raw import rlp
from pygenvm.localnet.rpc.raw.errors import RawError
from pygenvm.localnet.rpc.raw.signatures import recover
from pygenvm.settlement.codec.keccak import keccak256

LEGACY, ACCESS_LIST, DYNAMIC_FEE = 0, 1, 2

#: Names of the fields before the signature.
_FIELDS: Final = {
    LEGACY: ("nonce", "gas_price", "gas", "to", "value", "data"),
    ACCESS_LIST: ("chain_id", "nonce", "gas_price", "gas", "to", "value", "data", "access_list"),
    DYNAMIC_FEE: (
        *("chain_id", "nonce", "max_priority_fee", "gas_price", "gas", "to", "value", "data", "access_list"),
    ),
}
#: A nonce has 64 bits (EIP-2681); gas too, as far as anybody knows.
_BITS: Final = {"nonce": 64, "gas": 64}


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """What somebody has signed."""

    type: int
    chain_id: int | None
    """None where the signature is for every chain, as before EIP-155."""
    nonce: int
    gas_price: int
    """Of a transaction with a priority fee: the most that is paid."""
    gas: int
    to: Address | None
    value: int
    data: bytes
    v: int
    """Of types 1 and 2 the parity."""
    r: int
    s: int
    sender: Address
    hash: bytes
    """Keccak-256 of the raw bytes: the id of the transaction."""


def decode_transaction(raw: bytes) -> SignedTransaction:
    """:raises RawError: the bytes are no signed transaction of the three types."""
    if not raw:
        raise RawError("the transaction is empty")
    kind = LEGACY if raw[0] >= 0xC0 else raw[0]
    if kind not in _FIELDS or (kind == LEGACY and raw[0] < 0xC0):
        raise RawError(f"transactions of type {raw[0]} are not known; 0 (legacy), 1 and 2 are")
    items = rlp.decode_list(raw if kind == LEGACY else raw[1:])
    names = _FIELDS[kind]
    if len(items) != len(names) + 3:
        raise RawError(f"a signed transaction of type {kind} has {len(names) + 3} fields, not {len(items)}")
    fields = dict(zip(names, items, strict=False))
    v, r, s = (_number(name, item) for name, item in zip("vrs", items[-3:], strict=True))
    chain_id, parity, signed = _signed(kind, items[:-3], v)
    if kind != LEGACY:
        _check_access_list(fields["access_list"])
        _number("max_priority_fee", fields.get("max_priority_fee", b""))
    data = fields["data"]
    if not isinstance(data, bytes):
        raise RawError("the data of a transaction must be a string, not a list")
    return SignedTransaction(
        type=kind,
        chain_id=chain_id,
        nonce=_number("nonce", fields["nonce"]),
        gas_price=_number("gas_price", fields["gas_price"]),
        gas=_number("gas", fields["gas"]),
        to=_recipient(fields["to"]),
        value=_number("value", fields["value"]),
        data=data,
        v=v,
        r=r,
        s=s,
        sender=recover(keccak256(signed), parity, r, s),
        hash=bytes(keccak256(raw)),
    )


def _signed(kind: int, fields: list[rlp.Item], v: int) -> tuple[int | None, int, bytes]:
    """Chain id, parity, and the bytes whose hash was signed."""
    if kind != LEGACY:
        return _number("chain_id", fields[0]), v, bytes([kind]) + rlp.encode(fields)
    if v in (27, 28):
        return None, v - 27, rlp.encode(fields)
    if v < 35:
        raise RawError(f"v is 27, 28, or 35 and more in a legacy transaction, not {v}")
    chain_id, parity = divmod(v - 35, 2)
    return chain_id, parity, rlp.encode([*fields, chain_id, b"", b""])


def _number(name: str, item: rlp.Item) -> int:
    bits = _BITS.get(name, 256)
    if not isinstance(item, bytes):
        raise RawError(f"{name} of a transaction must be a number, not a list")
    if item[:1] == b"\0":
        raise RawError(f"{name} of a transaction has leading zeros")
    if 8 * len(item) > bits:
        raise RawError(f"{name} of a transaction has more than {bits} bits")
    return int.from_bytes(item, "big")


def _recipient(item: rlp.Item) -> Address | None:
    if item == b"":
        return None
    if not isinstance(item, bytes) or len(item) != Address.SIZE:
        raise RawError("the recipient of a transaction must have 20 bytes, or none")
    return Address(item)


def _check_access_list(item: rlp.Item) -> None:
    """It changes nothing here, but has to be one."""
    for entry in item if isinstance(item, list) else [item]:
        match entry:
            case [bytes() as address, [*slots]] if len(address) == Address.SIZE:
                if all(isinstance(slot, bytes) and len(slot) == 32 for slot in slots):
                    continue
        raise RawError("the access list of a transaction must have pairs of an address and storage keys")
