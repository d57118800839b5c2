"""Nondet transactions settled by the operators of a settlement service (docs/settlement.md).

Leaders are runs of this machine. What one found, with the state that it has read, is published as the prompt of a task;
operators elsewhere judge it. Nothing that the service says of the end is believed without its receipt, which is checked
as ``genvm receipt verify`` does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pygenvm.localnet import limits
from pygenvm.localnet.chain import consensus
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import Node, Service, SettledRound, Settling, Told, Transaction, Word
from pygenvm.localnet.chain.requests import Witness
from pygenvm.localnet.chain.runs import Identity, Runs
from pygenvm.localnet.chain.settling import Case, committees, decision_of
from pygenvm.localnet.chain.transactions import Executed
from pygenvm.localnet.errors import SettlementError
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import ImportIntent, sign
from pygenvm.settlement.bridge.committee import REWARD, Account, operators_needed
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.operator.client import Client, ServiceError, hash_in, list_in, number_in
from pygenvm.settlement.service.limits import PROMPT_BYTES
from pygenvm.settlement.types.constants import REQUEST_FEE_PER_OPERATOR
from pygenvm.settlement.types.words import ZERO, Address, Hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.document import Document, DocumentError, read

T = TypeVar("T")

_NOT_FOUND: Final = 404


async def settle(
    runs: Runs,
    how: Settling,
    state: StateView,
    transaction: Transaction,
    identity: Identity,
    *,
    queued: int | None = None,
) -> Executed:
    """As :func:`localnet.chain.settling.settle`, with the operators of the service.

    :raises SettlementError: the service refuses, is away for too long, or has no good receipt.
    """
    assert how.service is not None
    async with _Service.of(how.service) as service:
        return await _AskingCase(service, runs, how, state, transaction, identity, queued).decided()


class _AskingCase(Case):
    def __init__(
        self,
        service: _Service,
        runs: Runs,
        how: Settling,
        state: StateView,
        transaction: Transaction,
        identity: Identity,
        queued: int | None,
    ) -> None:
        super().__init__(runs, how, state, transaction, identity, queued)
        self._service = service
        self._operators: dict[str, Node] = {}

    def _order(self) -> list[Node]:
        """As the nodes of a network without stake."""
        return [Node(consensus.LEADER, self._runs.node.address), *consensus.validators(limits.NODES * 2)]

    def _seen_by_leader(self) -> StateView:
        return Witness(self._state)

    async def _round(
        self, led: Runs, runs: Runs, state: StateView, executed: Executed, nodes: int, threshold: int, appeal: int
    ) -> SettledRound:
        assert isinstance(state, Witness)
        document = await state.document(
            self._transaction, executed, queued=self._queued is not None, strict=self._runs.strict_views
        )
        asked = await self._service.ask(
            Hash(executed.receipt.tx_id),
            len(self._rounds),
            document.encode(),
            n=nodes,
            threshold=threshold,
            most=committees(self._how)[-1][0],
        )
        words = {document.yes: Word.AGREE, document.no: Word.DISAGREE}
        revealed = {_hex(one.operator): words.get(one.output, Word.OTHER) for one in asked.document.reveals or ()}
        told = []
        for operator in asked.operators:
            node = self._operators.setdefault(operator, Node(f"operator {len(self._operators) + 1}", operator))
            silent = Word.WITHHELD if operator in asked.committed else Word.NONE
            told.append(Told(node, revealed.get(operator, silent)))
        receipt = asked.document.receipt
        decision = decision_of(receipt.canonical_output_hash, document.yes, document.no)
        return SettledRound(led.node, executed.receipt, tuple(told), decision, receipt.intent_id, receipt, appeal)

    async def _accounts(self) -> Sequence[tuple[Node, Account]]:
        return [(node, await self._service.account(node.address)) for node in self._operators.values()]


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a task ended."""

    document: Document
    operators: list[str]
    committed: frozenset[str]


class _Service:
    """What a requester does at a service."""

    def __init__(self, service: Service, client: Client) -> None:
        self._model_spec = Hash(service.model_spec)
        self._key = Secp256k1Key(service.secret)
        self._client = client
        self._on_task = service.on_task

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, service: Service) -> AsyncIterator[_Service]:
        client = Client(service.rpc, service.token)
        try:
            yield cls(service, client)
        except ServiceError as error:
            name = f"{error.name}: " if error.name else ""
            raise SettlementError(f"the settlement service {service.rpc}: {name}{error}") from error
        finally:
            await client.close()

    async def ask(self, tx_id: Hash, number: int, prompt: bytes, *, n: int, threshold: int, most: int) -> _Asked:
        """Makes a task, waits until it is settled, and checks the receipt.

        :param number: tells the rounds of one transaction apart.
        :param most: operators that an appeal may need.
        """
        if len(prompt) > PROMPT_BYTES:
            raise SettlementError(
                f"the code, calldata and storage that the transaction reads have {len(prompt)} bytes together; a task"
                f" has {PROMPT_BYTES}"
            )
        chain = await self._patiently(lambda: self._client.get("/chain"))
        a_chain = hash_in(chain, "aChainId")
        unnamed = Intent(
            ZERO,
            hash_in(chain, "cChainId"),
            a_chain,
            tx_id,
            number,
            self._key.address,
            self._model_spec,
            prompt_hash(prompt),
            n,
            threshold,
            fee=0,
            reward=REWARD,
        )
        await self._check_possible(n, most)
        intent = replace(unnamed, intent_id=unnamed.computed_id())
        task = await self._imported(intent, a_chain, prompt)
        found = await self._settled(task)
        document = await self._receipt(intent)
        commits = [one.get("operator") for one in list_in(found, "commits") if isinstance(one, dict)]
        operators = [_hex(one) for one in document.operators or ()]
        return _Asked(document, operators, frozenset(one for one in commits if isinstance(one, str)))

    async def _settled(self, task: Hash) -> dict[str, Any]:
        """What the service says of a task that is settled.

        :raises SettlementError: it makes no blocks any more.
        """
        path = f"/tasks/{_hex(task)}"
        self._tell(task, await self._patiently(lambda: self._client.get(path)))
        blocks = self._blocks(f"task {_hex(task)} may still be settled")
        while (found := await self._patiently(lambda: self._client.get(path))).get("state") == "open":
            await anext(blocks)
        return found

    async def _blocks(self, what: str) -> AsyncIterator[None]:
        """A pause each, as long as the service makes blocks.

        :param what: may happen when it makes some again.
        """
        now = asyncio.get_running_loop().time
        height, since = 0, now()
        while True:
            tip = number_in(await self._patiently(lambda: self._client.get("/chain")), "height")
            if tip != height:
                height, since = tip, now()
            elif now() - since > limits.SERVICE_STALLED_SECONDS:
                raise SettlementError(
                    f"the service has stood at block {height} for {limits.SERVICE_STALLED_SECONDS:g} s; {what}, and"
                    " nothing has changed here"
                )
            await asyncio.sleep(limits.SERVICE_POLL_SECONDS)
            yield

    def _tell(self, task: Hash, found: dict[str, Any]) -> None:
        if self._on_task is not None:
            start, end = number_in(found, "requestHeight"), number_in(found, "revealDeadline") + 1
            self._on_task(f"operators judge task {_hex(task)}, from block {start} to block {end}")

    async def _check_possible(self, n: int, most: int) -> None:
        """Says at once what would come to nothing after many blocks.

        :raises SettlementError: too little money, or too few operators.
        """
        me, cost = _hex(self._key.address), n * (REQUEST_FEE_PER_OPERATOR + REWARD)
        has = await self.account(me)
        if has.balance < cost:
            raise SettlementError(f"the account {me} has {has.balance}, and a task of {n} operators costs {cost}")
        spec = _hex(self._model_spec)
        found = await self._patiently(lambda: self._client.get("/operators", modelSpec=spec))
        eligible, needed = number_in(found, "eligible"), operators_needed(most)
        if eligible < needed:
            appealed = f"{most}, after the last appeal," if most > n else str(n)
            raise SettlementError(
                f"{eligible} operators can be drawn for the model spec {spec}; for {appealed} there must be {needed}"
            )

    async def _imported(self, intent: Intent, a_chain: Hash, prompt: bytes) -> Hash:
        """The task of an intent, which is sent again if the service has lost it.

        :raises SettlementError: the service makes no blocks any more.
        """
        account = f"/accounts/{_hex(self._key.address)}"
        nonce = number_in(await self._patiently(lambda: self._client.get(account)), "nextNonce")
        transaction = sign(self._key, a_chain, nonce, ImportIntent(intent))
        outcome_of = f"/transactions/{_hex(transaction.id)}"
        blocks = self._blocks(f"intent {_hex(intent.intent_id)} may still become a task")
        while True:
            found = await self._patiently(lambda: self._found(f"/intents/{_hex(intent.intent_id)}"))
            if found is not None:
                return hash_in(found, "taskId")
            outcome = await self._patiently(lambda: self._found(outcome_of))
            if outcome is None:
                await self._patiently(lambda: self._client.submit(transaction.encode(), prompt))
            elif outcome.get("status") == "refused":
                raise ServiceError(str(outcome.get("error")), name=str(outcome.get("name")))
            await anext(blocks)

    async def _receipt(self, intent: Intent) -> Document:
        """:raises SettlementError: it does not hold, or is of something else."""
        found = await self._patiently(lambda: self._client.get(f"/receipts/{_hex(intent.intent_id)}/document"))
        try:
            document = read(json.dumps(found))
        except DocumentError as error:
            raise SettlementError(f"the service gives no receipt: {error}") from error
        wrong = [one.sentence for one in check(document) if one.verdict is Verdict.FAILS]
        if not _is_of(document.receipt, intent):
            wrong.append("It is of another task.")
        if not _is_whole(document):
            wrong.append("The file does not have all that a receipt is checked against.")
        if wrong:
            raise SettlementError(f"the receipt of the service does not hold: {' '.join(wrong)}")
        return document

    async def account(self, operator: str) -> Account:
        found = await self._patiently(lambda: self._client.get(f"/accounts/{operator}"))
        own = await self._patiently(lambda: self._found(f"/operators/{operator}"))
        amounts = [found.get("balance"), (own or {}).get("stake", "0"), found.get("credit")]
        if not all(isinstance(one, str) and one.isdecimal() and len(one) <= 78 for one in amounts):
            raise ServiceError("an amount in an answer of the service is no decimal text")
        balance, stake, credit = (int(str(one)) for one in amounts)
        return Account(Address(bytes.fromhex(operator[2:])), balance, stake, credit)

    async def _found(self, path: str) -> dict[str, Any] | None:
        try:
            return await self._client.get(path)
        except ServiceError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """A service that does not answer may be about to start again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limits.SERVICE_AWAY_SECONDS
        while True:
            try:
                return await ask()
            except ServiceError as error:
                if error.status or loop.time() > until:
                    raise
                await asyncio.sleep(1.0)


def _is_whole(document: Document) -> bool:
    members = (document.intent, document.request_nonce, document.operators, document.reveals)
    reveals = document.reveals or ()
    return None not in members and all(None not in (one.embedding, one.nonce, one.commit) for one in reveals)


def _is_of(receipt: Receipt, intent: Intent) -> bool:
    asked = (intent.intent_id, intent.prompt_hash, intent.n, intent.threshold)
    return (receipt.intent_id, receipt.prompt_hash, receipt.n, receipt.threshold) == asked


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
