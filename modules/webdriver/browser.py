"""Keeps a Chromium ready for the next page, whatever pages do to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
import stat
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pygenvm.modules import limits
from pygenvm.modules.log import Logger
from pygenvm.modules.webdriver import processes
from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser
from pygenvm.modules.webdriver.proxy import PROXY_IP, ClosedDoor, Door, RenderProxy, loopback_listener
from pygenvm.modules.webdriver.settings import Settings

try:
    from playwright.async_api import Browser, BrowserContext, Playwright, async_playwright
    from playwright.async_api import Error as PlaywrightError
except ImportError as error:
    raise BrowserMissing(
        f"pages are rendered with Playwright; this installs it: {sys.executable} -m pip install 'pygenvm[webdriver]'"
    ) from error

LOG_TARGET = "genvm_modules::webdriver"

#: Of what a page is shown in, and of screenshots.
WIDTH: Final = 960
HEIGHT: Final = 540
_LAUNCHER: Final = Path(__file__).parent / "launcher.py"
#: First of the ports in the browser's network namespace, where all are free.
_FIRST_PORT: Final = 20000
#: Asks a server on a loopback address for the page's own address, by UDP.
_DATAGRAM_PAGE: Final = """<script>
const connection = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:%d"}]});
connection.createDataChannel("x");
connection.createOffer().then(offer => connection.setLocalDescription(offer));
</script>"""
_DATAGRAM_SECONDS: Final = 1.0
#: What of our environment the browser gets: no keys.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "XDG_DATA_DIRS")


class BrowserDied(Exception):
    """The browser ended while it was at work; another one takes over."""


class BrowserFailure(Exception):
    """There is no working browser."""


@dataclass
class _Instance:
    """One Chromium."""

    browser: Browser
    pid: int
    own_proxy: RenderProxy
    """For what it wants without a page: refuses everything."""
    listeners: deque[socket.socket] | None
    """Those in its network namespace, one for each page; None: it has none of its own."""
    died: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    active: int = 0
    retired: bool = False


@dataclass
class Place:
    """What one render has to itself."""

    context: BrowserContext
    proxy: RenderProxy
    died: asyncio.Event
    """Set when the browser has ended."""


class Chromium:
    """The browser. Pages beyond ``renders_per_browser``, and those after it died, get a new one."""

    def __init__(self, settings: Settings, folder: Path, log: Logger) -> None:
        self.restarts = 0
        self.memory = 0
        self._settings = settings
        self._folder = folder
        self._log = log
        self._playwright: Playwright | None = None
        self._instances: list[_Instance] = []
        self._sandbox = settings.sandbox != "off" and os.geteuid() != 0
        self._namespace = False
        self._launches = 0
        self._lock = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """:raises BrowserMissing: there is no Chromium.
        :raises BrowserFailure: it does not start.
        """
        self._program = find_browser(self._settings.executable)
        self._namespace = await self._has_namespaces()
        async with self._lock:
            self._instances.append(await self._launch())
        if not self._namespace:
            await self._check_datagrams()
        self._watch = asyncio.create_task(self._watch_memory())
        self._log.info(
            "browser started",
            program=str(self._program),
            version=self._instances[0].browser.version,
            sandbox=self._sandbox,
            namespace=self._namespace,
        )

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        async with self._lock:
            instances, self._instances = self._instances, []
            for instance in instances:
                await self._end(instance)
            if self._endings:
                await asyncio.wait(self._endings)
            await self._stop_driver()

    @contextlib.asynccontextmanager
    async def place(self, door: Door, *, only_page: bytes | None = None) -> AsyncIterator[Place]:
        """A fresh context behind a proxy of its own.

        :raises BrowserDied: the browser ended meanwhile.
        :raises BrowserFailure: no browser starts, or it makes no context.
        """
        async with self._lock:
            instance = await self._current()
            instance.begun += 1
            instance.active += 1
        try:
            proxy = RenderProxy(
                door,
                bytes_max=self._settings.page_bytes_max,
                connections_max=limits.RENDER_CONNECTIONS,
                only_page=only_page,
            )
            try:
                url = await proxy.start(instance.listeners.popleft() if instance.listeners else None)
                async with self._context(instance, url) as context:
                    yield Place(context, proxy, instance.died)
            finally:
                await proxy.close()
        finally:
            instance.active -= 1
            self._end_if_done(instance)

    @contextlib.asynccontextmanager
    async def _context(self, instance: _Instance, proxy_url: str) -> AsyncIterator[BrowserContext]:
        try:
            async with asyncio.timeout(limits.RENDER_CONTEXT_SECONDS):
                context = await instance.browser.new_context(
                    viewport={"width": WIDTH, "height": HEIGHT},
                    device_scale_factor=1,
                    accept_downloads=False,
                    service_workers="block",
                    proxy={"server": proxy_url},
                    user_agent=self._settings.user_agent or None,
                )
        except (PlaywrightError, TimeoutError) as error:
            if instance.died.is_set() or not instance.browser.is_connected():
                raise BrowserDied from error
            self._retire(instance)
            raise BrowserFailure(f"the browser makes no context: {first_line(error)}") from error
        try:
            yield context
        finally:
            try:
                async with asyncio.timeout(limits.RENDER_CONTEXT_SECONDS):
                    await context.close()
            except (PlaywrightError, TimeoutError):
                if not instance.died.is_set():
                    self._log.warn("a context does not close; the browser is replaced")
                    self._retire(instance)

    # --- instances ---

    async def _current(self) -> _Instance:
        """The newest instance if it can take one more page, else a new one."""
        instance = self._instances[-1] if self._instances else None
        if instance is not None:
            if not (instance.retired or instance.died.is_set() or not instance.browser.is_connected()):
                if instance.begun < self._settings.renders_per_browser:
                    return instance
                self._log.debug("browser replaced", renders=instance.begun)
            self._retire(instance)
        self.restarts += 1
        new = await self._launch()
        self._instances.append(new)
        return new

    def _retire(self, instance: _Instance) -> None:
        """It gets no further pages, and ends with its last one."""
        instance.retired = True
        self._end_if_done(instance)

    def _end_if_done(self, instance: _Instance) -> None:
        if instance.retired and not instance.active and instance in self._instances:
            self._instances.remove(instance)
            ending = asyncio.create_task(self._end(instance))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _end(self, instance: _Instance) -> None:
        pids = processes.tree(instance.pid)
        with contextlib.suppress(PlaywrightError, TimeoutError):
            async with asyncio.timeout(limits.BROWSER_CLOSE_SECONDS):
                await instance.browser.close()
        # A process that was told to go and has not.
        processes.kill([pid for pid in pids if processes.is_alive(pid)])
        await instance.own_proxy.close()
        for listener in instance.listeners or ():
            listener.close()

    async def _launch(self) -> _Instance:
        """A new Chromium, with a new driver if the driver is what is broken."""
        for tries_left in (1, 0):
            try:
                async with asyncio.timeout(limits.BROWSER_START_SECONDS):
                    if self._playwright is None:
                        self._playwright = await self._start_driver()
                    return await self._launch_with(self._playwright)
            except (PlaywrightError, OSError, TimeoutError) as error:
                if not tries_left:
                    text = first_line(error) or "it took too long"
                    raise BrowserFailure(f"{self._program} does not start: {text}") from error
                self._log.warn("the browser does not start; once more", error=error)
                if self._sandbox and self._settings.sandbox == "auto":
                    self._log.warn("from now on without the browser's own sandbox; `sandbox: on` forbids that")
                    self._sandbox = False
                await self._stop_driver()
        raise AssertionError

    async def _launch_with(self, playwright: Playwright) -> _Instance:
        self._launches += 1
        pid_file = self._folder / f"pid-{self._launches}"
        choices: dict[str, Any] = {"data_bytes": self._settings.process_bytes_max, "pid_file": str(pid_file)}
        own_listener: socket.socket | None = None
        receiving: asyncio.Task[deque[socket.socket]] | None = None
        with contextlib.ExitStack() as stack:
            if self._namespace:
                # One port is the launch-level proxy's, which refuses everything.
                count = self._settings.renders_per_browser + 1
                handover = stack.enter_context(socket.socket(socket.AF_UNIX))
                path = self._folder / f"l{self._launches}"
                handover.bind(str(path))
                stack.callback(path.unlink)
                handover.listen(1)
                handover.setblocking(False)
                choices["listeners"] = {"socket": str(path), "ip": PROXY_IP, "ports": [_FIRST_PORT, count]}
                receiving = asyncio.create_task(_receive_listeners(handover, count))
                stack.callback(receiving.cancel)
                own_ip, own_port = PROXY_IP, _FIRST_PORT
            else:
                own_listener = loopback_listener()
                own_ip, own_port = own_listener.getsockname()
            script = self._launch_script(choices)
            stack.callback(script.unlink)
            browser = await playwright.chromium.launch(
                executable_path=script,
                args=self._arguments(own_ip),
                chromium_sandbox=self._sandbox,
                env=self._environment(),
                proxy={"server": f"http://{own_ip}:{own_port}"},
                handle_sighup=False,
                handle_sigint=False,
                handle_sigterm=False,
                timeout=limits.BROWSER_START_SECONDS * 1000,
            )
            listeners = await receiving if receiving else None
        own_proxy = RenderProxy(ClosedDoor(), bytes_max=1 << 20, connections_max=sys.maxsize)
        await own_proxy.start(listeners.popleft() if listeners else own_listener)
        pid = int(pid_file.read_text())
        pid_file.unlink()
        instance = _Instance(browser, pid, own_proxy, listeners)
        browser.on("disconnected", lambda _: self._disconnected(instance))
        return instance

    def _disconnected(self, instance: _Instance) -> None:
        instance.died.set()
        if instance in self._instances and not instance.retired:
            self._log.warn("the browser has ended", pid=instance.pid)
            self._retire(instance)

    def _arguments(self, proxy_ip: str) -> list[str]:
        """What keeps the browser from the network by itself; each was measured to be needed, or costs nothing."""
        return [
            # Names are the proxy's business: `.local` would be asked for by multicast, all others by DNS.
            f"--host-resolver-rules=MAP *.local 0.0.0.0 , MAP * ~NOTFOUND , EXCLUDE {proxy_ip}",
            # WebRTC sends UDP beside any proxy. The name of the switch depends on the version; see `_check_datagrams`.
            "--webrtc-ip-handling-policy=disable_non_proxied_udp",
            "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
            "--disable-quic",
            "--dns-prefetch-disable",
            "--disable-domain-reliability",
            "--no-pings",
            "--disable-client-side-phishing-detection",
            "--disable-gpu",
            "--lang=en-US",
            f"--js-flags=--max-old-space-size={self._settings.heap_megabytes_max}",
        ]

    def _environment(self) -> dict[str, str | float | bool]:
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # Validators should see the same page: time zone and language are nobody's own.
        return {**kept, "HOME": str(self._folder), "TMPDIR": str(self._folder), "TZ": "UTC", "LANG": "C.UTF-8"}

    def _launch_script(self, choices: dict[str, Any]) -> Path:
        path = self._folder / f"launch-{self._launches}"
        words = [sys.executable, "-IS", str(_LAUNCHER), json.dumps(choices), str(self._program)]
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        path.chmod(stat.S_IRWXU)
        return path

    async def _has_namespaces(self) -> bool:
        if self._settings.namespace == "off" or sys.platform != "linux":
            return False
        trial = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(_LAUNCHER)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        text = (await trial.communicate())[1].decode(errors="replace").strip().rpartition("\n")[2]
        if trial.returncode == 0:
            return True
        if self._settings.namespace == "on":
            raise BrowserFailure(f"the browser gets no network namespace of its own: {text}")
        self._log.info("no network namespace for the browser; the proxy and its flags are what holds it", error=text)
        return False

    async def _check_datagrams(self) -> None:
        """Whether this version of the browser keeps to the proxy where it would use UDP; a namespace makes it.

        :raises BrowserFailure: it does not.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("127.0.0.1", 0))
            ear.setblocking(False)
            page = _DATAGRAM_PAGE % ear.getsockname()[1]
            async with self.place(ClosedDoor(), only_page=page.encode()) as place:
                try:
                    tab = await place.context.new_page()
                    await tab.goto("http://check.invalid/", timeout=limits.RENDER_CONTEXT_SECONDS * 1000)
                    async with asyncio.timeout(_DATAGRAM_SECONDS):
                        await asyncio.get_running_loop().sock_recv(ear, 1)
                except TimeoutError:
                    return
                except PlaywrightError as error:
                    raise BrowserFailure(f"the browser shows no page: {first_line(error)}") from error
        raise BrowserFailure(
            f"{self._program} sends datagrams past its proxy, so pages could reach private networks; "
            "use another version, or run the service where it may make network namespaces"
        )

    # --- the driver ---

    async def _start_driver(self) -> Playwright:
        # The driver has our environment, and puts profiles where it says.
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(self._folder)
        try:
            return await async_playwright().start()
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before

    async def _stop_driver(self) -> None:
        playwright, self._playwright = self._playwright, None
        for instance in self._instances:
            # They end with the driver.
            instance.died.set()
        if playwright is not None:
            with contextlib.suppress(PlaywrightError, TimeoutError, OSError):
                async with asyncio.timeout(limits.BROWSER_CLOSE_SECONDS):
                    await playwright.stop()

    # --- memory ---

    async def _watch_memory(self) -> None:
        """Ends the biggest page when all processes together have more than they may."""
        while True:
            await asyncio.sleep(limits.BROWSER_WATCH_SECONDS)
            if not any(instance.active for instance in self._instances):
                continue
            sizes = {pid: processes.memory(pid) for instance in self._instances for pid in processes.tree(instance.pid)}
            self.memory = sum(sizes.values())
            if self.memory <= self._settings.memory_bytes_max:
                continue
            biggest = max(filter(processes.is_renderer, sizes), key=sizes.__getitem__, default=None)
            self._log.warn(
                "the browser has too much memory; its biggest page ends",
                bytes=self.memory,
                page_bytes=sizes.get(biggest or 0, 0),
            )
            if biggest is not None:
                processes.kill([biggest])
            for instance in self._instances:
                # What a page has left behind goes too.
                self._retire(instance)


async def _receive_listeners(handover: socket.socket, count: int) -> deque[socket.socket]:
    """The sockets that the launcher made."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(handover)
    found: deque[socket.socket] = deque()
    with connection:
        while len(found) < count:
            readable = asyncio.Event()
            loop.add_reader(connection, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(connection)
            data, descriptors, _, _ = socket.recv_fds(connection, 1, 253)
            found += [socket.socket(fileno=descriptor) for descriptor in descriptors]
            if not data:
                raise OSError("the launcher has ended")
            await loop.sock_sendall(connection, b"x")
    for listener in found:
        listener.setblocking(False)
    return found


def first_line(error: BaseException) -> str:
    """What Playwright's texts begin with; the rest is the browser's log."""
    return str(error).strip().partition("\n")[0][:500]
