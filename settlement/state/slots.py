"""Slot keys and packed words (spec settlement/01 §3): each key is the hash of a plain concatenation.

Keys are remembered: a task asks for most of its own more than once, and a hash takes as long as ten look-ups.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, ParamSpec, cast

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import Address, Hash, u32


class OperatorMeta(NamedTuple):
    """Word ``meta`` of an operator."""

    exists: bool
    unbonding: bool
    unbond_height: int

    def word(self) -> Hash:
        return Hash(_META.pack(self.exists | self.unbonding << 1, self.unbond_height))


class TaskHead(NamedTuple):
    """Word A of a task."""

    state: int
    n: int
    threshold: int
    requester: Address

    def word(self) -> Hash:
        return Hash(_HEAD.pack(*self))


class TaskDeadlines(NamedTuple):
    """Word B of a task."""

    commit: int
    reveal: int
    request_height: int

    def word(self) -> Hash:
        return Hash(_DEADLINES.pack(*self))


_META = struct.Struct(">B23xQ")
_HEAD = struct.Struct(">BII20s3x")
_DEADLINES = struct.Struct(">QQQ8x")


def is_active(word: Hash) -> bool:
    """Whether the operator of word ``meta`` exists and does not leave; all of a model are asked for with each task."""
    return word[0] & 3 == 1


def operator_meta_of(word: Hash) -> OperatorMeta:
    flags, height = _META.unpack(word)
    return OperatorMeta(bool(flags & 1), bool(flags & 2), height)


def task_head_of(word: Hash) -> TaskHead:
    state, n, threshold, requester = _HEAD.unpack(word)
    return TaskHead(state, n, threshold, Address(requester))


def task_deadlines_of(word: Hash) -> TaskDeadlines:
    return TaskDeadlines(*_DEADLINES.unpack(word))


# --- keys ---

_P = ParamSpec("_P")
#: All eligible operators are asked for with each new task.
_OPERATORS_MAX: Final = 1 << 13
#: A task asks for its own again within one call. More of them would only push other things out of the CPU's cache.
_KEYS_MAX: Final = 1 << 9


def _remembered(size: int) -> Callable[[Callable[_P, Hash]], Callable[_P, Hash]]:
    # The cache's own type would take any arguments.
    return cast("Callable[[Callable[_P, Hash]], Callable[_P, Hash]]", lru_cache(maxsize=size))


@_remembered(_OPERATORS_MAX)
def operator_meta(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator)


@_remembered(_OPERATORS_MAX)
def operator_spec(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"spec")


@_remembered(_KEYS_MAX)
def operator_endpoint(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"endp")


@_remembered(_OPERATORS_MAX)
def operator_stake(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"stake")


@_remembered(_KEYS_MAX)
def model_member_count(spec: Hash) -> Hash:
    return keccak256(b"av/mspec.idx" + spec)


@_remembered(_OPERATORS_MAX)
def model_member(spec: Hash, index: int) -> Hash:
    return keccak256(b"av/mspec.mem" + spec + u32(index))


@_remembered(_KEYS_MAX)
def model_membership(spec: Hash, operator: Address) -> Hash:
    return keccak256(b"av/mspec.seen" + spec + operator)


@_remembered(_KEYS_MAX)
def credit(account: Address) -> Hash:
    return keccak256(b"av/cred" + account)


@_remembered(_KEYS_MAX)
def requester_nonce(requester: Address) -> Hash:
    return keccak256(b"av/req.nonce" + requester)


@_remembered(_KEYS_MAX)
def task_head(task: Hash) -> Hash:
    return keccak256(b"av/task" + task)


@_remembered(_KEYS_MAX)
def task_deadlines(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"B")


@_remembered(_KEYS_MAX)
def task_spec(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"spec")


@_remembered(_KEYS_MAX)
def task_prompt(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"prompt")


@_remembered(_KEYS_MAX)
def task_reward(task: Hash) -> Hash:
    return keccak256(b"av/task.reward" + task)


@_remembered(_KEYS_MAX)
def task_escrow(task: Hash) -> Hash:
    return keccak256(b"av/task.escrow" + task)


@_remembered(_KEYS_MAX)
def task_intent(task: Hash) -> Hash:
    return keccak256(b"av/task.intent" + task)


@_remembered(_KEYS_MAX)
def task_fee(task: Hash) -> Hash:
    return keccak256(b"av/task.fee" + task)


@_remembered(_KEYS_MAX)
def task_settled_height(task: Hash) -> Hash:
    return keccak256(b"av/task.height" + task)


@_remembered(_KEYS_MAX)
def selected(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/sel" + task + operator)


@_remembered(_KEYS_MAX)
def selected_at(task: Hash, index: int) -> Hash:
    return keccak256(b"av/sel.list" + task + u32(index))


@_remembered(_KEYS_MAX)
def commit(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/commit" + task + operator)


@_remembered(_KEYS_MAX)
def revealed_output(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/reveal" + task + operator)


@_remembered(_KEYS_MAX)
def revealed(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/reveal.f" + task + operator)


@_remembered(_KEYS_MAX)
def revealed_at(task: Hash, index: int) -> Hash:
    return keccak256(b"av/reveal.list" + task + u32(index))


@_remembered(_KEYS_MAX)
def reveal_count(task: Hash) -> Hash:
    return keccak256(b"av/reveal.cnt" + task)


@_remembered(_KEYS_MAX)
def settled(task: Hash) -> Hash:
    return keccak256(b"av/settled" + task)


@_remembered(_KEYS_MAX)
def canonical_output(task: Hash) -> Hash:
    return keccak256(b"av/canon" + task)


RECEIPT_ROOT: Final = keccak256(b"av/receipt.root")
RECEIPT_COUNT: Final = keccak256(b"av/receipt.idx")


def receipt_leaf(index: int) -> Hash:
    return keccak256(b"av/receipt.leaf" + u32(index))


@_remembered(_KEYS_MAX)
def intent_consumed(intent: Hash) -> Hash:
    return keccak256(b"av/intent.seen" + intent)


@_remembered(_KEYS_MAX)
def intent_task(intent: Hash) -> Hash:
    return keccak256(b"av/intent.task" + intent)


@_remembered(_KEYS_MAX)
def intent_receipt(intent: Hash) -> Hash:
    return keccak256(b"av/intent.rcpt" + intent)
