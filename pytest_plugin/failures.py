"""What a call in a test raises instead of giving a value."""

from __future__ import annotations

import dataclasses

from pygenvm.executor.outcome import InternalError, Outcome, UserError, VMError
from pygenvm.localnet.chain.model import Receipt
from pygenvm.localnet.failure import FAILURE_LINES, explain_failure, lines


class ContractReverted(Exception):
    """The contract failed, and nothing of the transaction was kept."""

    def __init__(self, receipt: Receipt, outcome: UserError | VMError) -> None:
        self.receipt = receipt
        self.outcome = outcome
        self.stderr = receipt.stderr.text()
        super().__init__(outcome.message)

    def __str__(self) -> str:
        # Only where somebody reads it: the linter is asked.
        return _describe(self.receipt, self.outcome)

    @property
    def message(self) -> str:
        """The contract's own text, or the name of the VM error."""
        return self.outcome.message

    def says(self, text: str) -> bool:
        """Whether ``text`` is in the message, or, for an uncaught Python exception, in its traceback."""
        return text in self.message or (isinstance(self.outcome, VMError) and text in self.stderr)


class ExecutorFailed(Exception):
    """The run ended with an internal error: neither the contract nor the test is to blame."""

    def __init__(self, receipt: Receipt, outcome: InternalError) -> None:
        self.receipt = receipt
        self.message = outcome.message
        super().__init__(_describe(receipt, outcome))


class UnansweredRequest(Exception):
    """The contract asked the web or an LLM for something that no mock of the test answers."""


def _describe(receipt: Receipt, outcome: Outcome) -> str:
    failure = explain_failure(receipt)
    if isinstance(outcome, UserError) and not failure.exception:
        # Its text says all that there is to say.
        failure = dataclasses.replace(failure, causes=())
    head = f"{type(outcome).__name__}: {getattr(outcome, 'message', '')}"
    return "\n".join([head, *(text for _, text in lines(failure, room=FAILURE_LINES - 1))])
