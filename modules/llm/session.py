"""One connection to the LLM service: requests are checked, given to the script, and what it returns is checked too."""

from __future__ import annotations

from typing import Any, Final

from pygenvm.executor.module_protocol.codec import Request
from pygenvm.modules.llm.calls import Calls, UnknownBackend
from pygenvm.modules.llm.prompt import FORMATS, BadPrompt, read_prompt
from pygenvm.modules.llm.providers.base import Asker
from pygenvm.modules.llm.requests import read_answer, read_request
from pygenvm.modules.mocks import llm_text
from pygenvm.modules.scripting.frames import LuaValue, ScriptError, text
from pygenvm.modules.scripting.pool import HostFunction, ScriptSession, SessionContext
from pygenvm.modules.service import Statistics

#: Where the :class:`Caller` is in the context of a script session.
_CALLER: Final = "llm"
#: Key of the host data that says which node of a local network asks (:mod:`modules.mocks`).
_NODE: Final = "mock_node"


class LlmSession:
    """What one connection is to the service."""

    def __init__(self, script: ScriptSession, calls: Calls, cookie: str) -> None:
        self._script = script
        self._calls = calls
        self._caller = caller = calls.join(cookie)
        script.context.state[_CALLER] = caller

    async def ask(self, request: Request) -> dict[str, Any]:
        call = read_request(request)
        node = self._script.context.host_data.get(_NODE, "")
        self._caller.asker = Asker(texts=(llm_text(request),), node=node if isinstance(node, str) else "")
        return read_answer(call, await self._script.call(call.function, call.arguments, call.remaining_gen))

    def statistics(self) -> Statistics:
        context, caller = self._script.context, self._caller
        return Statistics(
            context.requests_count + caller.requests_count, context.requests_time_us + caller.requests_time_us
        )

    async def close(self) -> None:
        self._calls.leave(self._caller)
        await self._script.close()


def host_functions(calls: Calls) -> dict[str, HostFunction]:
    """What scripts may ask of this module (spec modules/02 §6.3)."""

    async def exec_prompt_in_provider(context: SessionContext, arguments: LuaValue = None, *_: LuaValue) -> LuaValue:
        """Answer of one model: ``{provider, model, prompt, format}`` to ``{data, consumed_gen}``."""
        given = _named(arguments)
        provider, model, format = (_string(given, name) for name in ("provider", "model", "format"))
        if format not in FORMATS:
            raise ScriptError(f"exec_prompt_in_provider: format must be one of {', '.join(FORMATS)}, not {format[:64]}")
        try:
            prompt = read_prompt(_with_texts(given.get("prompt")))
            outcome = await calls.ask(context.state[_CALLER], provider, model, prompt, format)
        except (UnknownBackend, BadPrompt) as error:
            raise ScriptError(str(error)) from None
        return {"data": outcome.data, "consumed_gen": outcome.consumed_gen}

    async def order_providers(context: SessionContext, names: LuaValue = None, *_: LuaValue) -> LuaValue:
        """Names of providers in the order to try them."""
        if not isinstance(names, list) and names != {}:
            raise ScriptError("order_providers: a list of names is expected")
        return list(calls.order(text(name) for name in names))

    return {
        "__llm.exec_prompt_in_provider": exec_prompt_in_provider,
        "__llm.order_providers": order_providers,
    }


def _named(table: LuaValue) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ScriptError("exec_prompt_in_provider: a table with provider, model, prompt and format is expected")
    return {text(key): value for key, value in table.items()}


def _string(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, bytes):
        raise ScriptError(f"exec_prompt_in_provider: {name} must be a string")
    return text(value)


def _with_texts(prompt: LuaValue) -> Any:
    """Strings of Lua as texts, but for the pictures."""
    if not isinstance(prompt, dict):
        return prompt
    return {text(key): text(item) if isinstance(item, bytes) else item for key, item in prompt.items()}
