"""Answers of the web and of language models that a test writes down (spec modules/01 to 03).

A request is answered by the first mock whose regular expression is found in its text: the URL, or the prompt. For the
templates behind ``gl.eq_principle`` the text is a line with the name of the template, then ``field: value`` lines.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.module_protocol.codec import GET_STATS, Answer, FatalError, Ok, Request, UserError, encode_answer
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.pytest_plugin.blocks import Blocks
from pygenvm.pytest_plugin.failures import UnusedMockWarning

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

_SELECTOR_BYTES = 4
_ABI_WORD_BYTES = 32
#: Characters of a prompt that a message of ours shows.
_SHOWN_CHARACTERS = 2000
_SHOWN_PROMPT = 100
NO_MOCK = _NO_WEB_MOCK, _NO_LLM_MOCK = "No web mock", "No LLM mock"
_RESPONSE_KEYS = frozenset({"status", "headers", "body"})
_EVM_RESPONSES = (int, Address, bytes)
_OK_STATUS = 200
_FIRST_ERROR_STATUS = 400
#: Up to here every whole number is a float of its own (spec modules/01 §1).
_EXACT_FLOAT = 1 << 53
_FENCE = re.compile(r"\A\s*```(?:json)?|```\s*\Z")


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


class _NoMock(Exception):
    """No mock answers a request."""


@dataclass(slots=True)
class Problems:
    """What went wrong with requests since the last look."""

    unanswered: list[str] = field(default_factory=list)
    """No mock: the contract got an exception, and may have gone on."""
    broken: list[str] = field(default_factory=list)
    """The test is to blame, and must hear of it."""


@dataclass(slots=True)
class _Answers:
    web: list[_Mock] = field(default_factory=list)
    llm: list[_Mock] = field(default_factory=list)
    evm: list[_EvmMock] = field(default_factory=list)

    def copy(self) -> _Answers:
        return _Answers(list(self.web), list(self.llm), list(self.evm))


class Mocks:
    """The answers of one test. Asked from the thread of the module server, changed only between runs."""

    def __init__(self) -> None:
        self._answers = _Answers()
        #: Requests since :meth:`clear`, as they came.
        self.requests: list[Request] = []
        self.strict = False
        self._problems = Problems()

    # --- the test's side --------------------------------------------------------------------------

    def web(self, pattern: str, response: Any, method: str | None = None) -> None:
        """Adds an answer for URLs in which ``pattern`` is found.

        :param response: the page as ``str``, bytes (a screenshot, or the body of a response), a dict with any of
            ``status``, ``headers`` and ``body``, or with these in a dict ``response``, and perhaps a ``method``; a
            :class:`ModuleFailure`, or a function that gets the request as a dict and returns one of these.
        :param method: only for this HTTP method. A dict that names none answers GET, everything else all of them.
        """
        if isinstance(response, Mapping):
            method = response.get("method", method or "GET")
            response = response.get("response", {key: response[key] for key in response if key != "method"})
        if isinstance(response, Mapping):
            unknown = response.keys() - _RESPONSE_KEYS
            if unknown:
                names, keys = ", ".join(map(repr, sorted(unknown))), ", ".join(sorted(_RESPONSE_KEYS))
                warnings.warn(f"nothing is done with {names} of a web response, only with {keys}", stacklevel=3)
        elif not isinstance(response, str | bytes | ModuleFailure) and not callable(response):
            raise TypeError(f"a web response cannot be a {type(response).__name__}")
        _add(self._answers.web, _Mock(re.compile(pattern), method, response))

    def llm(self, pattern: str, response: Any) -> None:
        """Adds an answer for prompts in which ``pattern`` is found.

        :param response: text, anything that JSON has, a :class:`ModuleFailure`, or a function that gets the text of
            the prompt and returns one of these. See :func:`_to_json` for prompts that want JSON; the verdicts of
            ``gl.eq_principle`` are bools.
        """
        if not isinstance(response, ModuleFailure) and not callable(response):
            try:
                json.dumps(response)
            except TypeError as error:
                raise TypeError(f"an LLM response cannot be a {type(response).__name__}: {error}") from None
        _add(self._answers.llm, _Mock(re.compile(pattern), None, response))

    def evm(self, address: Address, signature: str, response: Any) -> None:
        """Adds the answer of a method of an EVM contract.

        :param signature: such as ``balanceOf(address)``.
        :param response: an ``int``, ``bool`` or ``Address``, or the ABI-encoded result as bytes, or a function that
            gets the ABI-encoded arguments and returns one of these.
        """
        if not isinstance(response, _EVM_RESPONSES) and not callable(response):
            raise TypeError(f"an EVM response cannot be a {type(response).__name__}")
        mock = _EvmMock(address, signature, Keccak256(signature.encode()).digest()[:_SELECTOR_BYTES], response)
        others = [old for old in self._answers.evm if (old.address, old.signature) != (address, signature)]
        self._answers.evm = [*others, mock]

    def clear(self) -> None:
        """Forgets all answers and requests."""
        self.warn_of_unused()
        self._answers = _Answers()
        self.requests.clear()

    def snapshot(self) -> _Answers:
        """All answers, for :meth:`restore`."""
        return self._answers.copy()

    def restore(self, answers: _Answers) -> None:
        """Goes back to the answers of a snapshot."""
        self._answers = answers.copy()

    def take_problems(self) -> Problems:
        """What could not be answered since the last time."""
        problems, self._problems = self._problems, Problems()
        return problems

    def warn_of_unused(self) -> None:
        """If the test is strict about it, one warning for each mock that nothing has asked for."""
        if self.strict:
            for kind, mocks in (("Web", self._answers.web), ("LLM", self._answers.llm)):
                for mock in mocks:
                    if not mock.uses:
                        text = f"{kind} mock never matched: {mock.pattern.pattern}"
                        warnings.warn(text, UnusedMockWarning, stacklevel=3)
            for evm in self._answers.evm:
                if not evm.uses:
                    text = f"EVM mock never matched: {evm.address!s} {evm.signature}"
                    warnings.warn(text, UnusedMockWarning, stacklevel=3)

    # --- the service's side -----------------------------------------------------------------------

    def answer(self, request: Request, blocks: Blocks | None = None) -> Answer:
        """The answer to one request.

        :param blocks: those of the run that asks; the answer is kept there, or comes from there.
        """
        if request.name == GET_STATS:
            return Ok({})
        answer = blocks.replay(request) if blocks else None
        if answer is None:
            self.requests.append(request)
            answer = self._checked_answer(request)
            if blocks:
                blocks.keep(request, answer)
        return answer

    def _checked_answer(self, request: Request) -> Answer:
        try:
            answer = self._answer(request)
            encode_answer(answer)
        except _NoMock as error:
            self._problems.unanswered.append(f"{error}\n{_title(request)}")
            return UserError({"causes": [str(error).partition("\n")[0]], "ctx": {}})
        except Exception as error:
            return FatalError(self._broken(_title(request), error))
        return answer

    def eth_call(self, address: Address, data: bytes) -> bytes:
        """The ABI-encoded result of a call of an EVM contract."""
        selector, arguments = data[:_SELECTOR_BYTES], data[_SELECTOR_BYTES:]
        try:
            return self._evm_response(address, selector, arguments)
        except Exception as error:
            self._broken(f"the contract calls the method 0x{selector.hex()} of the EVM contract {address!s}", error)
            raise HostErrorReply(HostErrorCode.FORBIDDEN) from error

    def _broken(self, title: str, error: Exception) -> str:
        """Keeps what could not be answered. Also what a function of the test raises: it must reach the test."""
        text = str(error) if isinstance(error, _BadMock) else f"{type(error).__name__}: {error}"
        problem = f"{title}\n{text}"
        self._problems.broken.append(problem)
        return problem

    def _evm_response(self, address: Address, selector: bytes, arguments: bytes) -> bytes:
        for mock in self._answers.evm:
            if (mock.address, mock.selector) == (address, selector):
                mock.uses += 1
                response = mock.response(arguments) if callable(mock.response) else mock.response
                if not isinstance(response, _EVM_RESPONSES):
                    raise _BadMock(f"an EVM response cannot be a {type(response).__name__}")
                return _abi_word(response)
        known = "".join(f"\n  {mock.address!s} {mock.signature}" for mock in self._answers.evm) or " none"
        raise _BadMock(f"no mock answers it; there are:{known}")

    def _answer(self, request: Request) -> Answer:
        try:
            match request.name:
                case "Render":
                    title = f"{_NO_WEB_MOCK} for WebRender {request.payload['url']}"
                    return _page(request.payload, self._web_response(title, request.payload, "GET"))
                case "Request":
                    method = request.payload["method"]
                    title = f"{_NO_WEB_MOCK} for {method} {request.payload['url']}"
                    return Ok({"response": _response(self._web_response(title, request.payload, method))})
                case "Prompt":
                    payload = request.payload["payload"]
                    response = self._llm_response(payload["prompt"])
                    return _data(_to_json if payload["response_format"] == "json" else _to_text, response)
                case "PromptTemplate":
                    payload = request.payload["payload"]
                    is_verdict = payload["template"] != "EqNonComparativeLeader"
                    response = self._llm_response(_template_text(payload))
                    return _data(_to_bool if is_verdict else _to_text, response)
        except ModuleFailure as failure:
            return UserError({"causes": [failure.cause], "ctx": failure.context})
        raise _BadMock(f"there is no request {request.name}")

    def _web_response(self, title: str, payload: dict[str, Any], method: str) -> dict[str, Any]:
        response = _respond(title, self._answers.web, payload["url"], payload, method)
        return dict(response) if isinstance(response, Mapping) else {"body": response}

    def _llm_response(self, text: str) -> Any:
        return _respond(f"{_NO_LLM_MOCK} for prompt: {text[:_SHOWN_PROMPT]}...", self._answers.llm, text, text)


def _add(mocks: list[_Mock], mock: _Mock) -> None:
    """Behind the others, or in the place of the one for the same requests."""
    for index, old in enumerate(mocks):
        if (old.pattern, old.method) == (mock.pattern, mock.method):
            mocks[index] = mock
            return
    mocks.append(mock)


def _respond(title: str, mocks: list[_Mock], text: str, argument: Any, method: str | None = None) -> Any:
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
    known = [f"{mock.method or ''} {mock.pattern.pattern}".strip() for mock in mocks]
    raise _NoMock(f"{title}\n  Registered: {known or '(none)'}")


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
        # As browsers do where a page is not what it says.
        return body.decode("utf-8", "replace")
    return body if isinstance(body, str) else json.dumps(body)


def _bytes_of(body: Any) -> bytes:
    return body if isinstance(body, bytes) else _text_of(body).encode()


# --- LLM ------------------------------------------------------------------------------------------


def _data(convert: Callable[[Any], Any], response: Any) -> Answer:
    return Ok({"data": convert(response), "consumed_gen": 0})


def _to_text(response: Any) -> str:
    return str(response) if isinstance(response, str) else json.dumps(response)


def _to_json(response: Any) -> Any:
    """The data of an answer in JSON: an object.

    What is none reaches the contract too, as the text that the model wrote: an executor takes objects, texts and bools
    from its module, no lists and no numbers.

    :raises ModuleFailure: a number with a fraction, which calldata does not have.
    """
    parsed = _parsed(response) if isinstance(response, str) else json.loads(json.dumps(response))
    fraction = _fraction_in(parsed) if isinstance(parsed, dict) else None
    if fraction:
        raise ModuleFailure(f"the answer has a number with a fraction, which calldata cannot hold: {fraction}")
    return parsed if isinstance(parsed, dict | bool) else _to_text(response)


def _parsed(text: str) -> Any:
    """JSON, perhaps between fences (spec modules/02 §8); the text itself if it is none."""
    try:
        return json.loads(_FENCE.sub("", text), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _fraction_in(value: Any, path: str = "") -> str:
    """Where the first number with a fraction is, and which; empty if there is none."""
    if isinstance(value, float):
        return "" if value.is_integer() and abs(value) <= _EXACT_FLOAT else f"{path} is {value!r}"
    children: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if found := _fraction_in(child, f"{path}[{key!r}]"):
            return found
    return ""


def _to_bool(response: Any) -> bool:
    parsed = _parsed(response) if isinstance(response, str) else response
    verdict = parsed.get("result") if isinstance(parsed, Mapping) else parsed
    if not isinstance(verdict, bool):
        raise _BadMock("the answer to a template of gl.eq_principle is True or False")
    return verdict


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
