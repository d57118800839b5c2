"""Nothing of a page reaches a forbidden address: the table of the web module, and all that only browsers do.

The browser here has no network namespace of its own, so that proxy and flags alone are tried; with one it reaches
nobody whatever it does, which is tried once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.async_api import async_playwright

from pygenvm.modules.webdriver.browser import BrowserFailure, Chromium
from pygenvm.modules.webdriver.locate import find_browser
from pygenvm.modules.webdriver.service import RenderingService
from tests.modules.web.lab import CERTIFICATE
from tests.modules.web.ssrf import CASES, Case
from tests.modules.webdriver.support import Client, Internet, Loop, require_browser, service, url

pytestmark = pytest.mark.slow

#: Spellings of forbidden places for sub-resources; a page is full of requests to each of them.
TARGETS = (
    "http://127.0.0.1",
    "http://localhost",
    "http://[::1]",
    "http://2130706433",
    "http://[::ffff:127.0.0.1]",
    "http://127.0.0.9",
    "http://169.254.169.254",
    "http://10.0.0.5",
    "http://loopback.example.com",
    "http://private.example.com",
    "https://127.0.0.1",
    "https://loopback.example.com",
    "http://public.example.com/go?to=http://127.0.0.1",
)


def _key_hash() -> str:
    """By which a browser is told to trust the lab's certificate."""
    certificate = load_pem_x509_certificate(CERTIFICATE.cert_chain_pems[0].bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def flags_only(loop: Loop, whole_internet: Internet) -> Iterator[RenderingService]:
    """Without a namespace; the lab's certificate is trusted, for otherwise nothing comes over TLS."""
    require_browser()
    arguments = Chromium._arguments
    with pytest.MonkeyPatch.context() as patch:
        trust = f"--ignore-certificate-errors-spki-list={_key_hash()}"
        patch.setattr(Chromium, "_arguments", lambda self, ip: [*arguments(self, ip), trust])
        made = service(loop, whole_internet, namespace="off")
    yield made
    loop.run(made.stop(0))


@pytest.fixture
def guarded(flags_only: RenderingService) -> Client:
    return Client(flags_only.address)


def test_table(guarded: Client, internet: Internet) -> None:
    def render(case: Case) -> str:
        answer = guarded.render(case.url)
        if answer.status == 400:
            return ""
        good = 200 <= answer.page_status < 300
        return f"{case.name}: {answer.summary}" if answer.status != 200 or good or "secret" in answer.text else ""

    cases = [case for case in CASES if case.renders]
    with ThreadPoolExecutor(4) as pool:
        wrong = list(filter(None, pool.map(render, cases)))

    assert not wrong
    assert len(cases) >= 60
    assert not internet.reached


def test_what_is_good_is_rendered(guarded: Client, internet: Internet) -> None:
    for address in ("http://public.example.com/", "https://public.example.com/", "http://mixed.example.com/"):
        assert guarded.render(address).summary == (200, 200, "", "public")
    assert guarded.render("http://user:password@public.example.com:80/a?b#c").text == "public"


def test_page_with_200_parts_of_which_some_are_forbidden(guarded: Client, internet: Internet) -> None:
    pixel = "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>"
    internet.pages["/pixel"] = lambda visitor: visitor.answer(pixel, kind="image/svg+xml")
    images = [
        f"{TARGETS[number // 5 % len(TARGETS)]}/pixel?{number}" if number % 5 == 0 else f"/pixel?{number}"
        for number in range(200)
    ]
    internet.pages["/"] = (
        "<p>text</p>"
        + "".join(f"<img src='{image}'>" for image in images)
        + "<script>onload = () => document.write([...document.images].filter(i => i.naturalWidth).length)</script>"
    )

    answer = guarded.render(url("/"), waitUntil="load", loadTimeout=20_000, waitAfterLoaded="0.2")

    assert answer.summary == (200, 200, "", "160")


ELEMENTS = """
<img src="%s/1"><iframe src="%s/2"></iframe><script src="%s/3"></script><link rel=stylesheet href="%s/4">
<object data="%s/5"></object><embed src="%s/6"><video src="%s/7" autoplay></video><audio src="%s/8" autoplay></audio>
<link rel=preload as=fetch href="%s/9"><link rel=prefetch href="%s/10"><link rel=preconnect href="%s">
<link rel=dns-prefetch href="%s"><link rel=icon href="%s/11"><link rel=manifest href="%s/12">
<svg><image href="%s/13"/><use href="%s/14#a"/></svg>
<style>@import "%s/15"; @font-face { font-family: f; src: url(%s/16) }
p { font-family: f; background: url(%s/17) }</style><a ping="%s/18" href="#" class=ping></a>
<form action="%s/19" method=post target=inner class=form></form><iframe name=inner></iframe>
<iframe srcdoc="<img src='%s/20'>"></iframe><iframe src="data:text/html,<img src='%s/21'>"></iframe>
<base target=_self><portal src="%s/22"></portal><input type=image src="%s/23"><track src="%s/24">
"""
SCRIPT = """
for (const link of document.querySelectorAll('.ping')) link.click();
for (const form of document.querySelectorAll('.form')) form.submit();
for (const target of TARGETS) {
  const quietly = action => { try { const made = action(); made?.catch?.(() => 0) } catch (error) {} };
  const socket = target.replace('http', 'ws');
  quietly(() => fetch(target + '/f', {mode: 'no-cors'}));
  quietly(() => fetch(target + '/k', {mode: 'no-cors', keepalive: true, method: 'POST', body: 'x'}));
  quietly(() => { const request = new XMLHttpRequest(); request.open('GET', target + '/x'); request.send() });
  quietly(() => navigator.sendBeacon(target + '/b', 'x'));
  quietly(() => new EventSource(target + '/e'));
  quietly(() => new WebSocket(socket + '/w'));
  quietly(() => new WebTransport(target.replace('http:', 'https:') + ':' + UDP + '/t').ready);
  quietly(() => new Image().src = target + '/i');
  quietly(() => import(target + '/m'));
  quietly(() => new Worker(URL.createObjectURL(new Blob([
    `importScripts('${target}/o'); fetch('${target}/p')`], {type: 'text/javascript'}))));
  quietly(() => open(target + '/q'));
  quietly(() => fetchLater(target + '/l'));
  quietly(() => navigator.credentials.get({identity: {providers: [{configURL: target + '/c', clientId: 'x'}]}}));
}
quietly = action => { try { action() } catch (error) {} };
quietly(() => navigator.serviceWorker.register('/service-worker'));
"""


def test_whatever_a_page_loads(guarded: Client, internet: Internet) -> None:
    elements = "".join(ELEMENTS.replace("%s", target) for target in TARGETS)
    rules = (
        '{"prefetch": [{"urls": ["http://127.0.0.1/s"]}], "prerender": [{"urls": ["http://loopback.example.com/s"]}]}'
    )
    script = SCRIPT.replace("TARGETS", repr(list(TARGETS))).replace("UDP", str(internet.udp_port))
    internet.pages["/"] = (
        f"<!doctype html><p>text</p>{elements}<script type=speculationrules>{rules}</script>"
        f"<script>{script}</script><script>document.title = 'ran'; done.textContent = 'ran'</script>"
    ).replace("<p>text</p>", "<p>text</p><p id=done></p>")
    before = guarded.metric("refused_total")

    answer = guarded.render(url("/"), waitAfterLoaded="2")

    assert (answer.page_status, answer.cause) == (200, "")
    assert answer.text.startswith("text\n\nran")
    assert guarded.metric("refused_total") - before > 100, "they were tried"
    assert not internet.reached


WEBRTC = """<p>text<p id=out><script>
const UDP = %d, TCP = %d;
const servers = ['127.0.0.1', '127.0.0.9', 'localhost', 'loopback.example.com'].map(
  host => ({urls: `stun:${host}:${UDP}`}));
for (const [kind, port] of [['udp', UDP], ['tcp', TCP]])
  servers.push({urls: `turn:127.0.0.1:${port}?transport=${kind}`, username: 'a', credential: 'b'});
const connection = new RTCPeerConnection({iceServers: servers});
connection.createDataChannel('x');
connection.createOffer().then(async offer => {
  await connection.setLocalDescription(offer);
  const other = new RTCPeerConnection({iceServers: servers});
  await other.setRemoteDescription(offer);
  await other.setLocalDescription(await other.createAnswer());
  await connection.setRemoteDescription(other.localDescription);
  for (const candidate of [
      `1 1 udp 2113937151 127.0.0.1 ${UDP} typ host`, `2 1 udp 2113937150 127.0.0.9 ${UDP} typ host`,
      `3 1 tcp 1518280447 127.0.0.1 ${TCP} typ host tcptype passive`, `4 1 udp 2113937149 some.local ${UDP} typ host`])
    await connection.addIceCandidate({candidate: 'candidate:' + candidate, sdpMid: '0'}).catch(() => 0);
  out.textContent = 'tried';
});
</script>"""


def _webrtc(internet: Internet) -> str:
    return WEBRTC % (internet.udp_port, internet.port)


def test_webrtc(guarded: Client, internet: Internet) -> None:
    internet.pages["/"] = _webrtc(internet)

    assert guarded.render(url("/"), waitAfterLoaded="2").text == "text\n\ntried"
    assert not internet.reached


def test_webrtc_of_a_browser_that_nobody_holds(internet: Internet, loop: Loop) -> None:
    """The page of the test before does reach out where it can: what is tried there is no empty threat."""
    require_browser()

    async def visit() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_browser())
            page = await browser.new_page()
            await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body=_webrtc(internet)))
            await page.goto("http://public.example.com/")
            for _ in range(50):
                if internet.reached["udp"]:
                    break
                await asyncio.sleep(0.1)
            await browser.close()

    loop.run(visit())
    reached = internet.reached["udp"]
    internet.reached.clear()
    assert reached > 0


def test_browser_that_would_send_datagrams_is_not_used(internet: Internet, loop: Loop) -> None:
    require_browser()
    arguments = Chromium._arguments
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Chromium, "_arguments", lambda self, ip: [word for word in arguments(self, ip) if "webrtc" not in word]
        )
        with pytest.raises(BrowserFailure, match="sends datagrams past its proxy"):
            service(loop, internet, namespace="off")


def test_names_that_change(guarded: Client, internet: Internet) -> None:
    """Good when the page is loaded, bad for what it loads."""
    internet.pages["/"] = (
        "<p>text<script>for (let i = 0; i < 5; i++)"
        "fetch('/secret?' + i).then(answer => answer.text()).then(text => document.write(text))</script>"
    )

    answer = guarded.render("http://rebinding.example.com/", waitAfterLoaded="0.5")

    assert "secret" not in answer.text
    assert internet.looked_up["rebinding.example.com"] > 1
    assert not internet.reached


@pytest.mark.parametrize("target", ["file:///etc/passwd", "chrome://version", "view-source:http://127.0.0.1/"])
def test_places_that_pages_cannot_go_to(guarded: Client, internet: Internet, target: str) -> None:
    internet.pages["/"] = f"<p>text<iframe src='{target}'></iframe><script>open('{target}')</script>"
    internet.pages["/later"] = f"<p>text<script>setTimeout(() => location = '{target}', 20)</script>"
    internet.pages["/redirect"] = lambda visitor: visitor.redirect(target)

    assert guarded.render(url("/")).text == "text"
    assert guarded.render(url("/later"), waitAfterLoaded="0.3").text == "text"
    assert guarded.render(url("/redirect")).page_status == 418


def test_browser_wants_nothing_by_itself_and_would_get_nothing(guarded: Client, flags_only: RenderingService) -> None:
    chromium = flags_only._chromium
    assert chromium is not None
    for instance in chromium._instances:
        assert instance.own_proxy.refused == 0


def test_service_cannot_be_reached_by_a_page(internet: Internet, loop: Loop) -> None:
    """Not even where its address is allowed."""
    require_browser()
    made = service(loop, internet, always_allow_hosts=("127.0.0.1",), concurrency=2)
    try:
        client = Client(made.address)
        loop.run(_allow(made, internet))
        internet.pages["/"] = (
            f"<p>text<script>fetch('{made.address}/render?mode=text&url={url('/ask')}', {{mode: 'no-cors'}})</script>"
            f"<img src='{made.address}/render?mode=screenshot&url={url('/ask')}'>"
            f"<iframe src='{made.address}/render?mode=text&url={url('/ask')}'></iframe>"
        )
        assert client.render(url("/"), waitAfterLoaded="0.7").text.startswith("text")
        assert client.metric("rejected_total") >= 3
        assert internet.asked("/ask") == 0
    finally:
        loop.run(made.stop(0))


async def _allow(made: RenderingService, internet: Internet) -> None:
    made._door = internet.egress(always_allow_hosts=["127.0.0.1"])


def test_namespace_holds_a_browser_without_proxy_and_flags(internet: Internet, loop: Loop) -> None:
    """Where there is one, the flags are not even needed."""
    require_browser()
    arguments = Chromium._arguments
    with pytest.MonkeyPatch.context() as patch:
        kept = ("--disable-gpu", "--js-flags", "--lang")
        patch.setattr(
            Chromium, "_arguments", lambda self, ip: [word for word in arguments(self, ip) if word.startswith(kept)]
        )
        made = service(loop, internet, namespace="auto")
    try:
        chromium = made._chromium
        assert chromium is not None
        if not chromium._namespace:
            pytest.skip("this system gives us no network namespace")
        internet.pages["/"] = _webrtc(internet)
        assert Client(made.address).render(url("/"), waitAfterLoaded="1.5").text == "text\n\ntried"
        assert not internet.reached
    finally:
        loop.run(made.stop(0))
