"""HTTP: who may ask, how much, and what happens as it happens."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType, WSServerHandshakeError

from pygenvm.localnet.chain.network.types import EventKind, TxStatus
from pygenvm.localnet.rpc.origins import Origins, is_origin
from tests.localnet.rpc.conftest import Asking
from tests.localnet.rpc.vectors import DEPLOY, DEPLOY_HASH

PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
ID = "0x" + DEPLOY_HASH.hex()


# --- hosts and origins ---


@pytest.mark.parametrize("host", ["127.0.0.1:4000", "localhost:4000", "localhost", "[::1]:4000", ""])
def test_names_of_this_machine(host: str) -> None:
    assert Origins().refuses_host(host) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4000", "127.0.0.1.evil.example", "10.0.0.1", "0x7f.1"])
def test_names_that_somebody_has_pointed_here(host: str) -> None:
    why = Origins().refuses_host(host)
    assert why is not None
    assert host in why


def test_a_server_that_others_reach_has_more_names() -> None:
    origins = Origins(loopback=False, hosts={"localnet"})
    for host in ("192.168.1.5:4000", "localhost:4000", "localnet:4000", "[fe80::1]:4000", "localnet"):
        assert origins.refuses_host(host) is None, host
    assert "--allow-host" in (origins.refuses_host("evil.example:4000") or "")


@pytest.mark.parametrize(
    ("origin", "cors", "allowed"),
    [
        ("http://localhost:3000", (), True),
        ("https://127.0.0.1", (), True),
        ("http://[::1]:8080", (), True),
        ("http://here:4000", (), True),
        ("http://evil.example", (), False),
        ("http://localhost.evil.example", (), False),
        ("http://evil.example", ("http://evil.example",), True),
        ("https://evil.example", ("http://evil.example",), False),
        ("http://evil.example:81", ("http://evil.example",), False),
        ("http://evil.example", ("*",), True),
        ("null", (), False),
        ("null", ("null",), True),
        ("", (), False),
        ("file://", (), False),
        ("chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", (), True),
        ("moz-extension://5b1e3a7c", (), True),
        ("ftp://localhost", (), False),
        ("http://[", (), False),
    ],
)
def test_origins(origin: str, cors: tuple[str, ...], allowed: bool) -> None:
    assert Origins(cors=cors).allows(origin, "here:4000") is allowed


@pytest.mark.parametrize(
    ("text", "right"),
    [("https://a.example", True), ("*", True), ("null", True), ("a.example", False), ("https://a.example/", False)],
)
def test_what_may_be_named(text: str, right: bool) -> None:
    assert is_origin(text) is right


async def test_pages_of_other_origins_change_nothing(asking: Asking) -> None:
    deploy = json.dumps({"id": 1, "method": "eth_sendRawTransaction", "params": ["0x" + DEPLOY.hex()]}).encode()
    for content_type in ("application/json", "text/plain"):
        headers = {"Origin": "https://evil.example", "Content-Type": content_type}
        status, answer, got = await asking.post(deploy, **headers)
        assert status == 403
        assert "--cors https://evil.example" in answer["error"]["message"]
        assert "Access-Control-Allow-Origin" not in got
    for host in ("evil.example", "2130706433", ":4000"):
        assert (await asking.post(deploy, Host=host))[0] == 403, host
    status, _, _ = await asking.post(deploy, Host="evil.example")
    assert status == 403
    assert not asking.network.all
    async with asking.session.options(f"{asking.url}/api", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
    with pytest.raises(WSServerHandshakeError):
        await asking.session.ws_connect(f"{asking.url}/ws", headers={"Origin": "https://evil.example"})
    async with asking.session.get(f"{asking.url}/events", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403


async def test_pages_of_other_ports_may_ask(asking: Asking) -> None:
    headers = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-session-id",
        "Access-Control-Request-Private-Network": "true",
    }
    async with asking.session.options(f"{asking.url}/api", headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "content-type, x-session-id"
        assert response.headers["Access-Control-Allow-Private-Network"] == "true"
    status, answer, got = await asking.post(PING, Origin="http://localhost:5173")
    assert (status, answer["result"]) == (200, "OK")
    assert (got["Access-Control-Allow-Origin"], got["Vary"]) == ("http://localhost:5173", "Origin")


# --- paths ---


async def test_paths(asking: Asking) -> None:
    for path in ("/", "/api", "/api/"):
        async with asking.session.post(asking.url + path, data=PING) as response:
            assert (await response.json())["result"] == "OK"
    for path, kind in (
        ("/", "text/html"),
        ("/page/page.html", "text/html"),
        ("/pages/style.css", "text/css"),
        ("/health", "application/json"),
    ):
        async with asking.session.get(asking.url + path) as response:
            assert (response.status, response.content_type) == (200, kind)
    for path in ("/nothing", "/page/nothing.js", "/page/..%2fcli.py", "/pages/__init__.py"):
        async with asking.session.get(asking.url + path) as response:
            assert response.status == 404
    async with asking.session.get(f"{asking.url}/api") as response:
        assert response.status == 405
        assert "JSON-RPC is POST /api" in await response.text()
    async with asking.session.get(f"{asking.url}/ws") as response:
        assert response.status == 426


async def test_a_batch_and_a_notification(asking: Asking) -> None:
    status, answer, _ = await asking.post(b"[" + PING + b"," + PING + b"]")
    assert (status, [one["result"] for one in answer]) == (200, ["OK", "OK"])
    assert (await asking.post(b'{"method": "ping"}'))[:2] == (204, None)
    assert (await asking.post(b"[" + b",".join([PING] * 10_000) + b"]"))[0] == 400


async def test_what_is_too_large(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_BODY_BYTES", 100_000)
    status, answer, _ = await asking.post(b" " * 200_000)
    assert (status, "at most 100000 bytes" in answer["error"]["message"]) == (413, True)
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_BODIES_BYTES", 1000)
    assert (await asking.post(b" " * 50_000))[0] == 503
    assert (await asking.post(PING))[1]["result"] == "OK"


async def test_huge_calldata_is_read_beside_other_requests(asking: Asking) -> None:
    from tests.localnet.rpc.signing import deploy_data, sign
    from tests.localnet.rpc.vectors import CODE, SENDER

    raw = sign(deploy_data(str(SENDER), CODE, b"\x83" + b"x" * (8 << 20)))
    request = json.dumps({"id": 1, "method": "eth_sendRawTransaction", "params": ["0x" + raw.hex()]}).encode()
    status, answer, _ = await asking.post(request)
    # The stub reads the calldata; what matters is that it came there.
    assert status == 200
    assert answer["error"]["code"] == -32603, answer


async def test_a_body_that_does_not_arrive(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_BODY_SECONDS", 0.1)
    host, port = asking.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /api HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_clients_that_vanish_leave_nothing(asking: Asking) -> None:
    asking.network.read_seconds = 30
    host, port = asking.url.removeprefix("http://").split(":")
    id = await asking.ask("eth_sendRawTransaction", "0x" + DEPLOY.hex())
    contract = (await asking.ask("eth_getTransactionByHash", id))["data"]["contract_address"]
    body = json.dumps({"id": 1, "method": "gen_call", "params": [{"to": contract, "data": "0x06"}]}).encode()
    asking.node.runs_at_once = 50
    for _ in range(50):
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /api HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
    asking.network.read_seconds = 0
    # All slots are free again.
    answers = [asking.ask("gen_call", {"to": contract, "data": "0x06"}) for _ in range(50)]
    assert len(await asyncio.wait_for(asyncio.gather(*answers), 20)) == 50


async def test_what_a_client_has_begun_is_carried_out_without_it(asking: Asking) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def load(file: bytes) -> None:
        began.set()
        await asyncio.sleep(0.2)
        ended.set()

    asking.network.load = load  # type: ignore[method-assign]
    host, port = asking.url.removeprefix("http://").split(":")
    body = b'{"id": 1, "method": "genvm_importState", "params": ["AAAA"]}'
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /api HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await asyncio.wait_for(began.wait(), 5)
    writer.close()
    await asyncio.wait_for(ended.wait(), 5)
    await asyncio.sleep(0)
    assert not asking.node.tasks


async def test_500_clients_at_once(asking: Asking) -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session:

        async def one(number: int) -> Any:
            body = json.dumps({"id": number, "method": "eth_blockNumber"})
            async with session.post(f"{asking.url}/api", data=body) as response:
                return (await response.json())["id"]

        assert await asyncio.gather(*(one(number) for number in range(500))) == list(range(500))


# --- events ---


async def test_server_sent_events(asking: Asking) -> None:
    async with asking.session.get(f"{asking.url}/events") as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b"event: hello\n"
        await response.content.readuntil(b"\n\n")
        await asking.ask("eth_sendRawTransaction", "0x" + DEPLOY.hex())
        assert await response.content.readline() == b"event: transaction\n"
        told = json.loads((await response.content.readline()).removeprefix(b"data: "))
        assert (told["id"], told["status"], told["kind"]) == (ID, "ACCEPTED", "transaction")


async def test_a_reader_that_is_too_slow_is_told_so(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.EVENTS_BEHIND", 5)
    async with asking.session.get(f"{asking.url}/events") as response:
        await response.content.readuntil(b"\n\n")
        for _ in range(20):
            asking.network.tell(EventKind.BLOCK)
        seen = b""
        while b"event: lost" not in seen:
            seen += await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
        await response.content.readuntil(b"\n\n") if not seen.endswith(b"\n\n") else None
        asking.network.tell(EventKind.CLOCK)
        assert b"event: clock" in await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)


async def test_websocket_events_are_of_the_channels_that_were_asked_for(asking: Asking) -> None:
    async with asking.session.ws_connect(f"{asking.url}/ws") as socket:

        async def say(event: str, data: Any = None) -> None:
            await socket.send_json({"event": event, "data": data})

        async def heard() -> Any:
            return await asyncio.wait_for(socket.receive_json(), 5)

        assert (await heard())["event"] == "connect"
        await say("ping")
        assert (await heard())["event"] == "pong"
        await say("subscribe", ID.upper().replace("0X", "0x"))
        assert (await heard())["event"] == "subscribed"
        asking.network.tell(EventKind.TRANSACTION, id=bytes(32), status=TxStatus.PENDING)
        await asking.ask("eth_sendRawTransaction", "0x" + DEPLOY.hex())
        told = await heard()
        assert told["event"] == "transaction_status_updated"
        assert told["data"]["data"] == {"hash": ID, "new_status": "ACCEPTED"}
        await say("unsubscribe", [ID])
        assert (await heard())["event"] == "unsubscribed"
        await say("subscribe", ["*"])
        assert (await heard())["event"] == "subscribed"
        asking.network.tell(EventKind.CLOCK)
        assert (await heard())["event"] == "clock"
        for bad in ("{", "[1]", '{"event": "subscribe", "data": 5}', '{"event": "other"}', "[" * 1000):
            await socket.send_str(bad)
            assert (await heard())["event"] == "error", bad
        await socket.send_bytes(b"x")
        assert (await heard())["event"] == "error"


async def test_a_client_has_only_so_many_channels(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_CHANNELS", 3)
    async with asking.session.ws_connect(f"{asking.url}/ws") as socket:
        await socket.receive_json()
        await socket.send_json({"event": "subscribe", "data": ["a", "b", "c"]})
        assert (await socket.receive_json())["event"] == "subscribed"
        await socket.send_json({"event": "subscribe", "data": ["d"]})
        assert "at most 3" in (await socket.receive_json())["data"]["message"]


async def test_listeners_are_bounded_and_leave(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_LISTENERS", 2)
    async with asking.session.get(f"{asking.url}/events"), asking.session.ws_connect(f"{asking.url}/ws") as socket:
        await socket.receive_json()
        async with asking.session.get(f"{asking.url}/events") as response:
            assert response.status == 503
    for _ in range(100):
        async with asking.session.get(f"{asking.url}/events") as response:
            if response.status == 200:
                break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("those that have left still count")


async def test_the_end_of_the_server_ends_streams(asking: Asking) -> None:
    async with asking.session.ws_connect(f"{asking.url}/ws") as socket:
        await socket.receive_json()
        asking.network.hub.close()
        assert (await asyncio.wait_for(socket.receive(), 5)).type is WSMsgType.CLOSE
