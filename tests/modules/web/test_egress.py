"""The one door to the network (spec modules/03 §7): no packet reaches an address that is not public."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, Response, parse_url
from pygenvm.modules.web.admission import Admission
from pygenvm.modules.web.egress import AddressPolicy, Egress, Unreachable, outcome_of, system_resolver
from tests.modules.web.lab import PUBLIC, Lab
from tests.modules.web.ssrf import CASES


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as lab:
        yield lab


async def _get(client: HttpClient, url: str) -> Response:
    return await client.request("GET", url, headers={}, seconds=10, body_max=1 << 20)


# --- the table ---


def test_the_table_is_long_enough() -> None:
    assert len(CASES) == len({case.name for case in CASES}) >= 60


@pytest.mark.parametrize("checked", [True, False], ids=["admission", "door alone"])
async def test_nothing_reaches_a_forbidden_address(lab: Lab, checked: bool) -> None:
    """As :file:`web.lua` does it, and as a script would that does not check URLs."""
    admission = Admission.of([], [])
    wrong = []
    for case in CASES:
        lab.looked_up.clear()
        error = await _outcome(lab, case.url, admission if checked else None)
        wanted = case.cause if checked else case.door
        if (error.causes[0] if error else None) != wanted:
            wrong.append((case.name, str(error)))
        if error is not None and wanted == "ADDRESS_FORBIDDEN":
            assert (error.fatal, set(error.ctx)) == (False, {"url", "rust_error"})
    assert wrong == []
    assert lab.reached == {}


async def _outcome(lab: Lab, url: str, admission: Admission | None) -> ModuleError | None:
    client = HttpClient(door=lab.egress())
    try:
        if admission is not None:
            admission.check_url(url)
        answer = await _get(client, url)
        assert answer.body == b"public"
    except ModuleError as error:
        return error
    finally:
        await client.close()
    return None


async def test_the_lab_tells_when_a_forbidden_address_is_reached(lab: Lab) -> None:
    """Positive control: without the door, the same connections are seen."""
    for address in ("127.0.0.1", "127.0.0.9", "[::1]"):
        client = HttpClient()
        assert (await _get(client, f"http://{address}:{lab.port}/")).body == b"secret"
        await client.close()
    assert lab.reached == {"127.0.0.1": 1, "127.0.0.9": 1, "::1": 1}


async def test_connections_of_a_browser_go_through_the_same_door() -> None:
    """Hosts as a proxy gets them: as the page has them, and as the browser writes them."""
    lab = Lab()
    tried = 0
    for case in CASES:
        if case.door != "ADDRESS_FORBIDDEN" or "go?" in case.url:
            continue
        url = parse_url(case.url)
        as_written = case.url.strip().partition("://")[2].partition("/")[0].rpartition("@")[2]
        for host in {url.host, url.host.strip("[]"), *({as_written} if url.port is None else ())}:
            with pytest.raises((ModuleError, Unreachable)) as raised:
                await lab.egress().open_connection(host, url.connect_port)
            assert outcome_of(raised.value) == "forbidden" or host != url.host
            tried += 1
    assert tried > 60


# --- names ---


async def test_an_answer_is_used_as_it_was_checked(lab: Lab) -> None:
    """A name that changes between two look-ups: there is one look-up, and the connection goes to what it gave."""
    client = HttpClient(door=lab.egress())
    assert (await _get(client, "http://rebinding.example.com/")).body == b"public"
    assert lab.looked_up == {"rebinding.example.com": 1}
    # No connection is kept: the next request looks again, and is refused.
    with pytest.raises(ModuleError, match="ADDRESS_FORBIDDEN"):
        await _get(client, "http://rebinding.example.com/")
    await client.close()
    assert lab.reached == {}


async def test_many_look_ups_of_a_name_that_rebinds_at_once(lab: Lab) -> None:
    lab.names["turning.example.com"] = [[PUBLIC], ["127.0.0.1"]] * 20
    client = HttpClient(door=lab.egress())
    outcomes = await asyncio.gather(
        *(_get(client, "http://turning.example.com/") for _ in range(40)), return_exceptions=True
    )
    await client.close()
    assert lab.looked_up["turning.example.com"] == 40
    assert {type(outcome) for outcome in outcomes} == {Response, ModuleError}
    assert lab.reached == {}


async def test_of_a_mixed_answer_the_public_addresses_are_left(lab: Lab) -> None:
    assert await lab.egress().resolve("mixed.example.com") == [ip_address(PUBLIC)]


async def test_allowed_hosts_are_reached_wherever_they_are(lab: Lab) -> None:
    client = HttpClient(door=lab.egress(always_allow_hosts=["Loopback.example.com", "127.0.0.9", "::1"]))
    for url in ("http://loopback.example.com/", "http://127.0.0.9/", "http://[::1]/"):
        assert (await _get(client, url)).body == b"secret"
    with pytest.raises(ModuleError, match="ADDRESS_FORBIDDEN"):
        await _get(client, "http://127.0.0.1/")
    await client.close()


async def test_hosts_in_every_notation_are_one_host() -> None:
    async def none(name: str) -> list[str]:
        raise AssertionError(f"{name} is no name")

    egress = Egress(always_allow_hosts=["127.0.0.1", "[::1]"], resolver=none)
    for host in ("127.0.0.1", "0x7f.1", "2130706433", "127.1"):
        assert await egress.resolve(host) == [IPv4Address("127.0.0.1")]
    for host in ("::1", "[::1]", "[0:0:0:0:0:0:0:1]"):
        assert await egress.resolve(host) == [IPv6Address("::1")]


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "a/b", "a@b", "a#b", "a?b", "[::1", "\0", "a\nb", "%00", "x" * 70_000]
)
async def test_what_is_no_host_has_no_address(host: str) -> None:
    with pytest.raises((Unreachable, ModuleError)):
        await Egress().resolve(host)


async def test_the_system_is_asked_by_default() -> None:
    assert set(await system_resolver("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises(ModuleError, match="ADDRESS_FORBIDDEN"):
        await Egress().resolve("localhost")


# --- outcomes ---


async def test_outcomes_have_names(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    egress = lab.egress()

    async def outcome(host: str, port: int = 80) -> str:
        try:
            _, writer = await egress.open_connection(host, port)
        except (OSError, ModuleError) as error:
            return outcome_of(error)
        writer.close()
        return "ok"

    assert await outcome("public.example.com") == "ok"
    assert await outcome("gone.example.com") == "dns"
    assert await outcome("loopback.example.com") == "forbidden"
    assert await outcome("public.example.com", 1) == "refused"
    assert await outcome("public.example.com", 1 << 20) == "refused"
    monkeypatch.setattr("pygenvm.modules.limits.HTTP_CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        # A queue of one that is never emptied: further handshakes get no answer.
        full.bind((PUBLIC, 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex((PUBLIC, port))
        assert await outcome("public.example.com", port) == "timeout"
        for one in waiting:
            one.close()


async def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(name: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("pygenvm.modules.limits.DNS_SECONDS", 0.05)
    with pytest.raises(Unreachable) as raised:
        await Egress(resolver=never).resolve("slow.example.com")
    assert raised.value.outcome == "dns"


# --- redirects ---


async def test_https_does_not_lead_to_http(lab: Lab) -> None:
    client = HttpClient(door=lab.egress(), tls=lab.client_tls())
    with pytest.raises(ModuleError) as raised:
        await _get(client, "https://public.example.com/go?status=302&to=http://public.example.com/")
    assert raised.value.causes == ["SENDING_REQUEST"]
    assert "https to http" in raised.value.ctx["rust_error"]
    assert (await _get(client, "https://public.example.com/go?status=302&to=/x")).status == 200
    await client.close()


async def test_eleven_redirects_are_too_many(lab: Lab) -> None:
    client = HttpClient(door=lab.egress())

    async def to_itself(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n")

    lab.handlers["/loop"] = to_itself
    with pytest.raises(ModuleError) as raised:
        await _get(client, "http://public.example.com/loop")
    assert (raised.value.causes, raised.value.ctx["rust_error"]) == (["SENDING_REQUEST"], "too many redirects")
    assert len(lab.requests) == 11
    assert lab.looked_up["public.example.com"] == 11
    await client.close()


# --- surroundings ---


async def test_environment_and_netrc_have_no_say(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine public.example.com login a password b\n")
    monkeypatch.setenv("NETRC", netrc)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{lab.port}")
    client = HttpClient(door=lab.egress())
    assert (await _get(client, "http://public.example.com/")).body == b"public"
    await client.close()
    assert "authorization" not in lab.requests[0][1].lower()
    assert lab.reached == {}


async def test_cookies_are_not_kept(lab: Lab) -> None:
    async def sets_a_cookie(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nset-cookie: a=b\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")

    lab.handlers["/cookie"] = sets_a_cookie
    client = HttpClient(door=lab.egress())
    for _ in range(2):
        await _get(client, "http://public.example.com/cookie")
    await client.close()
    assert len(lab.requests) == 4
    assert not any("cookie:" in head.lower() for _, head in lab.requests)


# --- addresses ---

_SPECIAL = ["0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
_SPECIAL += ["100.64.0.0/10", "198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"]


@given(st.ip_addresses(v=4))
def test_no_special_ipv4_address_is_allowed_in_any_wrapping(address: IPv4Address) -> None:
    policy = AddressPolicy()
    allowed = policy.allows(address)
    if not address.is_global:
        assert not allowed
    number = int(address)
    for wrapped in ((0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | number << 80):
        assert policy.allows(IPv6Address(wrapped)) is allowed
    assert not policy.allows(IPv6Address(number))
    assert not policy.allows(IPv6Address((0x20010000 << 96) | number ^ 0xFFFFFFFF))


@pytest.mark.parametrize("network", _SPECIAL)
def test_the_networks_of_the_specification_are_blocked(network: str) -> None:
    policy, block = AddressPolicy(), IPv4Network(network)
    for address in (block[0], block[-1], block[block.num_addresses // 2]):
        assert not policy.allows(address)


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_what_is_global_is_allowed(address: IPv6Address) -> None:
    local = address.is_private or address.is_loopback or address.is_link_local or address.is_site_local
    if local or address.is_multicast or address.is_unspecified:
        assert not AddressPolicy().allows(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.15.255.255", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressPolicy().allows(ip_address(address))


def test_an_address_with_a_zone_is_local() -> None:
    assert not AddressPolicy().allows(ip_address("2606:4700::1111%eth0"))
