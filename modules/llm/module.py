"""The LLM service as a part of a process: what it needs, from start to stop (spec modules/02)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.llm.calls import Calls
from pygenvm.modules.llm.session import LlmSession, host_functions
from pygenvm.modules.llm.settings import Backend, Settings, read_settings
from pygenvm.modules.process import Setup
from pygenvm.modules.scripting.frames import LuaValue
from pygenvm.modules.scripting.pool import ScriptPool, ScriptSettings, SessionContext
from pygenvm.modules.web.signing import Signer

LOG_TARGET = "genvm_modules::llm"

_REQUIRED: Final = ("ExecPrompt", "ExecPromptTemplate")


class LlmModule:
    """:raises ConfigError: the configuration cannot be used, or leaves no backend (unless that is allowed)."""

    def __init__(self, setup: Setup, *, allow_empty_backends: bool = False) -> None:
        self._settings = settings = read_settings(setup.document, allow_empty_backends=allow_empty_backends)
        self._log = log = setup.log
        for backend in settings.backends.values():
            setup.secrets.add(backend.key)
        self._http = HttpClient()
        self._calls = Calls(settings, http=self._http, secrets=setup.secrets, log=log, metrics=setup.metrics)
        self._signer = Signer(self._http, setup.settings.signer_url, setup.settings.signer_headers)
        self._scripts = ScriptPool(
            ScriptSettings.of(setup.settings, required=_REQUIRED),
            globals_={"__llm": shown_to_scripts(settings)},
            functions=host_functions(self._calls),
            log=log,
            http=self._http,
            sign=self._sign,
        )

    async def start(self) -> None:
        for warning in self._settings.warnings:
            self._log.warn(warning)
        self._log.info("backends", names=list(self._settings.backends))
        await self._calls.start()
        await self._scripts.start()

    async def open_session(self, hello: Hello) -> LlmSession:
        return LlmSession(await self._scripts.session(hello), self._calls, hello.cookie)

    async def check(self) -> None:
        """Whether the hosts of the backends answer at all: no key is sent, nothing is paid.

        :raises ConnectionError: some do not.
        """
        hosts = {backend.host: backend for backend in self._settings.backends.values() if backend.host}
        answers = await asyncio.gather(*(self._reach(backend) for backend in hosts.values()))
        if problems := [answer for answer in answers if answer]:
            raise ConnectionError("; ".join(problems))

    async def _reach(self, backend: Backend) -> str:
        try:
            url, seconds, size = backend.host + "/", limits.LLM_REACH_SECONDS, limits.LLM_ANSWER_BYTES
            await self._http.request("HEAD", url, headers={}, seconds=seconds, body_max=size)
        except ModuleError as error:
            return f"backend {backend.name}: {error.ctx.get('rust_error', error)}"
        return ""

    async def stop(self) -> None:
        await self._scripts.stop()
        await self._calls.close()
        await self._http.close()

    async def _sign(
        self, context: SessionContext, method: str, url: str, headers: Mapping[str, str | bytes], body: bytes | None
    ) -> dict[str, str]:
        return await self._signer.sign(method, url, headers, body, context.host_data)


def shown_to_scripts(settings: Settings) -> LuaValue:
    """What stands in ``__llm``: neither hosts nor keys (spec modules/02 §6.3)."""
    backends = settings.backends.values()
    return {
        "providers": {
            backend.name: {"models": {name: model.for_scripts() for name, model in backend.models.items()}}
            for backend in backends
        },
        "templates": {
            name: {"system": template.system, "user": template.user} for name, template in settings.templates.items()
        },
        "weighted": any(backend.weight is not None for backend in backends),
        "order": [[backend.name, list(backend.models)] for backend in backends],
    }
