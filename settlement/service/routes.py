"""The routes of the quorum engine, for which the specification has names only (spec settlement/03 §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from pygenvm.settlement.blocks.transactions import ImportIntent, parse
from pygenvm.settlement.blocks.view import ChainView
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.service import forms, limits
from pygenvm.settlement.service.feed import TooManyWatchers, encoded
from pygenvm.settlement.service.forms import hexed
from pygenvm.settlement.service.metrics import Metrics
from pygenvm.settlement.service.node import Node
from pygenvm.settlement.service.requests import (
    RequestError,
    address_of,
    answer,
    data_of,
    hash_of,
    number_of,
    read_object,
)
from pygenvm.settlement.state import keys, slots
from pygenvm.settlement.types.words import MAX_U32, ZERO, Hash
from pygenvm.settlement.verifier.export import export

PREFIX: Final = "/v1/settlement"
#: The longest transaction has 428 bytes.
_TRANSACTION_BYTES: Final = 1024


def add_routes(app: web.Application, node: Node, metrics: Metrics, *, on_demand: bool) -> None:
    own = _Routes(node, metrics, on_demand)
    app.router.add_get("/health", own.health)
    app.router.add_get("/metrics", own.metrics)
    app.router.add_get("/openapi.json", own.openapi)
    for path, handler in (
        ("/chain", own.chain),
        ("/operators", own.operators),
        ("/operators/{address}", own.operator),
        ("/accounts/{address}", own.account),
        ("/intents/{intent}", own.intent),
        ("/tasks", own.tasks),
        ("/tasks/{task}", own.task),
        ("/tasks/{task}/prompt", own.prompt),
        ("/receipts", own.receipts),
        ("/receipts/{intent}", own.receipt),
        ("/receipts/{intent}/document", own.document),
        ("/roots/{height}", own.root),
        ("/blocks/{block}", own.block),
        ("/transactions/{transaction}", own.transaction),
    ):
        app.router.add_get(PREFIX + path, handler)
    app.router.add_get(PREFIX + "/events", own.events, allow_head=False)
    app.router.add_post(PREFIX + "/transactions", own.submit)
    app.router.add_post(PREFIX + "/blocks", own.make_blocks)


class _Routes:
    def __init__(self, node: Node, metrics: Metrics, on_demand: bool) -> None:
        self._node = node
        self._metrics = metrics
        self._on_demand = on_demand

    # --- operation ---

    async def health(self, request: web.Request) -> web.Response:
        broken = self._node.broken
        if broken.done():
            return answer({"status": "broken", "error": broken.result()}, 503)
        if self._node.failing:
            # Whoever asks needs no token, and the reason may tell more than that.
            return answer({"status": "failing", "error": "the last block could not be made; the log says why"}, 503)
        return answer({"status": "ok", "height": self._node.height})

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": self._metrics.content_type})

    async def openapi(self, request: web.Request) -> web.Response:
        import yaml

        text = (files("pygenvm.schemas") / "settlement-api.yaml").read_text(encoding="utf-8")
        return answer(yaml.safe_load(text))

    # --- reading ---

    async def _told(self, question: Callable[[ChainView], Any]) -> web.Response:
        return answer(await self._node.read(question))

    async def chain(self, request: web.Request) -> web.Response:
        waiting = self._node.waiting

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            return {
                "aChainId": hexed(view.a_chain_id),
                "cChainId": hexed(view.c_chain_id),
                "cooldown": view.cooldown,
                "height": view.tip.height,
                "id": hexed(view.tip.id),
                "receiptRoot": hexed(engine.receipt_root()),
                "receipts": engine.receipt_count(),
                "waiting": waiting,
            }

        return await self._told(told)

    async def operators(self, request: web.Request) -> web.Response:
        spec = hash_of(request.query.get("modelSpec", ""), "modelSpec")

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            eligible = engine.eligible(spec)
            shown = [forms.operator(one, engine.operator(one), engine.credit(one)) for one in eligible[: limits.PAGE]]
            return {"eligible": len(eligible), "operators": shown}

        return await self._told(told)

    async def operator(self, request: web.Request) -> web.Response:
        address = address_of(request.match_info["address"], "address")

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            found = engine.operator(address)
            if not found.exists:
                raise RequestError("no operator has this address", 404)
            return forms.operator(address, found, engine.credit(address))

        return await self._told(told)

    async def account(self, request: web.Request) -> web.Response:
        address = address_of(request.match_info["address"], "address")

        def told(view: ChainView) -> dict[str, object]:
            engine, nonce = view.engine(), view.nonce(address)
            return {
                "address": hexed(address),
                "balance": str(engine.balance(address)),
                "credit": str(engine.credit(address)),
                "nonce": nonce,
                "nextNonce": self._node.next_nonce(address, nonce),
            }

        return await self._told(told)

    async def intent(self, request: web.Request) -> web.Response:
        intent_id = hash_of(request.match_info["intent"], "intent")

        def told(view: ChainView) -> dict[str, object]:
            task = view.engine().task_for_intent(intent_id)
            if task == ZERO:
                raise RequestError("no intent of this id was imported", 404)
            return {"intentId": hexed(intent_id), "taskId": hexed(task)}

        return await self._told(told)

    async def tasks(self, request: web.Request) -> web.Response:
        """Those that are not settled, the next due ones first."""
        given = request.query.get("operator")
        operator = None if given is None else address_of(given, "operator")

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            live = [Hash(task) for _, task in engine.state.staging.items(keys.DUE)]
            if operator is not None:
                live = [task for task in live if engine.is_selected(task, operator)]
            shown = [forms.task(engine, engine.task(task)) for task in live[: limits.PAGE]]
            return {"count": len(live), "height": view.tip.height, "tasks": shown}

        return await self._told(told)

    async def task(self, request: web.Request) -> web.Response:
        task = hash_of(request.match_info["task"], "task")

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            return forms.task(engine, engine.task(task))

        return await self._told(told)

    async def prompt(self, request: web.Request) -> web.Response:
        task = hash_of(request.match_info["task"], "task")
        digest = await self._node.read(lambda view: view.engine().task(task).prompt_hash)
        prompt = await asyncio.to_thread(self._node.prompts.read, digest)
        if prompt is None:
            raise RequestError("the prompt of this task was not given to the service", 404)
        return answer({"promptHash": hexed(digest), "prompt": hexed(prompt)})

    async def receipts(self, request: web.Request) -> web.Response:
        """Hashes of receipts from an index on: the leaves of the tree."""
        start = number_of(request.query.get("from", "0"), "from", MAX_U32)

        def told(view: ChainView) -> dict[str, object]:
            engine = view.engine()
            count = engine.receipt_count()
            indices = range(start, min(count, start + limits.PAGE))
            return {
                "count": count,
                "root": hexed(engine.receipt_root()),
                "hashes": [hexed(engine.state.word(slots.receipt_leaf(index))) for index in indices],
            }

        return await self._told(told)

    async def receipt(self, request: web.Request) -> web.Response:
        intent = hash_of(request.match_info["intent"], "intent")
        return await self._told(lambda view: forms.receipt(view.engine().export_receipt(intent)))

    async def document(self, request: web.Request) -> web.Response:
        """The file that ``genvm receipt verify`` reads."""
        intent = hash_of(request.match_info["intent"], "intent")
        text = await self._node.read(lambda view: export(view, intent).to_json())
        return web.Response(body=text.encode(), content_type="application/json", charset="utf-8")

    async def root(self, request: web.Request) -> web.Response:
        """The receipt root as of a block, which is what to compare a receipt's with."""
        height = request.match_info["height"]

        def told(view: ChainView) -> dict[str, object]:
            block = _block(view, height)
            return {"height": block.height, "block": hexed(block.id), "receiptRoot": hexed(block.receipt_root)}

        return await self._told(told)

    async def block(self, request: web.Request) -> web.Response:
        """By its height, its id, or ``latest``."""
        which = request.match_info["block"]
        return await self._told(lambda view: forms.block(_block(view, which)))

    async def transaction(self, request: web.Request) -> web.Response:
        transaction_id = hash_of(request.match_info["transaction"], "transaction")
        outcome = self._node.outcome(transaction_id)
        if outcome is None:
            raise RequestError("the service knows no transaction of this id (any more)", 404)
        return answer(
            {
                "id": hexed(transaction_id),
                "status": outcome.status,
                "height": outcome.height,
                "name": outcome.name,
                "error": outcome.error,
            }
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        try:
            watcher = self._node.feed.watch()
        except TooManyWatchers as error:
            raise RequestError(str(error), 503) from error
        try:
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            await response.write(encoded("hello", {"height": self._node.height}))
            while not watcher.closed:
                await response.write(await watcher.next())
        except ConnectionError:
            # It is gone.
            pass
        finally:
            self._node.feed.leave(watcher)
        return response

    # --- writing ---

    async def submit(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        data = data_of(members, "transaction", _TRANSACTION_BYTES)
        if data is None:
            raise RequestError("transaction is missing; it must be a hexadecimal text with 0x")
        prompt = data_of(members, "prompt", limits.PROMPT_BYTES)
        if prompt is not None:
            call = parse(data).call
            if not isinstance(call, ImportIntent) or call.intent.prompt_hash != prompt_hash(prompt):
                raise RequestError("prompt is not what an intent in this transaction has the hash of")
        transaction = await self._node.submit(data, prompt)
        return answer({"id": hexed(transaction.id), "status": "waiting"}, 202)

    async def make_blocks(self, request: web.Request) -> web.Response:
        if not self._on_demand:
            raise RequestError("blocks are made by the clock here", 409)
        members = await read_object(request)
        count = members.get("count", 1)
        if type(count) is not int or not 1 <= count <= limits.BLOCKS_AT_ONCE:
            raise RequestError(f"count must be from 1 to {limits.BLOCKS_AT_ONCE}")
        made = [await self._make_block() for _ in range(count)]
        return answer({"height": self._node.height, "blocks": made})

    async def _make_block(self) -> dict[str, object]:
        made = await self._node.make_block()
        return {
            "height": made.block.height,
            "id": hexed(made.block.id),
            "included": [hexed(one.id) for one in made.included],
            "refused": [{"id": hexed(one.id), "name": error.name} for one, error in made.refused],
        }


def _block(view: ChainView, which: str) -> Block:
    if which == "latest":
        return view.tip
    block_id = hash_of(which, "block") if which.startswith("0x") else view.block_id_at(number_of(which, "height"))
    found = None if block_id is None else view.block(block_id)
    if found is None:
        raise RequestError("there is no such block", 404)
    return found
