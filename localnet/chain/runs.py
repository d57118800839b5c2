"""Runs of contracts: from a transaction to the outcome of its execution."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.answering import LEFT
from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.outcome import InternalError, Outcome, Return
from pygenvm.executor.run.printing import result_line
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import Kind, Node, Receipt, Status, Transaction
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.run_host import EthCall, RunHost
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest

#: Reading, writing, sending, calling other contracts, nondet blocks (spec executor/10).
ALL_PERMISSIONS = "rwscn"
#: The same, but contracts that are called can neither send nor emit events.
STRICT_PERMISSIONS = "rwScn"
#: Neither writing nor sending, as for the manager's read-only runs (spec modules/04 §6.7).
VIEW_PERMISSIONS = "rcn"
READ_PERMISSIONS = "r"

#: Id and datetime of a transaction.
Identity: TypeAlias = tuple[bytes, str]

#: How an executor that cannot start says why (spec executor/10 "run").
_START_ERROR = "Error: "


class Runs(metaclass=Frozen):
    """Runs contracts, all in the same way."""

    executor: Executor
    timeout: float
    clock: Callable[[], datetime]
    node: Node
    eth_call: EthCall | None
    strict_views: bool
    records: Path | None = None
    """Folder for a record of the run of each node."""
    chain_id: int = accounts.CHAIN_ID

    @property
    def permissions(self) -> str:
        """Those of transactions."""
        return STRICT_PERMISSIONS if self.strict_views else ALL_PERMISSIONS

    def identify(self, state: StateView, transaction: Transaction, queued: int = 0) -> Identity:
        """Identity of a transaction that is about to be executed; ``queued`` is its number in the queue."""
        time = self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        digest = new_digest()
        for number in (state.transactions, queued, transaction.value):
            digest.update(number.to_bytes(32, "big"))
        digest.update(transaction.sender.as_bytes + transaction.contract.as_bytes + time.encode())
        digest.update(transaction.calldata)
        return digest.digest(), time

    async def run(
        self, host: RunHost, transaction: Transaction, identity: Identity, *, permissions: str, sync: bool = False
    ) -> tuple[Outcome, RunReport]:
        """Runs a transaction against ``host``."""
        tx_id, time = identity
        message = {
            "contract_address": transaction.contract.as_b64,
            "sender_address": transaction.sender.as_b64,
            "origin_address": transaction.origin.as_b64,
            "chain_id": str(self.chain_id),
            "value": transaction.value,
            "is_init": transaction.kind is Kind.DEPLOY,
            "datetime": time,
        }
        request = RunRequest(
            message,
            "0x" + tx_id.hex(),
            permissions,
            self.timeout,
            sync,
            self.node.address,
            self.node.name,
            record=record_of(self.records, self.node) if self.records else None,
        )
        report = await self.executor(host, request)
        if host.result is None or report.failure is not None:
            return InternalError(_crash_text(report)), report
        try:
            return decode_result(host.result).outcome, report
        except ProtocolViolation as violation:
            return InternalError(f"unreadable result: {violation}"), report

    async def read(
        self, state: StateView, overlay: Overlay, transaction: Transaction, *, permissions: str, sync: bool = False
    ) -> Receipt:
        """Runs a transaction of which nothing is kept."""
        async with state.reading:
            host = RunHost(
                state,
                overlay,
                transaction.contract,
                transaction.calldata,
                read_only=True,
                eth_call=self.eth_call,
                chain_id=self.chain_id,
            )
        identity = self.identify(state, transaction)
        outcome, report = await self.run(host, transaction, identity, permissions=permissions, sync=sync)
        status = Status.OK if isinstance(outcome, Return) else Status.FAILED
        return Receipt(transaction, status, outcome, *identity, **streams(report, outcome))


def new_digest() -> Any:
    """Python's own, if it is there: the library behind :mod:`hashlib` takes longer to load than to use."""
    for name in ("_sha2", "_sha256"):
        with contextlib.suppress(ImportError):
            return __import__(name).sha256()
    import hashlib

    return hashlib.sha256()


def record_of(folder: Path, node: Node) -> Path:
    """The file of a node's run."""
    return folder / node.name.replace(" ", "-")


def streams(report: RunReport, outcome: Outcome) -> dict[str, Any]:
    """Members of a receipt: what the contract printed, and how long that took."""
    # The last line on stdout is the executor's own (spec executor/10 "run").
    stdout = report.stdout.without_end((result_line(outcome) + "\n").encode("utf-8", "surrogateescape"))
    return {"stdout": stdout, "stderr": report.stderr, "log": report.log, "seconds": report.seconds}


def _crash_text(report: RunReport) -> str:
    """Why there is no result."""
    if report.timed_out:
        return "the executor did not end after its time was over and was killed"
    if report.exit_status < 0:
        import signal

        return f"the executor was ended by signal {signal.Signals(-report.exit_status).name}"
    if report.failure is not None and report.failure != LEFT:
        # The executor only knows that its host is gone.
        return f"the connection to the executor broke: {report.failure[:500]}"
    lines = report.stderr.text().strip().splitlines()
    if report.exit_status == 1 and lines and lines[-1].startswith(_START_ERROR):
        return f"the executor cannot start: {lines[-1].removeprefix(_START_ERROR)[:500]}"
    said = f": {lines[-1][:500]}" if lines else ""
    return f"the executor ended with exit code {report.exit_status} and without a result{said}"
