"""Where pages are rendered: by a service that the configuration names, or by one of our own, started when needed.

Our own one is a child process that listens at a loopback port under a path that nobody else knows. It is started for
the first page, and again for the first one after it has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pygenvm.executor import interpreter
from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, parse_url
from pygenvm.modules.log import Logger

LOG_TARGET = "genvm_modules::web"

#: What scripts see as ``webdriver_host`` while the real address is not known yet; no name ends like this (RFC 6761).
OWN_HOST: Final = "http://webdriver.invalid"


class Rendering:
    """The rendering service of one web module.

    :param host: URL of one that is run by others, or empty.
    :param options: configuration of our own one, in the terms of ``modules/webdriver/default.yaml``.
    :param command: the program of our own one, without its arguments.
    """

    def __init__(
        self,
        host: str,
        options: Mapping[str, Any],
        http: HttpClient,
        log: Logger,
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        self._configured = host
        self._options = dict(options)
        self._http = http
        self._log = log
        self._command = command or interpreter.command("pygenvm.modules.cli", "webdriver")
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""
        self._failed_until = 0.0
        self._failure = ""
        self._starting = asyncio.Lock()

    @property
    def host(self) -> str:
        """What stands for it in the configuration that scripts see."""
        return self._configured or OWN_HOST

    def is_meant_by(self, url: str) -> bool:
        return url == self.host or url.startswith((f"{self.host}/", f"{self.host}?"))

    async def real_url(self, url: str) -> str:
        """``url`` with the address at which the service is now; starts our own one.

        :raises ModuleError: ``SENDING_REQUEST``: it does not start.
        """
        return url if self._configured else await self._running() + url.removeprefix(OWN_HOST)

    async def has_ended(self) -> bool:
        """Whether our own one is gone, just now or before."""
        process = self._process
        if process is None:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), limits.WEBDRIVER_NOTICE_SECONDS)
        return process.returncode is not None

    async def check(self) -> None:
        """Whether the configured one answers at all.

        :raises ModuleError: it does not.
        """
        if self._configured:
            url = f"{self._configured}/health"
            await self._http.request("GET", url, headers={}, seconds=limits.CHECK_SECONDS, body_max=1 << 20)

    async def stop(self) -> None:
        async with self._starting:
            await self._end()

    async def _running(self) -> str:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._url
            loop = asyncio.get_running_loop()
            if loop.time() < self._failed_until:
                raise _failed(self._failure)
            if self._process is not None:
                self._log.warn("rendering service has ended", status=self._process.returncode)
            await self._end()
            try:
                await self._start()
            except _NotStarted as error:
                self._failed_until = loop.time() + limits.WEBDRIVER_RETRY_SECONDS
                self._failure = str(error)
                self._log.error("rendering service does not start", error=self._failure)
                raise _failed(self._failure) from None
            finally:
                if not self._url:
                    await self._end()
            return self._url

    async def _start(self) -> None:
        token = secrets.token_urlsafe(24)
        self._log.secrets.add(token)
        document = self._options | {"bind_address": "127.0.0.1:0", "path_token": token}
        ready, theirs = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--config", "-", "--ready-fd", str(theirs), "--die-with-parent"),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(theirs,),
                # A signal for the terminal's foreground is ours to pass on.
                start_new_session=True,
            )
        except OSError as error:
            os.close(ready)
            raise _NotStarted(str(error)) from error
        finally:
            os.close(theirs)
        try:
            async with asyncio.timeout(limits.WEBDRIVER_START_SECONDS):
                word, _ = await asyncio.gather(_line_of(ready), _tell(self._process, json.dumps(document).encode()))
                self._url = f"{_address(word)}/{token}"
        except TimeoutError:
            raise _NotStarted(f"it was not ready within {limits.WEBDRIVER_START_SECONDS:g} s") from None
        except ValueError as error:
            raise _NotStarted(str(error)) from None
        self._log.info("rendering service started", pid=self._process.pid)

    async def _end(self) -> None:
        process, self._process, self._url = self._process, None, ""
        if process is not None:
            for end, seconds in ((process.terminate, limits.WEBDRIVER_STOP_SECONDS), (process.kill, 1.0)):
                with contextlib.suppress(ProcessLookupError):
                    end()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), seconds)
                    break


class _NotStarted(Exception):
    """The text says why."""


def _failed(why: str) -> ModuleError:
    return ModuleError("SENDING_REQUEST", ctx={"rust_error": f"the rendering service does not start: {why}"})


async def _line_of(descriptor: int) -> bytes:
    """The first line that comes from a pipe; less if it is closed at the other end."""
    reader = asyncio.StreamReader(limit=1 << 16)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return await reader.readline()
    finally:
        transport.close()


async def _tell(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()


def _address(word: bytes) -> str:
    """The address in ``{"listening": address}``, without a path.

    :raises ValueError: there is ``{"error": text}``, which the exception says too, or anything else.
    """
    told = json.loads(word or b'{"error": "it has ended without a word"}')
    if "listening" not in told:
        raise ValueError(str(told.get("error")))
    url = parse_url(told["listening"])
    return f"{url.scheme}://{url.authority}"
