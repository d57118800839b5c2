"""Answers of the web and of language models that a test writes down (spec modules/01 to 03).

A request is answered by the first mock whose regular expression is found in its text: the URL, or the prompt. For the
templates behind ``gl.eq_principle`` the text is a line with the name of the template, then ``field: value`` lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.module_protocol.codec import GET_STATS, Answer, FatalError, Ok, Request, UserError, encode_answer
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256

_SELECTOR_BYTES = 4
_ABI_WORD_BYTES = 32
#: Characters of a prompt that a message of ours shows.
_SHOWN_CHARACTERS = 2000
_WEB_RESPONSE_KEYS = frozenset({"status", "headers", "body", "method"})
_EVM_RESPONSES = (int, Address, bytes)
_OK_STATUS = 200
_FIRST_ERROR_STATUS = 400


class ModuleFailure(Exception):
    """As the response of a mock: the service fails, and the contract gets ``gl.nondet.NondetException``.

    :param cause: machine-readable, such as ``WEBPAGE_LOAD_FAILED``.
    :param context: what the exception of the contract carries besides.
    """

    def __init__(self, cause: str, **context: Any) -> None:
        super().__init__(cause)
        self.cause = cause
        self.context = context


@dataclass(slots=True)
class _Mock:
    pattern: re.Pattern[str]
    method: str | None
    response: Any
    uses: int = 0


@dataclass(slots=True)
class _EvmMock:
    address: Address
    signature: str
    selector: bytes
    response: Any
    uses: int = 0


class _BadMock(ValueError):
    """A mock's response does not fit the request."""


class Mocks:
    """The answers of one test. Asked from the thread of the module server, changed only between runs."""

    def __init__(self) -> None:
        self._web: list[_Mock] = []
        self._llm: list[_Mock] = []
        self._evm: list[_EvmMock] = []
        #: Requests since :meth:`clear`, as they came.
        self.requests: list[Request] = []
        self._problems: list[str] = []

    # --- the test's side --------------------------------------------------------------------------

    def web(self, pattern: str, response: Any, method: str | None = None) -> None:
        """Adds an answer for URLs in which ``pattern`` is found.

        :param response: the page as ``str``, bytes (a screenshot, or the body of a response), a dict with any of
            ``status``, ``headers``, ``body`` and ``method``, a :class:`ModuleFailure`, or a function that gets the
            request as a dict and returns one of these.
        :param method: only for this HTTP method.
        """
        if isinstance(response, Mapping):
            unknown = response.keys() - _WEB_RESPONSE_KEYS
            if unknown:
                keys = ", ".join(sorted(_WEB_RESPONSE_KEYS))
                raise ValueError(f"a web response has no {', '.join(map(repr, sorted(unknown)))}, only {keys}")
            method = response.get("method", method)
        elif not isinstance(response, str | bytes | ModuleFailure) and not callable(response):
            raise TypeError(f"a web response cannot be a {type(response).__name__}")
        _add(self._web, _Mock(re.compile(pattern, re.DOTALL), method, response))

    def llm(self, pattern: str, response: Any) -> None:
        """Adds an answer for prompts in which ``pattern`` is found.

        :param response: text, a dict for ``response_format="json"`` (or its JSON text), a bool for the verdicts of
            ``gl.eq_principle``, a :class:`ModuleFailure`, or a function that gets the text of the prompt and returns
            one of these.
        """
        if not isinstance(response, str | bool | Mapping | ModuleFailure) and not callable(response):
            raise TypeError(f"an LLM response cannot be a {type(response).__name__}")
        _add(self._llm, _Mock(re.compile(pattern, re.DOTALL), None, response))

    def evm(self, address: Address, signature: str, response: Any) -> None:
        """Adds the answer of a method of an EVM contract.

        :param signature: such as ``balanceOf(address)``.
        :param response: an ``int``, ``bool`` or ``Address``, or the ABI-encoded result as bytes, or a function that
            gets the ABI-encoded arguments and returns one of these.
        """
        if not isinstance(response, _EVM_RESPONSES) and not callable(response):
            raise TypeError(f"an EVM response cannot be a {type(response).__name__}")
        mock = _EvmMock(address, signature, Keccak256(signature.encode()).digest()[:_SELECTOR_BYTES], response)
        self._evm = [old for old in self._evm if (old.address, old.signature) != (address, signature)] + [mock]

    def clear(self) -> None:
        """Forgets all answers and requests."""
        self._web.clear()
        self._llm.clear()
        self._evm.clear()
        self.requests.clear()
        self._problems.clear()

    def unused(self) -> list[str]:
        """Patterns that no request has met."""
        asked = [mock.pattern.pattern for mock in (*self._web, *self._llm) if not mock.uses]
        return asked + [mock.signature for mock in self._evm if not mock.uses]

    def take_problems(self) -> list[str]:
        """What could not be answered since the last time, as texts for the author of the test."""
        problems, self._problems = self._problems, []
        return problems

    # --- the module's side ------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """The answer to one request; a fatal error if there is none."""
        if request.name == GET_STATS:
            return Ok({"scripting": {"requests_count": len(self.requests), "requests_time": 0}})
        self.requests.append(request)
        try:
            answer = self._answer(request)
            encode_answer(answer)
        except Exception as error:
            return FatalError(self._problem(_title(request), error))
        return answer

    def eth_call(self, address: Address, data: bytes) -> bytes:
        """The ABI-encoded result of a call of an EVM contract."""
        selector, arguments = data[:_SELECTOR_BYTES], data[_SELECTOR_BYTES:]
        try:
            return self._evm_response(address, selector, arguments)
        except Exception as error:
            self._problem(f"the contract calls the method 0x{selector.hex()} of the EVM contract {address!s}", error)
            raise HostErrorReply(HostErrorCode.FORBIDDEN) from error

    def _problem(self, title: str, error: Exception) -> str:
        """Keeps what could not be answered. Also what a function of the test raises: it must reach the test."""
        text = str(error) if isinstance(error, _BadMock) else f"{type(error).__name__}: {error}"
        problem = f"{title}\n{text}"
        self._problems.append(problem)
        return problem

    def _evm_response(self, address: Address, selector: bytes, arguments: bytes) -> bytes:
        for mock in self._evm:
            if (mock.address, mock.selector) == (address, selector):
                mock.uses += 1
                response = mock.response(arguments) if callable(mock.response) else mock.response
                if not isinstance(response, _EVM_RESPONSES):
                    raise _BadMock(f"an EVM response cannot be a {type(response).__name__}")
                return _abi_word(response)
        known = "".join(f"\n  {mock.address!s} {mock.signature}" for mock in self._evm) or " none"
        raise _BadMock(f"no mock answers it; there are:{known}")

    def _answer(self, request: Request) -> Answer:
        try:
            match request.name:
                case "Render":
                    return _page(request.payload, self._web_response(request.payload, "GET"))
                case "Request":
                    response = self._web_response(request.payload, request.payload["method"])
                    return Ok({"response": _response(response)})
                case "Prompt":
                    payload = request.payload["payload"]
                    response = _respond(self._llm, payload["prompt"], payload["prompt"])
                    return _data(_to_json if payload["response_format"] == "json" else _to_text, response)
                case "PromptTemplate":
                    payload = request.payload["payload"]
                    text = _template_text(payload)
                    is_verdict = payload["template"] != "EqNonComparativeLeader"
                    return _data(_to_bool if is_verdict else _to_text, _respond(self._llm, text, text))
        except ModuleFailure as failure:
            return UserError({"causes": [failure.cause], "ctx": failure.context})
        raise _BadMock(f"there is no request {request.name}")

    def _web_response(self, payload: dict[str, Any], method: str) -> dict[str, Any]:
        response = _respond(self._web, payload["url"], payload, method)
        return dict(response) if isinstance(response, Mapping) else {"body": response}


def _add(mocks: list[_Mock], mock: _Mock) -> None:
    """Behind the others, or in the place of the one for the same requests."""
    for index, old in enumerate(mocks):
        if (old.pattern, old.method) == (mock.pattern, mock.method):
            mocks[index] = mock
            return
    mocks.append(mock)


def _respond(mocks: list[_Mock], text: str, argument: Any, method: str | None = None) -> Any:
    for mock in mocks:
        if (mock.method is None or mock.method == method) and mock.pattern.search(text):
            mock.uses += 1
            response: Any = mock.response
            if callable(response):
                call: Callable[[Any], Any] = response
                response = call(argument)
            if isinstance(response, ModuleFailure):
                raise response
            return response
    known = "".join(f"\n  {mock.method or ''} {mock.pattern.pattern!r}".replace("   ", "  ") for mock in mocks)
    raise _BadMock(f"no mock matches; there are:{known}" if mocks else "no mock matches; there are none")


# --- EVM ------------------------------------------------------------------------------------------


def _abi_word(response: int | Address | bytes) -> bytes:
    if isinstance(response, int):
        return (response % (1 << 8 * _ABI_WORD_BYTES)).to_bytes(_ABI_WORD_BYTES, "big")
    if isinstance(response, Address):
        return response.as_bytes.rjust(_ABI_WORD_BYTES, b"\0")
    return response


# --- web ------------------------------------------------------------------------------------------


def _page(payload: dict[str, Any], response: dict[str, Any]) -> Answer:
    status, body = response.get("status", _OK_STATUS), response.get("body", "")
    if status >= _FIRST_ERROR_STATUS:
        raise ModuleFailure("WEBPAGE_LOAD_FAILED", status=status, url=payload["url"], body=_text_of(body))
    if payload["mode"] == "screenshot":
        if not isinstance(body, bytes):
            raise _BadMock(f"a screenshot is the bytes of a PNG, not a {type(body).__name__}")
        return Ok({"image": body})
    return Ok({"text": _text_of(body)})


def _response(response: dict[str, Any]) -> dict[str, Any]:
    headers = response.get("headers", {})
    body = response.get("body", b"")
    return {
        "status": response.get("status", _OK_STATUS),
        "headers": {name.lower(): _bytes_of(value) for name, value in headers.items()},
        "body": _bytes_of(body),
    }


def _text_of(body: Any) -> str:
    if isinstance(body, bytes):
        return body.decode()
    return body if isinstance(body, str) else json.dumps(body)


def _bytes_of(body: Any) -> bytes:
    return body if isinstance(body, bytes) else _text_of(body).encode()


# --- LLM ------------------------------------------------------------------------------------------


def _data(convert: Callable[[Any], Any], response: Any) -> Answer:
    return Ok({"data": convert(response), "consumed_gen": 0})


def _to_text(response: Any) -> str:
    return str(response) if isinstance(response, str) else json.dumps(response)


def _to_json(response: Any) -> dict[str, Any]:
    if isinstance(response, str):
        try:
            response = json.loads(response)
        except ValueError as error:
            raise _BadMock(f"the answer to a prompt for JSON is none: {response[:200]!r}") from error
    if not isinstance(response, Mapping):
        raise _BadMock(f"the answer to a prompt for JSON is an object, not a {type(response).__name__}")
    return dict(response)


def _to_bool(response: Any) -> bool:
    if not isinstance(response, bool):
        response = _to_json(response).get("result")
    if not isinstance(response, bool):
        raise _BadMock("the answer to a template of gl.eq_principle is True or False")
    return response


def _template_text(payload: dict[str, Any]) -> str:
    fields = (f"{name}: {value}" for name, value in payload.items() if name != "template")
    return "\n".join([payload["template"], *fields])


def _title(request: Request) -> str:
    payload = request.payload
    match request.name:
        case "Render":
            return f"the contract renders {payload['url']} ({payload['mode']})"
        case "Request":
            return f"the contract requests {payload['method']} {payload['url']}"
        case "Prompt":
            what, text = f"the contract prompts ({payload['payload']['response_format']})", payload["payload"]["prompt"]
        case "PromptTemplate":
            what, text = "the contract uses a template of gl.eq_principle", _template_text(payload["payload"])
        case _:
            return f"the contract sends {request.name}"
    shown = text[:_SHOWN_CHARACTERS].replace("\n", "\n  ")
    return f"{what}:\n  {shown}"
