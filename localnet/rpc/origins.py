"""Who may ask: names of this server against DNS rebinding, and web pages of other origins.

A page that somebody happens to visit can send requests to this machine. What it may not do is to be answered: so
requests of browsers are carried out for pages of this server, of other ports of this machine (a page that is being
developed), for extensions of the browser such as wallets, which the user has installed, and of origins that were named
with ``--cors``. Anything else speaks to us without an ``Origin``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pygenvm.modules.listening import names_loopback

ANY: Final = "*"
_EXTENSIONS: Final = ("chrome-extension", "moz-extension", "safari-web-extension")


@dataclass(frozen=True, slots=True)
class Origins:
    """What is let in."""

    cors: Collection[str] = ()
    """Origins such as ``https://studio.example``; ``*`` for all of them, ``null`` for files."""
    loopback: bool = True
    """Only this machine reaches the socket."""
    hosts: Collection[str] = ()
    """Further names of this server, where others reach it."""

    def refuses_host(self, host: str) -> str | None:
        """Why a ``Host`` header is refused: a name that somebody has pointed here is not one of ours."""
        if names_loopback(host) or _name(host) in self.hosts:
            return None
        if self.loopback:
            return f"this server is not called {host[:80]!r}; use a loopback address"
        if _is_address(_name(host)):
            return None
        return f"this server is not known as {host[:80]!r}; use its IP address, or start it with --allow-host NAME"

    def allows(self, origin: str, host: str) -> bool:
        """Whether pages of an ``Origin`` may ask the server that they call ``host``."""
        if ANY in self.cors or origin in self.cors:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme in _EXTENSIONS:
            return True
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        # `host` was looked at before: a page of the same origin is our own.
        return parts.netloc == host or names_loopback(parts.netloc)


def is_origin(text: str) -> bool:
    """Whether it is what browsers send, or stands for that."""
    if text in (ANY, "null"):
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) and f"{parts.scheme}://{parts.netloc}" == text


def _name(host: str) -> str:
    """Without the port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
