"""The addresses that executors of a command get for modules: who is let in, and what becomes of their requests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    FatalError,
    Hello,
    Ok,
    Request,
    decode_answer,
    encode_answer,
    encode_hello,
    encode_request,
)
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.modules.broker import Broker, Unavailable
from pygenvm.localnet.modules.mocked import MockFile

HELLO = Hello("c", {"node_address": "0x", "tx_id": "0x1"})
RENDER = Request("Render", {"mode": "text", "url": "https://example.com/a", "wait_after_loaded": "0ms"})
STATS = Request(GET_STATS)


@dataclass
class Scripted:
    """A source and its sessions."""

    reply: Callable[[bytes], Awaitable[bytes]]
    failure: Exception | None = None
    hellos: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    closed: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, hello: bytes) -> Scripted:
        if self.failure:
            raise self.failure
        self.hellos.append(hello)
        return self

    async def ask(self, frame: bytes) -> bytes:
        self.asked.append(frame)
        self.changed.set()
        return await self.reply(frame)

    async def close(self) -> None:
        self.closed += 1
        self.changed.set()


async def page(_: bytes) -> bytes:
    return encode_answer(Ok({"text": "page"}))


@pytest.fixture
async def scripted() -> Scripted:
    return Scripted(page)


@pytest.fixture
async def broker(scripted: Scripted) -> AsyncIterator[Broker]:
    async with Broker({"web": scripted}) as made:
        yield made


async def session(broker: Broker) -> ClientConnection:
    connection = await connect(broker.addresses["web"], compression=None, proxy=None)
    await connection.send(encode_hello(HELLO))
    return connection


async def ask(connection: ClientConnection, request: Request) -> object:
    await connection.send(encode_request(request))
    return decode_answer(await connection.recv(decode=False))


async def test_frames_are_passed_on_as_they_are(broker: Broker, scripted: Scripted) -> None:
    connection = await session(broker)
    assert await ask(connection, RENDER) == Ok({"text": "page"})
    assert await ask(connection, STATS) == Ok({"text": "page"})
    assert scripted.hellos == [encode_hello(HELLO)]
    assert scripted.asked == [encode_request(RENDER), encode_request(STATS)]
    scripted.changed.clear()
    await connection.close()
    await scripted.changed.wait()
    assert scripted.closed == 1


async def test_each_connection_is_a_session(broker: Broker, scripted: Scripted) -> None:
    for connection in [await session(broker) for _ in range(5)]:
        assert await ask(connection, RENDER) == Ok({"text": "page"})
        await connection.close()
    assert len(scripted.hellos) == 5


async def test_nobody_is_needed_for_the_statistics_of_nothing(broker: Broker, scripted: Scripted) -> None:
    connection = await session(broker)
    assert await ask(connection, STATS) == Ok({"scripting": {"requests_count": 0, "requests_time": 0}})
    assert scripted.hellos == []
    await connection.close()


async def test_whoever_does_not_know_the_path_is_refused(broker: Broker, scripted: Scripted) -> None:
    address = broker.addresses["web"]
    root, _, token = address.rpartition("/")
    assert len(token) >= 32
    for wrong in (root, f"{root}/", f"{address}x", address[:-1], f"{root}/{token.swapcase()}"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(wrong, proxy=None)
        assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus):
        await connect(address, proxy=None, origin="https://example.com")  # type: ignore[arg-type]
    assert scripted.hellos == []


async def test_who_comes_before_the_start_is_served_too(scripted: Scripted) -> None:
    broker = Broker({"web": scripted})
    opening = asyncio.create_task(session(broker))
    await asyncio.sleep(0.05)
    assert not opening.done()
    async with broker:
        connection = await opening
        assert await ask(connection, RENDER) == Ok({"text": "page"})
        await connection.close()


@pytest.mark.parametrize(
    ("failure", "text"),
    [(Unavailable("there is no module"), "there is no module"), (KeyError("bug"), "KeyError: 'bug'")],
)
async def test_failures_are_told_in_the_protocol(
    broker: Broker, scripted: Scripted, failure: Exception, text: str
) -> None:
    scripted.failure = failure
    connection = await session(broker)
    assert await ask(connection, RENDER) == FatalError(text)
    # What the service knew of the session is lost, even if it could be opened now.
    scripted.failure = None
    assert await ask(connection, RENDER) == FatalError(text)
    await connection.close()
    connection = await session(broker)
    assert await ask(connection, RENDER) == Ok({"text": "page"})
    await connection.close()


async def test_a_client_that_leaves_is_not_waited_for(broker: Broker, scripted: Scripted) -> None:
    cancelled = asyncio.Event()

    async def never(_: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    scripted.reply = never
    connection = await session(broker)
    await connection.send(encode_request(RENDER))
    await scripted.changed.wait()
    connection.transport.abort()
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_the_end_breaks_sessions_off(scripted: Scripted) -> None:
    async def never(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    scripted.reply = never
    async with Broker({"web": scripted}) as broker:
        connection = await session(broker)
        await connection.send(encode_request(RENDER))
        await scripted.changed.wait()
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    assert scripted.closed == 1
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await connect(broker.addresses["web"], proxy=None)


def test_commands_that_ask_no_module_do_not_pay_for_it() -> None:
    """The library for WebSockets takes longer to import than all else that a short command does."""
    program = """
import asyncio, sys
from pygenvm.localnet.modules import modules_of_author
with modules_of_author() as (option,):
    assert option.startswith("--config=")
    assert not {"websockets", "yaml", "pygenvm.modules.service"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- mocks ----------------------------------------------------------------------------------------


async def answered(path: Path, request: Request, node: str = "") -> object:
    hello = Hello("c", {**HELLO.host_data, **({"mock_node": node} if node else {})})
    async with Broker({"web": MockFile(path)}) as broker:
        connection = await connect(broker.addresses["web"], compression=None, proxy=None)
        await connection.send(encode_hello(hello))
        answer = await ask(connection, request)
        await connection.close()
    return answer


async def test_a_mock_file_answers(tmp_path: Path) -> None:
    path = tmp_path / "mocks.yaml"
    path.write_text(
        """
web:
  - {url: "example.com/a", node: validator 2, body: other}
  - {url: "example.com/a", node: validators, body: theirs}
  - {url: "example.com/a", node: leader, body: page}
"""
    )
    assert await answered(path, RENDER) == Ok({"text": "page"})
    assert await answered(path, RENDER, "leader") == Ok({"text": "page"})
    assert await answered(path, RENDER, "validator 1") == Ok({"text": "theirs"})
    assert await answered(path, RENDER, "validator 2") == Ok({"text": "other"})


async def test_a_request_that_no_mock_answers_names_itself_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mocks.yaml"
    path.write_text("web: {nothing: page}")
    assert await answered(path, RENDER) == FatalError(f"{path}: No web mock for WebRender https://example.com/a")


def test_a_mock_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"^--mocks: .*nothing\.yaml: No such file"):
        MockFile(tmp_path / "nothing.yaml")
    (tmp_path / "bad.yaml").write_text("web: 5")
    with pytest.raises(BadRequest, match=r"^--mocks: .*bad\.yaml: web: "):
        MockFile(tmp_path / "bad.yaml")
