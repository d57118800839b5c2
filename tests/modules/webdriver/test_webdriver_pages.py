"""Pages as text, HTML and picture (spec modules/03 §10)."""

from __future__ import annotations

import asyncio
import io
import time

import pytest
from PIL import Image

from tests.modules.webdriver.support import Client, Internet, Visitor, free_port, url

pytestmark = pytest.mark.slow

NETWORK_STATUSES = {
    "dns": (502, "DNS resolution failed"),
    "refused": (503, "Connection refused"),
    "timeout": (408, "Navigation timeout"),
    "forbidden": (418, "Address forbidden"),
}


def test_static_page_as_text_and_html(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "<title>no</title><h1> Title </h1>\n<p>one   two</p><p hidden>no</p><script>'no'</script>"

    text = client.render(url("/"))
    html = client.render(url("/"), "html")

    assert text.summary == (200, 200, "", "Title\n\none two")
    assert text.headers["content-type"] == html.headers["content-type"] == "application/json"
    assert html.text == "<h1> Title </h1>\n<p>one   two</p><p hidden=\"\">no</p><script>'no'</script>"


def test_screenshot_has_the_size_of_the_viewport(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "<body style='margin:0;background:#123456'><div style='width:3000px;height:5000px'></div>"

    answer = client.render(url("/"), "screenshot")

    picture = Image.open(io.BytesIO(answer.body))
    assert (answer.page_status, answer.headers["content-type"]) == (200, "image/png")
    assert (picture.format, picture.size) == ("PNG", (960, 540))
    assert picture.convert("RGB").getpixel((100, 100)) == (0x12, 0x34, 0x56)


def test_text_made_by_a_script_later(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "<p id=it>soon</p><script>setTimeout(() => it.textContent = 'now', 300)</script>"

    assert client.render(url("/")).text == "soon"
    assert client.render(url("/"), waitAfterLoaded="0.8").text == "now"


def test_frames_are_not_part_of_the_text(client: Client, internet: Internet) -> None:
    internet.pages["/frame"] = "inner"
    internet.pages["/"] = f"outer<iframe src='/frame'></iframe><iframe src='{url('/frame', 'x.good.test')}'>"
    internet.pages["/frameset"] = "<frameset cols='50%,50%'><frame src='/frame'><frame src='/frame'></frameset>"

    assert client.render(url("/"), waitUntil="load").text == "outer"
    assert client.render(url("/frameset"), waitUntil="load").summary == (200, 200, "", "")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirect(client: Client, internet: Internet, status: str) -> None:
    internet.pages["/"] = lambda visitor: visitor.redirect(url("/there", "example.com"), status)
    internet.pages["/there"] = "arrived"

    assert client.render(url("/")).summary == (200, 200, "", "arrived")


def test_endless_redirects(client: Client, internet: Internet) -> None:
    internet.pages["/"] = lambda visitor: visitor.redirect("/")

    assert client.render(url("/")).summary == (200, 418, "other", "Navigation failed: ERR_TOO_MANY_REDIRECTS")


def test_script_that_goes_on_to_another_page(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "<script>location = '/there'</script><p>left"
    internet.pages["/there"] = lambda visitor: visitor.answer("arrived", status="404 Not Found")

    answer = client.render(url("/"), waitUntil="load", waitAfterLoaded="0.5")

    assert answer.text == "arrived"


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_bad_status_comes_with_the_text_of_its_page(client: Client, internet: Internet, status: int) -> None:
    internet.pages["/"] = lambda visitor: visitor.answer("<p>sorry", status=f"{status} Bad")
    internet.pages["/empty"] = lambda visitor: visitor.answer("", status=f"{status} Bad")

    begun = time.monotonic()
    answer = client.render(url("/"), waitAfterLoaded="5")

    assert answer.summary == (200, status, "", "sorry")
    assert time.monotonic() - begun < 4, "nothing is waited for on a bad page"
    assert client.render(url("/empty")).summary == (200, status, "", "")


def test_answers_that_are_no_page(client: Client, internet: Internet) -> None:
    internet.pages["/204"] = lambda visitor: visitor.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    internet.pages["/json"] = lambda visitor: visitor.answer('{"a":  1}', kind="application/json")
    internet.pages["/text"] = lambda visitor: visitor.answer("a\n b", kind="text/plain")
    internet.pages["/svg"] = lambda visitor: visitor.answer(
        "<svg xmlns='http://www.w3.org/2000/svg'/>", kind="image/svg+xml"
    )
    internet.pages["/download"] = lambda visitor: visitor.answer(
        b"\0" * 100, kind="application/octet-stream", more="Content-Disposition: attachment\r\n"
    )

    assert client.render(url("/204")).summary == (200, 204, "", "")
    assert client.render(url("/json")).text == '{"a": 1}'
    assert client.render(url("/text")).text == "a\nb"
    assert client.render(url("/svg")).summary == (200, 200, "", "")
    assert client.render(url("/download")).summary == (200, 418, "download", "The page is a download")


def test_text_that_is_not_utf8(client: Client, internet: Internet) -> None:
    internet.pages["/"] = lambda visitor: visitor.answer(b"a\xff<script>document.write('\\ud800')</script>")

    assert client.render(url("/")).text == "a\ufffd\ufffd"


def test_page_cannot_pretend_to_have_another_text(client: Client, internet: Internet) -> None:
    internet.pages["/"] = (
        "<p>real</p><form name=body>fake</form><img name=querySelector>"
        "<script>Object.defineProperty(HTMLElement.prototype, 'innerText', {get: () => 'fake'})</script>"
    )

    assert client.render(url("/")).text == "real\n\nfake"


# --- no page ---


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("cause", ["dns", "refused", "forbidden"])
def test_network_failures(client: Client, internet: Internet, scheme: str, cause: str) -> None:
    host, port = {
        "dns": ("gone.example.com", 80),
        "refused": ("public.example.com", free_port()),
        "forbidden": ("loopback.example.com", 80),
    }[cause]
    status, message = NETWORK_STATUSES[cause]
    internet.pages["/"] = lambda visitor: visitor.redirect(f"{scheme}://{host}:{port if port != 80 else ''}/")

    assert client.render(f"{scheme}://{host}:{port if port != 80 else ''}/").summary == (200, status, cause, message)
    assert client.render(url("/")).summary == (200, status, cause, message), "behind a redirect"


def test_origin_cannot_forge_a_failure(client: Client, internet: Internet) -> None:
    internet.pages["/"] = lambda visitor: visitor.answer(
        "real", status="502 Bad Gateway", more="x-genvm-0123456789abcdef: forbidden\r\n"
    )

    assert client.render(url("/")).summary == (200, 502, "", "real")


def test_certificate_nobody_knows(client: Client, internet: Internet) -> None:
    answer = client.render("https://public.example.com/")

    assert answer.summary == (200, 495, "certificate", "SSL certificate error")


def test_origin_that_says_nothing_or_junk(client: Client, internet: Internet) -> None:
    async def nothing(visitor: Visitor) -> None: ...

    internet.pages["/nothing"] = nothing
    internet.pages["/junk"] = lambda visitor: visitor.send(b"\x00\x01junk\r\n\r\n")

    for path in ("/nothing", "/junk"):
        assert client.render(url(path)).summary == (200, 418, "other", "Navigation failed: ERR_EMPTY_RESPONSE")


async def _never(visitor: Visitor) -> None:
    await asyncio.sleep(20)


async def _endless(visitor: Visitor) -> None:
    await visitor.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>begin")
    while True:
        await visitor.send(b"<p>more")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(_never, id="no-answer"),
        pytest.param(_endless, id="endless-body"),
        pytest.param("<script>while (true);</script>", id="endless-script"),
        pytest.param("<script>while (true) alert(1);</script>", id="endless-dialogs"),
    ],
)
def test_page_that_never_ends(client: Client, internet: Internet, page: str) -> None:
    internet.pages["/"] = page

    begun = time.monotonic()
    answer = client.render(url("/"), loadTimeout="700")

    assert answer.summary == (200, 408, "timeout", "Navigation timeout")
    assert time.monotonic() - begun < 5


def test_endless_images_do_not_matter(client: Client, internet: Internet) -> None:
    internet.pages["/never"] = _never
    internet.pages["/"] = "<p>text</p><img src=/never>"

    assert client.render(url("/")).text == "text"
    assert client.render(url("/"), waitUntil="load", loadTimeout="500").page_status == 408


async def _flood(visitor: Visitor) -> None:
    await visitor.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>begin")
    while True:
        await visitor.send(b"<!-- " + b"x" * 65536 + b" -->")


def test_page_that_is_too_large(client: Client, internet: Internet) -> None:
    internet.pages["/flood"] = _flood
    internet.pages["/text"] = "<script>document.write('x'.repeat(1100000))</script>"
    internet.pages["/wide"] = "<script>document.write('\\u4e2d'.repeat(1 << 19))</script>"

    for path in ("/flood", "/text", "/wide"):
        answer = client.render(url(path))
        assert answer.summary == (200, 418, "too-large", "The page is too large"), path
    assert client.render(url("/text"), "screenshot").page_status == 200


def test_page_that_loads_too_much(client: Client, internet: Internet) -> None:
    async def big(visitor: Visitor) -> None:
        await visitor.answer(b"x" * (1 << 20), kind="text/plain")

    internet.pages["/big"] = big
    internet.pages["/"] = "<p>text<script>for (let i = 0; i < 50; i++) fetch('/big?' + i)</script>"

    before = client.metric("page_bytes_total")
    assert client.render(url("/"), waitAfterLoaded="8").cause == "too-large"
    assert client.metric("page_bytes_total") - before < 8 << 20


# --- pages that do more than show something ---


def test_dialogs_are_dismissed(client: Client, internet: Internet) -> None:
    internet.pages["/"] = (
        "<script>alert(1); document.write(confirm(2), prompt(3)); print();"
        "onbeforeunload = event => event.preventDefault()</script>"
    )

    assert client.render(url("/")).text == "falsenull"


def test_popups_are_closed(client: Client, internet: Internet) -> None:
    internet.pages["/popup"] = "popup"
    internet.pages["/"] = "<p>text<script>for (let i = 0; i < 20; i++) open('/popup?' + i)</script>"

    assert client.render(url("/"), waitAfterLoaded="0.3").text == "text"


def test_workers(client: Client, internet: Internet) -> None:
    internet.pages["/worker"] = lambda visitor: visitor.answer("postMessage('worked')", kind="text/javascript")
    internet.pages["/service-worker"] = lambda visitor: visitor.answer("", kind="text/javascript")
    internet.pages["/"] = (
        "<p id=it>nothing<script>new Worker('/worker').onmessage = event => it.textContent = event.data;"
        "navigator.serviceWorker?.register('/service-worker')</script>"
    )

    assert client.render(url("/"), waitAfterLoaded="0.6").text == "worked"
    assert internet.asked("/service-worker") == 0


def test_download_begun_by_a_script(client: Client, internet: Internet) -> None:
    internet.pages["/flood"] = lambda visitor: visitor.answer(
        b"\0" * 100, kind="application/octet-stream", more="Content-Disposition: attachment\r\n"
    )
    internet.pages["/"] = "<p>text<script>location = '/flood'</script>"

    assert client.render(url("/"), loadTimeout="500").page_status == 408, "Chromium reads no further then"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_page_that_goes_where_it_may_not(client: Client, internet: Internet, scheme: str) -> None:
    internet.pages["/"] = f"before<script>setTimeout(() => location = '{scheme}://loopback.example.com/', 50)</script>"

    assert client.render(url("/")).text == "before"
    assert client.render(url("/"), waitAfterLoaded="0.8").summary == (200, 418, "forbidden", "Address forbidden")


def test_nothing_is_kept_from_one_page_to_the_next(client: Client, internet: Internet) -> None:
    internet.pages["/"] = (
        "<script>document.write(document.cookie || 'none', localStorage.length);"
        "document.cookie = 'a=b'; localStorage.a = 'b'</script>"
    )

    assert [client.render(url("/")).text for _ in range(2)] == ["none0", "none0"]


def test_time_zone_and_language_are_nobodys(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "<script>document.write(new Date(0).getHours(), navigator.language)</script>"

    assert client.render(url("/")).text == "0en-US"
