"""What ``genvm modules check`` tells: does each model answer, and does the browser render?

Models are asked for real, which may cost a fraction of a cent each. The browser is the one that the web service would
use: that of ``webdriver_host``, or one that is started for the check.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.log import Logger

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Row:
    """One thing that was tried. None: there is nothing to tell, or it was not found out."""

    kind: Literal["model", "browser"]
    name: str
    state: State
    provider: str = ""
    latency_seconds: float | None = None
    json: bool | None = None
    image: bool | None = None
    price: str = ""
    error: str = ""
    remedy: str = ""


async def check_models(document: Mapping[str, Any], *, seconds: float) -> list[Row]:
    """One row for each model of an LLM configuration.

    :raises ConfigError: the configuration will not do.
    """
    from pygenvm.modules.llm.check import check_backends

    return [
        Row(
            kind="model",
            name=f"{check.backend}/{check.model}" if check.model else check.backend,
            state=check.state,
            provider=check.provider,
            latency_seconds=check.latency_seconds,
            json=check.json,
            image=check.image,
            price=check.price,
            error=check.error,
            remedy=check.remedy,
        )
        for check in await check_backends(document, seconds=seconds)
    ]


async def check_browser(document: Mapping[str, Any], *, seconds: float, log: Logger) -> Row:
    """The browser that a web configuration leads to.

    :raises ConfigError: the configuration will not do.
    """
    from pygenvm.modules.web.settings import read_settings

    settings = read_settings(document)
    if settings.webdriver_host:
        return await _check_rendering_host(settings.webdriver_host, seconds)
    return await _check_own_browser(settings.webdriver, log)


#: A page that any rendering service can show, whatever network it has.
_PAGE = "data:text/html,<p>it%20works"
_START = "start it with `genvm-modules webdriver`, or leave webdriver_host empty: then the web service starts its own"


async def _check_rendering_host(host: str, seconds: float) -> Row:
    """Whether a rendering service answers; one that refuses the page for what it is answers too."""
    client = HttpClient()
    url = f"{host}/render?{urlencode({'url': _PAGE, 'mode': 'text'})}"
    begun = time.monotonic()
    try:
        answer = await client.request("GET", url, headers={}, seconds=seconds, body_max=limits.CHECK_BODY_BYTES)
    except ModuleError as error:
        why = str(error.ctx.get("rust_error") or error)
        return Row("browser", host, "failed", provider="webdriver", error=why, remedy=_START)
    finally:
        await client.close()
    took = time.monotonic() - begun
    if answer.status != 200 or "resulting-status" not in answer.headers:
        why = f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
        return Row("browser", host, "failed", "webdriver", took, error=why, remedy="is this a rendering service?")
    return Row("browser", host, "ok", "webdriver", took)


async def _check_own_browser(options: Mapping[str, Any], log: Logger) -> Row:
    from pygenvm.modules.webdriver.locate import BrowserMissing

    try:
        from pygenvm.modules.webdriver.service import make
    except BrowserMissing as error:
        return Row("browser", "chromium", "failed", error="there is no Playwright", remedy=str(error))
    service = make({**options, "bind_address": "127.0.0.1:0"}, log=log)
    begun = time.monotonic()
    try:
        await service.start()
        begun = time.monotonic()
        await service.check()
    except BrowserMissing as error:
        return Row("browser", "chromium", "failed", error="there is none", remedy=str(error))
    except Exception as error:
        return Row("browser", "chromium", "failed", error=str(error) or type(error).__name__, remedy=_LOG)
    finally:
        await service.stop(0)
    return Row("browser", "chromium", "ok", latency_seconds=time.monotonic() - begun)


_LOG = "run `genvm-modules webdriver --log-level debug` to see what it says"
