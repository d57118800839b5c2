"""What a call in a test raises instead of giving a value."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

from pygenvm.executor.outcome import InternalError, UserError, VMError
from pygenvm.localnet.chain.explain import UNCAUGHT
from pygenvm.localnet.chain.model import Receipt
from pygenvm.localnet.failure import FAILURE_LINES, explain_failure, lines
from pygenvm.pytest_plugin import sdk

#: Lines of notes, however long the text is.
_LEAST_LINES = 6
#: Exceptions by which the SDK refuses a call.
_OF_THE_SDK = frozenset({"SystemError", "ValueError"})
_TRACEBACK = "Traceback (most recent call last):\n"
#: The end of a traceback: the exception's class and text, which may have several lines.
_LAST_LINE = re.compile(r"^(?!\s)(?P<name>[\w.<>]+)(?:: (?P<text>.*))?\s*\Z", re.MULTILINE | re.DOTALL)
#: Exceptions that the sandbox's Python raises and a test may name, besides those of every Python.
_SDK_EXCEPTIONS = {"NondetException": sdk.NondetException, "UserError": sdk.UserError}


class ContractReverted(Exception):
    """The contract failed, and nothing of the transaction was kept.

    What is raised is a subclass that also is what the contract raised: ``gl.vm.UserError``, or the exception of Python
    that nobody caught, such as ``ValueError``. Its text is that of the contract's exception; what else is known
    follows as notes.
    """

    def __init__(self, receipt: Receipt, outcome: UserError | VMError, text: str) -> None:
        # Not those of the other base class, which may want something else.
        Exception.__init__(self, text)
        self.receipt = receipt
        self.outcome = outcome
        #: The contract's own text, or the name of the VM error.
        self.message = outcome.message
        self.stderr = receipt.stderr.text()
        self._text = text

    def says(self, text: str) -> bool:
        """Whether ``text`` is in the message, or, for an uncaught Python exception, in those of its traceback.

        The lines of code in a traceback say nothing.
        """
        said = [self.message, str(self)]
        if isinstance(self.outcome, VMError):
            said.append("\n".join(line for line in self.stderr.splitlines() if not line.startswith(" ")))
        return any(text in each for each in said)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        """Where it failed, why, and what to do. Only found out when somebody reads it: the linter is asked."""
        return _notes(self)


class ContractRollback(Exception):
    """The contract refused with a text of its own."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ContractUserError(ContractReverted, ContractRollback, sdk.UserError):
    """The contract raised ``gl.vm.UserError``."""

    __eq__ = Exception.__eq__
    __hash__ = Exception.__hash__


class ExecutorFailed(Exception):
    """The run ended with an internal error: neither the contract nor the test is to blame."""

    def __init__(self, receipt: Receipt, outcome: InternalError) -> None:
        self.receipt = receipt
        self.message = outcome.message
        details = [text for _, text in lines(explain_failure(receipt))]
        super().__init__("\n".join([f"InternalError: {outcome.message}", *details]))


class UnansweredRequest(Exception):
    """The contract asked the web, an LLM or an EVM contract for something that no mock of the test answers."""


class UnansweredRequestWarning(UserWarning):
    """The same, where the contract, or a validator, went on all the same."""


class UnusedMockWarning(RuntimeWarning):
    """With ``strict_mocks``: a mock was never asked."""


def reverted(receipt: Receipt, outcome: UserError | VMError) -> ContractReverted:
    """The exception for a contract that failed."""
    if isinstance(outcome, UserError):
        refused = ContractUserError(receipt, outcome, str(sdk.UserError(outcome.message)))
        refused.args = (outcome.message,)
        return refused
    name, text = _uncaught(receipt.stderr.text()) if outcome.message == UNCAUGHT else ("", outcome.message)
    if receipt.cause and name in _OF_THE_SDK:
        name, text = "", receipt.cause.meaning
    return _class_of(name)(receipt, outcome, text)


def _notes(error: ContractReverted) -> list[str]:
    """What is known besides the class and the text."""
    failure = explain_failure(error.receipt)
    if isinstance(error.outcome, UserError):
        # Its text says why.
        failure = replace(failure, exception="", causes=())
    elif type(error) is not ContractReverted:
        failure = replace(failure, exception="")
    causes = tuple(replace(cause, text="") if cause.text == error._text else cause for cause in failure.causes)
    said = [] if isinstance(error.outcome, UserError) or error._text == error.message else [f"VMError: {error.message}"]
    room = FAILURE_LINES - len(error._text.splitlines()) - len(said)
    return said + [text for _, text in lines(replace(failure, causes=causes), room=max(room, _LEAST_LINES))]


def _uncaught(stderr: str) -> tuple[str, str]:
    """Class and text of the exception that a traceback ends with."""
    _, found, traceback = stderr.rpartition(_TRACEBACK)
    match = _LAST_LINE.search(traceback) if found else None
    return (match["name"], (match["text"] or "").rstrip()) if match else ("", UNCAUGHT)


@cache
def _class_of(name: str) -> type[ContractReverted]:
    """The class for an uncaught exception that is called ``name``."""
    simple = name.rpartition(".")[2]
    kind: Any = _SDK_EXCEPTIONS.get(simple) if name.startswith("genlayer.") else getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, BaseExceptionGroup):
        return ContractReverted
    return type(f"Contract{simple}", (ContractReverted, kind), {"__module__": __name__})
