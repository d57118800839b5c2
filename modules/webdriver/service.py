"""``GET /render`` (spec modules/03 §10): the rendering service."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

import ada_url
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pygenvm.modules import limits
from pygenvm.modules.config import Fields, host_and_port
from pygenvm.modules.log import Logger
from pygenvm.modules.web.egress import Egress
from pygenvm.modules.webdriver.browser import BrowserDied, BrowserFailure, Chromium
from pygenvm.modules.webdriver.folder import PrivateFolder
from pygenvm.modules.webdriver.render import Mode, Rendered, RenderRequest, WaitUntil, render
from pygenvm.modules.webdriver.settings import DEFAULT_ADDRESS, Settings, read_settings

LOG_TARGET = "genvm_modules::webdriver"

_DEFAULT_LOAD_MS: Final = 30_000.0
#: Names of DevTools and of the libraries on it.
_WAIT_UNTIL: Final[Mapping[str, WaitUntil]] = {
    "commit": "commit",
    "domcontentloaded": "domcontentloaded",
    "load": "load",
    "networkidle": "networkidle",
    "networkidle0": "networkidle",
    "networkidle2": "networkidle",
}
_HEALTH_PAGE: Final = b"<!doctype html><title>health</title><p>it</p><script>document.write('<p>works')</script>"
_HEALTH_TEXT: Final = b"it\n\nworks"
_HEALTH: Final = RenderRequest("http://health.invalid/", "text", load_seconds=10.0)
#: Fields by which a browser says that a page makes a request. Whoever may ask us is no page.
_OF_PAGES: Final = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "::1"}


class Busy(Exception):
    """All places are taken, and the queue is full or slow."""


class BadQuery(Exception):
    """What the query lacks; the text is the answer."""


class RenderingService:
    """The service as a whole.

    :param egress: the way of pages to the network, if it is not the one of the settings.
    :param options: those of :class:`Settings`.
    """

    def __init__(self, *, host: str, port: int, log: Logger, egress: Egress | None = None, **options: Any) -> None:
        self.settings = Settings(**options)
        self.address = ""
        self._host, self._port = host, port
        self._log = log
        self._door = egress or Egress(always_allow_hosts=self.settings.always_allow_hosts)
        self._folder: PrivateFolder | None = None
        self._chromium: Chromium | None = None
        self._runner: web.AppRunner | None = None
        self._places = asyncio.Semaphore(self.settings.places)
        self._health = asyncio.Lock()
        self._waiting = 0
        self._active = 0
        self._metrics = _Metrics(self)

    async def start(self) -> None:
        """Has a browser, and listens.

        :raises BrowserMissing: there is no Chromium; the text says what installs one.
        :raises BrowserFailure: it does not start.
        :raises OSError: the address is taken.
        """
        self._folder = PrivateFolder()
        try:
            self._chromium = Chromium(self.settings, self._folder.path, self._log)
            await self._chromium.start()
            await self._listen()
        except BaseException:
            await self.stop(0)
            raise

    async def check(self) -> None:
        """Renders a known page.

        :raises BrowserFailure: it does not look as it should.
        """
        async with self._health:
            rendered = await self._render_anyhow(_HEALTH, only_page=_HEALTH_PAGE)
        if (rendered.status, rendered.body) != (200, _HEALTH_TEXT):
            raise BrowserFailure(f"the known page renders as {rendered.status} {rendered.body[:100]!r}")

    async def stop(self, grace: float) -> None:
        """Takes no new requests, gives those at work ``grace`` seconds, and ends the browser."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
            deadline = time.monotonic() + grace
            while (self._active or self._waiting) and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            await self._runner.cleanup()
            self._runner = None
        if self._chromium is not None:
            await self._chromium.stop()
            self._chromium = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    async def render(self, request: RenderRequest) -> Rendered:
        """The page, when there is a place.

        :raises Busy: there is none.
        :raises BrowserFailure: no browser works.
        """
        if self._waiting >= self.settings.queue and self._places.locked():
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.queue_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self._waiting -= 1
        self._active += 1
        try:
            return await self._render_anyhow(request)
        finally:
            self._active -= 1
            self._places.release()

    async def _render_anyhow(self, request: RenderRequest, *, only_page: bytes | None = None) -> Rendered:
        """One more try if the browser dies on the way."""
        if self._chromium is None:
            raise BrowserFailure("the service is not running")
        for last in (False, True):
            try:
                async with self._chromium.place(self._door, only_page=only_page) as place:
                    rendered = await render(place, request)
                    self._metrics.loaded(place.proxy.spent, place.proxy.refused)
                    return rendered
            except BrowserDied as error:
                if last:
                    raise BrowserFailure("the browser has died twice on this page") from error
        raise AssertionError

    # --- HTTP ---

    async def _listen(self) -> None:
        app = web.Application(middlewares=[self._guard])
        prefix = f"/{self.settings.path_token}" if self.settings.path_token else ""
        app.router.add_route("*", prefix + "/render", self._answer_render)
        app.router.add_get(prefix + "/health", self._answer_health)
        app.router.add_get(prefix + "/metrics", self._answer_metrics)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            max_line_size=limits.RENDER_REQUEST_HEAD_BYTES,
            max_field_size=limits.RENDER_REQUEST_HEAD_BYTES,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        self._port = port
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if any(name in request.headers for name in _OF_PAGES) or not self._is_own_name(request.headers.get("Host", "")):
            self._metrics.rejected.inc()
            return _error(403, "Forbidden", "this service does not answer web pages")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.text)

    def _is_own_name(self, host: str) -> bool:
        """Whether the request was made for us; a page's own name may have been bound to our address."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in _LOOPBACK_NAMES or name == self._host

    async def _answer_render(self, request: web.Request) -> web.Response:
        begun = time.monotonic()
        try:
            wanted = self.wanted(request.query)
        except BadQuery as error:
            return _error(400, str(error))
        try:
            rendered = await self.render(wanted)
        except Busy:
            self._metrics.failed.labels("busy").inc()
            return _error(503, "Service is busy", "all places are taken; try again later")
        except BrowserFailure as error:
            self._metrics.failed.labels("browser").inc()
            self._log.error("no page", error=error)
            return _error(500, "Internal server error", str(error))
        except Exception as error:
            self._metrics.failed.labels("internal").inc()
            self._log.error("no page", error=error)
            return _error(500, "Internal server error", f"{type(error).__name__}: {error}"[:500])
        seconds = time.monotonic() - begun
        self._metrics.rendered(wanted.mode, rendered, seconds)
        self._log.info(
            "rendered",
            host=urlsplit(wanted.url).hostname,
            mode=wanted.mode,
            status=rendered.status,
            cause=rendered.cause,
            bytes=len(rendered.body),
            ms=round(seconds * 1000),
        )
        headers = {"Resulting-Status": str(rendered.status), "X-Content-Type-Options": "nosniff"}
        if rendered.cause:
            headers["Resulting-Cause"] = rendered.cause
        is_picture = wanted.mode == "screenshot" and not rendered.cause and rendered.body
        # Not JSON, and called so (spec modules/03 §10).
        kind = "image/png" if is_picture else "application/json"
        return web.Response(body=rendered.body, content_type=kind, headers=headers)

    async def _answer_health(self, _: web.Request) -> web.Response:
        try:
            await self.check()
        except BrowserFailure as error:
            return web.json_response({"status": "error", "message": str(error)}, status=503)
        return web.json_response({"status": "ok"})

    async def _answer_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def wanted(self, query: Mapping[str, str]) -> RenderRequest:
        """What a query asks for, within the bounds of the settings.

        :raises BadQuery: it cannot be done."""
        url = query.get("url", "")
        if not url:
            raise BadQuery("Missing url parameter")
        mode = query.get("mode", "")
        if mode not in ("text", "html", "screenshot"):
            raise BadQuery("Invalid mode. Must be text, html, or screenshot")
        wait_until = _WAIT_UNTIL.get(query.get("waitUntil", "domcontentloaded"))
        if wait_until is None:
            raise BadQuery(f"Invalid waitUntil. Must be {', '.join(_WAIT_UNTIL)}")
        wait = _number(query, "waitAfterLoaded", 0.0)
        # No limit is the longest that there is.
        load = _number(query, "loadTimeout", _DEFAULT_LOAD_MS) / 1000 or self.settings.load_seconds_max
        return RenderRequest(
            url=_web_url(url),
            mode=cast(Mode, mode),
            wait_seconds=min(wait, self.settings.wait_seconds_max),
            load_seconds=min(load, self.settings.load_seconds_max),
            wait_until=wait_until,
            text_bytes_max=self.settings.text_bytes_max,
        )


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        number = float(query.get(name) or default)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise BadQuery(f"Invalid {name}. Must be a number, 0 or more")
    return number


def _web_url(text: str) -> str:
    """The URL as browsers write it. The browser itself would open files and its own pages too.

    :raises BadQuery: it is none of the web.
    """
    if len(text) > limits.URL_BYTES:
        raise BadQuery(f"Invalid url. Must have at most {limits.URL_BYTES} characters")
    try:
        url = ada_url.URL(text)
    except ValueError:
        raise BadQuery("Invalid url. Must be an absolute URL") from None
    if url.protocol not in ("http:", "https:") or not url.hostname:
        raise BadQuery("Invalid url. Must be an http or https URL")
    return str(url.href)


def _error(status: int, error: str, message: str = "") -> web.Response:
    return web.json_response({"error": error, **({"message": message} if message else {})}, status=status)


class _Metrics:
    """What the service counts."""

    def __init__(self, service: RenderingService) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        prefix = "genvm_module_webdriver"
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "active": ("Renders at work", lambda: service._active),
            "waiting": ("Renders that wait for a place", lambda: service._waiting),
            "memory_bytes": (
                "Memory of the browser when last looked at",
                lambda: service._chromium.memory if service._chromium else 0,
            ),
            "browsers_replaced": (
                "Browsers that took over from another one",
                lambda: service._chromium.restarts if service._chromium else 0,
            ),
        }
        for name, (text, value) in gauges.items():
            Gauge(f"{prefix}_{name}", text, registry=self.registry).set_function(value)
        self._renders = Counter(
            f"{prefix}_renders", "Pages by mode and outcome", ["mode", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            f"{prefix}_render_seconds",
            "Seconds from a request to its answer",
            buckets=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0),
            registry=self.registry,
        )
        self.failed = Counter(f"{prefix}_failures", "Requests without a page", ["why"], registry=self.registry)
        self.rejected = Counter(f"{prefix}_rejected", "Requests of web pages", registry=self.registry)
        self._bytes = Counter(f"{prefix}_page_bytes", "Bytes to and from pages", registry=self.registry)
        self._refused = Counter(f"{prefix}_refused", "Connections refused by address", registry=self.registry)

    def rendered(self, mode: str, page: Rendered, seconds: float) -> None:
        self._renders.labels(mode, page.cause or f"{page.status // 100}xx").inc()
        self._seconds.observe(seconds)

    def loaded(self, size: int, refused: int) -> None:
        self._bytes.inc(size)
        self._refused.inc(refused)


def make(
    document: Mapping[str, Any], *, log: Logger, port: int | None = None, always_allow_hosts: Sequence[str] = ()
) -> RenderingService:
    """The service that a configuration document describes; the others are what the command line adds.

    :raises ConfigError: a key has a value that will not do.
    """
    fields = Fields(document)
    try:
        host, configured_port = host_and_port(fields.text("bind_address", DEFAULT_ADDRESS))
    except ValueError as error:
        raise fields.error("bind_address", str(error), remedy="write HOST:PORT, for example 127.0.0.1:4444") from None
    options = read_settings(document)
    options["always_allow_hosts"] += tuple(always_allow_hosts)
    log.secrets.add(options["path_token"])
    return RenderingService(host=host, port=configured_port if port is None else port, log=log, **options)
