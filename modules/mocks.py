"""Answers of the web and of language models that somebody writes down (spec modules/01 to 03).

A request is answered by the first mock whose regular expression is found in its text: the URL, or the prompt. For the
templates behind ``gl.eq_principle`` the text is a line with the name of the template, then ``field: value`` lines.
Tests give them as code (:mod:`pytest_plugin.mocks`); the provider ``mock`` of the LLM module and ``--mocks`` of the
local network read them from a YAML file::

    llm:
      "capital of (France|Italy)": Paris         # a text, anything that JSON has, or true and false for a verdict
      "score":
        answer: {score: 5}
        delay_seconds: 1.5
      "flaky":
        fail: {cause: STATUS_NOT_OK, status: 429}  # all members of the failure's context besides cause and fatal
        times: 2                                   # only the first two times; the next mock answers from then on
      "slow": {never: true}
    web:
      "example.org/page$": a page's text
      - {url: "example.org/item$", method: GET, status: 404, body: not found}

``llm`` and ``web`` are maps as above, or lists of entries with a ``prompt`` or ``url``, so that one pattern may stand
in several. Other keys of an entry of ``web`` are those of a response: ``status``, ``headers``, and ``body`` (a text, or
anything that JSON has) or ``file`` (the path of a file that holds it, seen from the mock file). An entry with a
``node`` (``leader``, ``validators``, ``validator 2``, or a list of these) is only for these nodes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pygenvm.executor.module_protocol.codec import Answer, Ok, Request
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.limits import MOCK_DELAY_SECONDS, MOCK_FILE_BYTES, MOCKS_MAX

NO_MOCK = _NO_WEB_MOCK, _NO_LLM_MOCK = "No web mock", "No LLM mock"
RESPONSE_KEYS = frozenset({"status", "headers", "body"})
_SHOWN_PROMPT = 100
_OK_STATUS = 200
_FIRST_ERROR_STATUS = 400
#: Up to here every whole number is a float of its own (spec modules/01 §1).
_EXACT_FLOAT = 1 << 53
_FENCE = re.compile(r"\A\s*```(?:json)?|```\s*\Z")
_ENTRY_KEYS: Final = frozenset({"fail", "delay_seconds", "never", "times", "node"})
_NODE: Final = re.compile(r"leader|validators|validator [1-9][0-9]{0,8}")
_LLM_KEYS: Final = _ENTRY_KEYS | {"prompt", "answer"}
_WEB_KEYS: Final = _ENTRY_KEYS | RESPONSE_KEYS | {"url", "method", "file"}


class ModuleFailure(ModuleError):
    """As the response of a mock: the service fails, and the contract gets ``gl.nondet.NondetException``.

    :param cause: machine-readable, such as ``WEBPAGE_LOAD_FAILED``.
    :param context: what the exception of the contract carries besides.
    """

    def __init__(self, cause: str, **context: Any) -> None:
        super().__init__(cause, fatal=False, ctx=context)
        self.cause = cause
        self.context = context


class BadMock(ValueError):
    """A mock's response does not fit the request."""


class NoMock(Exception):
    """No mock answers a request."""


class MockFileError(ValueError):
    """A mock file cannot be used; the text names the file, the entry and what is wrong."""


@dataclass(slots=True)
class Mock:
    """One pattern and what is said to it.

    ``response`` is what a test or file gives: a text, JSON data, bytes, a response as a map, a :class:`ModuleError`,
    or a function that gets the text (of a prompt) or the request (of the web) and returns one of these.
    """

    pattern: re.Pattern[str]
    method: str | None
    response: Any
    times: int | None = None
    delay_seconds: float = 0.0
    never: bool = False
    nodes: frozenset[str] | None = None
    uses: int = 0

    def is_for(self, node: str) -> bool:
        """``node`` is ``leader``, ``validator`` with a number, or empty where nobody knows."""
        if self.nodes is None:
            return True
        return node in self.nodes or (node.startswith("validator ") and "validators" in self.nodes)

    async def pause(self) -> None:
        """What the service takes to answer: until cancelled, if it never does."""
        if self.never:
            await asyncio.Event().wait()
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)

    def respond(self, argument: Any) -> Any:
        """The response. :raises ModuleError: it is a failure."""
        response = self.response
        if callable(response):
            call: Callable[[Any], Any] = response
            response = call(argument)
        if isinstance(response, ModuleError):
            raise response
        return response


@dataclass(slots=True)
class MockAnswers:
    """All that may be asked of the two services, each list in the order in which patterns are tried.

    ``path`` is the file that they are from, if any.
    """

    web: list[Mock] = field(default_factory=list)
    llm: list[Mock] = field(default_factory=list)
    path: Path | None = None


def find(mocks: Sequence[Mock], text: str, *more: str, method: str | None = None, node: str = "") -> Mock | None:
    """The first mock for ``text`` (or ``more`` forms of it), and counts its use."""
    for mock in mocks:
        if mock.times is not None and mock.uses >= mock.times:
            continue
        if (mock.method is not None and mock.method != method) or not mock.is_for(node):
            continue
        if any(mock.pattern.search(form) for form in (text, *more)):
            mock.uses += 1
            return mock
    return None


def find_for(request: Request, answers: MockAnswers, node: str = "") -> Mock:
    """The mock that answers a request. :raises NoMock: there is none."""
    payload = request.payload
    method: str | None
    match request.name:
        case "Render":
            mocks, text, method = answers.web, payload["url"], "GET"
            title = f"{_NO_WEB_MOCK} for WebRender {text}"
        case "Request":
            mocks, text, method = answers.web, payload["url"], payload["method"]
            title = f"{_NO_WEB_MOCK} for {method} {text}"
        case _:
            mocks, text, method = answers.llm, llm_text(request), None
            title = f"{_NO_LLM_MOCK} for prompt: {text[:_SHOWN_PROMPT]}..."
    mock = find(mocks, text, method=method, node=node)
    if mock is None:
        known = [f"{mock.method or ''} {mock.pattern.pattern}".strip() for mock in mocks]
        raise NoMock(f"{title}\n  Registered{f' in {answers.path}' if answers.path else ''}: {known or '(none)'}")
    return mock


def answer_with(mock: Mock, request: Request) -> Answer:
    """What a mock says to a request.

    :raises BadMock: its response does not fit the request.
    """
    payload = request.payload
    try:
        match request.name:
            case "Render":
                return _page(payload, _as_map(mock.respond(payload)))
            case "Request":
                return Ok({"response": _response(_as_map(mock.respond(payload)))})
            case "Prompt":
                wants_json = payload["payload"]["response_format"] == "json"
                return _data(_to_json if wants_json else _to_text, mock.respond(llm_text(request)))
            case _:
                is_verdict = payload["payload"]["template"] != "EqNonComparativeLeader"
                return _data(_to_bool if is_verdict else _to_text, mock.respond(llm_text(request)))
    except ModuleError as error:
        return error.answer()


def llm_text(request: Request) -> str:
    """The text of a request to the LLM service, in which patterns are searched.

    :raises BadMock: there is no such request.
    """
    match request.name:
        case "Prompt":
            return str(request.payload["payload"]["prompt"])
        case "PromptTemplate":
            return template_text(request.payload["payload"])
    raise BadMock(f"there is no request {request.name}")


def template_text(payload: Mapping[str, Any]) -> str:
    """The text of a template: its name, then ``field: value`` lines."""
    fields = (f"{name}: {value}" for name, value in payload.items() if name != "template")
    return "\n".join([payload["template"], *fields])


# --- web ------------------------------------------------------------------------------------------


def _as_map(response: Any) -> dict[str, Any]:
    return dict(response) if isinstance(response, Mapping) else {"body": response}


def _page(payload: dict[str, Any], response: dict[str, Any]) -> Answer:
    status, body = response.get("status", _OK_STATUS), response.get("body", "")
    if status >= _FIRST_ERROR_STATUS:
        raise ModuleFailure("WEBPAGE_LOAD_FAILED", status=status, url=payload["url"], body=_text_of(body))
    if payload["mode"] == "screenshot":
        if not isinstance(body, bytes):
            raise BadMock(f"a screenshot is the bytes of a PNG, not a {type(body).__name__}")
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
        raise BadMock("the answer to a template of gl.eq_principle is True or False")
    return verdict


# --- files ----------------------------------------------------------------------------------------


def read_mock_file(path: Path) -> MockAnswers:
    """The mocks in a YAML file. :raises MockFileError: it cannot be read or used."""
    import yaml

    try:
        with path.open("rb") as file:
            data = file.read(MOCK_FILE_BYTES + 1)
    except OSError as error:
        raise MockFileError(f"{path}: {error.strerror or error}") from None
    if len(data) > MOCK_FILE_BYTES:
        raise MockFileError(f"{path}: more than {MOCK_FILE_BYTES} bytes")
    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MockFileError(f"{path}: no YAML: {error}") from None
    try:
        answers = parse_mocks(document, folder=path.parent)
    except MockFileError as error:
        raise MockFileError(f"{path}: {error}") from None
    answers.path = path
    return answers


def parse_mocks(document: Any, *, folder: Path) -> MockAnswers:
    """The mocks in what a YAML file holds; ``file`` of a response is looked for in ``folder``."""
    if not isinstance(document, Mapping) or not document.keys() <= {"llm", "web"}:
        raise MockFileError("a map with the keys llm and web is expected")
    return MockAnswers(
        web=[_web_mock(where, pattern, value, folder) for where, pattern, value in _entries(document, "web", "url")],
        llm=[_llm_mock(where, pattern, value) for where, pattern, value in _entries(document, "llm", "prompt")],
    )


def _entries(document: Mapping[str, Any], part: str, key: str) -> list[tuple[str, re.Pattern[str], Any]]:
    value = document.get(part) or []
    if isinstance(value, Mapping):
        pairs = [(f"{part}[{pattern!r}]", pattern, entry) for pattern, entry in value.items()]
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            if not isinstance(entry, Mapping) or not isinstance(entry.get(key), str):
                raise MockFileError(f"{part}[{index}]: an entry of a list is a map with the pattern under {key!r}")
        pairs = [(f"{part}[{index}]", entry[key], entry) for index, entry in enumerate(value)]
    else:
        raise MockFileError(f"{part}: a map or a list is expected, not a {type(value).__name__}")
    if len(pairs) > MOCKS_MAX:
        raise MockFileError(f"{part}: more than {MOCKS_MAX} entries")
    return [(where, _pattern(where, pattern), entry) for where, pattern, entry in pairs]


def _pattern(where: str, pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        raise MockFileError(f"{where}: the pattern is no regular expression: {error}") from None


def _llm_mock(where: str, pattern: re.Pattern[str], entry: Any) -> Mock:
    if not _is_entry(entry, {"answer", "prompt"}):
        return Mock(pattern, None, _json_data(where, entry))
    mock = _entry_mock(where, pattern, entry, _LLM_KEYS, "answer" in entry)
    if "answer" in entry:
        mock.response = _json_data(where, entry["answer"])
    return mock


def _web_mock(where: str, pattern: re.Pattern[str], entry: Any, folder: Path) -> Mock:
    if not isinstance(entry, Mapping):
        return Mock(pattern, None, _json_data(where, entry))
    response = {key: entry[key] for key in RESPONSE_KEYS if key in entry}
    if "file" in entry:
        if "body" in response:
            raise MockFileError(f"{where}: body or file, not both")
        try:
            response["body"] = (folder / str(entry["file"])).read_bytes()
        except OSError as error:
            raise MockFileError(f"{where}: {entry['file']}: {error.strerror or error}") from None
    mock = _entry_mock(where, pattern, entry, _WEB_KEYS, bool(response))
    # As in tests: an entry that names no method answers GET (:meth:`pytest_plugin.mocks.Mocks.web`).
    method = entry.get("method", "GET")
    status, headers = response.get("status", _OK_STATUS), response.get("headers", {})
    if not isinstance(method, str):
        raise MockFileError(f"{where}: method is a text")
    if type(status) is not int or not 100 <= status <= 999:
        raise MockFileError(f"{where}: status is a whole number of three digits")
    if not isinstance(headers, Mapping) or not all(isinstance(item, str) for pair in headers.items() for item in pair):
        raise MockFileError(f"{where}: headers is a map of texts")
    mock.method = method
    if response:
        mock.response = response
    return mock


def _is_entry(value: Any, own: set[str]) -> bool:
    """Whether a map says how to answer; any other is the answer itself."""
    return isinstance(value, Mapping) and bool(value.keys() & (own | {"fail", "never"}))


def _entry_mock(
    where: str, pattern: re.Pattern[str], entry: Mapping[str, Any], known: frozenset[str], has_answer: bool
) -> Mock:
    if unknown := entry.keys() - known:
        raise MockFileError(f"{where}: unknown {sorted(map(str, unknown))}, there are {sorted(known)}")
    if [has_answer, "fail" in entry, bool(entry.get("never"))].count(True) != 1:
        raise MockFileError(f"{where}: one of an answer, fail and never is expected")
    delay, times = entry.get("delay_seconds", 0), entry.get("times")
    if type(delay) not in (int, float) or not 0 <= delay <= MOCK_DELAY_SECONDS:
        raise MockFileError(f"{where}: delay_seconds is a number from 0 to {MOCK_DELAY_SECONDS}")
    if times is not None and (type(times) is not int or times < 1):
        raise MockFileError(f"{where}: times is a whole number from 1")
    response = _failure(where, entry["fail"]) if "fail" in entry else None
    mock = Mock(pattern, None, response, times=times, delay_seconds=float(delay), never=bool(entry.get("never")))
    if (nodes := entry.get("node")) is not None:
        names = nodes if isinstance(nodes, list) else [nodes]
        if not all(isinstance(name, str) and _NODE.fullmatch(name) for name in names):
            raise MockFileError(f"{where}: node is leader, validators or validator NUMBER, or a list of these")
        mock.nodes = frozenset(names)
    return mock


def _failure(where: str, value: Any) -> ModuleError:
    if isinstance(value, str):
        return ModuleFailure(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("cause"), str):
        raise MockFileError(f"{where}: fail is a cause, or a map with cause and what else the error carries")
    context = {str(key): item for key, item in value.items() if key not in ("cause", "fatal")}
    if type(value.get("fatal", False)) is not bool:
        raise MockFileError(f"{where}: fatal is true or false")
    return ModuleError(value["cause"], fatal=value.get("fatal", False), ctx=_json_data(where, context))


def _json_data(where: str, value: Any) -> Any:
    """``value`` if JSON has it; YAML has dates and sets too."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise MockFileError(f"{where}: the answer is not what JSON can hold: {error}") from None
