"""One page: opened, waited for, read, and what its status is when it cannot be opened (spec modules/03 §10)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Page, Response
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Request as PageRequest
from playwright.async_api import TimeoutError as PlaywrightTimeout

from pygenvm.modules import limits
from pygenvm.modules.webdriver.browser import HEIGHT, WIDTH, BrowserDied, BrowserFailure, Place, first_line

Mode = Literal["text", "html", "screenshot"]
WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]


@dataclass(frozen=True)
class RenderRequest:
    url: str
    mode: Mode
    wait_seconds: float = 0.0
    """Between the page being loaded and its being read."""
    load_seconds: float = 30.0
    wait_until: WaitUntil = "domcontentloaded"
    text_bytes_max: int = limits.RENDER_TEXT_BYTES

    @property
    def seconds(self) -> float:
        """The longest that a render takes, once it has a page."""
        return self.load_seconds + self.wait_seconds + limits.RENDER_EXTRACT_SECONDS


@dataclass(frozen=True)
class Rendered:
    status: int
    body: bytes
    cause: str = ""
    """Why the page could not be opened; empty: it was, and ``status`` is its own."""


@dataclass(frozen=True)
class _Cause:
    status: int
    message: str


#: What Chromium says when it has no picture of a page that is there.
_NO_PICTURE = "Unable to capture screenshot"
#: Statuses of what never was a page.
_CAUSES: Final[Mapping[str, _Cause]] = {
    "timeout": _Cause(408, "Navigation timeout"),
    "dns": _Cause(502, "DNS resolution failed"),
    "refused": _Cause(503, "Connection refused"),
    "certificate": _Cause(495, "SSL certificate error"),
    "offline": _Cause(503, "No internet connection"),
    "forbidden": _Cause(418, "Address forbidden"),
    "crashed": _Cause(418, "The page has crashed"),
    "download": _Cause(418, "The page is a download"),
    "too-large": _Cause(418, "The page is too large"),
    "other": _Cause(418, "No response"),
}
#: Families of Chromium's network errors.
_NET_ERRORS: Final = (
    (re.compile(r"ERR_(CERT|SSL)_"), "certificate"),
    (re.compile(r"ERR_(CONNECTION_)?TIMED_OUT"), "timeout"),
    (re.compile(r"ERR_NAME_"), "dns"),
    (re.compile(r"ERR_CONNECTION_REFUSED|ERR_ADDRESS_UNREACHABLE"), "refused"),
    (re.compile(r"ERR_INTERNET_DISCONNECTED"), "offline"),
)
_SHORTAGES: Final = ("ERR_INSUFFICIENT_RESOURCES", "ERR_OUT_OF_MEMORY", "ERR_FILE_NO_SPACE")
_NET_ERROR: Final = re.compile(r"net::(ERR_\w+)")
#: Until the end of a browser or a page is known at the latest, after its tasks have failed for it.
_CRASH_SECONDS: Final = 0.3
#: Statuses of answers that leave the browser without a page to show.
_BODILESS: Final = {204, 205}


def failed(cause: str, message: str = "") -> Rendered:
    return Rendered(_CAUSES[cause].status, (message or _CAUSES[cause].message).encode(), cause)


async def render(place: Place, request: RenderRequest) -> Rendered:
    """The page, in bounded time, whatever it does.

    :raises BrowserDied: another browser may do better.
    :raises BrowserFailure: the browser does not reach its proxy.
    """
    page = await _new_page(place)
    crashed = asyncio.Event()
    page.on("crash", lambda _: crashed.set())
    popups = _PopupCloser(place)
    work = asyncio.create_task(_Visit(place, page, request).result())
    events = {"too-large": place.proxy.ended_early, "died": place.died, "crashed": crashed}
    ends = {name: asyncio.create_task(event.wait()) for name, event in events.items()}
    try:
        await asyncio.wait([work, *ends.values()], timeout=request.seconds, return_when=asyncio.FIRST_COMPLETED)
        if not place.died.is_set() and not place.proxy.ended_early.is_set() and not crashed.is_set():
            if not work.done():
                return failed("timeout")
            with contextlib.suppress(PlaywrightError):
                if work.result().cause != "other":
                    return work.result()
            # What is at work ends a moment before it is known why.
            await asyncio.wait(
                [ends["died"], ends["crashed"]], timeout=_CRASH_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        if place.died.is_set():
            raise BrowserDied
        if place.proxy.ended_early.is_set():
            return failed("too-large")
        if crashed.is_set():
            return failed("crashed")
        error = work.exception()
        if error is not None and _NO_PICTURE in str(error):
            # Not the page's doing: a browser that is short of time for its compositor. Another try gets one.
            raise BrowserDied
        return work.result() if error is None else failed("other", f"Reading failed: {first_line(error)}")
    finally:
        tasks = [work, *ends.values(), *popups.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _new_page(place: Place) -> Page:
    try:
        async with asyncio.timeout(limits.RENDER_CONTEXT_SECONDS):
            return await place.context.new_page()
    except (PlaywrightError, TimeoutError) as error:
        if place.died.is_set() or isinstance(error, PlaywrightError):
            raise BrowserDied from error
        raise BrowserFailure("the browser opens no page") from error


class _PopupCloser:
    """A page is one page: what it opens is closed."""

    def __init__(self, place: Place) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        place.context.on("page", self._opened)

    def _opened(self, page: Page) -> None:
        task = asyncio.create_task(self._close(page))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _close(self, page: Page) -> None:
        with contextlib.suppress(PlaywrightError):
            await page.close()


class _Visit:
    """Opening and reading. Nothing here has to end by itself: :func:`render` ends it."""

    def __init__(self, place: Place, page: Page, request: RenderRequest) -> None:
        self._place = place
        self._page = page
        self._request = request
        self._last_response: Response | None = None
        self._failed_url = request.url
        page.on("response", self._responded)
        page.on("requestfailed", self._request_failed)

    async def result(self) -> Rendered:
        opened = await self._open()
        if isinstance(opened, Rendered):
            return opened
        if self._left() is None and self._request.wait_seconds and (200 <= opened < 300 or opened == 304):
            await asyncio.sleep(self._request.wait_seconds)
        try:
            async with asyncio.timeout(limits.RENDER_EXTRACT_SECONDS):
                return await self._read(opened)
        except TimeoutError:
            return failed("timeout")

    # --- opening ---

    async def _open(self) -> int | Rendered:
        """The status of the page that is open now, or what there is instead."""
        request, loop = self._request, asyncio.get_running_loop()
        deadline = loop.time() + request.load_seconds
        try:
            try:
                response = await self._page.goto(
                    request.url, timeout=request.load_seconds * 1000, wait_until=request.wait_until
                )
            except PlaywrightError as error:
                if "interrupted by another navigation" not in str(error):
                    raise
                # The page has gone on to another one, which is now the page.
                left = max(1.0, (deadline - loop.time()) * 1000)
                await self._page.wait_for_load_state(_load_state(request.wait_until), timeout=left)
                response = self._last_response
        except PlaywrightTimeout:
            return failed("timeout")
        except PlaywrightError as error:
            return self._not_opened(error)
        if response is None:
            return failed("other")
        if why := _wrong_way(response.request):
            return failed("other", why)
        return response.status

    def _not_opened(self, error: PlaywrightError) -> Rendered:
        text = str(error)
        found = _NET_ERROR.search(text)
        name = found[1] if found else ""
        last = self._last_response
        if last is not None and (
            name == "ERR_HTTP_RESPONSE_CODE_FAILURE" or (name == "ERR_ABORTED" and last.status in _BODILESS)
        ):
            # Good or bad, the answer has no body.
            return Rendered(last.status, b"")
        if name == "ERR_PROXY_CONNECTION_FAILED":
            raise BrowserFailure("the browser does not reach its proxy")
        if name in _SHORTAGES:
            # Of this machine: elsewhere there is a page.
            raise BrowserFailure(f"the browser lacks memory or disk: {name}")
        if name == "ERR_TUNNEL_CONNECTION_FAILED":
            if not (why := self._why()):
                # Nobody asked the page's proxy; see `Place.astray`.
                raise BrowserDied
            if why in _CAUSES:
                return failed(why)
        for pattern, cause in _NET_ERRORS:
            if pattern.match(name):
                return failed(cause)
        if name == "ERR_TOO_MANY_REDIRECTS":
            return failed("other", "Too many redirects")
        if "Download is starting" in text:
            return failed("download")
        if not name:
            raise error
        return failed("other", f"Navigation failed: {name}")

    def _why(self) -> str:
        """What became of the connection for the page itself; all failures behind a proxy look alike from inside."""
        url = urlsplit(self._failed_url)
        return self._place.proxy.why(url.hostname or "", url.port or (443 if url.scheme == "https" else 80)) or ""

    def _responded(self, response: Response) -> None:
        if self._is_main(response.request):
            self._last_response = response

    def _request_failed(self, request: PageRequest) -> None:
        if self._is_main(request):
            self._failed_url = request.url

    def _is_main(self, request: PageRequest) -> bool:
        try:
            return request.is_navigation_request() and request.frame == self._page.main_frame
        except PlaywrightError:
            # Of a frame that is not there yet: no page that was loaded.
            return False

    # --- reading ---

    def _left(self, place: str = "") -> Rendered | None:
        """What to say instead of a page if that is not one of the web, or is the proxy's own by now.

        :param place: its URL, if the page itself has told it.
        """
        last = self._last_response
        if last is not None and self._place.astray in last.headers:
            raise BrowserDied
        if last is not None and (mark := last.headers.get(self._place.proxy.mark)):
            return failed(mark)
        if (place or self._page.url).startswith(("http://", "https://")):
            return None
        return failed(self._why()) if self._why() in _CAUSES else failed("other", "The page has left the web")

    async def _read(self, status: int) -> Rendered:
        if (left := self._left()) is not None:
            return left
        session = await self._place.context.new_cdp_session(self._page)
        if self._request.mode == "screenshot":
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}
            shot = await session.send("Page.captureScreenshot", {"format": "png", "clip": clip})
            return Rendered(status, base64.b64decode(shot["data"]))
        place, text = await _evaluate(session, _READ[self._request.mode] % self._request.text_bytes_max)
        # It may have gone on since.
        if (left := self._left(place)) is not None:
            return left
        if text is None:
            return failed("too-large")
        if self._request.mode == "text":
            text = visible_text(text)
        body = _LONE_SURROGATES.sub("\ufffd", text).encode()
        return failed("too-large") if len(body) > self._request.text_bytes_max else Rendered(status, body)


def _wrong_way(request: PageRequest) -> str:
    """Why the redirects that led to the request are not followed, as those of contracts' requests are not; or empty."""
    hops = 0
    while (before := request.redirected_from) is not None:
        hops += 1
        if hops > limits.HTTP_REDIRECTS:
            return "Too many redirects"
        if before.url.startswith("https:") and request.url.startswith("http:"):
            return "Redirect from https to http"
        request = before
    return ""


def _load_state(wait_until: WaitUntil) -> Literal["domcontentloaded", "load", "networkidle"]:
    return "domcontentloaded" if wait_until == "commit" else wait_until


# In a world of its own: pages can replace what they have in theirs. The getters are taken from the prototypes, since
# an element named "body" would stand before the property of the document. Null: too long.
_READER: Final = """(() => {
  const got = (type, name, object) => Object.getOwnPropertyDescriptor(type.prototype, name).get.call(object);
  const body = got(Document, "body", document);
  const text = body ? got(%s, "%s", body) : "";
  return [location.href, text.length > %%d ? null : text];
})()"""
_READ: Final = {
    "text": _READER % ("HTMLElement", "innerText"),
    "html": _READER % ("Element", "innerHTML"),
}
_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")
#: The page went on to another one between two steps.
_MOVED_ON: Final = re.compile(r"Cannot find context|Execution context was|No frame")


async def _evaluate(session: CDPSession, expression: str) -> tuple[str, str | None]:
    """URL and text that the expression finds in an isolated world of the page, whichever that is by then."""
    while True:
        try:
            frames = await session.send("Page.getFrameTree")
            frame = frames["frameTree"]["frame"]["id"]
            world = await session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "genvm"})
            answer = await session.send(
                "Runtime.evaluate",
                {"expression": expression, "contextId": world["executionContextId"], "returnByValue": True},
            )
        except PlaywrightError as error:
            if not _MOVED_ON.search(first_line(error)):
                raise
            await asyncio.sleep(0.05)
            continue
        if "exceptionDetails" in answer:
            raise PlaywrightError(f"the page cannot be read: {json.dumps(answer)[:200]}")
        place, text = answer["result"]["value"]
        return place, text


#: White space as JavaScript knows it, without the line feed, which parts lines here.
_SPACE: Final = "\t\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SPACES: Final = re.compile(f"[{_SPACE}]+")
_AROUND_LINE: Final = re.compile(r" ?\n ?")
_BLANK_LINES: Final = re.compile(r"\n{2,}")


def visible_text(text: str) -> str:
    """Each line trimmed, white space in it one space, and two or more line feeds two."""
    text = _AROUND_LINE.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text.removeprefix(" ").removesuffix(" "))
