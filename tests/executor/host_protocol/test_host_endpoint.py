from __future__ import annotations

import pytest

from pygenvm.executor.host_protocol.endpoint import TcpEndpoint, UnixEndpoint, parse_endpoint


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("unix:///run/node.sock", UnixEndpoint("/run/node.sock")),
        ("unix://relative.sock", UnixEndpoint("relative.sock")),
        ("unix://a:1", UnixEndpoint("a:1")),
        ("localhost:80", TcpEndpoint("localhost", 80)),
        ("127.0.0.1:65535", TcpEndpoint("127.0.0.1", 65535)),
        ("[::1]:4000", TcpEndpoint("::1", 4000)),
    ],
)
def test_addresses(address: str, endpoint: UnixEndpoint | TcpEndpoint) -> None:
    assert parse_endpoint(address) == endpoint
    assert str(endpoint) == address


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "expected unix://PATH or host:port"),
        ("localhost", "expected unix://PATH or host:port"),
        ("unix://", "no usable socket path"),
        ("unix://a\0b", "no usable socket path"),
        (":80", "no host before the port"),
        ("[]:80", "no host before the port"),
        ("::1:80", "needs brackets"),
        ("tcp://localhost:80", "expected unix://PATH or host:port"),
        ("unix:/run/host:80", "expected unix://PATH or host:port"),
        ("localhost:", "port must be a number"),
        ("localhost:-1", "port must be a number"),
        ("localhost:65536", "port must be a number"),
        ("localhost:\u0661", "port must be a number"),
        ("localhost:" + "9" * 5000, "port must be a number"),
    ],
)
def test_malformed_addresses(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_endpoint(address)
