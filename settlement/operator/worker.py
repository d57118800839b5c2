"""Does what an operator has to, in time: look at the tasks after each block, answer, commit, reveal.

Everything is decided from the state of the chain and the votes on disk, so that a restart, a lost transaction or a
service that was away changes nothing but the moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.signatures import Signer
from pygenvm.settlement.blocks.transactions import Call, Commit, Reveal, sign
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.operator.answering import Answering, NoAnswer, Question
from pygenvm.settlement.operator.client import Client, ServiceError, bytes_in, hash_in, list_in, number_in
from pygenvm.settlement.operator.votes import Vote, Votes, VotesError
from pygenvm.settlement.types.words import Hash

LOG_TARGET: Final = "genvm_settlement::operator"
#: Before the service is asked again that did not answer, and before another try to find an answer.
_PAUSE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the service says of a task."""

    task: Hash
    model_spec: Hash
    prompt_hash: Hash
    commit_deadline: int
    reveal_deadline: int
    selected: bool
    commitment: Hash | None
    revealed: bool


class Worker:
    """:param poll_seconds: a look at the tasks also without any event.
    :param answers_at_once: so many answers are looked for at a time.
    """

    def __init__(
        self,
        client: Client,
        signer: Signer,
        votes: Votes,
        answering: Answering,
        log: Logger,
        *,
        poll_seconds: float = 5.0,
        answers_at_once: int = 4,
    ) -> None:
        self._client = client
        self._signer = signer
        self._votes = votes
        self._answering = answering
        self._log = log
        self._poll_seconds = poll_seconds
        self._free = asyncio.Semaphore(answers_at_once)
        self._me = "0x" + signer.address.hex()
        self._chain_id: Hash | None = None
        self._wake = asyncio.Event()
        self._answers: dict[Hash, asyncio.Task[None]] = {}
        #: The nonces of what was sent and may still wait.
        self._sent: dict[tuple[type[Call], Hash], int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                self._wake.clear()
                try:
                    await self.look()
                except ServiceError as error:
                    self._log.warn("the service could not be asked", error=error)
                    await asyncio.sleep(_PAUSE_SECONDS)
                except Exception as error:
                    # Whoever ends before it has revealed is slashed.
                    self._log.error("a look at the tasks failed", error=error)
                    await asyncio.sleep(_PAUSE_SECONDS)
                with contextlib.suppress(TimeoutError):
                    # Not `wait_for`, which forgets being cancelled if the event comes at the same time (Python 3.11).
                    async with asyncio.timeout(self._poll_seconds):
                        await self._wake.wait()
        finally:
            ending = [listening, *self._answers.values()]
            for one in ending:
                one.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def look(self) -> None:
        """Does what is due now.

        :raises ServiceError: it could not be asked, or refuses.
        """
        if self._chain_id is None:
            chain_id = hash_in(await self._client.get("/chain"), "aChainId")
            self._chain_id = chain_id
        # Nonces first: with those of a later block than the tasks', what is done would look as if it were lost.
        account = await self._client.get(f"/accounts/{self._me}")
        nonce, next_nonce = number_in(account, "nonce"), number_in(account, "nextNonce")
        waiting = {key for key, one in self._sent.items() if nonce <= one < next_nonce}
        found = await self._client.get("/tasks", operator=self._me)
        height = number_in(found, "height") + 1
        tasks = [one for one in map(self._seen, list_in(found, "tasks")) if one.selected]
        self._give_up({one.task for one in tasks if one.commitment is None and height <= one.commit_deadline})
        for task in tasks:
            call = self._due(task, height)
            if call is None or (type(call), task.task) in waiting:
                continue
            await self._client.submit(sign(self._signer, self._chain_id, next_nonce, call).encode())
            self._sent[type(call), task.task] = next_nonce
            self._log.info(f"sent {type(call).__name__.lower()}", task="0x" + task.task.hex(), height=height)
            next_nonce += 1
        await self._tidy({task.task for task in tasks})

    # --- what is due ---

    def _due(self, task: _Seen, height: int) -> Call | None:
        """What has to be in the block of this height, or a later one."""
        try:
            vote = self._votes.read(task.task)
        except VotesError as error:
            self._log.error("a vote is lost", error=error)
            return None
        if task.commitment is None:
            if height > task.commit_deadline:
                return None
            if vote is None:
                self._look_for_answer(task)
                return None
            return Commit(task.task, vote.commitment(self._signer.address))
        if task.revealed or not task.commit_deadline < height <= task.reveal_deadline:
            return None
        if vote is None or vote.commitment(self._signer.address) != task.commitment:
            self._log.error("the vote that was committed to is not here", task="0x" + task.task.hex())
            return None
        return Reveal(task.task, vote.output, vote.embedding, vote.nonce)

    def _give_up(self, open_tasks: set[Hash]) -> None:
        """Answers that come too late keep others from being looked for."""
        for task, answering in self._answers.items():
            if task not in open_tasks:
                self._log.warn("commits have closed before there was an answer", task="0x" + task.hex())
                answering.cancel()

    def _look_for_answer(self, task: _Seen) -> None:
        if task.task not in self._answers:
            looking = asyncio.create_task(self._answer(task))
            self._answers[task.task] = looking
            looking.add_done_callback(lambda _: self._answers.pop(task.task, None))

    async def _answer(self, task: _Seen) -> None:
        """Leaves a vote on disk."""
        try:
            async with self._free:
                question = Question(task.task, task.model_spec, task.prompt_hash, await self._prompt(task))
                answer = await self._answering.answer(question)
            nonce = Hash(secrets.token_bytes(32))
            vote = Vote(task.task, task.model_spec, task.prompt_hash, answer.output, answer.embedding, nonce)
            await asyncio.to_thread(self._votes.keep, vote)
        except Exception as error:
            known = isinstance(error, NoAnswer | ServiceError | VotesError)
            (self._log.warn if known else self._log.error)("no vote", task="0x" + task.task.hex(), error=error)
            await asyncio.sleep(_RETRY_SECONDS)
        self._wake.set()

    async def _prompt(self, task: _Seen) -> bytes | None:
        """:raises NoAnswer: what the service gives is something else than the task asks."""
        try:
            found = await self._client.get(f"/tasks/0x{task.task.hex()}/prompt")
        except ServiceError as error:
            if error.status == 404:
                return None
            raise
        prompt = bytes_in(found, "prompt")
        if prompt_hash(prompt) != task.prompt_hash:
            raise NoAnswer("the service gives another prompt than the task has the hash of")
        return prompt

    async def _tidy(self, live: set[Hash]) -> None:
        """Forgets the votes of tasks that are settled."""
        self._sent = {key: nonce for key, nonce in self._sent.items() if key[1] in live}
        for task in [one for one in self._votes.tasks() if one not in live]:
            try:
                state = (await self._client.get(f"/tasks/0x{task.hex()}")).get("state")
            except ServiceError as error:
                if error.status == 404:
                    continue
                raise
            if state in ("settled", "failed"):
                self._votes.forget(task)
                self._log.info("task ended", task="0x" + task.hex(), state=state)

    # --- what is heard ---

    async def _listen(self) -> None:
        while True:
            try:
                async for name in self._client.events():
                    # A block's event comes after all others of that block.
                    if name in ("hello", "block", "lost"):
                        self._wake.set()
            except ServiceError as error:
                self._log.debug("no events", error=error)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _seen(self, found: Any) -> _Seen:
        if not isinstance(found, dict):
            raise ServiceError("a task is no JSON object")
        mine = [one for one in list_in(found, "commits") if isinstance(one, dict) and one.get("operator") == self._me]
        revealed = any(isinstance(one, dict) and one.get("operator") == self._me for one in list_in(found, "reveals"))
        return _Seen(
            task=hash_in(found, "taskId"),
            model_spec=hash_in(found, "modelSpecHash"),
            prompt_hash=hash_in(found, "promptHash"),
            commit_deadline=number_in(found, "commitDeadline"),
            reveal_deadline=number_in(found, "revealDeadline"),
            selected=self._me in list_in(found, "operators"),
            commitment=hash_in(mine[0], "commitment") if mine else None,
            revealed=revealed,
        )
