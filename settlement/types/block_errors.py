"""Why a chain refuses a block or a transaction. The specification has no names for most of it; these are ours."""

from __future__ import annotations

from enum import Enum


class BlockRefusal(Enum):
    ErrTransactionMalformed = "not the bytes of a transaction"
    ErrTransactionScheme = "signature scheme is not known"
    ErrTransactionSignature = "not signed by its sender"
    ErrTransactionChain = "transaction is for another chain"
    ErrTransactionNonce = "nonce is not the next one of the sender"
    ErrTransactionCaller = "intent is not the sender's"
    ErrTransactionKnown = "another transaction of this sender and nonce is waiting"
    ErrTransactionSender = "sender has neither balance, stake nor credit"
    ErrTransactionPoolFull = "too many transactions are waiting"
    ErrTransactionExpired = "transaction has waited for too many blocks"
    ErrBlockMalformed = "not the bytes of a block"
    ErrBlockTooLarge = "block is larger than 2 MiB"
    ErrBlockKnown = "block is accepted already"
    ErrBlockParent = "parent is neither the last accepted block nor a verified one after it"
    ErrBlockHeight = "height does not follow the parent's"
    ErrBlockTime = "time is before the parent's or too far ahead"
    ErrBlockContent = "block holds what this chain does not carry out"
    ErrBlockIntents = "imported intents are not those of the transactions"
    ErrBlockTransaction = "a transaction of the block cannot be carried out"
    ErrBlocksUndecided = "too many verified blocks wait for a decision"
    ErrBlockNotVerified = "block was not verified"
    ErrBlockNotNext = "parent is not the last accepted block"
    ErrGenesisDiffers = "state belongs to a chain with another genesis"
    ErrVertexTask = "task missing ID"
    ErrVertexConflict = "a vertex with one of these jobs is accepted"


class BlockError(Exception):
    """The chain refuses a block or transaction; its state is as before."""

    def __init__(self, refusal: BlockRefusal, detail: str = "") -> None:
        super().__init__(f"settlement: {refusal.value}" + (f" ({detail})" if detail else ""))
        self.refusal = refusal

    @property
    def name(self) -> str:
        return self.refusal.name
