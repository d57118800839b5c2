"""What a running network does: the queues of contracts, appeals, and finality.

* Each contract has a queue of its own, a task that takes one transaction after the other; those of different contracts
  run at the same time. A run sees what was committed when it began (:mod:`localnet.chain.network.view`). If something
  that it has read was changed meanwhile, it is repeated; the fifth time those wait that would change it again.
* Who writes hands a function to one task, which carries out all that wait in one transaction of the database.
* PROPOSING, COMMITTING and REVEALING are only in memory, but for appeals, which are COMMITTING in the database too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

from pygenvm.executor.frozen import replaced
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.model import Receipt, Status
from pygenvm.localnet.chain.network.core import Core
from pygenvm.localnet.chain.network.records import Row
from pygenvm.localnet.chain.network.rounds import Consensus, draw
from pygenvm.localnet.chain.network.store import Conflict, Decision, Gone, NetworkStore
from pygenvm.localnet.chain.network.types import (
    EventKind,
    NodeReceipt,
    Round,
    RoundLabel,
    RoundResult,
    StatusChange,
    TxKind,
    TxMode,
    TxStatus,
    Validator,
)
from pygenvm.localnet.chain.network.view import Earlier, NetworkView

_LABELS = {
    (TxStatus.UNDETERMINED, True): RoundLabel.LEADER_APPEAL_SUCCESSFUL,
    (TxStatus.UNDETERMINED, False): RoundLabel.LEADER_APPEAL_FAILED,
    (TxStatus.LEADER_TIMEOUT, True): RoundLabel.LEADER_TIMEOUT_APPEAL_SUCCESSFUL,
    (TxStatus.LEADER_TIMEOUT, False): RoundLabel.LEADER_TIMEOUT_APPEAL_FAILED,
    (TxStatus.VALIDATORS_TIMEOUT, True): RoundLabel.VALIDATORS_TIMEOUT_APPEAL_SUCCESSFUL,
    (TxStatus.VALIDATORS_TIMEOUT, False): RoundLabel.VALIDATORS_TIMEOUT_APPEAL_FAILED,
}


class Queues(Core):
    """A network that works."""

    # --- queues -----------------------------------------------------------------------------------

    async def _work(self, contract: Address) -> None:
        """Carries out what waits at a contract, in order."""
        pause = 0.0
        try:
            while not self._closed:
                calls = self._calls[contract]
                row = await self.ask(lambda store: store.next_of(contract))
                if row is None:
                    if calls != self._calls[contract]:
                        continue
                    break
                try:
                    await self._carry_out(row)
                    pause = 0.0
                except Gone:
                    pass
                except Exception as error:
                    # Of the disk, for example. The queue stands still, and tries again.
                    pause = min(max(0.1, 2 * pause), 10.0)
                    self._on_error(f"transaction 0x{row.id.hex()}: {type(error).__name__}: {error}")
                    await asyncio.sleep(pause)
                finally:
                    self._live.pop(row.seq, None)
        finally:
            del self._workers[contract]
            self._calls.pop(contract, None)

    async def _carry_out(self, row: Row) -> None:
        if row.kind is TxKind.UPGRADE:
            await self._upgrade(row)
            return
        while not (row.details.virtual or self._validators):
            await self._electable.wait()
        pool = self._electorate(row)
        async with self._using(row.details.virtual, pool):
            if row.status is TxStatus.COMMITTING:
                await self._hear(row, pool)
            else:
                await self._decide(row, pool)

    def _consensus(self, row: Row, view: NetworkView) -> Consensus:
        def stage(status: TxStatus) -> None:
            self._live.setdefault(row.seq, []).append(StatusChange(status, self.now()))
            self._signal(row.id)
            self._publish(EventKind.TRANSACTION, id=row.id, address=row.recipient, status=status)

        def voted(node: NodeReceipt) -> None:
            data = {
                "validator": str(node.validator.address),
                "mode": str(node.mode),
                "vote": None if node.vote is None else str(node.vote),
                "reason": node.reason,
                "seconds": node.seconds,
            }
            self._publish(EventKind.VOTE, id=row.id, address=row.recipient, data=data)

        return Consensus(self._runs, view, row, self.now, stage, voted)

    async def _decide(self, row: Row, pool: Sequence[Validator]) -> None:
        order = draw(pool, row.id)
        count = row.details.validators if row.details.mode is TxMode.NORMAL else 1
        async with contextlib.AsyncExitStack() as held:
            for attempt in itertools.count():
                async with self._view() as view:
                    decision = await self._consensus(row, view).propose(order, count, row.details.rotations)
                if attempt > limits.REPEATS:
                    # Value may still have come to somebody whose balance was read.
                    decision.balances_read = frozenset()
                try:
                    await self._store_decision(row, decision)
                    return
                except Conflict as conflict:
                    self._live.pop(row.seq, None)
                    if attempt >= limits.REPEATS:
                        await self._hold(held, conflict.addresses | decision.storage_read)

    async def _store_decision(self, row: Row, decision: Decision) -> None:
        while row.recipient in self._held and not self._is_holder(row):
            await self._released.wait()
        moment = self.moment()
        await self._write(lambda store: store.decide(row.seq, row.status, decision, moment, check=True))
        self._after(row, decision.rounds)

    def _after(self, row: Row, rounds: Sequence[Round]) -> None:
        self._settlements.wake()
        for round_ in rounds:
            votes = {str(address): str(vote) for address, vote in round_.votes.items()}
            data = {"label": str(round_.label), "result": round_.result.name, "votes": votes}
            self._publish(EventKind.ROUND, id=row.id, address=row.recipient, data=data)

    def _is_holder(self, row: Row) -> bool:
        return self._workers.get(row.recipient) is self._holder

    async def _hold(self, held: contextlib.AsyncExitStack, addresses: frozenset[Address]) -> None:
        """Until ``held`` is left, nobody else changes the storage of these contracts."""
        if self._holder is not asyncio.current_task():
            await held.enter_async_context(self._holding)
            held.callback(self._release)
            self._holder = asyncio.current_task()
        self._held |= addresses

    def _release(self) -> None:
        self._held, self._holder = frozenset(), None
        self._released.set()
        self._released = asyncio.Event()

    async def _upgrade(self, row: Row) -> None:
        moment = self.moment()
        time = moment.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        receipt = Receipt(replaced(row.transaction(), code=b""), Status.OK, None, row.id, time)
        round_ = Round(0, RoundLabel.CODE_UPGRADE, None, (), RoundResult.MAJORITY_AGREE)
        await self._write(lambda store: store.upgrade(row.seq, round_, receipt, moment))

    # --- appeals ----------------------------------------------------------------------------------

    async def _hear(self, row: Row, pool: Sequence[Validator]) -> None:
        """Decides an appeal."""
        rounds = await self.ask(lambda store: store.rounds(row.seq))
        appeals = row.details.appeals
        status = (
            TxStatus.UNDETERMINED
            if appeals.undetermined
            else TxStatus.LEADER_TIMEOUT
            if appeals.leader_timeout
            else TxStatus.VALIDATORS_TIMEOUT
            if appeals.validators_timeout
            else TxStatus.ACCEPTED
        )
        led = [round_ for round_ in rounds if round_.leader is not None]
        earlier, receipt = await self.ask(lambda store: (store.earlier(row), store.receipt_of(row)))
        size = 1 + len(led[-1].validators) if led else 1
        async with self._view(at=row.view_at, earlier=Earlier(*earlier)) as view:
            consensus = self._consensus(row, view)
            if status is TxStatus.ACCEPTED:
                used = {node.validator.address for round_ in led for node in _nodes(round_)}
                count = 2 * appeals.failed * size + 3 if appeals.failed else size + 2
                others = [validator for validator in pool if validator.address not in used]
                judges = draw(others, row.id + b"appeal", count)
                await self._second_opinion(row, consensus, judges, receipt)
            else:
                leaders = {round_.leader.validator.address for round_ in led if round_.leader}
                order = draw(pool, row.id + b"appeal" + bytes([row.details.leader_appeals & 255, appeals.failed & 255]))
                fresh = [validator for validator in order if validator.address not in leaders]
                order = fresh + [validator for validator in order if validator.address in leaders]
                await self._another_leader(row, consensus, order if fresh else [], size + 2, status)

    async def _second_opinion(
        self, row: Row, consensus: Consensus, judges: Sequence[Validator], receipt: Receipt | None
    ) -> None:
        """An appeal of what was accepted."""
        if not judges or receipt is None:
            moment = self.moment()
            await self._write(lambda store: store.appeal_failed(row.seq, TxStatus.ACCEPTED, [], moment, counts=False))
            return
        stands = await consensus.second_opinion(judges, receipt)
        moment, rounds = self.moment(), consensus.rounds
        if stands:
            await self._write(lambda store: store.appeal_failed(row.seq, TxStatus.ACCEPTED, rounds, moment))
        else:
            await self._write(lambda store: store.appeal_succeeded(row.seq, rounds, moment))
        self._after(row, rounds)

    async def _another_leader(
        self, row: Row, consensus: Consensus, order: Sequence[Validator], count: int, status: TxStatus
    ) -> None:
        """An appeal of what came to nothing: with another leader, and more validators."""
        if not order:
            moment = self.moment()
            await self._write(lambda store: store.appeal_failed(row.seq, status, [], moment, counts=False))
            return
        decision = await consensus.propose(order, count, row.details.rotations)
        succeeded = decision.status is not status
        decision.rounds[-1] = replaced(decision.rounds[-1], label=_LABELS[status, succeeded])
        moment = self.moment()
        if succeeded:
            await self._write(lambda store: store.overturn(row.seq, decision, moment))
        else:
            await self._write(lambda store: store.appeal_failed(row.seq, status, decision.rounds, moment))
        self._after(row, decision.rounds)

    # --- finality ---------------------------------------------------------------------------------

    async def _finalize_all(self) -> None:
        while True:
            self._finality.clear()
            try:
                due = await self.ask(lambda store: store.next_due(self._window))
                now = self.now().timestamp()
                if due is not None and due <= now:
                    if await self._write(lambda store: store.finalize_due(self.moment())):
                        await self._forget()
                        continue
                    # What is due waits for something else.
                    due = now + limits.FINALITY_POLL_SECONDS
            except Exception as error:
                self._on_error(f"finality: {type(error).__name__}: {error}")
                due = self.now().timestamp() + 1
            # Not asyncio.wait_for: in Python 3.11 it loses a cancellation that comes together with what is waited for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    None if due is None else max(0.01, min(due - self.now().timestamp(), 3600.0))
                ):
                    await self._finality.wait()

    async def _forget(self) -> None:
        """Drops history that nobody needs, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._forgotten < limits.HISTORY_SECONDS:
            return
        self._forgotten = now

        def forget(store: NetworkStore) -> None:
            store.forget(min((view.oldest for view in self._views), default=store.commits))

        await self._write(forget)


def _nodes(round_: Round) -> list[NodeReceipt]:
    return [*([round_.leader] if round_.leader else []), *round_.validators]
