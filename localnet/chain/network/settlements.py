"""Rounds of a network with nondet blocks, settled by the settlement engine (docs/settlement.md).

As for commands (:mod:`localnet.chain.settling`) a round becomes a task, and votes become commits and reveals on a chain
in the file ``.settlement`` beside the database. But here the network has drawn who votes, by stake, before: of the
operators that the engine draws the first votes as the leader does, the next as the first validator, and so on. That
takes a while, and nobody waits for it: it is done after a decision, and what is left is done after the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pygenvm.localnet import limits
from pygenvm.localnet.chain.model import outcome_to_bytes
from pygenvm.localnet.chain.network.store import NetworkStore, Row
from pygenvm.localnet.chain.network.types import NodeReceipt, Round, TxKind, VoteWord
from pygenvm.localnet.errors import DatabaseError

_AGAINST = (VoteWord.DISAGREE, VoteWord.DETERMINISTIC_VIOLATION)
#: Tells tasks apart that were made for the same round, because the first was not noted.
_AGAIN = 1 << 16


class Settlements:
    """Settles what a network has decided, one round after the other."""

    def __init__(
        self,
        database: Path,
        ask: Callable[[Callable[[NetworkStore], Any]], Awaitable[Any]],
        write: Callable[[Callable[[NetworkStore], Any]], Awaitable[Any]],
        on_settled: Callable[[Row, int, bytes], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._path = database.with_name(database.name + ".settlement")
        self._ask = ask
        self._write = write
        self._on_settled = on_settled
        self._on_error = on_error
        self._something = asyncio.Event()
        #: The file is one process's and one thread's at a time.
        self._turn = asyncio.Lock()

    def wake(self) -> None:
        """There may be something to settle."""
        self._something.set()

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            self._something.clear()
            found = await self._ask(NetworkStore.unsettled)
            if found is None:
                await self._something.wait()
                continue
            row, round_, proposed = found
            try:
                async with self._turn:
                    intent_id = await _settle(self._path, row, round_, proposed)
            except Exception as error:
                self._on_error(f"settlement of 0x{row.id.hex()}: {type(error).__name__}: {error}")
                await asyncio.sleep(limits.SETTLEMENT_PAUSE_SECONDS)
                continue
            await self._note(row, round_.number, intent_id)

    async def _note(self, row: Row, number: int, intent_id: bytes) -> None:
        await self._write(lambda store: store.settled(row.seq, number, intent_id))
        self._on_settled(row, number, intent_id)

    async def document(self, intent_id: bytes) -> bytes | None:
        """The receipt of a round with its proof, as ``genvm receipt export`` prints it."""
        from pygenvm.localnet.chain.database import in_thread
        from pygenvm.settlement.blocks.view import ChainView
        from pygenvm.settlement.state.opening import open_store
        from pygenvm.settlement.state.store import StoreError
        from pygenvm.settlement.types.errors import QuorumError
        from pygenvm.settlement.types.words import Hash
        from pygenvm.settlement.verifier.export import export

        def read() -> bytes | None:
            if len(intent_id) != 32 or not self._path.exists():
                return None
            store = open_store(str(self._path), create=False)
            try:
                return export(ChainView(store), Hash(intent_id)).to_json().encode()
            except QuorumError:
                return None
            finally:
                store.close()

        async with self._turn:
            try:
                return await in_thread(read)
            except StoreError as error:
                raise DatabaseError(f"the settlement state {self._path} cannot be used: {error}") from error


async def _settle(path: Path, row: Row, round_: Round, proposed: NodeReceipt) -> bytes:
    """Makes a task of a round, casts its votes, and gives the id of the intent."""
    # Imported here: it needs libraries that a network without nondet blocks does not.
    from pygenvm.localnet.chain.settling import asked
    from pygenvm.settlement.bridge.committee import Ballot, Committee
    from pygenvm.settlement.bridge.rounds import Call, Proposal, code_hash, disagree_hash, prompt_hash
    from pygenvm.settlement.types.errors import QuorumError, Refusal
    from pygenvm.settlement.types.words import ZERO, Address, Hash

    assert proposed.outcome is not None
    proposal = Proposal(proposed.nondet_results, outcome_to_bytes(proposed.outcome))
    call = Call(
        Address(row.recipient.as_bytes),
        Address(row.sender.as_bytes),
        Address(row.origin.as_bytes),
        row.value,
        proposed.datetime,
        row.calldata,
        code_hash(row.code) if row.kind is TxKind.DEPLOY else ZERO,
    )
    prompt = prompt_hash(call, proposal)
    yes, no = proposal.hash(), disagree_hash(prompt)
    votes = [node.vote for node in round_.validators]
    if round_.leader is not None:
        votes.insert(0, VoteWord.AGREE)

    def settle(committee: Committee) -> bytes:
        n = len(votes)
        for attempt in range(round_.number, _AGAIN * _AGAIN, _AGAIN):
            try:
                request = committee.request(Hash(row.id), attempt, prompt, n=n, threshold=n // 2 + 1)
                break
            except QuorumError as error:
                # Of a process that was killed before it had noted the task.
                if error.refusal is not Refusal.ErrIntentAlreadyUsed:
                    raise
        ballots = [
            Ballot(operator, yes if vote is VoteWord.AGREE else no)
            for operator, vote in zip(request.drawn, votes, strict=True)
            if vote is VoteWord.AGREE or vote in _AGAINST
        ]
        committee.settle(request, ballots)
        return bytes(request.intent_id)

    return await asked(path, settle)
