"""Errors of settlement: what the engine refuses, by the names of the specification, and what is nobody's request."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ("QuorumError", "Refusal")

_PREFIX: Final = "aivm/quorum: "


class Refusal(Enum):
    """Why the engine refuses an operation: name and text without its prefix (spec settlement/01 §10)."""

    ErrEmptyModelSpec = "empty model spec hash"
    ErrStakeBelowMin = "stake below MinProviderBond"
    ErrOperatorExists = "operator already registered"
    ErrOperatorUnknown = "operator not registered"
    ErrOperatorUnbonding = "operator is unbonding"
    ErrCooldownActive = "unbond cooldown not elapsed"
    ErrInsufficientFunds = "insufficient balance"
    ErrLedgerNotFundable = "ledger does not support genesis funding"
    ErrEscrowUnderflow = "escrow underflow (invariant broken)"
    ErrStakeOverflow = "stake overflow"
    ErrCreditOverflow = "credit overflow"
    ErrRewardOverflow = "reward escrow overflow"
    ErrFeeOverflow = "request fee overflow"
    ErrNoCredit = "no credit to withdraw"
    ErrEmptyPromptHash = "empty prompt hash"
    ErrBadN = "N out of range [minN, maxN]"
    ErrBadThreshold = "threshold must satisfy floor(N/2)+1 <= threshold <= N"
    ErrNotEnoughEligible = "fewer eligible operators than N"
    ErrEligibleBelowMargin = "eligible operator set below N + required margin"
    ErrTaskUnknown = "task not found"
    ErrTaskNotCommitting = "task not in committing state"
    ErrTaskAlreadySettled = "task already settled"
    ErrNotSelected = "operator not selected for task"
    ErrCommitClosed = "commit window closed"
    ErrAlreadyCommitted = "operator already committed"
    ErrNotCommitted = "operator did not commit"
    ErrRevealNotOpen = "reveal window not open"
    ErrRevealClosed = "reveal window closed"
    ErrAlreadyRevealed = "operator already revealed"
    ErrCommitMismatch = "reveal does not match commit"
    ErrEmptyCommit = "empty commit hash"
    ErrEmptyOutputHash = "empty output hash"
    ErrSettleTooEarly = "reveal window not closed"
    ErrIntentNilAmount = "C-chain intent has a nil fee or reward amount"
    ErrIntentIDMismatch = "recomputed intent_id does not match delivered id (forged/tampered intent)"
    ErrIntentNotCommitted = "C-chain intent is not committed (proof rejected)"
    ErrIntentAlreadyUsed = "C-chain intent already consumed (replay)"
    ErrReceiptNotFound = "no settled receipt for intent"
    ErrProofOutOfRange = "receipt index out of range"
    ErrReceiptRootMismatch = "block receipt_root does not match re-derived engine state"
    #: Ours: the specification advises to refuse these two accounts (spec settlement/05 §4).
    ErrReservedAccount = "EscrowAccount and BurnAddress cannot act"


class QuorumError(Exception):
    """The engine refuses an operation, and nothing has changed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(_PREFIX + refusal.value)
        self.refusal = refusal

    @property
    def name(self) -> str:
        """The name that the specification has for it."""
        return self.refusal.name
