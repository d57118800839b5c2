"""The web service as a part of a process: what it needs, from start to stop (spec modules/03)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules import limits
from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, Response
from pygenvm.modules.mocks import MockFileError, read_mock_file
from pygenvm.modules.process import Setup
from pygenvm.modules.scripting.pool import ScriptPool, ScriptSettings, SessionContext
from pygenvm.modules.web.egress import Egress
from pygenvm.modules.web.rendering import Rendering
from pygenvm.modules.web.session import WebSession
from pygenvm.modules.web.settings import Settings, read_settings
from pygenvm.modules.web.signing import Signer


class WebModule:
    """:raises ConfigError: the configuration cannot be used."""

    def __init__(self, setup: Setup, *, egress: Egress | None = None) -> None:
        self._settings = settings = read_settings(setup.document)
        try:
            self._mocks = read_mock_file(settings.mocks) if settings.mocks else None
        except MockFileError as error:
            raise ConfigError(str(error), key=("mocks",)) from None
        log = setup.log
        self._plain = HttpClient()
        self._fetch = HttpClient(door=egress or Egress(always_allow_hosts=settings.admission.always_allow_hosts))
        options = dict(settings.webdriver) | {
            "always_allow_hosts": sorted(settings.admission.always_allow_hosts),
            "log_level": setup.settings.log_level,
        }
        self._rendering = Rendering(settings.webdriver_host, options, self._plain, log)
        self._signer = Signer(self._plain, setup.settings.signer_url, setup.settings.signer_headers)
        self._pool = ScriptPool(
            ScriptSettings.of(setup.settings, required=("Render", "Request")),
            globals_={
                "__web": {
                    "config": self._shown_to_scripts(setup.document),
                    "allowed_tld": dict.fromkeys(settings.admission.tlds, True),
                }
            },
            functions={},
            log=log,
            http=WebHttp(self._fetch, self._plain, self._rendering, settings),
            sign=self._sign,
        )

    async def start(self) -> None:
        await self._pool.start()

    async def open_session(self, hello: Hello) -> WebSession:
        return WebSession(await self._pool.session(hello), self._settings, self._mocks)

    async def check(self) -> None:
        await self._rendering.check()

    async def stop(self) -> None:
        await self._pool.stop()
        await self._rendering.stop()
        await self._fetch.close()
        await self._plain.close()

    async def _sign(
        self, context: SessionContext, method: str, url: str, headers: Mapping[str, str | bytes], body: bytes | None
    ) -> dict[str, str]:
        return await self._signer.sign(method, url, headers, body, context.host_data)

    def _shown_to_scripts(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """All that is configured, but what a client of this service must know to get in; hosts as in parsed URLs."""
        return {key: value for key, value in document.items() if key != "path_token"} | {
            "webdriver_host": self._rendering.host,
            "always_allow_hosts": sorted(self._settings.admission.always_allow_hosts),
        }


class WebHttp(HttpClient):
    """What ``rs.request`` of a script asks: the rendering service as it is, everything else through the door."""

    def __init__(self, fetch: HttpClient, plain: HttpClient, rendering: Rendering, settings: Settings) -> None:
        super().__init__()
        self._fetch = fetch
        self._plain = plain
        self._rendering = rendering
        self._settings = settings

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | bytes],
        body: bytes | None = None,
        seconds: float,
        body_max: int,
        redirects: int = limits.HTTP_REDIRECTS,
    ) -> Response:
        body_max = min(body_max, self._settings.response_bytes_max)
        if not self._rendering.is_meant_by(url):
            seconds = min(seconds, self._settings.fetch_seconds)
            return await self._fetch.request(
                method, url, headers=headers, body=body, seconds=seconds, body_max=body_max, redirects=redirects
            )
        seconds = min(seconds, self._settings.render_seconds)
        for is_last in (False, True):
            real_url = await self._rendering.real_url(url)
            try:
                return await self._plain.request(
                    method, real_url, headers=headers, body=body, seconds=seconds, body_max=body_max, redirects=0
                )
            except ModuleError:
                # Our own one has died, perhaps before it heard of this page; there is another one at once.
                if is_last or not await self._rendering.has_ended():
                    raise
        raise AssertionError
