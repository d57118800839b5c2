"""Both services out of one mock file (:mod:`modules.mocks`), in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    FatalError,
    MalformedFrame,
    Ok,
    Request,
    decode_hello,
    decode_request,
    encode_answer,
)
from pygenvm.localnet.chain import consensus
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.modules.broker import Answering, Unavailable
from pygenvm.modules.mocks import BadMock, MockAnswers, MockFileError, NoMock, answer_with, find_for, read_mock_file


class MockFile:
    """The answers of a file, for one command."""

    def __init__(self, path: Path) -> None:
        """:raises BadRequest: the file cannot be read or used."""
        try:
            self._answers = read_mock_file(path)
        except MockFileError as error:
            raise BadRequest(f"--mocks: {error}") from error
        self._path = path

    async def open(self, hello: bytes) -> Answering:
        try:
            node = decode_hello(hello).host_data.get("mock_node")
        except MalformedFrame as error:
            raise Unavailable(str(error)) from error
        # Where nobody is asked but one, it leads.
        return MockedSession(self._answers, str(self._path), str(node or consensus.LEADER))


class MockedSession:
    """A session that mocks answer."""

    def __init__(
        self,
        answers: MockAnswers,
        where: str,
        node: str,
        *,
        otherwise: Callable[[], Awaitable[Answering]] | None = None,
    ) -> None:
        """
        :param where: what the mocks are called where one is missing or wrong.
        :param otherwise: opens a session with whoever answers what no mock does; by default nobody.
        """
        self._answers = answers
        self._where = where
        self._node = node
        self._open_otherwise = otherwise
        self._otherwise: Answering | None = None
        self._requests = 0

    async def ask(self, frame: bytes) -> bytes:
        try:
            request = decode_request(frame)
            if request.name == GET_STATS:
                return encode_answer(Ok({"scripting": {"requests_count": self._requests, "requests_time": 0}}))
            self._requests += 1
            return await self._answer(request, frame)
        except (MalformedFrame, BadMock) as error:
            return encode_answer(FatalError(f"{self._where}: {error}"))

    async def _answer(self, request: Request, frame: bytes) -> bytes:
        try:
            mock = find_for(request, self._answers, self._node)
        except NoMock as error:
            if self._open_otherwise is not None:
                if self._otherwise is None:
                    self._otherwise = await self._open_otherwise()
                return await self._otherwise.ask(frame)
            # Its first line says what was asked for.
            raise BadMock(f"{str(error).partition(chr(10))[0]}") from error
        await mock.pause()
        return encode_answer(answer_with(mock, request))

    async def close(self) -> None:
        if self._otherwise is not None:
            await self._otherwise.close()
