"""Methods by name: what carries them out, and what they are called with, which is also how they are described."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pygenvm.localnet import limits
from pygenvm.localnet.building import BeforeRun, needs_nothing
from pygenvm.localnet.chain.network.network import Network
from pygenvm.localnet.chain.network.types import Submission
from pygenvm.localnet.page.feed import Feed
from pygenvm.localnet.rpc.errors import BUSY, METHOD_NOT_FOUND, RpcError, invalid
from pygenvm.localnet.rpc.values import Param

#: Chain ids that clients call "localnet" (spec localnet-rpc/01 §7).
LOCALNET_IDS: Final = (61999, 61127)


@dataclass(slots=True)
class Node:
    """What methods work on."""

    network: Network
    version: str = ""
    """For ``web3_clientVersion``."""
    instance: str = ""
    """Tells this server from any other."""
    runs_at_once: int = field(default_factory=lambda: max(4, 2 * (os.cpu_count() or 1)))
    """Of contracts, for questions: reads, simulations, schemas."""
    before_run: BeforeRun = needs_nothing
    """Makes what the code of a new contract needs, in a thread; raises a :class:`LocalNetError` if it cannot."""
    database: str = ""
    """What the page calls the network's file."""
    feed: Feed = field(init=False)
    done: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)
    """Hashes of transactions that are not kept, such as appeals, and what was answered."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    """Methods that are carried out, whether or not their client is still there."""
    _slots: asyncio.Semaphore | None = None
    _waiting: int = 0

    def __post_init__(self) -> None:
        self.feed = Feed(self.network, self.database)

    @property
    def chain_ids(self) -> frozenset[int]:
        """Signatures for these are taken."""
        return frozenset((*LOCALNET_IDS, self.network.chain_id))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While a contract runs for a question; transactions do not wait for these.

        :raises RpcError: too many wait already.
        """
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.runs_at_once)
        if self._waiting >= limits.RPC_RUNS_WAITING:
            text = f"all execution slots are busy, and {self._waiting} requests wait for one; try again later"
            raise RpcError(BUSY, text, {"retry_after_seconds": limits.RPC_RETRY_SECONDS})
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def to_its_end(self, work: Coroutine[Any, Any, Any]) -> Any:
        """A client that leaves takes nothing with it that has begun."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            # Where nobody waits for it any more, it is known here.
            task.exception()

    async def ready_for(self, code: bytes) -> None:
        """Waits until a contract with this code can run here; a contract that is there is ready."""
        if code:
            first = await asyncio.to_thread(self.before_run, code)
            if first is not None:
                await asyncio.to_thread(first)

    async def submit(self, submission: Submission) -> bytes:
        """As of the network, for a contract that may need more than others."""
        await self.ready_for(submission.code)
        return await self.network.submit(submission)

    def remember(self, digest: bytes, answer: bytes) -> None:
        """So that the same raw transaction again does nothing."""
        self.done[digest] = answer
        while len(self.done) > limits.RPC_REMEMBERED:
            self.done.popitem(last=False)


Handler: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    handler: Handler
    params: tuple[Param, ...]
    result: Mapping[str, Any]
    """JSON Schema."""
    summary: str
    stops: bool = False
    """It ends when its client leaves: it changes nothing, and takes long."""

    async def call(self, node: Node, given: Any) -> Any:
        """:param given: the ``params`` of a request.
        :raises RpcError: they do not fit.
        """
        work = self.handler(node, *self._arguments(given))
        return await (work if self.stops else node.to_its_end(work))

    def _arguments(self, given: Any) -> list[Any]:
        if isinstance(given, dict):
            if unknown := given.keys() - {param.name for param in self.params}:
                raise invalid(f"{self.name} has no parameter {sorted(unknown)[0][:80]!r}; {self._usage()}")
            values = [given.get(param.name) for param in self.params]
        else:
            if len(given) > len(self.params):
                raise invalid(f"{len(given)} parameters are too many; {self._usage()}")
            values = [*given, *[None] * (len(self.params) - len(given))]
        found = []
        for param, value in zip(self.params, values, strict=True):
            if value is None and param.required:
                raise invalid(f"{param.name} is missing; {self._usage()}")
            found.append(param.read(value))
        return found

    def _usage(self) -> str:
        names = ", ".join(param.name if param.required else f"{param.name}?" for param in self.params)
        return f"the parameters of {self.name} are [{names}]"


class Methods(dict[str, Method]):
    """Filled by a decorator::

    @METHODS.add("eth_getBalance", ADDRESS_PARAM, result=HEX)
    async def get_balance(node: Node, address: Address) -> str:
        \"\"\"What the method does, for its description.\"\"\"
    """

    def add(
        self, name: str, *params: Param, result: Mapping[str, Any], stops: bool = False
    ) -> Callable[[Handler], Handler]:
        def added(handler: Handler) -> Handler:
            summary = (handler.__doc__ or "").strip().splitlines()[0]
            self[name] = Method(name, handler, params, result, summary, stops)
            return handler

        return added

    async def call(self, node: Node, name: str, params: Any) -> Any:
        """:raises RpcError: no such method, or parameters that do not fit."""
        method = self.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"method {name[:80]} not found; rpc.discover lists those that there are")
        return await method.call(node, params)


# --- JSON Schema of results ---

HEX: Final = {"type": "string", "pattern": "^0x[0-9a-f]*$"}
INT: Final = {"type": "integer"}
BOOL: Final = {"type": "boolean"}
TEXT: Final = {"type": "string"}
NULL: Final = {"type": "null"}
OBJECT: Final = {"type": "object"}
MAYBE_OBJECT: Final = {"type": ["object", "null"]}
LIST: Final = {"type": "array"}
