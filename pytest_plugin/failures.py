"""What a call in a test raises instead of giving a value."""

from __future__ import annotations

import builtins
import dataclasses
import re
from functools import cache, cached_property
from typing import Any

from pygenvm.executor.outcome import InternalError, UserError, VMError
from pygenvm.localnet.chain.explain import may_be_wrong_method
from pygenvm.localnet.chain.model import Receipt
from pygenvm.localnet.failure import FAILURE_LINES, Style, explain_failure, lines
from pygenvm.pytest_plugin import sdk

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

_UNCAUGHT = "exit_code 1"
_TRACEBACK = "Traceback (most recent call last):\n"
#: The end of a traceback: the exception's class and text, which may have several lines.
_LAST_LINE = re.compile(r"^(?!\s)(?P<name>[\w.<>]+)(?:: (?P<text>.*))?\s*\Z", re.MULTILINE | re.DOTALL)
#: Exceptions that the sandbox's Python raises and a test may name, besides those of every Python.
_SDK_EXCEPTIONS = {"NondetException": sdk.NondetException, "UserError": sdk.UserError}


class ContractReverted(Exception):
    """The contract failed, and nothing of the transaction was kept.

    What is raised is a subclass that also is what the contract raised: ``gl.vm.UserError``, or the exception of Python
    that nobody caught, such as ``ValueError``. Its text is that of the contract's exception; what else is known is in
    :attr:`details`. A test that fails shows them as notes; there are none before, or else ``pytest.raises(match=…)``
    would search them as well.
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

    @cached_property
    def details(self) -> list[str]:
        """Where it was, in the author's files, the cause and what to do; only where somebody reads it, the linter is
        asked."""
        failure = explain_failure(self.receipt)
        told = []
        if isinstance(self.outcome, UserError):
            if not failure.exception:
                # Its text says all that there is to say.
                failure = dataclasses.replace(failure, causes=())
        else:
            told += [f"VMError: {self.message}"] if self._text != self.message else []
            if type(self) is not ContractReverted:
                # Class and text are those of this exception.
                failure = dataclasses.replace(failure, exception="")
        is_cause = any(cause.text == self._text for cause in failure.causes)
        room = FAILURE_LINES - 1 - self._text.count("\n") - len(told)
        return told + [text for style, text in lines(failure, room=room) if not (is_cause and style is Style.CAUSE)]

    def __str__(self) -> str:
        return self._text


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
        super().__init__(
            "\n".join([f"InternalError: {outcome.message}", *(text for _, text in lines(explain_failure(receipt)))])
        )


class UnansweredRequest(Exception):
    """The contract asked the web, an LLM or an EVM contract for something that no mock of the test answers."""


class UnansweredRequestWarning(UserWarning):
    """The same, where the contract, or a validator, went on all the same."""


class UnusedMockWarning(RuntimeWarning):
    """With ``strict_mocks``: a mock was never asked."""


def reverted(receipt: Receipt, outcome: UserError | VMError) -> ContractReverted:
    """The exception for a contract that failed."""
    error: ContractReverted
    if isinstance(outcome, UserError):
        error = ContractUserError(receipt, outcome, str(sdk.UserError(outcome.message)))
        error.args = (outcome.message,)
    else:
        name, text, stderr = "", outcome.message, receipt.stderr.text()
        if receipt.cause and may_be_wrong_method(outcome, stderr):
            # What the SDK says of it is of the SDK.
            text = receipt.cause.meaning
        elif text == _UNCAUGHT:
            name, text = _uncaught(stderr)
        error = _class_of(name)(receipt, outcome, text)
    return error


def add_details(error: BaseException) -> None:
    """Gives an exception that is going to be shown, and those that it came of, their details as notes."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        if isinstance(each, ContractReverted):
            # That of a fixture is shown by every test that wants the fixture.
            known = getattr(each, "__notes__", [])
            for line in each.details if not set(each.details) <= set(known) else []:
                each.add_note(line)


def _uncaught(stderr: str) -> tuple[str, str]:
    """Class and text of the exception that a traceback ends with."""
    _, found, traceback = stderr.rpartition(_TRACEBACK)
    match = _LAST_LINE.search(traceback) if found else None
    return (match["name"], (match["text"] or "").rstrip()) if match else ("", _UNCAUGHT)


@cache
def _class_of(name: str) -> type[ContractReverted]:
    """The class for an uncaught exception that is called ``name``."""
    simple = name.rpartition(".")[2]
    kind: Any = _SDK_EXCEPTIONS.get(simple) if name.startswith("genlayer.") else getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, BaseExceptionGroup):
        return ContractReverted
    return type(f"Contract{simple}", (ContractReverted, kind), {"__module__": __name__})
