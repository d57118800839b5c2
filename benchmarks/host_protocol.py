"""Storage reads through ``HostClient`` against a bare ping-pong of the same sizes, side by side.

    python -m benchmarks.host_protocol [--reads N] [--rounds N]

Both talk over a Unix socket to a child process that does nothing but answer, so the ratio is the price of the
client. A third column has our asyncio server at the other end. The target of the first ratio is at most 2.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable

from executor.abi import StorageType
from executor.address import Address
from executor.host_protocol.client import HostClient
from executor.host_protocol.server import serve

REQUEST_BYTES = 62
CONTRACT = Address(bytes([1]) + bytes(19))
SLOT = bytes(32)


def child_with(work: Callable[[socket.socket], None]) -> socket.socket:
    """Starts a process that works on one end of a socket pair; the other end is the value."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.fork() == 0:
        ours.close()
        try:
            work(theirs)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def answering(reply: bytes) -> Callable[[socket.socket], None]:
    def work(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(reply)

    return work


def serving(length: int) -> Callable[[socket.socket], None]:
    class ZeroHost:
        async def storage_read(self, **_: object) -> bytes:
            return bytes(length)

    async def run(connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        await serve(ZeroHost(), reader, writer)  # type: ignore[arg-type]

    return lambda connection: asyncio.run(run(connection))


def microseconds(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


def measure(length: int, reads: int, rounds: int) -> tuple[float, float, float]:
    """Medians over the rounds: bare ping-pong, client, client with our server."""
    bare = child_with(answering(bytes(1 + length)))
    client = HostClient(child_with(answering(bytes(1 + length))))
    served = HostClient(child_with(serving(length)))
    request, buffer = bytes(REQUEST_BYTES), bytearray(1 + length)

    def ping_pong() -> None:
        bare.sendall(request)
        received = 0
        while received < len(buffer):
            received += bare.recv_into(memoryview(buffer)[received:])

    calls = (
        ping_pong,
        lambda: client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, 0, length),
        lambda: served.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, 0, length),
    )
    # One after the other within a round, so that a noisy machine hurts all of them.
    samples = [[microseconds(call, reads) for call in calls] for _ in range(rounds)]
    for connection in (bare, client, served):
        connection.close()
    a, b, c = (statistics.median(column) for column in zip(*samples, strict=True))
    return a, b, c


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reads", type=int, default=3000, help="reads per sample (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="samples; the median counts (default %(default)s)")
    options = parser.parse_args()
    print("bytes   ping-pong      client   ratio   client and server   ratio")
    for length in (4, 32, 1024, 65_536):
        bare, client, served = measure(length, options.reads, options.rounds)
        print(
            f"{length:5}  {bare:7.1f} us  {client:7.1f} us  {client / bare:6.2f}"
            f"  {served:15.1f} us  {served / bare:6.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
