"""``direct_vm``: who calls, with what, when, and what the outside world answers."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.contract_file import ContractNotFound, read_contract
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import Execution, Receipt, Verdict
from pygenvm.localnet.chain.state import StateDump
from pygenvm.localnet.errors import BadValue, LocalNetError
from pygenvm.localnet.names import name_from_file
from pygenvm.localnet.net import LocalNet, read_state
from pygenvm.localnet.values import ADDRESS_TEXT, address_from_text
from pygenvm.modules.mocks import NO_MOCK
from pygenvm.pytest_plugin import output, sdk
from pygenvm.pytest_plugin.addresses import OWNER, DirectAddress, create_address, plain
from pygenvm.pytest_plugin.arguments import holds_account, prepare
from pygenvm.pytest_plugin.blocks import Block, Judgement
from pygenvm.pytest_plugin.contract import DirectContract
from pygenvm.pytest_plugin.failures import (
    ContractReverted,
    ExecutorFailed,
    UnansweredRequest,
    UnansweredRequestWarning,
    reverted,
)
from pygenvm.pytest_plugin.inspect import EmittedEvent, SentMessage, decode_event, decode_message, decode_storage
from pygenvm.pytest_plugin.mocks import Mocks
from pygenvm.pytest_plugin.other_tool import ADVICE, ALIASES, TIMES
from pygenvm.pytest_plugin.record import with_records
from pygenvm.pytest_plugin.times import start_time, time_of
from pygenvm.pytest_plugin.workbench import FUNDED, Bench, Clock, shared

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

#: What names an account or a contract: the contract as it was deployed, an address, its hex text or its 20 bytes, or
#: any other text, which is the name of an account of its own.
Account: TypeAlias = DirectContract | Address | str | bytes

#: What a test may assign to attributes of :class:`DirectVM`.
_ASSIGNABLE: Final = ("sender", "origin", "value", "strict_mocks", "check_pickling")
#: Where a contract is looked for, from the working directory.
_CONTRACT_FOLDERS: Final = ("", "contracts", "intelligent-contracts")
#: Where the file of a database counts its changes.
_CHANGE_COUNTER: Final = slice(24, 28)

_UNCHANGED: Final[Any] = object()
#: The modules whose calls are not those of a test.
_OURS: Final = __name__.rpartition(".")[0] + "."


class ContractMissing(ContractNotFound, FileNotFoundError):
    """There is no such file or folder."""


@dataclass(frozen=True, slots=True)
class _Captured:
    """A nondet block that was executed, and all that a validator needs to judge it."""

    receipt: Receipt
    before: bytes
    code: bytes
    blocks: tuple[Block, ...]
    number: int


@dataclass(slots=True)
class _Cheats:
    """What a test has set, and :meth:`DirectVM.revert` brings back."""

    sender: DirectAddress
    origin: DirectAddress | None = None
    value: int = 0
    pranks: tuple[DirectAddress, ...] = ()
    captured: tuple[_Captured, ...] = ()
    funded: frozenset[bytes] = FUNDED
    """Accounts that have been given a balance."""


@dataclass(frozen=True, slots=True)
class _Past:
    """What :meth:`DirectVM.snapshot` keeps."""

    state: bytes
    now: datetime
    cheats: _Cheats
    mocks: Any


@dataclass(slots=True)
class Reverted:
    """Given by :meth:`DirectVM.expect_revert`; ``error`` is there after the block."""

    message: str | None = None
    error: Exception | None = None

    def __enter__(self) -> Reverted:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None:
            asked = f" with message: {self.message}" if self.message else ""
            raise AssertionError(f"Expected revert{asked}, but call succeeded")
        is_assertion = isinstance(error, AssertionError) and not isinstance(error, ContractReverted)
        if is_assertion or isinstance(error, ExecutorFailed) or not isinstance(error, Exception):
            return False
        self.error = error
        says = error.says if isinstance(error, ContractReverted) else str(error).__contains__
        if self.message is not None and not says(self.message):
            raise AssertionError(f"Expected revert with message '{self.message}', got '{error}'") from error
        return True


class _Refusals:
    """What the network refuses is no matter of the calls inside it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, LocalNetError):
            raise error.with_traceback(None) from None


class DirectVM:
    """The cheat codes of one test; ``net`` is the local network that it works on.

    ``sender`` and ``value`` hold for all calls until they are changed; ``origin`` too, and None means the sender.
    With ``strict_mocks`` a mock that was never asked for is warned of. Pickling of nondet blocks is always checked,
    whatever ``check_pickling`` is, because contracts run where it takes place.
    """

    def __init__(self, *, test_folder: Path | None = None, start: datetime | None = None) -> None:
        """
        :param test_folder: where contracts are looked for besides the working directory.
        :param start: the time at first; the configured one if there is none.
        """
        self._own_test_folder = test_folder
        self._own_clock = Clock(start or start_time())
        self._own_mocks = Mocks()
        self._own_cheats = _Cheats(create_address(OWNER))
        self._own_bench: Bench | None = None
        self._own_snapshots: dict[int, _Past] = {}
        self._own_snapshot_count = 0
        self._own_last: Execution | None = None
        self._own_contracts: list[DirectContract] = []
        self._own_dumps: tuple[bytes, dict[Address, StateDump]] = b"", {}
        self.check_pickling = False

    if not TYPE_CHECKING:  # or else no type checker would see a misspelt name either

        def __setattr__(self, name: str, value: Any) -> None:
            name = ALIASES.get(name, name)
            if name in TIMES:
                self.warp(value)
            elif name in _ASSIGNABLE or name.startswith("_own_"):
                super().__setattr__(name, value)
            else:
                raise AttributeError(_not_assignable(name))

        def __getattr__(self, name: str) -> Any:
            if name in ALIASES or name in TIMES:
                return getattr(self, ALIASES.get(name, "now"))
            known = f": {ADVICE[name]}" if name in ADVICE else ""
            raise AttributeError(f"direct_vm has no attribute {name!r}{known}")

    @contextlib.contextmanager
    def activate(self) -> Iterator[DirectVM]:
        """The test's own part of a test; at its end ``strict_mocks`` looks for mocks that were never asked."""
        yield self
        self._own_mocks.warn_of_unused()

    def _close(self) -> None:
        """Clears the local network away."""
        if self._own_bench is not None:
            shared.get().clear_away(self._own_bench)
            self._own_bench = None

    @property
    def net(self) -> LocalNet:
        """The local network of this test."""
        return self._bench.net

    @property
    def _bench(self) -> Bench:
        if self._own_bench is None:
            self._own_bench = shared.get().bench(self._own_mocks, self._own_clock)
        return self._own_bench

    # --- calls ------------------------------------------------------------------------------------

    def deploy(self, path: str | Path, *args: Any, sdk_version: str | None = None, **kwargs: Any) -> DirectContract:
        """Deploys the contract in a file or folder (:func:`executor.runner.contract_file.read_contract`).

        A relative path is one from the working directory, its ``contracts/`` or ``intelligent-contracts/``, or else
        from the folder of the test file.

        :param sdk_version: changes nothing. The contract's header says which SDK it runs with.
        """
        found = self._find(path)
        return self._deploy(read_contract(found), args, kwargs, found)

    def deploy_code(self, code: bytes | str, /, *args: Any, **kwargs: Any) -> DirectContract:
        """Deploys a contract that the test has as text or bytes."""
        return self._deploy(code.encode() if isinstance(code, str) else code, args, kwargs)

    def _deploy(
        self, code: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any], path: Path | None = None
    ) -> DirectContract:
        name = name_from_file(path.stem) if path else ""
        schema = shared.get().schema(self.net, code) if holds_account((args, kwargs)) else None
        arguments = prepare(args, kwargs, (schema or {}).get("ctor", {}))
        with _Refusals():
            self._prepare()
            execution = self.net.deploy(
                code,
                *arguments,
                value=self.value,
                sender=plain(self.sender),
                origin=self._origin_of_call(),
                name=name,
                path=path,
            )
        self._transaction(execution, code)
        return self._known(execution.receipt.transaction.contract, code, name)

    def call(self, contract: Account, method: str | None, /, *args: Any, **kwargs: Any) -> Any:
        """A transaction, whatever the schema says of the method; None calls ``__receive__``.

        Messages that the contract sends are delivered before this returns, see :attr:`last`.

        :raises ContractReverted: the contract failed. (That of a delivered message does not count.)
        """
        arguments = prepare(args, kwargs, _signature(contract, method))
        with _Refusals():
            self._prepare()
            execution = self.net.call(
                plain(_address(contract)),
                method,
                *arguments,
                value=self.value,
                sender=plain(self.sender),
                origin=self._origin_of_call(),
            )
        return self._transaction(execution)

    def view(self, contract: Account, method: str | None, /, *args: Any, **kwargs: Any) -> Any:
        """A call that can neither write nor send.

        :raises ContractReverted: the contract failed.
        """
        arguments = prepare(args, kwargs, _signature(contract, method))
        with _Refusals():
            receipt = self.net.view(
                plain(_address(contract)), method, *arguments, sender=plain(self.sender), origin=self._origin_of_call()
            )
        self._capture(receipt, b"")
        self._check(receipt)
        return with_records(receipt.value)

    def transfer(self, to: Account, value: int) -> Any:
        """Sends ``value`` to a contract without naming a method: its ``__receive__``."""
        before, self.value = self.value, value
        try:
            return self.call(to, None)
        finally:
            self.value = before

    def contract_at(self, address: Account) -> DirectContract:
        """A contract that another one has deployed."""
        address = plain(_address(address))
        with _Refusals():
            code, name = self.net.code(address), self.net.contract(address).name
        return self._known(address, code, name)

    def expect_revert(self, message: str | None = None) -> Reverted:
        """Something in the block must fail: the contract, or a call that cannot even be sent.

        :param message: a part of the contract's text, of the VM error, of the traceback behind ``exit_code 1``, or of
            the exception's own text.
        :raises AssertionError: nothing failed, or not like that.
        """
        return Reverted(message)

    def _find(self, path: str | Path, what: str = "Contract") -> Path:
        """Where the file or folder of a contract is (:meth:`deploy`), or another file of a test.

        :raises FileNotFoundError: nowhere.
        """
        folders = [Path.cwd() / folder for folder in _CONTRACT_FOLDERS]
        tried = [folder / path for folder in (*folders, *filter(None, [self._own_test_folder]))]
        for found in tried:
            if found.exists():
                return found
        raise ContractMissing(f"{what} not found: there is no {' and no '.join(map(str, dict.fromkeys(tried)))}")

    # --- who, when, how much ----------------------------------------------------------------------

    @property
    def sender(self) -> DirectAddress:
        """Who calls. Whatever names an account may be assigned: see :data:`Account`."""
        return self._own_cheats.pranks[-1] if self._own_cheats.pranks else self._own_cheats.sender

    @sender.setter
    def sender(self, account: Account) -> None:
        self._own_cheats.sender = _address(account)

    @property
    def origin(self) -> DirectAddress:
        """Who started it all: the sender, unless another one is assigned; None makes it the sender again."""
        return self._own_cheats.origin or self.sender

    @origin.setter
    def origin(self, account: Account | None) -> None:
        self._own_cheats.origin = None if account is None else _address(account)

    @property
    def value(self) -> int:
        """What every transaction carries."""
        return self._own_cheats.value

    @value.setter
    def value(self, value: int) -> None:
        self._own_cheats.value = value

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
        self._own_cheats.pranks += (_address(address),)

    def stop_prank(self) -> None:
        """The sender before the last :meth:`start_prank`."""
        if not self._own_cheats.pranks:
            raise RuntimeError("No active prank to stop")
        self._own_cheats.pranks = self._own_cheats.pranks[:-1]

    # as the cheat codes of EVM test tools are spelt
    startPrank = start_prank
    stopPrank = stop_prank

    def warp(self, when: datetime | timedelta | str) -> None:
        """Sets the time of the next calls: a datetime (UTC if it has no zone), ISO 8601 text, or how much later."""
        if isinstance(when, timedelta):
            self._own_clock.now += when
        elif isinstance(when, datetime):
            self._own_clock.now = when if when.tzinfo else when.replace(tzinfo=UTC)
        elif isinstance(when, str):
            self._own_clock.now = time_of(when)
        else:
            raise TypeError(f"a time is a datetime, a timedelta or text, not a {type(when).__name__}")

    @property
    def now(self) -> datetime:
        """The time of the next call."""
        return self._own_clock.now

    def deal(self, address: Account, amount: int) -> None:
        """Sets the balance of an account or contract."""
        account = _address(address)
        with _Refusals():
            self.net.deal(plain(account), amount)
        self._own_cheats.funded |= {account}

    def balance(self, address: Account) -> int:
        """Balance of an account or contract."""
        return self.net.balance(plain(_address(address)))

    def snapshot(self) -> int:
        """Keeps state, time, mocks and everything that may be assigned; gives a number for :meth:`revert`."""
        number = self._own_snapshot_count
        self._own_snapshot_count += 1
        cheats = dataclasses.replace(self._own_cheats)
        self._own_snapshots[number] = _Past(self.net.snapshot(), self.now, cheats, self._own_mocks.snapshot())
        return number

    def revert(self, snapshot: int) -> None:
        """Goes back to a snapshot; those made after it are gone."""
        if snapshot not in self._own_snapshots:
            raise ValueError(f"Snapshot {snapshot} not found")
        self._own_snapshots = {number: past for number, past in self._own_snapshots.items() if number <= snapshot}
        past = self._own_snapshots[snapshot]
        self.net.restore(past.state)
        self._own_clock.now = past.now
        self._own_cheats = dataclasses.replace(past.cheats)
        self._own_mocks.restore(past.mocks)

    # --- web, language models, validators ---------------------------------------------------------

    def mock_web(self, pattern: str, response: Any, *, method: str | None = None) -> None:
        """Answers requests to URLs in which ``pattern`` is found (:meth:`pytest_plugin.mocks.Mocks.web`)."""
        self._own_mocks.web(pattern, response, method)

    def mock_llm(self, pattern: str, response: Any) -> None:
        """Answers prompts in which ``pattern`` is found (:meth:`pytest_plugin.mocks.Mocks.llm`)."""
        self._own_mocks.llm(pattern, response)

    def mock_file(self, path: str | Path) -> None:
        """Answers what this file does with ``genvm local --mocks``; found as contracts are (:meth:`deploy`)."""
        self._own_mocks.file(self._find(path, "Mock file"))

    def mock_evm(self, address: Account, signature: str, response: Any) -> None:
        """Answers calls of an EVM contract's method (:meth:`pytest_plugin.mocks.Mocks.evm`)."""
        self._own_mocks.evm(plain(_address(address)), signature, response)

    def clear_mocks(self) -> None:
        """Forgets all mocks, and the requests that there were."""
        self._own_mocks.clear()

    @property
    def strict_mocks(self) -> bool:
        """Whether mocks that were never asked for are warned of, at the end and by :meth:`clear_mocks`."""
        return self._own_mocks.strict

    @strict_mocks.setter
    def strict_mocks(self, strict: bool) -> None:
        self._own_mocks.strict = strict

    @property
    def requests(self) -> list[Any]:
        """Payloads of web and LLM requests since the start of the test or :meth:`clear_mocks`, in order."""
        return [request.payload for request in self._own_mocks.requests]

    def run_validator(
        self, *, leader_result: Any = _UNCHANGED, leader_error: str | Exception | None = None, index: int = -1
    ) -> bool:
        """Whether a validator agrees with the leader about one nondet block; the mocks of now answer it.

        The transaction runs again on the state before it, up to the block and with what the blocks before it got then.

        :param leader_result: what the leader claims to have got, instead of what it did.
        :param leader_error: the same for a leader whose block ended with a ``gl.vm.UserError``.
        :param index: which block of this test, in order since :meth:`clear_validators`; from the end if negative.
        """
        captured = self._captured(index)
        claimed = _claimed(leader_result, leader_error) or captured.blocks[captured.number].result
        self._bench.executor.judged = Judgement(captured.number, claimed, captured.blocks)
        try:
            verdict = self._validated(captured, None)
            blocks = self._bench.executor.take(captured.receipt.tx_id)
        finally:
            self._bench.executor.judged = None
        if blocks is None or not blocks.reached:
            raise RuntimeError("the contract does not come to this block again: what it does before is not the same")
        return verdict.disagreement != captured.number

    def validate(self, *, leader_result: Any = _UNCHANGED, leader_error: str | Exception | None = None) -> Verdict:
        """What a validator finds in the last transaction that had nondet blocks, all of them together.

        The arguments put a claim of the leader in the place of the result of the last block.
        """
        captured = self._captured(-1)
        claimed = _claimed(leader_result, leader_error)
        if claimed is None and captured.receipt.nondet_results:
            return self._validated(captured, None)
        results = [block.result for block in captured.blocks]
        return self._validated(captured, [*results[:-1], claimed or results[-1]])

    def clear_validators(self) -> None:
        """Forgets the nondet blocks that there were."""
        self._own_cheats.captured = ()

    # --- what the last transaction did ------------------------------------------------------------

    @property
    def last(self) -> Execution:
        """The last transaction and the messages that were delivered because of it; also of one that failed."""
        if self._own_last is None:
            raise RuntimeError("there was no transaction yet")
        return self._own_last

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
        dump = self._dump(plain(_address(contract)))
        if dump.fields is None:
            raise RuntimeError(dump.note)
        fields: dict[str, Any] = decode_storage(dump.fields)
        return fields

    # --- parts ------------------------------------------------------------------------------------

    def _dump(self, address: Address) -> StateDump:
        """Reading storage is a run, so it is kept for as long as nothing is written."""
        with self._bench.path.open("rb") as database:
            change = database.read(_CHANGE_COUNTER.stop)[_CHANGE_COUNTER]
        if change != self._own_dumps[0]:
            self._own_dumps = change, {}
        dumps = self._own_dumps[1]
        if address not in dumps:
            dumps[address] = read_state(self.net, address)
        return dumps[address]

    def _prepare(self) -> None:
        """Before a transaction: a sender of value has a balance."""
        sender = self.sender
        if self.value and sender not in self._own_cheats.funded and not self._is_contract(sender):
            self.deal(sender, self.balance(sender) + accounts.START_BALANCE)

    def _is_contract(self, address: Address) -> bool:
        return any(contract.address == address for contract in self._own_contracts)

    def _origin_of_call(self) -> Address | None:
        """None for the sender, which may only be a contract if somebody else is the origin."""
        origin = self._own_cheats.origin
        if origin is None and self._is_contract(self.sender):
            origin = create_address(OWNER)
        return None if origin is None else plain(origin)

    def _known(self, address: Address, code: bytes, name: str) -> DirectContract:
        schema = shared.get().schema(self.net, code)
        contract = DirectContract(self, address, None if schema is None else schema["methods"], name)
        self._own_contracts.append(contract)
        return contract

    def _transaction(self, execution: Execution, code: bytes = b"") -> Any:
        self._own_last = execution
        self._capture(execution.receipt, code)
        self._check(execution.receipt, *execution.delivered)
        return with_records(execution.receipt.value)

    def _capture(self, receipt: Receipt, code: bytes) -> None:
        blocks = self._bench.executor.take(receipt.tx_id)
        if blocks is not None and blocks.finished:
            finished = tuple(blocks.finished)
            captured = (_Captured(receipt, blocks.before, code, finished, block.number) for block in finished)
            self._own_cheats.captured += tuple(captured)

    def _captured(self, index: int) -> _Captured:
        if not self._own_cheats.captured:
            raise RuntimeError(
                "No validator captured. Call a contract method that uses gl.vm.run_nondet before calling"
                " run_validator()."
            )
        return self._own_cheats.captured[index]

    def _validated(self, captured: _Captured, claims: list[bytes] | None) -> Verdict:
        verdict = self.net.validate(captured.receipt, captured.before, code=captured.code, leader_results=claims)
        output.echo(verdict.receipt)
        self._warn(self._problems())
        self._check_executor(verdict.receipt)
        return verdict

    def _check(self, receipt: Receipt, *delivered: Receipt) -> None:
        """Raises what a call has to raise; ``delivered`` were executed because of it, and may fail."""
        for each in (*delivered, receipt):
            output.echo(each)
        unanswered = self._problems()
        for each in (receipt, *delivered):
            self._check_executor(each)
            failed = reverted(each, each.outcome) if isinstance(each.outcome, UserError | VMError) else None
            if unanswered and isinstance(failed, sdk.NondetException) and any(text in str(failed) for text in NO_MOCK):
                raise UnansweredRequest("\n".join(unanswered)) from failed
        self._warn(unanswered)
        if isinstance(receipt.outcome, UserError | VMError):
            raise reverted(receipt, receipt.outcome)

    def _problems(self) -> list[str]:
        """Requests that no mock has answered.

        :raises UnansweredRequest: a mock is wrong, or what it calls has failed.
        """
        problems = self._own_mocks.take_problems()
        if problems.broken:
            raise UnansweredRequest("\n".join(problems.broken))
        return problems.unanswered

    def _warn(self, unanswered: list[str]) -> None:
        if unanswered:
            warnings.warn("\n".join(unanswered), UnansweredRequestWarning, stacklevel=_test_level())

    def _check_executor(self, receipt: Receipt) -> None:
        if isinstance(receipt.outcome, InternalError):
            raise ExecutorFailed(receipt, receipt.outcome)


def _test_level() -> int:
    """How many calls above the caller the test is; its line is to be named."""
    level = 1
    while sys._getframe(level).f_globals.get("__name__", "").startswith(_OURS):
        level += 1
    return level


def _signature(contract: Account, method: str | None) -> Mapping[str, Any]:
    """The parameters of a method, where they are known."""
    return contract.signature(method or "") if isinstance(contract, DirectContract) else {}


def _claimed(leader_result: Any, leader_error: str | Exception | None) -> bytes | None:
    """The result of a block that a leader claims instead of its own; None for its own."""
    if leader_error is not None:
        return UserError(str(getattr(leader_error, "message", leader_error))).to_bytes()
    if leader_result is _UNCHANGED:
        return None
    value = leader_result.calldata if isinstance(leader_result, sdk.Return) else leader_result
    return Return(calldata.encode(value)).to_bytes()


def _address(account: Account) -> DirectAddress:
    if isinstance(account, DirectContract):
        return account.address
    if isinstance(account, str) and not account.startswith("0x"):
        return create_address(account)
    if isinstance(account, str) and ADDRESS_TEXT.fullmatch(account):
        try:
            return DirectAddress(address_from_text(account))
        except BadValue as error:
            raise ValueError(str(error)) from None
    try:
        return DirectAddress(account)
    except Exception as error:  # Address raises no narrower one
        raise ValueError(f"not an address: {account!r:.80} (write 0x and 40 hex digits)") from error


def _not_assignable(name: str) -> str:
    if name in ADVICE:
        return f"direct_vm.{name} is not there: {ADVICE[name]}"
    can_be = f"only {', '.join(_ASSIGNABLE)} can be assigned"
    if hasattr(DirectVM, name):
        is_method = callable(getattr(DirectVM, name))
        return f"direct_vm.{name} is {'a method, call it' if is_method else 'for reading'}; {can_be}"
    close = difflib.get_close_matches(name, _ASSIGNABLE, 1)
    return f"direct_vm has no attribute {name!r}" + (f", did you mean {close[0]!r}?" if close else f"; {can_be}")
