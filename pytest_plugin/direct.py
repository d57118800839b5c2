"""``direct_vm``: who calls, with what, when, and what the outside world answers."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.contract_file import ContractNotFound, read_contract
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import Execution, Receipt, Verdict
from pygenvm.localnet.net import LocalNet, read_state
from pygenvm.pytest_plugin.contract import DirectContract
from pygenvm.pytest_plugin.failures import ContractReverted, ExecutorFailed, UnansweredRequest
from pygenvm.pytest_plugin.inspect import EmittedEvent, SentMessage, decode_event, decode_message, decode_storage
from pygenvm.pytest_plugin.mocks import Mocks
from pygenvm.pytest_plugin.workbench import Workbench

#: The time of every test until it says otherwise.
START_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)

#: What names an account or a contract: the contract as it was deployed, an address, its hex text or its 20 bytes, or
#: the name of one of the network's accounts, such as ``"alice"``.
Account: TypeAlias = DirectContract | Address | str | bytes

#: What a test may assign to attributes of :class:`DirectVM`.
_ASSIGNABLE: Final = ("sender", "origin", "value", "strict_mocks")

_UNCHANGED: Final[Any] = object()


class Clock:
    """The datetime of the next transactions."""

    def __init__(self) -> None:
        self.now = START_TIME

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What :meth:`DirectVM.snapshot` keeps."""

    state: bytes
    now: datetime


@dataclass(slots=True)
class Reverted:
    """Given by :meth:`DirectVM.expect_revert`; ``error`` is there after the block."""

    error: ContractReverted | None = None


class DirectVM:
    """The cheat codes of one test; ``net`` is the local network that it works on.

    ``sender`` and ``value`` hold for all calls until they are changed; ``origin`` too, and None means the sender.
    With ``strict_mocks`` the test fails at its end if a mock was never needed. (A request that no mock answers always
    fails.)
    """

    def __init__(
        self, net: LocalNet, mocks: Mocks, clock: Clock, workbench: Workbench, owner: Address, test_folder: Path
    ) -> None:
        self._net = net
        self.value = 0
        self.strict_mocks = False
        self._mocks = mocks
        self._clock = clock
        self._workbench = workbench
        self._test_folder = test_folder
        self._sender = owner
        self._origin: Address | None = None
        self._pranks: list[Address] = []
        self._snapshots: list[_Snapshot] = []
        self._before = b""
        self._code = b""
        self._last: Execution | None = None

    if not TYPE_CHECKING:  # or else no type checker would see a misspelt name either

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in _ASSIGNABLE and not name.startswith("_"):
                raise AttributeError(_not_assignable(name))
            super().__setattr__(name, value)

    @property
    def net(self) -> LocalNet:
        """The local network of this test."""
        return self._net

    # --- calls ------------------------------------------------------------------------------------

    def deploy(self, path: str | Path, *args: Any, **kwargs: Any) -> DirectContract:
        """Deploys the contract in a file or folder (:func:`executor.runner.contract_file.read_contract`).

        A relative path is one from the working directory, or else from the folder of the test file.
        """
        return self.deploy_code(read_contract(self._find(Path(path))), *args, **kwargs)

    def deploy_code(self, code: bytes | str, /, *args: Any, **kwargs: Any) -> DirectContract:
        """Deploys a contract that the test has as text or bytes."""
        code = code.encode() if isinstance(code, str) else code
        before = self.net.snapshot()
        execution = self.net.deploy(code, args, kwargs, value=self.value, sender=self.sender, origin=self.origin)
        self._transaction(execution, before, code)
        address = execution.receipt.transaction.contract
        return DirectContract(self, address, self._workbench.methods(self.net, code))

    def call(self, contract: Account, method: str | None, /, *args: Any, **kwargs: Any) -> Any:
        """A transaction, whatever the schema says of the method; None calls ``__receive__``.

        Messages that the contract sends are delivered before this returns, see :attr:`last`.

        :raises ContractReverted: the contract failed. (That of a delivered message does not count.)
        """
        before = self.net.snapshot()
        execution = self.net.call(
            _address(contract), method, args, kwargs, value=self.value, sender=self.sender, origin=self.origin
        )
        return self._transaction(execution, before)

    def view(self, contract: Account, method: str | None, /, *args: Any, **kwargs: Any) -> Any:
        """A call that can neither write nor send.

        :raises ContractReverted: the contract failed.
        """
        receipt = self.net.view(_address(contract), method, args, kwargs, sender=self.sender, origin=self.origin)
        self._check(receipt)
        return receipt.value

    def transfer(self, to: Account, value: int) -> Any:
        """Sends ``value`` to a contract without naming a method: its ``__receive__``."""
        before, self.value = self.value, value
        try:
            return self.call(to, None)
        finally:
            self.value = before

    def contract_at(self, address: Account) -> DirectContract:
        """A contract that another one has deployed."""
        address = _address(address)
        return DirectContract(self, address, self._workbench.methods(self.net, self.net.code(address)))

    @contextlib.contextmanager
    def expect_revert(self, message: str | None = None) -> Iterator[Reverted]:
        """The block must end with :class:`ContractReverted`.

        :param message: a part of the contract's text, of the VM error, or of the traceback behind ``exit_code 1``.
        """
        reverted = Reverted()
        try:
            yield reverted
        except ContractReverted as error:
            reverted.error = error
            if message is not None and not error.says(message):
                pytest.fail(f"expected a revert with {message!r}, but the contract says:\n{error}")
            return
        pytest.fail("the contract did not revert")

    # --- who, when, how much ----------------------------------------------------------------------

    @property
    def sender(self) -> Address:
        """Who calls. Whatever names an account may be assigned: see :data:`Account`."""
        return self._sender

    @sender.setter
    def sender(self, account: Account) -> None:
        self._sender = _address(account)

    @property
    def origin(self) -> Address | None:
        """Who started it all, if that is not the sender."""
        return self._origin

    @origin.setter
    def origin(self, account: Account | None) -> None:
        self._origin = None if account is None else _address(account)

    @contextlib.contextmanager
    def prank(self, address: Account) -> Iterator[None]:
        """Another sender inside the block."""
        self.start_prank(address)
        try:
            yield
        finally:
            self.stop_prank()

    def start_prank(self, address: Account) -> None:
        """Another sender until :meth:`stop_prank`."""
        sender = _address(address)
        self._pranks.append(self._sender)
        self._sender = sender

    def stop_prank(self) -> None:
        """The sender before the last :meth:`start_prank`."""
        if not self._pranks:
            raise RuntimeError("stop_prank without start_prank")
        self._sender = self._pranks.pop()

    # as the cheat codes of EVM test tools are spelt
    startPrank = start_prank
    stopPrank = stop_prank

    def warp(self, when: datetime | str) -> None:
        """Sets the time of the next calls: a datetime (UTC if it has no zone) or ISO 8601 text."""
        when = datetime.fromisoformat(when) if isinstance(when, str) else when
        self._clock.now = when.replace(tzinfo=UTC) if when.tzinfo is None else when

    @property
    def now(self) -> datetime:
        """The time of the next call."""
        return self._clock.now

    def deal(self, address: Account, amount: int) -> None:
        """Sets the balance of an account or contract."""
        self.net.deal(_address(address), amount)

    def balance(self, address: Account) -> int:
        """Balance of an account or contract."""
        return self.net.balance(_address(address))

    def snapshot(self) -> int:
        """Keeps state and time; gives a number for :meth:`revert`."""
        self._snapshots.append(_Snapshot(self.net.snapshot(), self._clock.now))
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        """Goes back to a snapshot; those made after it are gone."""
        if not 0 <= snapshot < len(self._snapshots):
            raise ValueError(f"there is no snapshot {snapshot}")
        del self._snapshots[snapshot + 1 :]
        past = self._snapshots[snapshot]
        self.net.restore(past.state)
        self._clock.now = past.now

    # --- web, language models, validators ---------------------------------------------------------

    def mock_web(self, pattern: str, response: Any, *, method: str | None = None) -> None:
        """Answers requests to URLs in which ``pattern`` is found (:meth:`pytest_plugin.mocks.Mocks.web`)."""
        self._mocks.web(pattern, response, method)

    def mock_llm(self, pattern: str, response: Any) -> None:
        """Answers prompts in which ``pattern`` is found (:meth:`pytest_plugin.mocks.Mocks.llm`)."""
        self._mocks.llm(pattern, response)

    def mock_evm(self, address: Account, signature: str, response: Any) -> None:
        """Answers calls of an EVM contract's method (:meth:`pytest_plugin.mocks.Mocks.evm`)."""
        self._mocks.evm(_address(address), signature, response)

    def clear_mocks(self) -> None:
        """Forgets all mocks, and the requests that there were."""
        self._mocks.clear()

    @property
    def requests(self) -> list[Any]:
        """Payloads of web and LLM requests since the start of the test or :meth:`clear_mocks`, in order."""
        return [request.payload for request in self._mocks.requests]

    def run_validator(self, *, leader_result: Any = _UNCHANGED, leader_error: str | Exception | None = None) -> bool:
        """Whether a validator agrees with the last transaction; the mocks of now answer it.

        The whole transaction runs again on the state before it, with the leader's results of its nondet blocks.

        :param leader_result: what the leader claims to have got from the last nondet block.
        :param leader_error: the same for a leader whose block ended with a ``gl.vm.UserError``.
        """
        return self.validate(leader_result=leader_result, leader_error=leader_error).agrees

    def validate(self, *, leader_result: Any = _UNCHANGED, leader_error: str | Exception | None = None) -> Verdict:
        """:meth:`run_validator` with the details."""
        receipt = self.last.receipt
        results = list(receipt.nondet_results)
        if not results:
            raise RuntimeError("the last transaction had no nondet block: there is nothing to validate")
        claimed: Return | UserError | None = None
        if leader_error is not None:
            claimed = UserError(str(getattr(leader_error, "message", leader_error)))
        elif leader_result is not _UNCHANGED:
            claimed = Return(calldata.encode(leader_result))
        if claimed is not None:
            results[-1] = claimed.to_bytes()
        verdict = self.net.validate(
            receipt, self._before, code=self._code, leader_results=None if claimed is None else results
        )
        self._echo(verdict.receipt)
        self._check_executor(verdict.receipt)
        return verdict

    # --- what the last transaction did ------------------------------------------------------------

    @property
    def last(self) -> Execution:
        """The last transaction and the messages that were delivered because of it; also of one that failed."""
        if self._last is None:
            raise RuntimeError("there was no transaction yet")
        return self._last

    def events(self, name: str | None = None) -> list[EmittedEvent]:
        """Events of the last transaction and of the messages that it sent.

        :param name: only those of this event class, or with this signature such as ``Transferred(receiver,sender)``.
        """
        found = [
            decode_event(receipt.transaction.contract, event)
            for receipt in (self.last.receipt, *self.last.delivered)
            for event in receipt.events
        ]
        return [event for event in found if name is None or event.is_called(name)]

    @property
    def messages(self) -> list[SentMessage]:
        """What the contract of the last transaction sent."""
        receipt = self.last.receipt
        return [decode_message(receipt.transaction.contract, posted) for posted in receipt.messages]

    def storage(self, contract: Account) -> dict[str, Any]:
        """The fields of a contract as Python values."""
        dump = read_state(self.net, _address(contract))
        if dump.fields is None:
            raise RuntimeError(dump.note)
        fields: dict[str, Any] = decode_storage(dump.fields)
        return fields

    # --- parts ------------------------------------------------------------------------------------

    def _transaction(self, execution: Execution, before: bytes, code: bytes = b"") -> Any:
        self._last, self._before, self._code = execution, before, code
        for receipt in execution.delivered:
            self._echo(receipt)
            self._check_executor(receipt)
        self._check(execution.receipt)
        return execution.receipt.value

    def _check(self, receipt: Receipt) -> None:
        self._echo(receipt)
        self._check_executor(receipt)
        if isinstance(receipt.outcome, UserError | VMError):
            raise ContractReverted(receipt, receipt.outcome)

    def _check_executor(self, receipt: Receipt) -> None:
        problems = self._mocks.take_problems()
        if problems:
            raise UnansweredRequest("\n".join(problems))
        if isinstance(receipt.outcome, InternalError):
            raise ExecutorFailed(receipt, receipt.outcome)

    def _find(self, path: Path) -> Path:
        tried = [(folder / path).absolute() for folder in (Path(), self._test_folder)]
        for found in tried:
            if found.exists():
                return found
        raise ContractNotFound(f"there is no {' and no '.join(map(str, dict.fromkeys(tried)))}")

    def _echo(self, receipt: Receipt) -> None:
        """Lets pytest show what the contract printed."""
        sys.stdout.write(receipt.stdout.text())
        sys.stderr.write(receipt.stderr.text())


def _address(account: Account) -> Address:
    if isinstance(account, DirectContract):
        return account.address
    if isinstance(account, Address):
        return account
    if not isinstance(account, str):
        return Address(account)
    if account in accounts.named():
        return accounts.named()[account]
    try:
        return Address(account)
    except Exception as error:  # Address raises no narrower one
        names = ", ".join(accounts.NAMES)
        raise ValueError(f"no account is called {account[:80]!r}, and it is no address; there are {names}") from error


def _not_assignable(name: str) -> str:
    can_be = f"only {', '.join(_ASSIGNABLE)} can be assigned"
    if hasattr(DirectVM, name):
        is_method = callable(getattr(DirectVM, name))
        return f"direct_vm.{name} is {'a method, call it' if is_method else 'for reading'}; {can_be}"
    close = difflib.get_close_matches(name, _ASSIGNABLE, 1)
    return f"direct_vm has no attribute {name!r}" + (f", did you mean {close[0]!r}?" if close else f"; {can_be}")
