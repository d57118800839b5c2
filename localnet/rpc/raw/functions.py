"""What a transaction asks of the consensus contract (spec localnet-rpc/02 §1.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.raw import abi


@dataclass(frozen=True, slots=True)
class AddTransaction:
    """A deployment (``recipient`` is zero) or a call."""

    sender: Address
    recipient: Address
    initial_validators: int
    max_rotations: int
    payload: bytes
    """See :mod:`localnet.rpc.raw.payload`."""
    valid_until: int = 0
    """Seconds since 1970 after which it is refused; 0: never."""
    salt: int = 0
    """Not 0: the address of a new contract depends on the sender and this alone."""


@dataclass(frozen=True, slots=True)
class SubmitAppeal:
    tx_id: bytes


@dataclass(frozen=True, slots=True)
class FinalizeTransactions:
    tx_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CancelTransaction:
    tx_id: bytes


@dataclass(frozen=True, slots=True)
class TopUpFees:
    """There are no fees here: only the id matters, for the receipt."""

    tx_id: bytes


Function: TypeAlias = AddTransaction | SubmitAppeal | FinalizeTransactions | CancelTransaction | TopUpFees

_FEES = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256[],uint256,uint256,uint256)"
_ALLOCATIONS = "(uint8,bool,uint256,address,bytes32,uint256,bytes)[]"
_WITH_FEES = f"((address,address,uint256,uint256,uint256,uint256,uint256,{_FEES},bytes,{_ALLOCATIONS}))"


def _add(sender: Address, recipient: Address, validators: int, rotations: int, payload: bytes, until: int = 0) -> Any:
    return AddTransaction(sender, recipient, validators, rotations, payload, until)


def _add_with_fees(request: tuple[Any, ...]) -> AddTransaction:
    sender, recipient, validators, rotations, until, salt, _value, _fees, payload, _allocations = request
    return AddTransaction(sender, recipient, validators, rotations, payload, until, salt)


def _deploy_salted(
    sender: Address, validators: int, rotations: int, payload: bytes, salt: int, until: int
) -> AddTransaction:
    return AddTransaction(sender, Address(bytes(Address.SIZE)), validators, rotations, payload, until, salt)


_SIGNATURES: Final[Mapping[str, Callable[..., Function]]] = {
    "addTransaction(address,address,uint256,uint256,bytes)": _add,
    "addTransaction(address,address,uint256,uint256,bytes,uint256)": _add,
    f"addTransaction{_WITH_FEES}": _add_with_fees,
    "deploySalted(address,uint256,uint256,bytes,uint256,uint256)": _deploy_salted,
    f"deploySalted{_WITH_FEES}": _add_with_fees,
    "submitAppeal(bytes32)": SubmitAppeal,
    f"topUpAndSubmitAppeal(bytes32,{_FEES})": lambda tx_id, _fees: SubmitAppeal(tx_id),
    f"topUpFees(bytes32,{_FEES})": lambda tx_id, _fees: TopUpFees(tx_id),
    "finalizeTransaction(bytes32)": lambda tx_id: FinalizeTransactions((tx_id,)),
    "finalizeIdlenessTxs(bytes32[])": lambda tx_ids: FinalizeTransactions(tuple(tx_ids)),
    "cancelTransaction(bytes32)": CancelTransaction,
}


class _Known(NamedTuple):
    types: tuple[abi.Type, ...]
    build: Callable[..., Function]


_KNOWN: Final = {
    abi.selector(signature): _Known(abi.types_of(signature), build) for signature, build in _SIGNATURES.items()
}


def decode_function(data: bytes) -> Function | None:
    """None for data of anything else, which makes the transaction a plain transfer.

    :raises RawError: the arguments of a known function are malformed.
    """
    known = _KNOWN.get(data[:4])
    return None if known is None else known.build(*abi.decode(known.types, data[4:]))
