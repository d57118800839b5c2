"""The nondet blocks of a run: what they asked, what they gave, and one of them judged alone.

A validator of the real network judges every block of a transaction; a test wants to know about one, while the mocks of
now answer it. So a run that judges block *n* is the leader of the blocks before it, which get the answers that they got
the first time, and finds no leader's result for those after it, which ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from pygenvm.executor.host_protocol.host import Host, HostErrorReply
from pygenvm.executor.module_protocol.codec import Answer, Request
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest

Exchanges: TypeAlias = list[tuple[Request, Answer]]


@dataclass(frozen=True, slots=True)
class Block:
    """A block that a leader has executed."""

    number: int
    result: bytes
    """Code byte and payload."""
    exchanges: Exchanges
    """Requests to the web and to language models, in order."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one run is to judge: ``claimed`` as the leader's result of block ``number``, after the blocks ``before``."""

    number: int
    claimed: bytes
    before: tuple[Block, ...]


@dataclass(slots=True)
class Blocks:
    """The blocks of one run, as they come."""

    snapshot: Callable[[], Awaitable[bytes]]
    """Gives the state, in which nothing changes while the run lasts."""
    judged: Judgement | None = None
    finished: list[Block] = field(default_factory=list)
    reached: bool = False
    """The judged block began."""
    before: bytes = b""
    """The state in which the run began, if it had blocks as their leader."""
    _running: int | None = None
    """The block that this run executes as leader; nothing else of the run goes on meanwhile."""
    _exchanges: Exchanges = field(default_factory=list)
    _replayed: deque[tuple[Request, Answer]] = field(default_factory=deque)

    # --- asked by the module server ---------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        """Whether the block that runs now is executed for its result, and not to judge one."""
        return self._running is not None

    def replay(self, request: Request) -> Answer | None:
        """The answer that the block got to this request the first time."""
        if self._replayed and self._replayed[0][0] == request:
            return self._replayed.popleft()[1]
        return None

    def keep(self, request: Request, answer: Answer) -> None:
        """A request that was answered."""
        if self._running is not None:
            self._exchanges.append((request, answer))

    # --- asked by the host ------------------------------------------------------------------------

    async def leader_result(self, host: Host, number: int) -> bytes:
        """What the host says of the leader's result of block ``number``."""
        self._replayed.clear()
        judged = self.judged
        if judged is None:
            try:
                return await host.get_leader_nondet_result(number)
            except HostErrorReply as reply:
                if reply.code is HostErrorCode.I_AM_LEADER:
                    self.before = self.before or await self.snapshot()
                    self._begin(number)
                raise
        if number < judged.number:
            self._begin(number)
            self._replayed.extend(judged.before[number].exchanges)
            raise HostErrorReply(HostErrorCode.I_AM_LEADER)
        if number > judged.number:
            raise HostErrorReply(HostErrorCode.ABSENT)
        self.reached = True
        return judged.claimed

    def _begin(self, number: int) -> None:
        self._running, self._exchanges = number, []

    def finish(self, number: int, result: bytes) -> None:
        """Block ``number`` has its result."""
        self.finished.append(Block(number, result, self._exchanges))
        self._running = None


class Watched:
    """An executor whose runs tell of their nondet blocks."""

    def __init__(self, executor: Executor, snapshot: Callable[[], Awaitable[bytes]]) -> None:
        """:param snapshot: gives the state of the network."""
        self._executor = executor
        self._snapshot = snapshot
        #: For the next runs.
        self.judged: Judgement | None = None
        #: Those that run now, by the id of their transaction.
        self.running: dict[str, Blocks] = {}
        #: Those that had blocks, until somebody takes them.
        self._done: dict[str, Blocks] = {}

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        blocks = self.running[request.tx_id] = Blocks(self._snapshot, self.judged)
        try:
            return await self._executor(cast(Host, _WatchedHost(host, blocks)), request)
        finally:
            # Views of the same content have the same id, and threads may ask for them at once.
            if self.running.get(request.tx_id) is blocks:
                del self.running[request.tx_id]
            if blocks.finished or blocks.reached:
                self._done[request.tx_id] = blocks

    def take(self, tx_id: bytes) -> Blocks | None:
        """The blocks of a transaction that has been executed, if it had any; those of all others are forgotten."""
        done, self._done = self._done, {}
        return done.get("0x" + tx_id.hex())


class _WatchedHost:
    """A host, but for what it hears of nondet blocks."""

    def __init__(self, host: Host, blocks: Blocks) -> None:
        self._host = host
        self._blocks = blocks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    async def get_leader_nondet_result(self, call_no: int) -> bytes:
        return await self._blocks.leader_result(self._host, call_no)

    async def post_nondet_result(self, call_no: int, result: bytes) -> None:
        self._blocks.finish(call_no, result)
        await self._host.post_nondet_result(call_no, result)
