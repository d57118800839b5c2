"""Nondet transactions settled by operators with stake (docs/settlement.md).

Each transaction has an order of the operators, drawn by its id: the first leads, and after a decision against what it
found the next one does. What a leader found becomes a task of the settlement engine, which draws N operators; those
execute the transaction as validators, and vote. Leader and validators go by their place in that order, ``leader``,
``validator 1``, …, in all rounds.

The chain of the operators is a file beside the database, open only while a round is made a task or is settled, under
the lock of the command that writes. The keys of operators are those of every local network, known to everybody.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from pygenvm.executor.frozen import replaced
from pygenvm.executor.record.format import RecordError
from pygenvm.executor.record.reading import read_record
from pygenvm.localnet import limits
from pygenvm.localnet.chain.consensus import LEADER, can_be_judged, judged, votes_of
from pygenvm.localnet.chain.database import StateView, in_thread
from pygenvm.localnet.chain.model import (
    Decision,
    Node,
    SettledRound,
    Settlement,
    Settling,
    Told,
    Transaction,
    Word,
    outcome_to_bytes,
)
from pygenvm.localnet.chain.requests import call_of
from pygenvm.localnet.chain.runs import Identity, Runs, record_of
from pygenvm.localnet.chain.transactions import Executed, execute, undetermined
from pygenvm.localnet.errors import DatabaseError
from pygenvm.localnet.private_files import make_file
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.bridge.committee import Account, Ballot, Committee, operators_needed
from pygenvm.settlement.bridge.rounds import Proposal, disagree_hash, prompt_hash
from pygenvm.settlement.bridge.transcripts import TranscriptError, whole_transcript
from pygenvm.settlement.codec.hashes import chain_id, draw, model_spec_hash
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.codec.transcript import transcript_hash
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.types.errors import QuorumError
from pygenvm.settlement.types.words import ZERO, Hash

T = TypeVar("T")

_CHAIN_ID: Final = chain_id("genvm local")
_MODEL_SPEC: Final = model_spec_hash("genvm local", 1, ZERO, "")


async def settle(
    runs: Runs,
    how: Settling,
    state: StateView,
    transaction: Transaction,
    identity: Identity,
    *,
    queued: int | None = None,
) -> Executed:
    """Executes a transaction on top of ``state`` and settles it if it has nondet blocks.

    One without, which operators can have no opinion of, is judged as :func:`localnet.chain.consensus.decide` does, by
    the leader and the next N - 1.

    :param queued: as for :func:`localnet.chain.transactions.execute`.
    :raises DatabaseError: the settlement state cannot be used.
    """
    return await _LocalCase(runs, how, state, transaction, identity, queued).decided()


class Case(ABC):
    """One transaction on its way through the rounds."""

    def __init__(
        self,
        runs: Runs,
        how: Settling,
        state: StateView,
        transaction: Transaction,
        identity: Identity,
        queued: int | None,
    ) -> None:
        self._runs = runs
        self._how = how
        self._state = state
        self._transaction = transaction
        self._identity = identity
        self._queued = queued
        self._nodes = self._order()
        self._rounds: list[SettledRound] = []

    async def decided(self) -> Executed:
        """Leader after leader, until what one found holds."""
        how = self._how
        for attempt in range(how.rotations + 1):
            leader = self._nodes[attempt % operators_needed(how.nodes)]
            runs = replaced(self._runs, node=leader, records=await self._folder())
            state = self._seen_by_leader()
            executed = await execute(runs, state, self._transaction, self._identity, queued=self._queued)
            if not executed.receipt.nondet_results or not can_be_judged(executed.receipt):
                others = [node for node in self._nodes if node != leader][: how.nodes - 1]
                executed = await judged(runs, others, self._state, self._transaction, executed, queued=self._queued)
                break
            if await self._accepted(runs, state, executed):
                break
        else:
            executed = await undetermined(self._state, executed, self._queued)
        return await self._with_rounds(executed)

    async def _accepted(self, led: Runs, state: StateView, executed: Executed) -> bool:
        """Whether operators accept what a leader found, in the end: each appeal asks more of them."""
        runs, accepted = led, False
        for appeal, (nodes, threshold) in enumerate(committees(self._how)):
            if appeal:
                runs = replaced(led, records=await self._folder())
            round_ = await self._round(led, runs, state, executed, nodes, threshold, appeal)
            self._rounds.append(round_)
            accepted = round_.decision is Decision.AGREE
            if accepted and not self._how.appeal_accepted:
                break
        return accepted

    @abstractmethod
    def _order(self) -> list[Node]:
        """Who leads, one after the other."""

    @abstractmethod
    def _seen_by_leader(self) -> StateView:
        """The state that a leader executes on."""

    @abstractmethod
    async def _round(
        self, led: Runs, runs: Runs, state: StateView, executed: Executed, nodes: int, threshold: int, appeal: int
    ) -> SettledRound:
        """A task of what a leader found, the votes of those who are drawn for it, and what they come to.

        :param led: how the leader ran; the others run as ``runs``.
        :param state: what the leader has executed on.
        """

    @abstractmethod
    async def _accounts(self) -> Sequence[tuple[Node, Account]]:
        """What operators have after the rounds."""

    async def _with_rounds(self, executed: Executed) -> Executed:
        if not self._rounds:
            return executed
        how = self._how
        where = str(how.path) if how.service is None else how.service.rpc
        settlement = Settlement(tuple(self._rounds), tuple(await self._accounts()), where)
        receipt = replaced(executed.receipt, settlement=settlement)
        changes = replaced(executed.changes, receipt=receipt) if executed.changes else None
        return executed._replace(receipt=receipt, changes=changes)

    async def _folder(self) -> Path | None:
        """Where the records of the next round go."""
        if self._how.records is None:
            return None
        folder = self._how.records / _hex(self._identity[0]) / f"round-{len(self._rounds) + 1}"
        try:
            await in_thread(lambda: folder.mkdir(parents=True))
        except OSError as error:
            raise DatabaseError(f"cannot make {folder}: {error.strerror}") from error
        return folder


class _LocalCase(Case):
    """Settled by operators of this machine."""

    def _order(self) -> list[Node]:
        return _order(self._how, self._identity)

    def _seen_by_leader(self) -> StateView:
        return self._state

    async def _round(
        self, led: Runs, runs: Runs, state: StateView, executed: Executed, nodes: int, threshold: int, appeal: int
    ) -> SettledRound:
        leader, number, found = led.node, len(self._rounds), executed.receipt
        assert found.outcome is not None
        proposal = Proposal(found.nondet_results, outcome_to_bytes(found.outcome))
        prompt = prompt_hash(call_of(self._transaction, found), proposal)
        request = await asked(
            self._how.path,
            lambda committee: committee.request(Hash(found.tx_id), number, prompt, n=nodes, threshold=threshold),
        )
        by_address = {node.address: node for node in self._nodes}
        drawn = [by_address[_hex(operator)] for operator in request.drawn]
        judges = [node for node in drawn if node != leader]
        given = await votes_of(runs, judges, state, self._transaction, found, queued=self._queued)
        judgements = {vote.node: vote for vote in given}
        votes = tuple(judgements.get(node) for node in drawn)
        yes, no = proposal.hash(), disagree_hash(prompt)
        withholding = self._how.withholding
        ballots = [
            Ballot(operator, yes, await _embedding(led, node), withheld=node.name in withholding)
            if vote is None
            else Ballot(
                operator,
                yes if vote.verdict.agrees else no,
                await _embedding(runs, node),
                withheld=node.name in withholding,
            )
            for operator, node, vote in zip(request.drawn, drawn, votes, strict=True)
            if vote is None or vote.verdict.reached
        ]
        withheld = {ballot.operator for ballot in ballots if ballot.withheld}
        told = tuple(
            Told(node, Word.WITHHELD) if operator in withheld else vote
            for operator, node, vote in zip(request.drawn, drawn, votes, strict=True)
        )
        receipt = await asked(self._how.path, lambda committee: committee.settle(request, ballots))
        decision = decision_of(receipt.canonical_output_hash, yes, no)
        return SettledRound(leader, found, told, decision, request.intent_id, receipt, appeal)

    async def _accounts(self) -> Sequence[tuple[Node, Account]]:
        accounts = {_hex(account.operator): account for account in await asked(self._how.path, Committee.accounts)}
        return [(node, accounts[node.address]) for node in self._nodes if node.address in accounts]


def decision_of(canonical: Hash, yes: Hash, no: Hash) -> Decision:
    return {yes: Decision.AGREE, no: Decision.DISAGREE}.get(canonical, Decision.NONE)


def committees(how: Settling) -> list[tuple[int, int]]:
    """Operators and threshold of the first round and of each appeal: twice as many and one, the same share of them."""
    sizes = [(how.nodes, how.threshold)]
    for _ in range(how.appeals):
        nodes = 2 * sizes[-1][0] + 1
        sizes.append((nodes, max(nodes // 2 + 1, -(-nodes * how.threshold // how.nodes))))
    return sizes


async def _embedding(runs: Runs, node: Node) -> Hash:
    """The transcript that a vote is bound to; zero, which is that of none, where there are no records."""
    if runs.records is None:
        return ZERO
    path = record_of(runs.records, node)
    try:
        return transcript_hash(await in_thread(lambda: whole_transcript(read_record(path))))
    except (OSError, RecordError, TranscriptError) as error:
        raise DatabaseError(f"the record {path} cannot be used: {error}") from error


def _order(how: Settling, identity: Identity) -> list[Node]:
    """All operators by their places in the order of a transaction.

    Those who are certainly registered come first, as the draw by the transaction's id has them.
    """
    operators, count = [key.address for key in _keys()], operators_needed(how.nodes)
    order = [*draw(operators[:count], Hash(identity[0]), count), *operators[count:]]
    names = [LEADER, *(f"validator {number}" for number in range(1, len(order)))]
    return [Node(name, _hex(operator)) for name, operator in zip(names, order, strict=True)]


async def asked(path: Path, question: Callable[[Committee], T]) -> T:
    """What the chain of the operators in a file answers, or does.

    :raises DatabaseError: the file cannot be used.
    """

    def ask() -> T:
        try:
            make_file(path)
            store = open_store(str(path))
            with contextlib.closing(store):
                return question(
                    Committee(
                        store,
                        chain_id=_CHAIN_ID,
                        operators=_keys(),
                        requester=_key("requester"),
                        model_spec=_MODEL_SPEC,
                    )
                )
        except (StoreError, BlockError, QuorumError, OSError) as error:
            raise DatabaseError(f"the settlement state {path} cannot be used: {error}") from error

    return await in_thread(ask)


@lru_cache(maxsize=1)
def _keys() -> tuple[Secp256k1Key, ...]:
    return tuple(_key(f"operator {number}") for number in range(operators_needed(limits.NODES)))


def _key(name: str) -> Secp256k1Key:
    return Secp256k1Key(keccak256(b"genvm local " + name.encode()))


def _hex(operator: bytes) -> str:
    return "0x" + operator.hex()
