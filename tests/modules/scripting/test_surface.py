"""The host functions of lib-genvm (spec modules/02 §6.2, §7)."""

from __future__ import annotations

import base64
import io
import json
import re
import unicodedata
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting import filters, surface
from pygenvm.modules.scripting.pool import ScriptError, SessionContext

from .conftest import Scripts

RunLua = Callable[..., Any]

# --- log ------------------------------------------------------------------------------------------


async def test_log_json(run_lua: RunLua, scripts: Scripts) -> None:
    await run_lua(
        """
        rs.log_json({level = "warning", message = "hello", model = "m", status = 429, list = {}})
        rs.log_json({message = 5, level = {}, x = "\\xff"})
        rs.log_json("text")
        rs.log_json({1, print})
        rs.log_json()
        lib.log {level = "error", message = "from lib", f = print}
        print("a", 1, nil, true)
        """
    )
    records = [record for record in scripts.records() if record["message"].startswith("script_log: ")]
    shown = [(record["level"], record["message"][12:], record["log"], record["cookie"]) for record in records]
    assert shown == [
        ("warn", "hello", {"model": "m", "status": 429, "list": {}}, "c1"),
        ("info", "<none>", {"message": 5, "level": {}, "x": "$Bytes(ff)"}, "c1"),
        ("info", "text", {}, "c1"),
        ("info", "<none>", {"value": [1, "function"]}, "c1"),
        ("info", "<none>", {"value": None}, "c1"),
        ("error", "from lib", {"f": {"$function": 1}}, "c1"),
        ("info", "a\t1\tnil\ttrue", {}, "c1"),
    ]


# --- encodings ------------------------------------------------------------------------------------


@given(st.binary())
def test_base64(data: bytes) -> None:
    assert surface.base64_encode(data) == base64.b64encode(data)
    assert surface.base64_decode(surface.base64_encode(data)) == data


@pytest.mark.parametrize("text", [b"a", b"YQ", b"YQ=", b"YQ==YQ==", b"Y Q==", b"_-==", b"\xff"])
def test_bad_base64(text: bytes) -> None:
    with pytest.raises(ModuleError) as raised:
        surface.base64_decode(text)
    assert (raised.value.causes, raised.value.fatal) == (["DESERIALIZING"], True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"{",
            b"{} x",
            b"'a'",
            b"[1,]",
            b"NaN",
            b"[Infinity]",
            b"[1e999]",
            b"\xff",
            b'"\\ud800"',
            b'{"\\udc00": 1}',
        ),
        *(b"[" * 129 + b"]" * 129, b"[" * 100_000, b"1" * 5000),
    ],
)
async def test_bad_json(text: bytes) -> None:
    with pytest.raises(ModuleError) as raised:
        surface.json_parse(text)
    assert (raised.value.causes, raised.value.fatal) == (["DESERIALIZING"], True)


async def test_json(run_lua: RunLua) -> None:
    body = """
      local value = rs.json_parse('{"a": null, "b": [1, null, 2.5, "\\\\u00e9"], "c": {}, "d": [], "e": 1e3, "f": 3.0}')
      assert(value.a == nil and value.b[2] == nil and value.b[3] == 2.5 and value.b[4] == "é")
      assert(math.type(value.e) == "float" and rs.json_parse("null") == nil and rs.json_parse("5") == 5)
      assert(rs.json_stringify() == "null" and rs.json_stringify("x") == '"x"' and rs.json_stringify({}) == "{}")
      assert(rs.json_stringify({1, "a", {true}}) == '[1,"a",[true]]')
      local ok, e = pcall(rs.json_parse, "{")
      assert(not ok and rs.as_user_error(e).causes[1] == "DESERIALIZING")
      assert(not pcall(rs.json_stringify, {"\\xff"}) and not pcall(rs.json_stringify, {1/0}))
      return rs.json_stringify(value)
    """
    assert await run_lua(body) == '{"a":null,"b":[1,null,2.5,"é"],"c":{},"d":[],"e":1000.0,"f":3.0}'.encode()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://Example.com/x?y#z", ("https", "example.com", None)),
        ("https://example.com:443", ("https", "example.com", None)),
        ("http://example.com:443", ("http", "example.com", 443)),
        ("http://user:pw@[::1]:8080/", ("http", "[::1]", 8080)),
        ("http://0x7f.1/", ("http", "127.0.0.1", None)),
        ("http://bücher.de", ("http", "xn--bcher-kva.de", None)),
        ("data:text/plain,x", ("data", "", None)),
        ("file:///etc/passwd", ("file", "", None)),
        ("/relative", None),
        ("http://", None),
        ("http://a b", None),
        ("", None),
    ],
)
def test_split_url(url: str, parts: tuple[str, str, int | None] | None) -> None:
    found = surface.split_url(url.encode())
    assert found == (parts and dict(zip(("schema", "host", "port"), parts, strict=True)))


def test_split_url_of_no_text() -> None:
    assert surface.split_url(b"http://\xff") is None


@given(st.binary())
def test_url_encode(data: bytes) -> None:
    from urllib.parse import unquote_to_bytes

    encoded = surface.url_encode(data)
    assert re.fullmatch(r"([A-Za-z0-9*\-._+]|%[0-9A-F]{2})*", encoded)
    assert unquote_to_bytes(encoded.replace("+", " ")) == data


async def test_arguments_are_checked(run_lua: RunLua) -> None:
    body = """
      local problems = {}
      local names = {"base64_encode", "base64_decode", "json_parse", "split_url", "url_encode", "filter_text"}
      for _, name in ipairs(names) do
        local ok, e = pcall(rs[name], {})
        problems[#problems + 1] = e
        ok, e = pcall(rs[name])
        assert(not ok)
      end
      return problems
    """
    problems = await run_lua(body)
    assert len(problems) == 6
    assert all(b"expected" in problem or b"argument" in problem for problem in problems), problems


async def test_sleep(run_lua: RunLua) -> None:
    await run_lua("rs.sleep_seconds(0.01) rs.sleep_seconds(0) rs.sleep_seconds(-5)")
    with pytest.raises(ScriptError, match="a number is expected"):
        await run_lua("rs.sleep_seconds(0/0)")


# --- filters of texts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("e\u0301", ["NFC"], "é"),
        ("ﬁ①", ["NFKC"], "fi1"),
        ("ﬁ", ["NFC"], "ﬁ"),
        ("a\u200bb\u200d\ufeffc\td\re\x00 f\n", ["RmZeroWidth"], "abcde f\n"),
        ("e\u0301", ["RmZeroWidth"], "e"),
        ("e\u0301", ["NFC", "RmZeroWidth"], "é"),
        ("日本 \U0001f600", ["RmZeroWidth"], "日本 \U0001f600"),
        (" \n\n a \t b \n\n\n\n c\u3000\u00a0d \n", ["NormalizeWS"], "a b\n\nc d\n"),
        ("", ["NormalizeWS"], ""),
        ("x\n\n\n", ["NormalizeWS"], "x\n\n"),
        ("a\x1cb", ["NormalizeWS"], "a\x1cb"),
        ("a", [], "a"),
    ],
)
def test_text_filters(text: str, names: list[str], expected: str) -> None:
    assert filters.filter_text(text, names) == expected


def _step_by_step(text: str) -> str:
    """NormalizeWS as the specification tells it in one pass."""
    blanks = set("\t\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200B)))
    out: list[str] = []
    feeds = 0
    blank = False
    for char in text:
        if char == "\n":
            blank = False
            while out and out[-1] == " ":
                out.pop()
            if out and feeds < 2:
                out.append("\n")
                feeds += 1
        elif char in blanks:
            if out and out[-1] != "\n" and not blank:
                out.append(" ")
                feeds, blank = 0, True
        else:
            out.append(char)
            feeds, blank = 0, False
    while out and out[-1] == " ":
        out.pop()
    return "".join(out)


@given(st.text(alphabet=" \n\t\u3000ab"))
def test_normalize_ws(text: str) -> None:
    result = filters.filter_text(text, ["NormalizeWS"])
    assert result == _step_by_step(text)
    assert not re.search("  |\n\n\n| \n|\n |^\\s|^ | $", result)
    assert filters.filter_text(result, ["NormalizeWS"]) == result


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    result = filters.filter_text(text, ["RmZeroWidth"])
    assert not any(unicodedata.category(char) in ("Cc", "Mn") and char != "\n" for char in result)
    assert filters.filter_text(result, ["RmZeroWidth"]) == result


async def test_filter_text_in_lua(run_lua: RunLua) -> None:
    body = """
      assert(rs.filter_text("x", {}) == "x")
      local ok, e = pcall(rs.filter_text, "x", {"Other"})
      assert(not ok and e:find("unknown filter `Other`"), e)
      ok, e = pcall(rs.filter_text, "\\xff", {"NFC"})
      assert(not ok and e:find("not UTF%-8"), e)
      return rs.filter_text("a  b", {"NFC", "NormalizeWS"})
    """
    assert await run_lua(body) == b"a b"


# --- filters of images ----------------------------------------------------------------------------


def _image(form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> bytes:
    image = Image.linear_gradient("L").resize(size)
    if mode == "P":
        image = image.convert("RGB").quantize(16)
        image.info["transparency"] = 0
    else:
        image = image.convert(mode)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    image.load()
    return image


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("WEBP", "RGBA"),
    ],
)
@pytest.mark.parametrize(
    "one",
    [
        {"Unsharpen": {"sigma": 2.0, "threshold": 3}},
        {"Unsharpen": [2.0, 3]},
        *({name: 1.5} for name in ("GuassianNoise", "GaussianNoise")),
        *({name: 0.5} for name in ("JPEG", "JpegRecompress")),
    ],
)
def test_image_filters(form: str, mode: str, one: dict[str, Any]) -> None:
    data = _image(form, mode)
    result = _opened(filters.filter_image(data, [one]))
    assert result.size == (32, 24)
    plain = _opened(filters.filter_image(data, []))
    # There is nothing to sharpen in black and white.
    assert (result.tobytes() != plain.tobytes()) != (mode == "1" and "Unsharpen" in one)


def test_jpeg_quality_is_clamped() -> None:
    data = _image(size=(64, 64))
    at = {quality: filters.filter_image(data, [{"JPEG": quality}]) for quality in (-5, 0, 0.5, 1, 7)}
    assert at[-5] == at[0] != at[0.5] != at[1] == at[7]


def test_filters_in_order_keep_transparency() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    result = _opened(filters.filter_image(out.getvalue(), [{"GaussianNoise": 1}, {"Unsharpen": [1, 0]}]))
    assert result.mode == "RGBA"
    assert result.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize(
    ("filter_", "text"),
    [
        ({"Denoise": 1}, "Denoise is not implemented"),
        ({"Other": 1}, "unknown filter `Other`"),
        ("JPEG", "a filter is a table"),
        ({"JPEG": 1, "Denoise": 2}, "a filter is a table"),
        ({"JPEG": "x"}, "quality must be a number"),
        ({"GaussianNoise": -1}, "sigma must be a number of 0 to 100"),
        ({"GaussianNoise": 1e9}, "sigma must be a number of 0 to 100"),
        ({"Unsharpen": 1}, "Unsharpen needs"),
        ({"Unsharpen": {"sigma": 1}}, "threshold must be a number"),
    ],
)
def test_bad_image_filters(filter_: Any, text: str) -> None:
    with pytest.raises(ScriptError, match=text):
        filters.filter_image(_image(), [filter_])


def _bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        lambda: b"nonsense",
        lambda: _image()[:60],
        lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        _bomb,
        lambda: b"GIF89a" + b"\0" * 50,
    ],
)
def test_bad_images(make: Callable[[], bytes]) -> None:
    data = make()
    with pytest.raises(ModuleError) as raised:
        filters.filter_image(data, [{"JPEG": 1}])
    assert (raised.value.causes, raised.value.fatal) == (["INVALID_IMAGE"], True)
    # No address of an object: every node has another.
    assert "object at 0x" not in str(raised.value.ctx)


async def test_filter_image_in_lua(run_lua: RunLua) -> None:
    body = """
      local data = ...
      local ok, e = pcall(rs.filter_image, "x", {})
      assert(not ok and rs.as_user_error(e).causes[1] == "INVALID_IMAGE")
      return rs.filter_image(data, {{Unsharpen = {sigma = 1.0, threshold = 2}}, {GuassianNoise = 0.5}, {JPEG = 0.9}})
    """
    assert _opened(await run_lua(body, _image("JPEG"))).size == (32, 24)


# --- requests -------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def site() -> AsyncIterator[str]:
    """A server that tells what it was asked."""

    async def echo(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = (await request.read()).decode("latin-1")
        return web.json_response(
            {"method": request.method, "path": request.path_qs, "headers": headers, "body": body, "null": None},
            status=int(request.query.get("status", "200")),
            headers=[("X-Twice", "one"), ("X-Twice", "two")],
        )

    async def raw(_request: web.Request) -> web.Response:
        return web.Response(body=b"\xff\0raw")

    app = web.Application()
    app.router.add_route("*", "/echo", echo)
    app.router.add_route("*", "/raw", raw)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_request(scripts: Scripts, site: str) -> None:
    session = await scripts.session("function Run(ctx, request) return __dflt.request(ctx, request) end")
    answer = await session.call("Run", {"method": "GET", "url": f"{site}/raw", "headers": {}})
    assert (answer[b"status"], answer[b"body"], answer[b"headers"][b"content-length"]) == (200, b"\xff\0raw", b"5")
    forged = {"Host": "x", "Content-Length": "9", "GenLayer-Salt": "1", "genlayer-tx-id": "2", "@method": "3"}
    answer = await session.call(
        "Run",
        {
            "method": "POST",
            "url": f"{site}/echo?status=404",
            "headers": {"X-Mine": "a", "Number": 5, **forged},
            "body": "text\xe9",
            "json": True,
        },
    )
    assert answer[b"status"] == 404
    assert answer[b"headers"][b"x-twice"] == b"two"
    told = answer[b"body"]
    assert told[b"body"] == b"text\xc3\x83\xc2\xa9"
    assert told[b"null"] is None
    sent = told[b"headers"]
    assert (sent[b"x-mine"], sent[b"number"], sent[b"user-agent"]) == (b"a", b"5", b"reqwest")
    assert sent[b"host"] != b"x"
    assert sent[b"content-length"] == b"6"
    assert not any(name.startswith((b"genlayer", b"@")) for name in sent)
    assert (session.context.requests_count, session.context.requests_time_us > 0) == (2, True)


async def test_requests_that_fail(scripts: Scripts, site: str) -> None:
    session = await scripts.session(
        """
        function Run(ctx, request)
          local ok, e = pcall(__dflt.request, ctx, request)
          assert(not ok)
          return __dflt.as_user_error(e) or e
        end
        """
    )

    async def fails(path: str, **fields: Any) -> Any:
        request = {"method": "GET", "url": path if ":" in path else site + path, "headers": {}} | fields
        return await session.call("Run", request)

    error = await fails("/echo?status=503", error_on_status=True, json=True)
    assert (error[b"causes"], error[b"fatal"]) == ([b"STATUS_NOT_OK"], True)
    ctx = error[b"ctx"]
    assert (ctx[b"status"], ctx[b"url"], ctx[b"body"][b"method"]) == (503, f"{site}/echo?status=503".encode(), b"GET")
    error = await fails("/raw", json=True)
    assert (error[b"causes"], error[b"ctx"][b"status"]) == ([b"READING_BODY"], 200)
    error = await fails("http://127.0.0.1:1/")
    assert (error[b"causes"], error[b"fatal"]) == ([b"SENDING_REQUEST"], True)
    assert b"rust_error" in error[b"ctx"]
    error = await fails("/raw", headers={"bad name": "x"})
    assert (error[b"causes"], error[b"fatal"]) == ([b"DESERIALIZING"], True)
    error = await fails("/raw", headers={"name": "a\nb"})
    assert error[b"causes"] == [b"invalid header value"]
    assert b"unknown method `PUT`" in await fails("/raw", method="PUT")
    assert b"`headers` must be" in await fails("/raw", headers=None)
    assert b"the header `a` is no string" in await fails("/raw", headers={"a": {}})
    assert b"`url` must be a string" in await fails("/raw", url=None)
    assert b"does not sign" in await fails("/raw", sign=True)
    assert b"a table" in await session.call("Run", None)
    assert session.context.requests_count == 5


async def test_a_request_that_never_ends(scripts: Scripts) -> None:
    import asyncio

    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    session = await scripts.session(
        "function Run(ctx, url) return __dflt.request(ctx, {method = 'GET', url = url, headers = {}}) end",
        request_seconds=0.2,
    )
    with pytest.raises(ModuleError, match="SENDING_REQUEST"):
        await session.call("Run", f"http://127.0.0.1:{port}/")
    server.close()


async def test_an_answer_that_is_too_large(scripts: Scripts, site: str) -> None:
    session = await scripts.session(
        "function Run(ctx, url) return __dflt.request(ctx, {method = 'GET', url = url, headers = {}}) end", body_bytes=4
    )
    with pytest.raises(ModuleError, match="READING_BODY"):
        await session.call("Run", f"{site}/raw")


async def test_an_error_shows_a_part_of_the_body(scripts: Scripts, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCRIPT_ERROR_BODY_BYTES", 10)
    session = await scripts.session("function Run(ctx, request) return __dflt.request(ctx, request) end")
    request = {"method": "GET", "url": f"{site}/echo?status=500", "headers": {}, "error_on_status": True, "json": True}
    with pytest.raises(ModuleError) as raised:
        await session.call("Run", request)
    assert raised.value.ctx["body"] == '{"method":'.replace(":", ": ")[:10]


async def test_signed_requests(scripts: Scripts, site: str) -> None:
    async def sign(context: SessionContext, method: str, url: str, headers: Any, body: bytes | None) -> Any:
        signature = json.dumps([context.host_data["tx_id"], method, url, sorted(headers), (body or b"").decode()])
        return headers | {"signature": signature, "genlayer-salt": "s"}

    session = await scripts.session(
        "function Run(ctx, request) return __dflt.request(ctx, request).body end", sign=sign
    )
    url = f"{site}/echo"
    request = {"method": "POST", "url": url, "headers": {"A": "1", "genlayer-salt": "x"}, "body": "b", "sign": True}
    sent = json.loads(await session.call("Run", request))["headers"]
    assert json.loads(sent["signature"]) == ["0x22", "POST", url, ["a"], "b"]
    assert (sent["a"], sent["genlayer-salt"]) == ("1", "s")


async def test_functions_of_the_module_in_the_child(scripts: Scripts) -> None:
    session = await scripts.session(
        """
        function Run(ctx, s)
          local ok, e = pcall(__test.decode, "?")
          return {__test.decode(s), __dflt.as_user_error(e).causes[1], (string.gsub("YQ==", ".+", __test.decode))}
        end
        """,
        pure={"__test.decode": "pygenvm.modules.scripting.surface:base64_decode"},
    )
    assert await session.call("Run", "YWI=") == [b"ab", b"DESERIALIZING", b"a"]


def test_limits_of_filters() -> None:
    assert limits.FILTER_PIXELS_MAX * 4 * 4 < limits.SCRIPT_PROCESS_EXTRA_BYTES
