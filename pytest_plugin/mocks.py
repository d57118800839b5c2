"""Answers of the web and of language models that a test writes down (spec modules/01 to 03).

How one is found and what it says is :mod:`modules.mocks`, which has them from files as well.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.module_protocol.codec import GET_STATS, Answer, FatalError, Ok, Request, UserError, encode_answer
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.modules.mocks import (
    RESPONSE_KEYS,
    BadMock,
    Mock,
    MockAnswers,
    NoMock,
    answer_with,
    find_for,
    read_mock_file,
    template_text,
)
from pygenvm.modules.mocks import ModuleFailure as ModuleFailure
from pygenvm.pytest_plugin.blocks import Blocks
from pygenvm.pytest_plugin.failures import UnusedMockWarning

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

#: Who asks, for mocks of files that are for one node only.
_LEADER, _VALIDATOR = "leader", "validator 1"
_SELECTOR_BYTES = 4
_ABI_WORD_BYTES = 32
#: Characters of a prompt that a message of ours shows.
_SHOWN_CHARACTERS = 2000
_EVM_RESPONSES = (int, Address, bytes)


@dataclass(slots=True)
class _EvmMock:
    address: Address
    signature: str
    selector: bytes
    response: Any
    uses: int = 0


@dataclass(slots=True)
class Problems:
    """What went wrong with requests since the last look."""

    unanswered: list[str] = field(default_factory=list)
    """No mock: the contract got an exception, and may have gone on."""
    broken: list[str] = field(default_factory=list)
    """The test is to blame, and must hear of it."""


@dataclass(slots=True)
class _Answers(MockAnswers):
    evm: list[_EvmMock] = field(default_factory=list)

    def copy(self) -> _Answers:
        return _Answers(web=list(self.web), llm=list(self.llm), evm=list(self.evm))


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
            unknown = response.keys() - RESPONSE_KEYS
            if unknown:
                names, keys = ", ".join(map(repr, sorted(unknown))), ", ".join(sorted(RESPONSE_KEYS))
                warnings.warn(f"nothing is done with {names} of a web response, only with {keys}", stacklevel=3)
        elif not isinstance(response, str | bytes | ModuleFailure) and not callable(response):
            raise TypeError(f"a web response cannot be a {type(response).__name__}")
        _add(self._answers.web, Mock(re.compile(pattern), method, response))

    def llm(self, pattern: str, response: Any) -> None:
        """Adds an answer for prompts in which ``pattern`` is found.

        :param response: text, anything that JSON has, a :class:`ModuleFailure`, or a function that gets the text of
            the prompt and returns one of these. For prompts that want JSON see :mod:`modules.mocks`; the verdicts of
            ``gl.eq_principle`` are bools.
        """
        if not isinstance(response, ModuleFailure) and not callable(response):
            try:
                json.dumps(response)
            except TypeError as error:
                raise TypeError(f"an LLM response cannot be a {type(response).__name__}: {error}") from None
        _add(self._answers.llm, Mock(re.compile(pattern), None, response))

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

    def file(self, path: Path) -> None:
        """Adds the answers of a mock file, behind those that there are.

        :raises MockFileError: it cannot be read or used.
        """
        found = read_mock_file(path)
        self._answers.web += found.web
        self._answers.llm += found.llm

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
            answer = self._checked_answer(request, _LEADER if blocks is None or blocks.is_leader else _VALIDATOR)
            if blocks:
                blocks.keep(request, answer)
        return answer

    def _checked_answer(self, request: Request, node: str) -> Answer:
        try:
            mock = find_for(request, self._answers, node)
            if mock.never:
                raise BadMock(f"the mock {mock.pattern.pattern!r} never answers, for which a test cannot wait")
            answer = answer_with(mock, request)
            encode_answer(answer)
        except NoMock as error:
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
        text = str(error) if isinstance(error, BadMock) else f"{type(error).__name__}: {error}"
        problem = f"{title}\n{text}"
        self._problems.broken.append(problem)
        return problem

    def _evm_response(self, address: Address, selector: bytes, arguments: bytes) -> bytes:
        for mock in self._answers.evm:
            if (mock.address, mock.selector) == (address, selector):
                mock.uses += 1
                response = mock.response(arguments) if callable(mock.response) else mock.response
                if not isinstance(response, _EVM_RESPONSES):
                    raise BadMock(f"an EVM response cannot be a {type(response).__name__}")
                return _abi_word(response)
        known = "".join(f"\n  {mock.address!s} {mock.signature}" for mock in self._answers.evm) or " none"
        raise BadMock(f"no mock answers it; there are:{known}")


def _add(mocks: list[Mock], mock: Mock) -> None:
    """Behind the others, or in the place of the one for the same requests."""
    for index, old in enumerate(mocks):
        if (old.pattern, old.method) == (mock.pattern, mock.method):
            mocks[index] = mock
            return
    mocks.append(mock)


def _abi_word(response: int | Address | bytes) -> bytes:
    if isinstance(response, int):
        return (response % (1 << 8 * _ABI_WORD_BYTES)).to_bytes(_ABI_WORD_BYTES, "big")
    if isinstance(response, Address):
        return response.as_bytes.rjust(_ABI_WORD_BYTES, b"\0")
    return response


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
            what, text = "the contract uses a template of gl.eq_principle", template_text(payload["payload"])
        case _:
            return f"the contract sends {request.name}"
    shown = text[:_SHOWN_CHARACTERS].replace("\n", "\n  ")
    return f"{what}:\n  {shown}"
