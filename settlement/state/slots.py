"""Slot keys and packed words (spec settlement/01 §3): each key is the hash of a plain concatenation."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

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


def operator_meta_of(word: Hash) -> OperatorMeta:
    flags, height = _META.unpack(word)
    return OperatorMeta(bool(flags & 1), bool(flags & 2), height)


def task_head_of(word: Hash) -> TaskHead:
    state, n, threshold, requester = _HEAD.unpack(word)
    return TaskHead(state, n, threshold, Address(requester))


def task_deadlines_of(word: Hash) -> TaskDeadlines:
    return TaskDeadlines(*_DEADLINES.unpack(word))


# --- keys ---


def operator_meta(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator)


def operator_spec(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"spec")


def operator_endpoint(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"endp")


def operator_stake(operator: Address) -> Hash:
    return keccak256(b"av/op" + operator + b"stake")


def model_member_count(spec: Hash) -> Hash:
    return keccak256(b"av/mspec.idx" + spec)


def model_member(spec: Hash, index: int) -> Hash:
    return keccak256(b"av/mspec.mem" + spec + u32(index))


def model_membership(spec: Hash, operator: Address) -> Hash:
    return keccak256(b"av/mspec.seen" + spec + operator)


def credit(account: Address) -> Hash:
    return keccak256(b"av/cred" + account)


def requester_nonce(requester: Address) -> Hash:
    return keccak256(b"av/req.nonce" + requester)


def task_head(task: Hash) -> Hash:
    return keccak256(b"av/task" + task)


def task_deadlines(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"B")


def task_spec(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"spec")


def task_prompt(task: Hash) -> Hash:
    return keccak256(b"av/task" + task + b"prompt")


def task_reward(task: Hash) -> Hash:
    return keccak256(b"av/task.reward" + task)


def task_escrow(task: Hash) -> Hash:
    return keccak256(b"av/task.escrow" + task)


def task_intent(task: Hash) -> Hash:
    return keccak256(b"av/task.intent" + task)


def task_fee(task: Hash) -> Hash:
    return keccak256(b"av/task.fee" + task)


def task_settled_height(task: Hash) -> Hash:
    return keccak256(b"av/task.height" + task)


def selected(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/sel" + task + operator)


def selected_at(task: Hash, index: int) -> Hash:
    return keccak256(b"av/sel.list" + task + u32(index))


def commit(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/commit" + task + operator)


def revealed_output(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/reveal" + task + operator)


def revealed(task: Hash, operator: Address) -> Hash:
    return keccak256(b"av/reveal.f" + task + operator)


def revealed_at(task: Hash, index: int) -> Hash:
    return keccak256(b"av/reveal.list" + task + u32(index))


def reveal_count(task: Hash) -> Hash:
    return keccak256(b"av/reveal.cnt" + task)


def settled(task: Hash) -> Hash:
    return keccak256(b"av/settled" + task)


def canonical_output(task: Hash) -> Hash:
    return keccak256(b"av/canon" + task)


RECEIPT_ROOT: Final = keccak256(b"av/receipt.root")
RECEIPT_COUNT: Final = keccak256(b"av/receipt.idx")


def receipt_leaf(index: int) -> Hash:
    return keccak256(b"av/receipt.leaf" + u32(index))


def intent_consumed(intent: Hash) -> Hash:
    return keccak256(b"av/intent.seen" + intent)


def intent_task(intent: Hash) -> Hash:
    return keccak256(b"av/intent.task" + intent)


def intent_receipt(intent: Hash) -> Hash:
    return keccak256(b"av/intent.rcpt" + intent)
