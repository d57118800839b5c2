"""Signed requests (spec modules/03 §6)."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, parse_url
from pygenvm.modules.web.signing import Signer, covered, normalised, signature_base
from tests.modules.web.lab import Lab

HOST_DATA = {"node_address": "0xA1", "tx_id": "0x22", "signerUrl": "x", "number": 1}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as lab:
        yield lab


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[HttpClient]:
    client = HttpClient(door=lab.egress())
    yield client
    await client.close()


def _signer(client: HttpClient, url: str = "http://public.example.com/sign", **headers: str) -> Signer:
    return Signer(
        client, url, headers, seconds=2, clock=lambda: 1760000000.9, random=lambda size: b"\xde\xad" * (size // 2)
    )


async def _signs(lab: Lab, status: int = 200, body: bytes = b"\x01\xff") -> list[bytes]:
    """The lab has a signer; the list gets what it is asked to sign."""
    asked: list[bytes] = []

    async def sign(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        asked.append(await reader.readexactly(size))
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    lab.handlers["/sign"] = sign
    return asked


def test_the_example_of_the_specification() -> None:
    url = parse_url("https://api.example.com/v1/items?dry=1")
    headers = {
        "genlayer-node-address": "0xA1",
        "genlayer-tx-id": "0x22",
        "genlayer-salt": "3q2+7w==",
        "content-digest": "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:",
    }
    components = covered(headers, url)
    quoted = " ".join(f'"{name}"' for name in components)
    parameters = f'({quoted});created=1760000000;alg="ES256K"'
    assert (
        signature_base("post", url, headers, components, parameters)
        == '''\
"@method": POST
"@authority": api.example.com
"@path": /v1/items
"genlayer-node-address": 0xA1
"genlayer-tx-id": 0x22
"genlayer-salt": 3q2+7w==
"content-digest": sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:
"@query": ?dry=1
"@signature-params": ("@method" "@authority" "@path" "genlayer-node-address" "genlayer-tx-id" "genlayer-salt" "content-digest" "@query");created=1760000000;alg="ES256K"'''  # noqa: E501
    )


async def test_a_signed_request(lab: Lab, client: HttpClient) -> None:
    asked = await _signs(lab)
    body = b"test"
    signer = _signer(client, "http://public.example.com/sign?#{tx_id}", token="#{node_address}!")
    sent = await signer.sign("POST", "https://U@Api.example.com:8443/v1/items?dry=1", {"X-A": b"1"}, body, HOST_DATA)
    salt = b64encode(b"\xde\xad" * 16).decode()
    parameters = (
        '("@method" "@authority" "@path" "genlayer-node-address" "genlayer-tx-id" "genlayer-salt" "content-digest" '
        '"@query");created=1760000000;alg="ES256K"'
    )
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    assert digest == "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
    assert sent == {
        "x-a": "1",
        "genlayer-node-address": "0xA1",
        "genlayer-tx-id": "0x22",
        "genlayer-salt": salt,
        "content-digest": f"sha-256=:{digest}:",
        "signature-input": f"genvm={parameters}",
        "signature": f"genvm=:{b64encode(bytes([1, 255])).decode()}:",
    }
    lines = [
        '"@method": POST',
        '"@authority": u@api.example.com:8443',
        '"@path": /v1/items',
        '"genlayer-node-address": 0xA1',
        '"genlayer-tx-id": 0x22',
        f'"genlayer-salt": {salt}',
        f'"content-digest": sha-256=:{digest}:',
        '"@query": ?dry=1',
        f'"@signature-params": {parameters}',
    ]
    assert asked == ["\n".join(lines).encode()]
    first, head = lab.requests[0]
    assert first == "POST /sign?0x22"
    assert "token: 0xA1!" in head


@pytest.mark.parametrize(
    ("url", "headers", "body", "last"),
    [
        ("http://a.com", {}, None, ["genlayer-salt"]),
        ("http://a.com/?", {}, None, ["genlayer-salt", "@query"]),
        ("http://a.com/", {}, b"", ["genlayer-salt", "content-digest"]),
        ("http://a.com/", {"Content-Digest": b"mine"}, None, ["genlayer-salt", "content-digest"]),
        ("http://a.com/", {"Content-Digest": b"mine"}, b"x", ["genlayer-salt", "content-digest"]),
    ],
)
async def test_what_is_covered(
    lab: Lab, client: HttpClient, url: str, headers: dict[str, bytes], body: bytes | None, last: list[str]
) -> None:
    asked = await _signs(lab)
    sent = await _signer(client).sign("GET", url, headers, body, HOST_DATA)
    names = sent["signature-input"].partition("(")[2].partition(")")[0].replace('"', "").split(" ")
    assert names[5:] == last
    assert sent.get("content-digest") != "mine" or body is None
    assert asked[0].count(b"\n") == len(names)


def test_what_a_contract_could_forge_is_dropped() -> None:
    forged = {
        "Content-Length": b"1",
        "HOST": b"x",
        "Genlayer-Node-Address": b"0xB2",
        "genlayer-TX-id": b"x",
        "GENLAYER-SALT": b"x",
        "@method": b"GET",
        "@": b"x",
    }
    assert normalised(forged | {"Genlayer-Other": b"o", "Accept": b"*/*"}) == {"genlayer-other": b"o", "accept": b"*/*"}


async def test_forged_headers_are_replaced_by_those_of_the_node(lab: Lab, client: HttpClient) -> None:
    asked = await _signs(lab)
    forged: dict[str, Any] = {"Genlayer-Node-Address": b"0xB2", "signature": b"genvm=:AA==:", "Signature-Input": b"x"}
    sent = await _signer(client).sign("GET", "http://a.com/", forged, None, HOST_DATA)
    assert sent["genlayer-node-address"] == "0xA1"
    assert b"0xB2" not in asked[0]
    assert sent["signature"] != "genvm=:AA==:"
    assert sent["signature-input"].startswith("genvm=(")


async def test_host_data_cannot_add_lines(lab: Lab, client: HttpClient) -> None:
    asked = await _signs(lab)
    with pytest.raises(ModuleError, match="invalid header value"):
        await _signer(client).sign("GET", "http://a.com/", {}, None, HOST_DATA | {"tx_id": 'a\n"@method": POST'})
    assert asked == []


async def _fails(signer: Signer, host_data: dict[str, Any] = HOST_DATA) -> ModuleError:
    with pytest.raises(ModuleError) as raised:
        await signer.sign("GET", "http://a.com/", {}, None, host_data)
    return raised.value


async def test_an_unknown_placeholder(client: HttpClient) -> None:
    for signer in (_signer(client, "http://#{nothing}/"), _signer(client, x="#{number}")):
        error = await _fails(signer)
        assert (error.causes, error.fatal) == (["SIGN_URL_PATCH_FAILED"], True)


@pytest.mark.parametrize("url", ["", "nothing", "http://public.example.com:1/", "ftp://a.com/"])
async def test_a_signer_that_cannot_be_asked(client: HttpClient, url: str) -> None:
    error = await _fails(_signer(client, url))
    assert (error.causes, set(error.ctx), error.fatal) == (["SIGN_URL_SEND_FAILED"], {"rust_error"}, True)


@pytest.mark.parametrize(
    ("status", "text"), [(401, "401 Unauthorized"), (201, "201 Created"), (599, "599 <unknown status code>")]
)
async def test_a_signer_that_refuses(lab: Lab, client: HttpClient, status: int, text: str) -> None:
    await _signs(lab, status)
    error = await _fails(_signer(client))
    assert (error.causes, error.ctx, error.fatal) == (["SIGN_URL_BAD_STATUS"], {"status": text}, True)


async def test_a_signer_whose_answer_cannot_be_read(lab: Lab, client: HttpClient) -> None:
    await _signs(lab, body=bytes(1 << 20))
    error = await _fails(_signer(client))
    assert (error.causes, set(error.ctx)) == (["SIGN_URL_READ_FAILED"], {"rust_error"})


async def test_a_host_that_does_not_say_who_asks(client: HttpClient) -> None:
    error = await _fails(_signer(client), {"node_address": "0xA1"})
    assert (error.causes, error.ctx, error.fatal) == (["ABSENT_HEADER"], {"header": "genlayer-tx-id"}, False)


async def test_without_random_numbers(client: HttpClient) -> None:
    def fails(size: int) -> bytes:
        raise OSError("no entropy")

    error = await _fails(Signer(client, "http://a.com/", {}, random=fails))
    assert (error.causes, error.fatal) == (["RANDOM_GENERATION"], True)
