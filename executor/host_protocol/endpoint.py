"""Host addresses: ``unix://PATH`` or ``host:port`` (spec executor/02 "Connection")."""

from __future__ import annotations

from typing import TypeAlias

from pygenvm.executor.frozen import Frozen

UNIX_SCHEME = "unix://"


class UnixEndpoint(metaclass=Frozen):
    """A stream socket in the file system."""

    path: str

    def __str__(self) -> str:
        return UNIX_SCHEME + self.path


class TcpEndpoint(metaclass=Frozen):
    """A TCP address; ``host`` is a name, an IPv4 or an IPv6 address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoint: TypeAlias = UnixEndpoint | TcpEndpoint


def parse_endpoint(address: str) -> Endpoint:
    """Reads ``unix://PATH`` (the rest of the text is the path), ``host:port`` or ``[ipv6]:port``.

    Raises ``ValueError`` with a text that names the address and what is wrong with it.
    """
    if address.startswith(UNIX_SCHEME):
        path = address.removeprefix(UNIX_SCHEME)
        if not path or "\0" in path:
            raise ValueError(f"host address {address!r}: no usable socket path after {UNIX_SCHEME}")
        return UnixEndpoint(path)
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address:
        raise ValueError(f"host address {address!r}: expected {UNIX_SCHEME}PATH or host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"host address {address!r}: an IPv6 address needs brackets, [{host}]:{port}")
    if not host:
        raise ValueError(f"host address {address!r}: no host before the port")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise ValueError(f"host address {address!r}: the port must be a number up to 65535")
    return TcpEndpoint(host, int(port))
