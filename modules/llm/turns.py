"""Whose turn it is: calls of one model at a time and per minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm.settings import Model

_MINUTE = 60.0
#: Providers answer so when there is too much; scripts and nodes look for it (spec modules/05 §6).
_TOO_MANY_REQUESTS = 429


class Turns:
    """The limits of one model. Calls come in the order in which they were asked for.

    In no minute are there more requests, nor more tokens, than the configuration says; tokens count as soon as they
    are known, before that as estimated.
    """

    def __init__(self, model: Model, queue_seconds: float) -> None:
        self._model = model
        self._queue_seconds = queue_seconds
        self._has_rate = model.requests_per_minute is not None or model.tokens_per_minute is not None
        self._places = asyncio.Semaphore(model.concurrency)
        self._at_the_door = asyncio.Lock()
        self._recent: deque[Call] = deque()

    @asynccontextmanager
    async def one(self, tokens: int) -> AsyncIterator[Call]:
        """One call, which may take ``tokens``.

        :raises ModuleError: ``RATE_LIMITED``: its turn does not come in time.
        """
        if not self._has_rate and not self._places.locked():
            await self._places.acquire()
            call = Call(0.0, tokens)
        else:
            call = await self._in_line(tokens)
        try:
            yield call
        finally:
            self._places.release()

    async def _in_line(self, tokens: int) -> Call:
        try:
            async with asyncio.timeout(self._queue_seconds):
                await self._places.acquire()
                try:
                    return await self._admitted(tokens)
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError:
            raise self._refusal() from None

    async def _admitted(self, tokens: int) -> Call:
        if not self._has_rate:
            return Call(0.0, tokens)
        async with self._at_the_door:
            while wait := self._wait(tokens):
                if wait > self._queue_seconds:
                    raise self._refusal()
                await asyncio.sleep(wait)
            call = Call(time.monotonic(), tokens)
            self._recent.append(call)
            return call

    def _wait(self, tokens: int) -> float:
        """Seconds until the next call may begin."""
        now = time.monotonic()
        while self._recent and self._recent[0].began <= now - _MINUTE:
            self._recent.popleft()
        if not self._recent:
            # A call that is larger than the limit is alone in its minute: refusing it for ever helps nobody.
            return 0.0
        model = self._model
        until = self._recent[0].began + _MINUTE
        if model.requests_per_minute is not None and len(self._recent) >= model.requests_per_minute:
            return until - now
        used = sum(call.tokens for call in self._recent)
        if model.tokens_per_minute is not None and used + tokens > model.tokens_per_minute:
            return until - now
        return 0.0

    def _refusal(self) -> ModuleError:
        ctx = {"status": _TOO_MANY_REQUESTS, "model": self._model.name, "queue_seconds": self._queue_seconds}
        return ModuleError("RATE_LIMITED", ctx=ctx)


class Call:
    """One call that has begun; whoever knows better sets its ``tokens``."""

    __slots__ = ("began", "tokens")

    def __init__(self, began: float, tokens: int) -> None:
        self.began = began
        self.tokens = tokens
