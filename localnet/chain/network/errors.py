"""What a network refuses. ``data`` is for programs; texts are for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygenvm.localnet.errors import BadRequest, DatabaseError, NotFound


class Refused(BadRequest):
    """Base class of what is said of transactions. Nothing was stored."""

    kind = "refused"

    def __init__(self, text: str, **data: Any) -> None:
        super().__init__(text)
        self.data: Mapping[str, Any] = data


class InsufficientFunds(Refused):
    """The sender has less than the value (-32000)."""

    kind = "insufficient_funds"


class NonceTooLow(Refused):
    """Another transaction of the sender had this nonce (-32000, ``nonce too low``). ``data`` has ``expected``."""

    kind = "nonce_too_low"


class TooLarge(Refused):
    """Calldata, code or a number over its limit (-32602)."""

    kind = "too_large"


class QueueFull(Refused):
    """Too much is pending (-32030). ``data`` has ``scope`` (contract, sender, network), ``address``, ``pending``,
    ``limit``."""

    kind = "queue_full"


class WrongStatus(Refused):
    """Not possible in the status that the transaction has (-32000). ``data`` has ``status``."""

    kind = "wrong_status"


class NoValidators(Refused):
    """Nobody is there to answer a read or a simulation (-32002). Transactions wait for somebody instead."""

    kind = "no_validators"


class BadFile(DatabaseError):
    """What was to be loaded is no network, or one that could not go on (-32602)."""


class TransactionNotFound(NotFound):
    """No transaction with this id (-32001)."""

    def __init__(self, id: bytes) -> None:
        super().__init__(f"Transaction 0x{id.hex()} not found")
        self.id = id


class ContractNotFound(NotFound):
    """No contract at this address (-32001)."""

    def __init__(self, address: str) -> None:
        super().__init__(f"Contract {address} not found")
        self.address = address


class ValidatorNotFound(NotFound):
    """No validator, or provider, of that kind (-32001)."""


class SlowListener(Exception):
    """A listener of events was too slow, and is heard no more."""
