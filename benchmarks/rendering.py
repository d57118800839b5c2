"""The row about the rendering service: what it adds to the library that drives its browser."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from playwright.async_api import async_playwright

from benchmarks.measure import Row, interleaved, scaled
from benchmarks.services import server, service
from benchmarks.support import BenchmarkError
from pygenvm.modules.webdriver.browser import HEIGHT, WIDTH
from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser

_MS = 1e3
_WARM_UP = 1
#: Pages of one sample.
_PAGES: Final = 8

Render = Callable[[], Awaitable[str]]


def render(rounds: int) -> list[Row]:
    """A page as text through the rendering service, against the bare library: a fresh context for each as well."""
    try:
        program = find_browser()
    except BrowserMissing as error:
        print(f"left out: {error}", file=sys.stderr)
        return []
    with (
        server("page", 0) as page,
        service("webdriver", always_allow_hosts=["127.0.0.1"]) as address,
        contextlib.closing(asyncio.new_event_loop()) as loop,
    ):
        return loop.run_until_complete(_render(page, address, str(program), rounds))


async def _render(page: str, address: str, program: str, rounds: int) -> list[Row]:
    async with async_playwright() as playwright, aiohttp.ClientSession() as session:
        browser = await playwright.chromium.launch(executable_path=program)

        async def ours() -> str:
            async with session.get(f"{address}/render", params={"url": page, "mode": "text"}) as answer:
                if answer.headers.get("Resulting-Status") != "200":
                    raise BenchmarkError(f"the rendering service answers {answer.status} {await answer.text()}")
                return await answer.text()

        async def bare() -> str:
            context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
            tab = await context.new_page()
            await tab.goto(page, wait_until="domcontentloaded")
            text = await tab.inner_text("body")
            await context.close()
            return text

        loop = asyncio.get_running_loop()

        def timed(work: Render, at_once: int) -> Callable[[], float]:
            return lambda: asyncio.run_coroutine_threadsafe(_seconds_each(work, at_once), loop).result()

        rows = []
        for at_once in (1, 4):
            contestants = {"ours": timed(ours, at_once), "bare": timed(bare, at_once)}
            samples = await asyncio.to_thread(interleaved, contestants, rounds, _WARM_UP)
            rows.append(
                Row(
                    name="render",
                    title=f"page rendered as text, {'one at a time' if at_once == 1 else f'{at_once} at once, each'}",
                    unit="ms",
                    ours=scaled(samples["ours"], _MS),
                    yardstick=scaled(samples["bare"], _MS),
                    yardstick_is="Playwright alone, without filter and service",
                    ratio_at_most=1.25,
                )
            )
        await browser.close()
    return rows


async def _seconds_each(work: Render, at_once: int) -> float:
    left = iter(range(_PAGES))

    async def worker() -> None:
        for _ in left:
            if len(await work()) < 1000:
                raise BenchmarkError("the page is not there")

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (time.perf_counter() - begun) / _PAGES
