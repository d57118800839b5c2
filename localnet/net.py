"""The local network as a library: deploy, call, view, schema, state.

One command of the user is one transaction, then the transactions of the messages that it posted:

1. The run sees the database through an overlay. Only after a Return its effects are committed, at once. Anything else
   that a command of the user ends with leaves the database as it was, and is not recorded.
2. The value of a message leaves its sender with that commit and waits in the queue of the database.
3. Messages are delivered one by one in order of posting, each as a transaction of its own; those released on
   acceptance and those released on finalisation alike, because here both happen at the commit. New messages go to the
   end. A command that is interrupted leaves the rest in the queue; the next one that writes delivers it first.
4. A message that fails is recorded with its error. If it carried value, that comes back to the sender as a ``#error``
   call (spec sdk/04 §10); if that fails too, the value is put back without a call.
5. After :data:`localnet.limits.DELIVERIES` messages the rest is recorded as undelivered, and its value put back.

A message to an address without a contract is a transfer if its calldata is the empty map, otherwise it fails as it
would on a node. ``origin`` is the account whose command started it all, ``sender`` the contract that posted it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.host_protocol.server import LEFT
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import CONTRACT_FILE_BYTES, HOST_REPLY_SLICE_BYTES
from pygenvm.executor.outcome import InternalError, Outcome, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT, SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.printing import result_line
from pygenvm.localnet import accounts, limits, values
from pygenvm.localnet.errors import BadRequest, BadValue, InsufficientBalance
from pygenvm.localnet.executor_process import Executor, ExecutorProcess, RunReport, RunRequest
from pygenvm.localnet.explain import explain_method, may_be_wrong_method
from pygenvm.localnet.model import (
    AccountInfo,
    BalanceChange,
    Captured,
    ContractInfo,
    Execution,
    Kind,
    PostedKind,
    Receipt,
    SchemaDocument,
    Status,
    Transaction,
    Verdict,
    calldata_of_call,
)
from pygenvm.localnet.names import check_contract_name, find_address, find_contract, find_sender, short_name
from pygenvm.localnet.node import EthCall, RunHost
from pygenvm.localnet.overlay import Overlay
from pygenvm.localnet.store import Changes, Store, open_store

#: Arguments as values, or as JSON text in the notation of :mod:`localnet.values`.
Arguments = Sequence[values.Value] | str
KeywordArguments = Mapping[str, values.Value] | str

_ALL_PERMISSIONS = "rwscn"
#: Neither writing nor sending, as for the manager's read-only runs (spec modules/04 §6.7).
_VIEW_PERMISSIONS = "rcn"
READ_PERMISSIONS = "r"
_EMPTY_CALL = calldata.encode({})
_ABSENT_CONTRACT = "invalid_contract absent_runner_comment"

#: Members of a receipt that every validator finds the same, given the same results of nondet blocks.
_DETERMINED = ("status", "outcome", "events", "messages", "balances", "slots_written", "bytes_written")

#: How an executor that cannot start says why (spec executor/10 "run").
_START_ERROR = "Error: "

T = TypeVar("T")


class LocalNet:
    """A local network in the file ``db_path``. Every method is one command; none keeps the file open."""

    def __init__(
        self,
        db_path: Path | str,
        *,
        executor: Executor | None = None,
        timeout: float = limits.RUN_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        lock_seconds: float = limits.LOCK_SECONDS,
        on_wait: Callable[[], None] | None = None,
        node_address: str = "0x",
        eth_call: EthCall | None = None,
    ) -> None:
        """
        :param executor: what runs contracts; by default a ``genvm run`` process per run.
        :param timeout: seconds of wall time for each run.
        :param clock: the datetime of messages.
        :param node_address: what LLM and web services are told about this node.
        :param eth_call: answers calls of EVM contracts, for which this network has no machine.
        :param lock_seconds: how long to wait for another command on the same file; ``on_wait`` is called then.
        """
        self._path = Path(db_path)
        self._executor = executor or ExecutorProcess()
        self._timeout = timeout
        self._clock = clock
        self._lock_seconds = lock_seconds
        self._on_wait = on_wait
        self._node_address = node_address
        self._eth_call = eth_call

    # --- commands that write ----------------------------------------------------------------------

    def deploy(
        self,
        code: bytes,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        value: int = 0,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
        salt: int = 0,
        name: str = "",
    ) -> Execution:
        """Deploys a contract; its address is ``execution.receipt.transaction.contract``.

        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :param salt: below 2**256; not 0 makes the address depend on the sender and the salt alone.
        :raises BadRequest: impossible arguments, value, sender, salt or name.
        """
        if name:
            check_contract_name(name)
        if not 0 <= salt < 1 << 256:
            raise BadValue("the salt must be from 0 to 2^256 - 1")
        if len(code) > CONTRACT_FILE_BYTES:
            raise BadValue(f"the contract has {len(code)} bytes, the limit is {CONTRACT_FILE_BYTES}")
        with self._open(write=True) as store:
            account, started_by = self._check_sender(store, sender, origin, value)
            address = accounts.contract_address(account, salt=salt, nonce=store.nonce(account))
            if store.contract(address):
                raise BadRequest(f"{account!s} has already used salt {salt}, for the contract {address!s}")

            def schema() -> Mapping[str, Any]:
                overlay = Overlay(store)
                write_code(overlay, address, code)
                found: Mapping[str, Any] = self._schema(store, overlay, address).get("ctor", {})
                return found

            data = self._call_data(store, None, args, kwargs or {}, schema)
            return self._command(
                store, Transaction(Kind.DEPLOY, account, started_by, address, value, data, code=code, name=name)
            )

    def call(
        self,
        contract: str | Address | None,
        method: str | None,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        value: int = 0,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
    ) -> Execution:
        """Calls a method in a transaction.

        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :param contract: address, start of an address, name, or None for the last deployed contract.
        :param method: None or empty calls ``__receive__``.
        :raises BadRequest: impossible arguments, value, sender or contract.
        """
        if not self._path.exists():
            self.contract(contract)  # fails, and leaves no folder behind
        with self._open(write=True) as store:
            account, started_by = self._check_sender(store, sender, origin, value)
            info = find_contract(store, contract)
            schema = self._method_of(store, info.address, method)
            data = self._call_data(store, method or None, args, kwargs or {}, schema)
            execution = self._command(store, Transaction(Kind.CALL, account, started_by, info.address, value, data))
            return dataclasses.replace(execution, receipt=self._with_cause(store, execution.receipt, info, method))

    def restore(self, snapshot: bytes) -> None:
        """Goes back, or forward, to the state of a :meth:`snapshot`.

        :raises DatabaseError: not a snapshot.
        """
        with self._open(write=True) as store:
            store.restore(snapshot)

    def deal(self, account: str | Address, balance: int) -> None:
        """Gives an account or contract a balance out of nothing, which no transaction can; for tests.

        :raises BadValue: all balances together would not fit the 64-bit value of a message.
        """
        with self._open(write=True) as store:
            address = account if isinstance(account, Address) else find_address(store, account)
            if balance < 0 or store.total_value() - store.balance(address) + balance > limits.VALUE_MAX:
                raise BadValue(f"all balances together must be from 0 to {limits.VALUE_MAX}")
            store.set_balance(address, balance)

    # --- commands that read -----------------------------------------------------------------------

    def view(
        self,
        contract: str | Address | None,
        method: str | None,
        args: Arguments = (),
        kwargs: KeywordArguments | None = None,
        *,
        sender: str | Address = accounts.DEFAULT_SENDER,
        origin: str | Address | None = None,
    ) -> Receipt:
        """Calls a method without effect: it can neither write nor send, and nothing is recorded.

        :raises BadRequest: impossible arguments, sender or contract.
        """
        with self._open() as store:
            account, started_by = self._check_sender(store, sender, origin, 0)
            info = find_contract(store, contract)
            schema = self._method_of(store, info.address, method)
            data = self._call_data(store, method or None, args, kwargs or {}, schema)
            transaction = Transaction(Kind.VIEW, account, started_by, info.address, 0, data)
            receipt = self.read(store, Overlay(store), transaction, permissions=_VIEW_PERMISSIONS)
            return self._with_cause(store, receipt, info, method)

    def validate(
        self, receipt: Receipt, before: bytes, *, code: bytes = b"", leader_results: Sequence[bytes] | None = None
    ) -> Verdict:
        """Runs a transaction again as a validator does: the results of nondet blocks are given, and judged.

        :param receipt: what became of the transaction on the leader's node, which is this one.
        :param before: a :meth:`snapshot` of the state in which it was executed.
        :param code: the contract, for a deployment.
        :param leader_results: what the leader claims instead of ``receipt.nondet_results``.
        """
        results = receipt.nondet_results if leader_results is None else leader_results
        with closing(Store.of_snapshot(before)) as store:
            transaction = dataclasses.replace(receipt.transaction, code=code)
            identity = receipt.tx_id, receipt.datetime
            own, disagreement, _ = self._execute(store, transaction, identity, leader_results=results)
        same = all(getattr(own, name) == getattr(receipt, name) for name in _DETERMINED)
        return Verdict(own, disagreement, diverged=leader_results is None and not same)

    def snapshot(self) -> bytes:
        """The whole state, for :meth:`restore` and :meth:`validate`."""
        with self._open() as store:
            return store.snapshot()

    def balance(self, account: str | Address) -> int:
        """Balance of an account, a contract, or any other address."""
        with self._open() as store:
            return store.balance(account if isinstance(account, Address) else find_address(store, account))

    def schema(self, contract: str | Address | None) -> SchemaDocument:
        """The schema of a deployed contract (spec sdk/03 §4).

        :raises NoSchema: the contract has none.
        """
        with self._open() as store:
            return self._schema(store, Overlay(store), find_contract(store, contract).address)

    def schema_of_code(self, code: bytes) -> SchemaDocument:
        """The schema of a contract that is not deployed; the database is not used.

        :raises NoSchema: the contract has none.
        """
        if len(code) > CONTRACT_FILE_BYTES:
            raise BadValue(f"the contract has {len(code)} bytes, the limit is {CONTRACT_FILE_BYTES}")
        with closing(Store(None)) as store:
            overlay = Overlay(store)
            address = accounts.contract_address(accounts.named()[accounts.DEFAULT_SENDER], salt=0, nonce=0)
            write_code(overlay, address, code)
            return self._schema(store, overlay, address)

    def accounts(self) -> list[AccountInfo]:
        """Balances of the named accounts, of contracts, and of every other address that has one."""
        with self._open() as store:
            return store.accounts()

    def log(self, count: int = limits.LOG_TRANSACTIONS) -> list[Receipt]:
        """The last ``count`` recorded transactions, oldest first."""
        with self._open() as store:
            return store.transactions(count)

    def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        with self._open() as store:
            return store.contracts()

    def contract(self, word: str | Address | None) -> ContractInfo:
        """The contract that ``word`` means (:mod:`localnet.names`).

        :raises NotFound: there is none.
        """
        with self.open_contract(word) as (_, contract):
            return contract

    @contextmanager
    def open_contract(self, word: str | Address | None) -> Iterator[tuple[Store, ContractInfo]]:
        """The database, for reading, and the contract that ``word`` means."""
        with self._open() as store:
            yield store, find_contract(store, word)

    def _open(self, *, write: bool = False) -> AbstractContextManager[Store]:
        return open_store(self._path, write=write, wait_seconds=self._lock_seconds, on_wait=self._on_wait)

    # --- arguments --------------------------------------------------------------------------------

    def _check_sender(
        self, store: Store, sender: str | Address, origin: str | Address | None, value: int
    ) -> tuple[Address, Address]:
        """Sender and origin."""
        if not 0 <= value <= limits.VALUE_MAX:
            raise BadValue(f"the value must be from 0 to {limits.VALUE_MAX}")
        account = find_sender(store, sender, contracts_too=origin is not None)
        balance = store.balance(account)
        if value > balance:
            name = accounts.names().get(account, str(account))
            raise InsufficientBalance(f"{name} has {balance}, which is less than the value {value}")
        return account, account if origin is None else find_sender(store, origin)

    def _method_of(self, store: Store, address: Address, method: str | None) -> Callable[[], Mapping[str, Any]]:
        def schema() -> Mapping[str, Any]:
            document = self._schema(store, Overlay(store), address)
            found: Mapping[str, Any] = document.get("methods", {}).get(method or "", {})
            return found

        return schema

    def _call_data(
        self,
        store: Store,
        method: str | None,
        args: Arguments,
        kwargs: KeywordArguments,
        schema: Callable[[], Mapping[str, Any]],
    ) -> bytes:
        positional, named = _parsed(store, args, list, "args"), _parsed(store, kwargs, dict, "kwargs")
        from_text = [value for value, given in ((positional, args), (named, kwargs)) if isinstance(given, str)]
        try:
            # Only a string that starts with 0x can mean something else than itself; a schema costs a run.
            if any(values.may_need_schema(value) for value in from_text):
                converted = values.apply_schema_to_call(positional, named, schema())
                positional = converted[0] if isinstance(args, str) else positional
                named = converted[1] if isinstance(kwargs, str) else named
        except NoSchema:
            # Without a schema a string is a string.
            pass
        try:
            data = calldata_of_call(method, positional, named)
        except (TypeError, ValueError) as error:
            raise BadValue(f"arguments that calldata cannot hold: {error}") from error
        if len(data) > HOST_REPLY_SLICE_BYTES:
            raise BadValue(f"the arguments have {len(data)} bytes, the limit is {HOST_REPLY_SLICE_BYTES}")
        return data

    # --- transactions -----------------------------------------------------------------------------

    def _command(self, store: Store, transaction: Transaction) -> Execution:
        resumed = self._deliver(store)
        balance = store.balance(transaction.sender)
        if transaction.value > balance:
            raise InsufficientBalance(f"{transaction.sender!s} has {balance}, less than the value {transaction.value}")
        receipt, _, changes = self._execute(store, transaction, self._identity(store, transaction, 0))
        if changes is None:
            return Execution(receipt, resumed=resumed)
        (receipt,) = store.commit([changes])
        return Execution(receipt, self._deliver(store), resumed)

    def _deliver(self, store: Store) -> tuple[Receipt, ...]:
        """Delivers what is in the queue and what follows from it, within the limit of one command."""
        receipts: list[Receipt] = []
        while queued := store.queued(1):
            if len(receipts) >= limits.DELIVERIES:
                return (*receipts, *self._put_back(store))
            ((number, transaction),) = queued
            identity = self._identity(store, transaction, number)
            *_, changes = self._execute(store, transaction, identity, queued=number)
            assert changes is not None, "a queued message is always settled"
            receipts += store.commit([changes])
        return tuple(receipts)

    def _put_back(self, store: Store) -> list[Receipt]:
        """Empties the queue without executing what is in it."""
        receipts: list[Receipt] = []
        while queued := store.queued(1):
            ((number, transaction),) = queued
            described = dataclasses.replace(transaction, code=b"")
            receipt = Receipt(described, Status.UNDELIVERED, None, *self._identity(store, transaction, number))
            # The value of a #error call belongs to the contract that it goes to.
            owner = transaction.contract if transaction.kind is Kind.ERROR else transaction.sender
            receipts += store.commit([_refund(store, receipt, owner, number)])
        return receipts

    def _execute(
        self,
        store: Store,
        transaction: Transaction,
        identity: tuple[bytes, str],
        *,
        queued: int | None = None,
        leader_results: Sequence[bytes] | None = None,
    ) -> tuple[Receipt, int | None, Changes | None]:
        """Runs a transaction: what became of it, the nondet block that is disagreed with, and the changes.

        No changes: a command of the user that failed.
        """
        overlay = Overlay(store)
        if queued is None:
            overlay.add(transaction.sender, -transaction.value)
        overlay.add(transaction.contract, transaction.value)
        if transaction.kind is Kind.DEPLOY:
            write_code(overlay, transaction.contract, transaction.code)
        elif store.contract(transaction.contract) is None and transaction.calldata == _EMPTY_CALL:
            transaction = dataclasses.replace(transaction, kind=Kind.TRANSFER)

        host = RunHost(
            store,
            overlay,
            transaction.contract,
            transaction.calldata,
            read_only=False,
            leader_results=leader_results,
            eth_call=self._eth_call,
        )
        outcome, report = self._outcome(store, host, transaction, *identity)
        streams = {} if report is None else _streams(report, outcome)
        transaction = dataclasses.replace(transaction, code=b"")  # it is in the storage of the contract
        if not (isinstance(outcome, Return) or transaction.kind is Kind.TRANSFER):
            results = tuple(host.nondet_results)
            receipt = Receipt(transaction, Status.FAILED, outcome, *identity, nondet_results=results, **streams)
            settled = None if queued is None else self._settle_failure(store, receipt, queued)
            return receipt, host.disagreement, settled

        queue = []
        for posted in host.messages:
            overlay.add(transaction.contract, -posted.value)
            if posted.kind is PostedKind.ETH_SEND:
                overlay.add(posted.receiver, posted.value)
                continue
            queue.append(
                Transaction(
                    Kind.DEPLOY if posted.kind is PostedKind.DEPLOY else Kind.CALL,
                    transaction.contract,
                    transaction.origin,
                    posted.receiver,
                    posted.value,
                    posted.calldata,
                    code=posted.code,
                    on=posted.on,
                )
            )
        receipt = Receipt(
            transaction,
            Status.OK,
            outcome,
            *identity,
            events=tuple(host.events),
            messages=tuple(host.messages),
            balances=_balance_changes(store, overlay),
            nondet_results=tuple(host.nondet_results),
            slots_written=overlay.written_slots(),
            bytes_written=overlay.bytes_written,
            **streams,
        )
        nonces = {transaction.contract: host.nonce} if host.nonce != store.nonce(transaction.contract) else {}
        if queued is None:
            nonces[transaction.sender] = store.nonce(transaction.sender) + 1
        changes = Changes(
            receipt,
            balances=overlay.changed_balances(),
            nonces=nonces,
            pages=overlay.written_pages(),
            contract=_new_contract(transaction, queued) if transaction.kind is Kind.DEPLOY else None,
            queue=queue,
            delivered=queued,
        )
        return receipt, host.disagreement, changes

    def _settle_failure(self, store: Store, receipt: Receipt, queued: int) -> Changes:
        """A message failed: its effects are dropped and its value goes back."""
        failed = receipt.transaction
        changes = Changes(receipt, delivered=queued)
        if not failed.value:
            return changes
        if failed.kind is Kind.ERROR:
            return _refund(store, receipt, failed.contract, queued)
        data = calldata_of_call(SpecialMethod.ERRORED_MESSAGE, [], {})
        changes.queue.append(
            Transaction(Kind.ERROR, failed.contract, failed.origin, failed.sender, failed.value, data, on=failed.on)
        )
        return changes

    def _outcome(
        self, store: Store, host: RunHost, transaction: Transaction, tx_id: bytes, time: str
    ) -> tuple[Outcome | None, RunReport | None]:
        if transaction.kind is Kind.TRANSFER:
            return None, None
        exists = store.contract(transaction.contract) is not None
        if transaction.kind is Kind.DEPLOY and exists:
            return VMError("forbidden", "there is already a contract at this address"), None
        if transaction.kind is not Kind.DEPLOY and not exists:
            return VMError(_ABSENT_CONTRACT, "there is no contract at this address"), None
        return self._run(host, transaction, tx_id, time, _ALL_PERMISSIONS)

    # --- runs -------------------------------------------------------------------------------------

    def read(
        self, store: Store, overlay: Overlay, transaction: Transaction, *, permissions: str, sync: bool = False
    ) -> Receipt:
        """Runs a transaction of which nothing is kept."""
        host = RunHost(
            store, overlay, transaction.contract, transaction.calldata, read_only=True, eth_call=self._eth_call
        )
        identity = self._identity(store, transaction, 0)
        outcome, report = self._run(host, transaction, *identity, permissions, sync=sync)
        status = Status.OK if isinstance(outcome, Return) else Status.FAILED
        return Receipt(transaction, status, outcome, *identity, **_streams(report, outcome))

    def _run(
        self, host: RunHost, transaction: Transaction, tx_id: bytes, time: str, permissions: str, *, sync: bool = False
    ) -> tuple[Outcome, RunReport]:
        message = {
            "contract_address": transaction.contract.as_b64,
            "sender_address": transaction.sender.as_b64,
            "origin_address": transaction.origin.as_b64,
            "chain_id": str(accounts.CHAIN_ID),
            "value": transaction.value,
            "is_init": transaction.kind is Kind.DEPLOY,
            "datetime": time,
        }
        request = RunRequest(message, "0x" + tx_id.hex(), permissions, self._timeout, sync, self._node_address)
        report = _complete(self._executor(host, request))
        if host.result is None or report.failure is not None:
            return InternalError(_crash_text(report)), report
        try:
            return decode_result(host.result).outcome, report
        except ProtocolViolation as violation:
            return InternalError(f"unreadable result: {violation}"), report

    def _schema(self, store: Store, overlay: Overlay, address: Address) -> SchemaDocument:
        account = accounts.named()[accounts.DEFAULT_SENDER]
        data = calldata_of_call(SpecialMethod.GET_SCHEMA, [], {})
        transaction = Transaction(Kind.VIEW, account, account, address, 0, data)
        receipt = self.read(store, overlay, transaction, permissions=READ_PERMISSIONS, sync=True)
        if not receipt.ok:
            raise NoSchema("the contract fails when it is asked for its schema", receipt)
        try:
            document = parse_json(receipt.value, max_chars=limits.SCHEMA_CHARACTERS, max_depth=limits.SCHEMA_DEPTH)
        except (TypeError, ValueError) as error:
            raise NoSchema(f"the contract answers #get-schema with something else than a schema: {error}") from error
        if not _is_schema(document):
            raise NoSchema("the contract answers #get-schema with something else than a schema")
        schema: SchemaDocument = document
        return schema

    def _with_cause(self, store: Store, receipt: Receipt, contract: ContractInfo, method: str | None) -> Receipt:
        """The receipt, with a cause if the contract has no such method."""
        stderr = receipt.stderr.text()
        if not may_be_wrong_method(receipt.outcome, stderr):
            return receipt
        try:
            methods = self._schema(store, Overlay(store), contract.address)["methods"]
        except NoSchema:
            return receipt
        is_view = receipt.transaction.kind is Kind.VIEW
        cause = explain_method(stderr, short_name(contract), method or "", methods, is_view=is_view)
        return dataclasses.replace(receipt, cause=cause)

    def _identity(self, store: Store, transaction: Transaction, queued: int) -> tuple[bytes, str]:
        """Id and datetime of a transaction that is about to be executed."""
        time = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        digest = hashlib.sha256()
        for number in (store.transaction_count(), queued, transaction.value):
            digest.update(number.to_bytes(32, "big"))
        digest.update(transaction.sender.as_bytes + transaction.contract.as_bytes + time.encode())
        digest.update(transaction.calldata)
        return digest.digest(), time


class NoSchema(BadRequest):
    """A contract gives no schema; ``receipt`` is the run in which it failed, if it did."""

    kind = "no_schema"

    def __init__(self, text: str, receipt: Receipt | None = None) -> None:
        super().__init__(text)
        self.receipt = receipt


def _parsed(store: Store, given: Any, kind: type[T], option: str) -> T:
    if not isinstance(given, str):
        return kind(given)  # type: ignore[call-arg]
    parsed = values.parse_json(given, resolve=lambda word: find_address(store, word))
    if not isinstance(parsed, kind):
        example = '["hello", 5]' if kind is list else '{"name": "hello"}'
        raise BadValue(f"{option} must be a JSON {'array' if kind is list else 'object'}, like {example}")
    return parsed


def _is_schema(document: Any) -> bool:
    """Whether a contract's own idea of a schema has the shape of spec sdk/03 §4, down to the types of parameters."""
    match document:
        case {"ctor": constructor, "methods": {**methods}}:
            return all(_is_signature(item) for item in (constructor, *methods.values()))
    return False


def _is_signature(document: Any) -> bool:
    match document:
        case {"params": [*params], "kwparams": {}}:
            return all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in params)
    return False


def write_code(overlay: Overlay, address: Address, code: bytes) -> None:
    """The two writes that a node makes before a deployment (spec modules/04 §8)."""
    overlay.write(address, CODE_SLOT, 0, len(code).to_bytes(4, "little"))
    overlay.write(address, CODE_SLOT, 4, code)


def _new_contract(transaction: Transaction, queued: int | None) -> ContractInfo:
    return ContractInfo(transaction.contract, transaction.name, number=0, top_level=queued is None)


def _balance_changes(store: Store, overlay: Overlay) -> tuple[BalanceChange, ...]:
    changed = overlay.changed_balances()
    return tuple(BalanceChange(address, store.balance(address), balance) for address, balance in changed.items())


def _refund(store: Store, receipt: Receipt, owner: Address, queued: int) -> Changes:
    """Puts the value of a message that is not tried any further into the balance of ``owner``."""
    overlay = Overlay(store)
    overlay.add(owner, receipt.transaction.value)
    receipt = dataclasses.replace(receipt, balances=_balance_changes(store, overlay))
    return Changes(receipt, balances=overlay.changed_balances(), delivered=queued)


def _streams(report: RunReport, outcome: Outcome | None) -> dict[str, Any]:
    stdout = report.stdout
    if isinstance(outcome, Outcome):
        stdout = _without_end(stdout, (result_line(outcome) + "\n").encode("utf-8", "surrogateescape"))
    return {"stdout": stdout, "stderr": report.stderr, "seconds": report.seconds}


def _without_end(stream: Captured, end: bytes) -> Captured:
    """``stream`` without ``end``, which its producer wrote last; of a long one only the end of ``end`` was kept."""
    kept = stream.tail if stream.dropped else stream.head + stream.tail
    if not kept.endswith(end) and not (stream.dropped and end.endswith(kept)):
        return stream
    left = len(stream.head) + stream.dropped + len(stream.tail) - len(end)
    if left <= len(stream.head):
        return Captured(stream.head[:left])
    left -= len(stream.head)
    if left <= stream.dropped:
        return Captured(stream.head, b"", left)
    return Captured(stream.head, stream.tail[: left - stream.dropped], stream.dropped)


def _crash_text(report: RunReport) -> str:
    """Why there is no result."""
    if report.timed_out:
        return "the executor did not end after its time was over and was killed"
    if report.exit_status < 0:
        return f"the executor was ended by signal {signal.Signals(-report.exit_status).name}"
    if report.failure is not None and report.failure != LEFT:
        # The executor only knows that its host is gone.
        return f"the connection to the executor broke: {report.failure[:500]}"
    lines = report.stderr.text().strip().splitlines()
    if report.exit_status == 1 and lines and lines[-1].startswith(_START_ERROR):
        return f"the executor cannot start: {lines[-1].removeprefix(_START_ERROR)[:500]}"
    said = f": {lines[-1][:500]}" if lines else ""
    return f"the executor ended with exit code {report.exit_status} and without a result{said}"


def _complete(run: Coroutine[Any, Any, RunReport]) -> RunReport:
    """Waits for a run, also when the caller has an event loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run).result()
