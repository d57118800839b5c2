"""The page's files, and the stream of what happens in a network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from pygenvm import pages
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.errors import SlowListener, TransactionNotFound
from pygenvm.localnet.chain.network.types import EventKind, NetworkEvent, TxKind, TxStatus
from pygenvm.localnet.documents import Document
from pygenvm.localnet.page import documents
from pygenvm.localnet.page.states import States
from pygenvm.pages.stream import TooManyWatchers, Watchers, serve

#: Transactions that a page knows when it opens.
TRANSACTIONS: Final = 100
#: Between two overviews.
OVERVIEW_SECONDS: Final = 0.25
_OF_TRANSACTIONS: Final = (EventKind.TRANSACTION, EventKind.ROUND, EventKind.VOTE, EventKind.SETTLED)


class Feed:
    """Watches a network for all pages. Nothing is computed while no page is open."""

    def __init__(self, network: Network, database: str) -> None:
        """:param database: what the page calls the network's file."""
        self.states = States(network, self._has_news)
        self._network = network
        self._database = database
        self._watchers = Watchers()
        self._changed = asyncio.Event()
        #: Transactions with news; a set in the order of the news.
        self._news: dict[bytes, None] = {}
        self._overview_due = False

    def add_routes(self, app: web.Application) -> None:
        """``/``, ``/page/…`` and ``/pages/…``."""
        app.router.add_get("/", self._page)
        app.router.add_get("/page/events", self._events)
        app.router.add_get("/page/{name}", self._own_file)
        app.router.add_get("/pages/{name}", self._shared_file)
        app.cleanup_ctx.append(self._watching)
        app.on_shutdown.append(self._close)

    async def state(self) -> Document:
        """All that a page begins with."""
        transactions = await self._network.summaries(TRANSACTIONS)
        names = documents.names_of(await self._network.contracts())
        return {
            **await self.overview(),
            "transactions": [documents.summary(one, names) for one in reversed(transactions)],
        }

    async def overview(self) -> Document:
        """Everything but transactions."""
        network = self._network
        contracts = await network.contracts()
        return documents.overview(
            chain_id=network.chain_id,
            block=await network.block_number(),
            time=await network.time(),
            finality_window=await network.finality_window(),
            infos=await network.accounts(),
            contracts=contracts,
            received={info.address: await network.received(info.address) for info in contracts},
            validators=await network.validators(),
            providers=await network.providers(),
            snapshots=await network.snapshot_times(),
            database=self._database,
        )

    async def _watching(self, app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.states.close()

    async def _close(self, app: web.Application) -> None:
        self._watchers.close()

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(SlowListener):
                async for event in self._network.events():
                    await self._heard(event)
            # Something was missed.
            self.states.forget()
            self._watchers.lose()

    async def _heard(self, event: NetworkEvent) -> None:
        if event.kind is EventKind.RESET:
            self.states.forget()
            self._watchers.lose()
        if not len(self._watchers):
            return
        if event.id is not None and event.kind in _OF_TRANSACTIONS:
            self._has_news(event.id)
        if event.kind is EventKind.TRANSACTION and event.id is not None:
            await self._follow_storage(event.id, event.status)
        # The newest block says nothing that a page does not hear of otherwise.
        self._overview_due |= event.kind is not EventKind.VOTE
        self._changed.set()

    def _has_news(self, id: bytes) -> None:
        self._news.pop(id, None)
        self._news[id] = None
        self._changed.set()

    async def _follow_storage(self, id: bytes, status: TxStatus | None) -> None:
        if status not in (TxStatus.PROPOSING, TxStatus.ACCEPTED):
            return
        try:
            transaction = await self._network.summary(id)
        except TransactionNotFound:
            return
        contract: Address = transaction.recipient
        if transaction.kind is TxKind.TRANSFER:
            return
        if status is TxStatus.ACCEPTED:
            self.states.accepted(contract, id)
        elif transaction.kind is TxKind.DEPLOY:
            self.states.is_new(contract)
        else:
            self.states.begins(contract)

    async def _tell(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            news, self._news = list(self._news), {}
            names = documents.names_of(await self._network.contracts())
            for id in news:
                with contextlib.suppress(TransactionNotFound):
                    shown = documents.summary(await self._network.summary(id), names)
                    self._watchers.tell(id, "transaction", shown)
            if self._overview_due:
                self._overview_due = False
                self._watchers.tell("overview", "overview", await self.overview())
            await asyncio.sleep(OVERVIEW_SECONDS)

    # --- routes ---

    async def _page(self, request: web.Request) -> web.Response:
        return _file("pygenvm.localnet", "page", "page.html")

    async def _own_file(self, request: web.Request) -> web.Response:
        return _file("pygenvm.localnet", "page", request.match_info["name"])

    async def _shared_file(self, request: web.Request) -> web.Response:
        return _file("pygenvm.pages", ".", request.match_info["name"])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: ``state`` first, then ``overview`` and ``transaction`` as they change."""
        try:
            watcher = self._watchers.watch()
        except TooManyWatchers as error:
            return web.json_response({"error": str(error)}, status=503)
        try:
            return await serve(request, watcher, self.state)
        finally:
            self._watchers.leave(watcher)


def _file(package: str, folder: str, name: str) -> web.Response:
    try:
        file = pages.read(package, folder, name)
    except FileNotFoundError:
        raise web.HTTPNotFound from None
    return web.Response(body=file.data, content_type=file.content_type, charset="utf-8", headers=pages.HEADERS)
