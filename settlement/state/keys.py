"""Keys of a store. Slots and blocks as specified (spec settlement/03 §4.2); the rest is ours, and no slot.

==================  ===================================  ======================================================
key                 behind the name                      value
==================  ===================================  ======================================================
``av/state/``       slot, 32 bytes                       word, 32 bytes; missing means zero
(no name)           block id or vertex id, 32 bytes      its encoding
``av/ledger/``      address, 20 bytes                    balance, 256 bits
``av/merkle/``      level u8, index u64                  node of a full subtree above the receipt leaves
``av/due/``         height u64, index u32                task that settles by itself in the block of this height
``av/due.count/``   height u64                           how many of them, u32
``av/nonce/``       address, 20 bytes                    transactions of this account so far, u64
``av/height/``      height u64                           id of the accepted block
``av/tip``                                               id of the last accepted block
``av/genesis``                                           digest of what the chain started from
``av/job/``         SHA-256 of a job id                  id of the accepted vertex with this job
==================  ===================================  ======================================================
"""

from __future__ import annotations

from typing import Final

from pygenvm.settlement.types.words import Address, Hash, u32, u64

SLOTS: Final = b"av/state/"
BALANCES: Final = b"av/ledger/"
TIP: Final = b"av/tip"
GENESIS: Final = b"av/genesis"
JOBS: Final = b"av/job/"
#: Before the tasks that are not settled yet.
DUE: Final = b"av/due/"


def slot(key: Hash) -> bytes:
    return SLOTS + key


def balance(account: Address) -> bytes:
    return BALANCES + account


def merkle_node(level: int, index: int) -> bytes:
    return b"av/merkle/" + bytes((level,)) + u64(index)


def due_task(height: int, index: int) -> bytes:
    return DUE + u64(height) + u32(index)


def due_count(height: int) -> bytes:
    return b"av/due.count/" + u64(height)


def nonce(account: Address) -> bytes:
    return b"av/nonce/" + account


def block_at(height: int) -> bytes:
    return b"av/height/" + u64(height)
