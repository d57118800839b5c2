"""The client of the services against a real WebSocket server: sessions, overlap, broken services, the end of a run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    FatalError,
    Hello,
    Ok,
    Request,
    UserError,
    encode_answer,
    encode_request,
    read_web_answer,
)
from pygenvm.executor.module_protocol.modules import Modules, OnDemand
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import InternalErrorRaised, VMErrorRaised
from tests.support.module_server import (
    PATIENCE_SECONDS,
    Call,
    ModuleServer,
    Reply,
    Script,
    answering,
    serving_module,
    statistics,
)

HELLO = Hello("2", {"node_address": "0x", "tx_id": "0x"})
HELLO_BYTES = bytes.fromhex(
    "1606636f6f6b69650c3209686f73745f64617461160c6e6f64655f616464726573731430780574785f6964143078"
)
RENDER = Request("Render", {"mode": "text", "url": "http://a", "wait_after_loaded": "0ms"})
PAGE = Ok({"text": "page"})


@contextlib.contextmanager
def module(script: Script) -> Iterator[tuple[ModuleClient, ModuleServer]]:
    """A web module and a client of it."""
    with serving_module(script) as server:
        client = ModuleClient("web", server.address, HELLO)
        yield client, server
        client.close()


def render(client: ModuleClient) -> Ok | UserError:
    return client.ask(RENDER, read_web_answer)


def failure(client: ModuleClient) -> str:
    """Text of the internal error that a request ends with; it names the module and what was asked."""
    with pytest.raises(InternalErrorRaised) as raised:
        render(client)
    assert re.match(r"web module at .*: Render: ", str(raised.value), re.DOTALL)
    return str(raised.value)


# --- observers ------------------------------------------------------------------------------------


def test_an_observer_is_told_of_requests_and_their_answers() -> None:
    seen: list[tuple[Any, ...]] = []

    class Watcher(Observer):
        def module_answered(self, *told: Any) -> None:
            *others, begun, ended = told
            assert 0 < begun <= ended
            seen.append(tuple(others))

    replies: list[Reply] = [PAGE, UserError([1]), Ok({"text": 5}), FatalError("broken")]

    async def script(call: Call) -> Reply:
        return replies[len(seen)]

    with serving_module(script) as server:
        client = ModuleClient("web", server.address, HELLO, Watcher())
        assert [render(client), render(client)] == [PAGE, UserError([1])]
        failures = [failure(client), failure(client)]
        client.close()
    frame = encode_request(RENDER)
    assert seen == [
        *(("web", "Render", frame, encode_answer(answer), None) for answer in (PAGE, UserError([1]))),
        *(("web", "Render", frame, None, text) for text in failures),
    ]


# --- sessions -------------------------------------------------------------------------------------


def test_requests_that_follow_each_other_share_a_session_with_one_hello() -> None:
    with module(answering(PAGE)) as (client, server):
        assert server.sessions == []
        assert [render(client), render(client)] == [PAGE, PAGE]
    (session,) = server.sessions
    assert session.hello == HELLO_BYTES
    assert session.frames == [encode_request(RENDER)] * 2
    assert session.close_code == 1000
    assert client.calls == 2
    assert client.time_ns > 0


def test_requests_of_several_threads_overlap() -> None:
    """The service answers nobody before all have asked."""
    together = asyncio.Barrier(3)

    async def script(call: Call) -> Reply:
        await together.wait()
        return Ok({"text": str(call.request.payload["url"])})

    with module(script) as (client, server), ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(client.ask, Request("Render", {"url": url}), read_web_answer) for url in "abc"]
        assert [request.result() for request in asked] == [Ok({"text": url}) for url in "abc"]
        assert [session.hello for session in server.sessions] == [HELLO_BYTES] * 3


def test_there_are_no_more_connections_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_CONNECTIONS", 2)
    waiting = 0

    async def script(_: Call) -> Reply:
        nonlocal waiting
        waiting += 1
        assert waiting <= 2
        await asyncio.sleep(0.02)
        waiting -= 1
        return PAGE

    with module(script) as (client, server), ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda _: render(client), range(12))) == [PAGE] * 12
        assert len(server.requests) == 12
        assert 1 <= len(server.sessions) <= 2


def test_user_errors_are_answers_and_the_session_goes_on() -> None:
    error = UserError({"causes": ["WEBPAGE_LOAD_FAILED"], "ctx": {"status": 404}})
    with module(answering(error)) as (client, server):
        assert [render(client), render(client)] == [error, error]
        assert len(server.sessions) == 1


def test_text_frames_are_like_binary_ones() -> None:
    async def script(_: Call) -> Reply:
        return encode_answer(PAGE).decode()

    with module(script) as (client, _):
        assert render(client) == PAGE


def test_answers_may_come_in_pieces() -> None:
    whole = encode_answer(Ok({"text": "x" * 1000}))

    async def script(call: Call) -> Reply:
        await call.connection.send([whole[at : at + 10] for at in range(0, len(whole), 10)])
        return None

    with module(script) as (client, _):
        assert render(client) == Ok({"text": "x" * 1000})


def test_pings_are_answered_while_a_request_waits_and_between_requests() -> None:
    idle_pong = threading.Event()

    async def ping_later(call: Call) -> None:
        await asyncio.sleep(0.05)
        await (await call.connection.ping(b"idle"))
        idle_pong.set()

    tasks: list[asyncio.Task[None]] = []

    async def script(call: Call) -> Reply:
        await (await call.connection.ping(b"busy"))
        tasks.append(asyncio.create_task(ping_later(call)))
        return PAGE

    with module(script) as (client, _):
        assert render(client) == PAGE
        assert idle_pong.wait(PATIENCE_SECONDS)


def test_proxies_of_the_environment_are_for_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "ws_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    with module(answering(PAGE)) as (client, _):
        assert render(client) == PAGE


def test_runs_without_modules_do_not_pay_for_the_library() -> None:
    code = "import sys, pygenvm.executor.run.process; sys.exit('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# --- services that fail ---------------------------------------------------------------------------


def test_a_fatal_error_ends_the_run_with_its_text() -> None:
    text = 'ModuleError { causes: ["NO_PROVIDER_FOR_PROMPT"], fatal: true, ctx: {"status": Number(429.0)} }'
    with module(answering(FatalError(text))) as (client, _):
        assert failure(client).endswith(f": Render: module error: {text}")


def test_the_text_of_a_fatal_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_FATAL_TEXT_CHARS", 3)
    with module(answering(FatalError("12345"))) as (client, _):
        assert failure(client).endswith("module error: 123")


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x07garbage", b"\xff" * 100, "text", encode_answer(Ok(1)) + b"\0", encode_answer(Ok({"html": "x"}))],
)
def test_malformed_answers(frame: bytes | str) -> None:
    with module(answering(frame)) as (client, _):
        failure(client)


async def _close(call: Call) -> Reply:
    await call.connection.close(1011, "broken")
    return None


async def _abort(call: Call) -> Reply:
    call.connection.transport.abort()
    return None


async def _abort_in_the_middle(call: Call) -> Reply:
    """The header announces 100 bytes."""
    call.connection.transport.write(b"\x82\x64" + encode_answer(PAGE))
    await asyncio.sleep(0.05)
    call.connection.transport.abort()
    return None


async def _end_in_the_middle_of_fragments(call: Call) -> Reply:
    call.connection.transport.write(b"\x02\x01\x0e")
    call.connection.transport.write_eof()
    return None


async def _break_the_protocol(call: Call) -> Reply:
    """A frame of a kind that does not exist."""
    call.connection.transport.write(b"\x8f\x00")
    return None


@pytest.mark.parametrize(
    "script", [_close, _abort, _abort_in_the_middle, _end_in_the_middle_of_fragments, _break_the_protocol]
)
def test_lost_connections(script: Script) -> None:
    with module(script) as (client, _):
        assert ": Render: connection lost: " in failure(client)


def test_a_session_that_was_lost_between_requests_is_not_opened_again() -> None:
    gone = threading.Event()

    async def script(call: Call) -> Reply:
        await call.connection.send(encode_answer(PAGE))
        await call.connection.close()
        gone.set()
        return None

    with module(script) as (client, server):
        assert render(client) == PAGE
        assert gone.wait(PATIENCE_SECONDS)
        assert ": Render: connection lost: " in failure(client)
        assert len(server.sessions) == 1


def test_answers_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_MESSAGE_BYTES", 1000)

    async def script(call: Call) -> Reply:
        return Ok({"text": "x" * call.request.payload["length"]})

    with module(script) as (client, _):
        text = client.ask(Request("Render", {"length": 900}), read_web_answer)
        assert text == Ok({"text": "x" * 900})
        with pytest.raises(InternalErrorRaised, match="connection lost: sent 1009"):
            client.ask(Request("Render", {"length": 1000}), read_web_answer)


def test_requests_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_MESSAGE_BYTES", 1000)
    with module(answering(PAGE)) as (client, server):
        with pytest.raises(InternalErrorRaised, match="at most 1000 are sent"):
            client.ask(Request("Render", {"url": "x" * 1000}), read_web_answer)
        assert server.sessions == []


async def _say_nothing(_: Call) -> Reply:
    await asyncio.sleep(PATIENCE_SECONDS)
    return None


async def _never_finish(call: Call) -> Reply:
    """Always some more of an answer, never its end."""
    call.connection.transport.write(b"\x02\x01\x0e")
    while not call.connection.transport.is_closing():
        call.connection.transport.write(b"\x00\x01\x0e")
        await asyncio.sleep(0.01)
    return None


async def _only_ping(call: Call) -> Reply:
    while True:
        await (await call.connection.ping())
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("script", [_say_nothing, _never_finish, _only_ping])
def test_the_wait_for_an_answer_is_bounded(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_ANSWER_SECONDS", 0.3)
    with module(script) as (client, _):
        assert failure(client).endswith(": Render: no answer within 0.3 s")


def test_the_wait_for_a_service_that_does_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_SEND_SECONDS", 0.3)

    async def script(call: Call) -> Reply:
        await call.connection.send(encode_answer(PAGE))
        call.connection.transport.pause_reading()
        await asyncio.sleep(PATIENCE_SECONDS)
        return None

    with module(script) as (client, _):
        assert render(client) == PAGE
        with pytest.raises(InternalErrorRaised, match="Request: connection lost"):
            client.ask(Request("Request", {"body": bytes(32 << 20)}), read_web_answer)


def test_the_path_of_an_address_is_told_to_nobody() -> None:
    client = ModuleClient("web", "ws://me:secret-1@127.0.0.1:9/secret-2", HELLO)
    with pytest.raises(InternalErrorRaised, match=r"^web module at ws://127\.0\.0\.1:9: Render: cannot ") as failed:
        client.ask(RENDER, read_web_answer)
    assert "secret" not in str(failed.value)


def test_a_service_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    client = ModuleClient("llm", f"ws://127.0.0.1:{port}", HELLO)
    with pytest.raises(InternalErrorRaised, match=rf"^llm module at ws://127.0.0.1:{port}: Prompt: cannot connect: "):
        client.ask(Request("Prompt", {}), read_web_answer)


@pytest.mark.parametrize("address", ["", "127.0.0.1:3032", "http://127.0.0.1:3032", "ws://127.0.0.1:99999", "ws://"])
def test_an_address_that_is_none(address: str) -> None:
    assert "cannot connect: " in failure(ModuleClient("web", address, HELLO))


@pytest.mark.parametrize(
    ("greeting", "complete"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"\x01\x02\x03\n\n", True),
        (b"HTTP/1.1 101", False),
    ],
)
def test_a_service_that_speaks_something_else(greeting: bytes, complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the connection open, so only the bound ends the wait for the rest."""
    monkeypatch.setattr(limits, "MODULE_CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as threads:
        client = ModuleClient("web", f"ws://127.0.0.1:{listening.getsockname()[1]}", HELLO)
        asked = threads.submit(failure, client)
        connection, _ = listening.accept()
        with connection:
            connection.sendall(greeting)
            assert (
                "cannot connect: no WebSocket service answers: " if complete else "cannot connect: "
            ) in asked.result()


def test_host_data_without_calldata_form() -> None:
    with serving_module(answering(PAGE)) as server:
        host_data = {"node_address": "", "tx_id": "", "share": 0.5}
        client = ModuleClient("web", server.address, Hello("1", host_data))
        assert "the number 0.5 is not a whole number" in failure(client)
        assert server.sessions == []


# --- the end of a run -----------------------------------------------------------------------------


def test_closing_says_farewell_and_breaks_off_what_still_waits() -> None:
    asked = threading.Event()

    async def script(call: Call) -> Reply:
        if len(call.session.requests) > 1:
            asked.set()
            await asyncio.sleep(PATIENCE_SECONDS)
        return PAGE

    together = asyncio.Barrier(2)

    async def meet(call: Call) -> Reply:
        if len(call.session.requests) == 1:
            await together.wait()
        return await script(call)

    with module(meet) as (client, server), ThreadPoolExecutor(2) as threads:
        first = [threads.submit(render, client) for _ in range(2)]
        assert [request.result() for request in first] == [PAGE, PAGE]
        waiting = threads.submit(failure, client)
        assert asked.wait(PATIENCE_SECONDS)
        client.close()
        assert ": Render: connection lost: " in waiting.result()
        assert failure(client).endswith(": Render: the run is ending")
        client.close()
    idle = min(server.sessions, key=lambda session: len(session.requests))
    assert idle.close_code == 1000
    assert len(server.sessions) == 2


def test_a_connection_that_comes_up_after_the_end_is_dropped() -> None:
    client: ModuleClient

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as threads:
        client = ModuleClient("web", f"ws://127.0.0.1:{listening.getsockname()[1]}", HELLO)
        waiting = threads.submit(failure, client)
        connection, _ = listening.accept()
        with connection:
            client.close()
            _shake_hands(connection)
            assert waiting.result().endswith(": Render: the run is ending")


def _shake_hands(connection: socket.socket) -> None:
    """The server's part of the opening handshake."""
    from websockets.http11 import Request as HttpRequest
    from websockets.server import ServerProtocol

    protocol = ServerProtocol()
    while True:
        protocol.receive_data(connection.recv(4096))
        for event in protocol.events_received():
            assert isinstance(event, HttpRequest)
            protocol.send_response(protocol.accept(event))
            for data in protocol.data_to_send():
                connection.sendall(data)
            return


def test_what_nobody_asks_is_not_made() -> None:
    made: list[ModuleClient] = []

    with serving_module(answering(PAGE)) as server:

        def make() -> ModuleClient:
            made.append(ModuleClient("web", server.address, HELLO))
            return made[-1]

        service = OnDemand(make)
        assert (service.statistics(), service.calls, service.time_ns, made) == (None, 0, 0, [])
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(service.ask, RENDER, read_web_answer) for _ in range(4)]
            assert [answer.result() for answer in asked] == [PAGE] * 4
        assert (len(made), service.calls) == (1, 4)
        assert service.time_ns == made[0].time_ns > 0
        assert service.statistics() is not None
        service.close()
        with pytest.raises(InternalErrorRaised, match="Render: the run is ending"):
            service.ask(RENDER, read_web_answer)


def test_what_was_closed_before_it_was_made_is_closed() -> None:
    service = OnDemand(lambda: ModuleClient("web", "ws://127.0.0.1:9", HELLO))
    service.close()
    with pytest.raises(InternalErrorRaised, match="Render: the run is ending"):
        service.ask(RENDER, read_web_answer)
    assert service.calls == 1


def test_statistics_of_a_module_that_was_not_asked() -> None:
    with module(answering(PAGE)) as (client, server):
        assert client.statistics() is None
    assert server.sessions == []


def test_statistics_of_one_session_and_of_several() -> None:
    together = asyncio.Barrier(2)

    async def script(call: Call) -> Reply:
        if call.request.name == GET_STATS:
            return statistics(call)
        if call.request.payload == "meet":
            await together.wait()
        return PAGE

    with module(script) as (client, server), ThreadPoolExecutor(2) as threads:
        render(client)
        assert client.statistics() == {"scripting": {"requests_count": 1, "requests_time": 0}}
        assert server.sessions[0].frames[1] == b"\x44GetStats"
        assert client.calls == 1
        for request in [threads.submit(client.ask, Request("Render", "meet"), read_web_answer) for _ in range(2)]:
            request.result()
        counts = [answer["scripting"]["requests_count"] for answer in client.statistics()]
        assert counts == [3, 1]


async def _refuse(_: Call) -> Reply:
    return FatalError("no statistics here")


async def _garbage(_: Call) -> Reply:
    return b"\x07"


@pytest.mark.parametrize("script", [_say_nothing, _close, _refuse, _garbage])
def test_statistics_are_not_worth_a_run(
    script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MODULE_STATS_SECONDS", 0.2)

    async def stats_only(call: Call) -> Reply:
        return await script(call) if call.request.name == GET_STATS else PAGE

    with module(stats_only) as (client, _), caplog.at_level(logging.WARNING, "executor.module_client"):
        assert render(client) == PAGE
        assert client.statistics() is None
    assert "no statistics from the web module" in caplog.text


# --- what contracts and the host see --------------------------------------------------------------


class Fuel:
    """The part of a host that LLM requests use; keeps what happened in order."""

    def __init__(self, remaining: int = 77) -> None:
        self.remaining = remaining
        self.events: list[tuple[str, Any]] = []

    def remaining_fuel_as_gen(self) -> int:
        self.events.append(("remaining", self.remaining))
        if self.remaining < 0:
            raise VMErrorRaised("forbidden")
        return self.remaining

    def consume_fuel(self, amount: int) -> None:
        self.events.append(("consume", amount))


@contextlib.contextmanager
def modules(answer: Reply, fuel: Fuel) -> Iterator[tuple[Modules, ModuleServer]]:
    """Both modules are the same server, which notes its requests among the events of the host."""

    async def script(call: Call) -> Reply:
        fuel.events.append((call.request.name, call.request.payload))
        return answer

    with serving_module(script) as server:
        both = Modules(ModuleClient("web", server.address, HELLO), ModuleClient("llm", server.address, HELLO), fuel)
        yield both, server
        both.close()


def test_web_answers_as_contracts_see_them() -> None:
    with modules(Ok({"image": b"png"}), Fuel()) as (both, server):
        assert both.ask("web", "Render", RENDER.payload) == {"ok": {"image": b"png"}}
        assert server.sessions[0].frames == [encode_request(RENDER)]
    with modules(UserError([1]), Fuel()) as (both, _):
        assert both.ask("web", "Request", {}) == {"error": [1]}


@pytest.mark.parametrize("data", ["text", "", True, False, {"a": [1]}, {}])
def test_a_prompt_asks_for_the_fuel_first_and_pays_last(data: Any) -> None:
    fuel = Fuel(2**64 - 1)
    with modules(Ok({"data": data, "consumed_gen": 5}), fuel) as (both, _):
        assert both.ask("llm", "Prompt", {"prompt": "p"}) == {"ok": data}
    sent = {"payload": {"prompt": "p"}, "remaining_fuel_as_gen": 2**64 - 1}
    assert fuel.events == [("remaining", 2**64 - 1), ("Prompt", sent), ("consume", 5)]


def test_only_successful_prompts_cost_fuel() -> None:
    fuel = Fuel()
    with modules(UserError({"causes": ["X"]}), fuel) as (both, _):
        assert both.ask("llm", "PromptTemplate", {}) == {"error": {"causes": ["X"]}}
    with modules(FatalError("x"), fuel) as (both, _), pytest.raises(InternalErrorRaised, match="module error: x"):
        both.ask("llm", "Prompt", {})
    assert "consume" not in dict(fuel.events)


@pytest.mark.parametrize("data", [None, 5, b"bytes", ["list"]])
def test_a_rejected_answer_costs_fuel_all_the_same(data: Any) -> None:
    fuel = Fuel()
    refused = pytest.raises(InternalErrorRaised, match="llm module: Prompt: data is a")
    with modules(Ok({"data": data, "consumed_gen": 9}), fuel) as (both, _), refused:
        both.ask("llm", "Prompt", {})
    assert fuel.events[-1] == ("consume", 9)


@pytest.mark.parametrize("consumed", [-1, 2**64, "5", None])
def test_fuel_that_cannot_be_reported_is_malformed(consumed: Any) -> None:
    fuel = Fuel()
    refused = pytest.raises(InternalErrorRaised, match="Prompt: consumed_gen ")
    with modules(Ok({"data": "x", "consumed_gen": consumed}), fuel) as (both, _), refused:
        both.ask("llm", "Prompt", {})
    assert "consume" not in dict(fuel.events)


def test_without_fuel_no_module_is_asked() -> None:
    with modules(PAGE, Fuel(-1)) as (both, server):
        with pytest.raises(VMErrorRaised, match="forbidden"):
            both.ask("llm", "Prompt", {})
        assert server.sessions == []
