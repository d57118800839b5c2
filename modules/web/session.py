"""One connection to the web service: requests are checked, given to the script, and what it returns is checked too."""

from __future__ import annotations

from typing import Any, Protocol

from pygenvm.executor.module_protocol.codec import Ok, Request, UserError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import parse_url
from pygenvm.modules.mocks import MockAnswers, NoMock, answer_with, find_for
from pygenvm.modules.scripting.frames import LuaValue
from pygenvm.modules.service import Statistics
from pygenvm.modules.web.egress import forbidden
from pygenvm.modules.web.requests import MalformedRequest, fetch_answer, read_fetch, read_render, render_answer
from pygenvm.modules.web.settings import Settings


class Script(Protocol):
    """A session of the script pool."""

    @property
    def context(self) -> Any: ...

    async def call(self, function: str, *args: LuaValue) -> LuaValue: ...

    async def close(self) -> None: ...


class WebSession:
    """``mocks`` answer what their patterns match; for all else the script decides."""

    def __init__(self, script: Script, settings: Settings, mocks: MockAnswers | None) -> None:
        self._script = script
        self._settings = settings
        self._mocks = mocks

    async def ask(self, request: Request) -> dict[str, Any]:
        match request.name:
            case "Render":
                page = read_render(request.payload, self._settings.render_wait_seconds_max)
                mocked = await self._mocked(request)
                return mocked or render_answer(await self._script.call("Render", page.payload()))
            case "Request":
                fetch = read_fetch(request.payload)
                self._refuse_webdriver(fetch.url)
                mocked = await self._mocked(request)
                if mocked is not None:
                    return mocked
                answer = await self._script.call("Request", fetch.payload())
                return fetch_answer(answer, self._settings.response_bytes_max)
        raise MalformedRequest(f"the web service has no request {request.name[:64]!r}")

    def statistics(self) -> Statistics:
        context = self._script.context
        return Statistics(context.requests_count, context.requests_time_us)

    async def close(self) -> None:
        await self._script.close()

    def _refuse_webdriver(self, url: str) -> None:
        """The rendering service is asked unfiltered, so contracts must not name it, wherever it is."""
        host = self._settings.webdriver_host
        if not host:
            return
        try:
            parsed = parse_url(url)
        except ValueError:
            return
        if parsed.origin == parse_url(host).origin:
            raise forbidden(parsed.host, url)

    async def _mocked(self, request: Request) -> dict[str, Any] | None:
        if self._mocks is None:
            return None
        try:
            mock = find_for(request, self._mocks)
        except NoMock:
            return None
        await mock.pause()
        if isinstance(mock.response, ModuleError):
            raise mock.response
        match answer_with(mock, request):
            case Ok(value):
                return dict(value)
            case UserError(value):
                raise ModuleError(value["causes"], fatal=False, ctx=value["ctx"])
            case fatal:
                raise RuntimeError(fatal.text)
