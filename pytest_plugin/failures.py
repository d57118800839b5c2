"""What a call in a test raises instead of giving a value."""

from __future__ import annotations

from pygenvm.executor.outcome import InternalError, Outcome, UserError, VMError
from pygenvm.localnet.chain.model import Receipt

#: Lines of a contract's traceback that a failed test shows.
_STDERR_LINES = 30


class ContractReverted(Exception):
    """The contract failed, and nothing of the transaction was kept."""

    def __init__(self, receipt: Receipt, outcome: UserError | VMError) -> None:
        self.receipt = receipt
        self.outcome = outcome
        self.stderr = receipt.stderr.text()
        super().__init__(_describe(receipt, outcome))

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
    lines = [f"{type(outcome).__name__}: {getattr(outcome, 'message', '')}"]
    if not isinstance(outcome, UserError):
        explanation = receipt.explanation
        lines += [explanation.meaning, explanation.advice] if explanation else []
        lines += receipt.shown_stderr.rstrip().splitlines()[-_STDERR_LINES:]
    return "\n".join(lines)
