"""Where an HTTP service of ours listens, and under which names it may be called; above aiohttp, for all of them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web


class ListenError(Exception):
    """It cannot listen; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None

    @property
    def private(self) -> bool:
        """Only this machine reaches it."""
        return self.path is not None or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def listen(
    runner: web.AppRunner, address: Address, what: str, tls: ssl.SSLContext | None = None, *, backlog: int = 128
) -> Address:
    """The address at which it listens; a port 0 has been replaced. ``what`` is a word for the service.

    :param backlog: connections that may wait until they are accepted.
    :raises ListenError: it cannot.
    """
    try:
        if address.path is not None:
            _remove_dead(address.path)
            # Nobody else before the mode is set.
            before = os.umask(0o177)
            try:
                await web.UnixSite(runner, str(address.path), ssl_context=tls).start()
            finally:
                os.umask(before)
            return address
        site = web.TCPSite(runner, address.host, address.port, ssl_context=tls, backlog=backlog, reuse_address=True)
        await site.start()
    except OSError as error:
        # asyncio has texts of its own.
        why = str(error) if error.errno is None else os.strerror(error.errno)
        remedy = f"is another {what} running? " if error.errno == errno.EADDRINUSE else ""
        remedy += "`--socket` chooses another path" if address.path is not None else "`--port` chooses another port"
        raise ListenError(f"cannot listen at {address}: {why}; {remedy}") from error
    return Address(address.host, runner.addresses[0][1])


def _remove_dead(path: Path) -> None:
    """A socket that nobody listens at any more is in the way.

    :raises ListenError: something else is there, or somebody listens.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} is there and is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        # One that is too busy to accept is alive.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass
    raise ListenError(f"another process listens at {path}")


def names_loopback(host: str) -> bool:
    """Whether a ``Host`` header is a loopback address. Any other name may be one that was pointed here (rebinding)."""
    if host in ("", "localhost"):
        # No Host at all: HTTP/1.0, which no browser speaks.
        return True
    before, colon, port = host.rpartition(":")
    name = before if colon and port.isdigit() and not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def authority(origin: str) -> str | None:
    """Host and port of an ``Origin`` header; None if it is malformed."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
