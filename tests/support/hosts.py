"""Hosts for tests: an in-memory node, a way to serve any host from a thread, and a scripted socket.

host = InMemoryHost(calldata=encode({"method": "foo"}))
host.put_code(b"# v0.2.16 ...")
with serving(host) as node:
    subprocess.run(["genvm", "run", "--host", node.address, ...])
assert host.outcome == Return(b"\\x00")
assert host.fields_of(HostMethod.POST_EVENT) == [...]
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pygenvm.executor.host_protocol.codec import Request
from pygenvm.executor.host_protocol.host import Host, HostErrorReply
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.host_protocol.server import listen
from pygenvm.executor.outcome import Outcome
from pygenvm.executor.primitives.abi import (
    CODE_SLOT,
    LOCKED_SLOTS_SLOT,
    UPGRADERS_SLOT,
    HostErrorCode,
    HostMethod,
    StorageType,
)
from pygenvm.executor.primitives.address import Address

#: Contract and sender of the examples in the specification.
CONTRACT = Address(bytes([1]) + bytes(19))
SENDER = Address(bytes([2]) + bytes(19))

#: Nothing in a test waits longer than this for the other side.
PATIENCE_SECONDS = 60.0

Storage = dict[tuple[Address, bytes], bytearray]


class InMemoryHost:
    """A node of dictionaries that keeps every request in order.

    ``leader_results``: None makes the executor the leader of every block; a sequence makes it a validator, entry i
    answers block i (``code byte + payload``, or an error code), and blocks behind the end are absent.
    ``finalized`` is the storage of type LATEST_FINAL, by default the same as ``storage``.
    ``eth_calls`` maps (address, calldata) to the answer; others are absent.
    ``refusals`` answers every request of a method with that error code.
    """

    def __init__(
        self,
        *,
        calldata: bytes = b"\x00",
        contract: Address = CONTRACT,
        storage: Storage | None = None,
        finalized: Storage | None = None,
        balances: Mapping[Address, int] | None = None,
        leader_results: Sequence[bytes | HostErrorCode] | None = None,
        eth_calls: Mapping[tuple[Address, bytes], bytes] | None = None,
        fuel: int = 2**53 - 1,
        refusals: Mapping[HostMethod, HostErrorCode] | None = None,
    ) -> None:
        self.calldata = calldata
        self.contract = contract
        self.storage: Storage = {} if storage is None else storage
        self.finalized = self.storage if finalized is None else finalized
        self.balances = dict(balances or {})
        self.leader_results = leader_results
        self.eth_calls = dict(eth_calls or {})
        self.fuel = fuel
        self.refusals = dict(refusals or {})
        self.requests: list[Request] = []
        self.result: bytes | None = None

    # --- for the test -----------------------------------------------------------------------------

    @property
    def outcome(self) -> Outcome:
        """The decoded result. Fails if none has been consumed."""
        assert self.result is not None, "no result has been consumed"
        return decode_result(self.result).outcome

    @property
    def fingerprint(self) -> Any:
        """Decoded fingerprint of the result, None if there is none."""
        assert self.result is not None, "no result has been consumed"
        return decode_result(self.result).fingerprint

    @property
    def methods(self) -> list[HostMethod]:
        """Methods of all requests in order."""
        return [request.method for request in self.requests]

    def fields_of(self, method: HostMethod) -> list[dict[str, Any]]:
        """Fields of every request of one method, in order."""
        return [request.fields for request in self.requests if request.method is method]

    def slot(self, slot: bytes, address: Address | None = None) -> bytearray:
        """The written part of a slot; may be changed."""
        return self.storage.setdefault((address or self.contract, slot), bytearray())

    def put_code(self, code: bytes, address: Address | None = None) -> None:
        """Deploys ``code`` the way a node does."""
        self.slot(CODE_SLOT, address)[:] = len(code).to_bytes(4, "little") + code

    def put_locked_slots(self, slots: Sequence[bytes]) -> None:
        self.slot(LOCKED_SLOTS_SLOT)[:] = len(slots).to_bytes(4, "little") + b"".join(slots)

    def put_upgraders(self, upgraders: Sequence[Address]) -> None:
        addresses = b"".join(upgrader.as_bytes for upgrader in upgraders)
        self.slot(UPGRADERS_SLOT)[:] = len(upgraders).to_bytes(4, "little") + addresses

    # --- Host -------------------------------------------------------------------------------------

    async def get_calldata(self) -> bytes:
        self._note(HostMethod.GET_CALLDATA)
        return self.calldata

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        self._note(
            HostMethod.STORAGE_READ, storage_type=storage_type, address=address, slot=slot, index=index, length=length
        )
        storage = self.finalized if storage_type is StorageType.LATEST_FINAL else self.storage
        return bytes(storage.get((address, slot), b"")[index : index + length]).ljust(length, b"\0")

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        self._note(HostMethod.STORAGE_WRITE, slot=slot, index=index, data=data)
        content = self.slot(slot)
        content.extend(bytes(max(0, index + len(data) - len(content))))
        content[index : index + len(data)] = data

    async def consume_result(self, result: bytes) -> None:
        self._note(HostMethod.CONSUME_RESULT, result=result)
        self.result = result

    async def get_leader_nondet_result(self, call_no: int) -> bytes:
        self._note(HostMethod.GET_LEADER_NONDET_RESULT, call_no=call_no)
        if self.leader_results is None:
            raise HostErrorReply(HostErrorCode.I_AM_LEADER)
        if call_no >= len(self.leader_results):
            raise HostErrorReply(HostErrorCode.ABSENT)
        answer = self.leader_results[call_no]
        if isinstance(answer, HostErrorCode):
            raise HostErrorReply(answer)
        return answer

    async def post_nondet_result(self, call_no: int, result: bytes) -> None:
        self._note(HostMethod.POST_NONDET_RESULT, call_no=call_no, result=result)

    async def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        self._note(HostMethod.POST_MESSAGE, receiver=receiver, calldata=calldata, data=data)

    async def post_event(self, topics: list[bytes], blob: bytes) -> None:
        self._note(HostMethod.POST_EVENT, topics=topics, blob=blob)

    async def consume_fuel(self, amount: int) -> None:
        self._note(HostMethod.CONSUME_FUEL, amount=amount)
        self.fuel -= amount

    async def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        self._note(HostMethod.DEPLOY_CONTRACT, calldata=calldata, code=code, data=data)

    async def eth_call(self, address: Address, calldata: bytes) -> bytes:
        self._note(HostMethod.ETH_CALL, address=address, calldata=calldata)
        if (address, calldata) not in self.eth_calls:
            raise HostErrorReply(HostErrorCode.ABSENT)
        return self.eth_calls[address, calldata]

    async def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        self._note(HostMethod.ETH_SEND, address=address, calldata=calldata, data=data)

    async def get_balance(self, address: Address) -> int:
        self._note(HostMethod.GET_BALANCE, address=address)
        return self.balances.get(address, 0)

    async def remaining_fuel_as_gen(self) -> int:
        self._note(HostMethod.REMAINING_FUEL_AS_GEN)
        return self.fuel

    async def notify_nondet_disagreement(self, call_no: int) -> None:
        self._note(HostMethod.NOTIFY_NONDET_DISAGREEMENT, call_no=call_no)

    def _note(self, method: HostMethod, **fields: Any) -> None:
        self.requests.append(Request(method, fields))
        if method in self.refusals:
            raise HostErrorReply(self.refusals[method])


class RefusingReads(InMemoryHost):
    """Refuses reads of storage from the first one that ``refused(address, slot)`` chooses."""

    def __init__(self, refused: Callable[[Address, bytes], bool], error: HostErrorCode) -> None:
        super().__init__()
        self._refused = refused
        self._error = error

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        if self._refused(address, slot):
            self.refusals[HostMethod.STORAGE_READ] = self._error
        return await super().storage_read(storage_type, address, slot, index, length)


class Node:
    """A host being served from a thread, made by :func:`serving`."""

    def __init__(self, address: str, finished: queue.Queue[bool]) -> None:
        self.address = address
        """Value for ``--host``."""
        self._finished = finished

    def wait(self, timeout: float = PATIENCE_SECONDS) -> bool:
        """Waits for the next executor to be done: True if it delivered a result, False if it crashed."""
        return self._finished.get(timeout=timeout)


@contextlib.contextmanager
def serving(host: Host, *, tcp: bool = False) -> Iterator[Node]:
    """Serves ``host`` to every executor that connects, on a Unix socket or on TCP, while the context lasts."""
    with _address(tcp) as address:
        loop: asyncio.AbstractEventLoop | None = None
        started: queue.Queue[Node | BaseException] = queue.Queue()
        finished: queue.Queue[bool] = queue.Queue()
        stop = asyncio.Event()

        async def serve_until_stopped() -> None:
            nonlocal loop
            loop = asyncio.get_running_loop()

            async def report() -> None:
                while True:
                    finished.put((await listener.session()).consumed)

            async with listen(lambda: host, address) as listener:
                reporter = loop.create_task(report())
                started.put(Node(listener.address, finished))
                await stop.wait()
                reporter.cancel()

        def run() -> None:
            try:
                asyncio.run(serve_until_stopped())
            except BaseException as error:
                started.put(error)
                raise

        thread = threading.Thread(target=run, name="node", daemon=True)
        thread.start()
        node = started.get(timeout=PATIENCE_SECONDS)
        if isinstance(node, BaseException):
            raise node
        assert loop is not None
        try:
            yield node
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "the node does not stop"


# --- scripted socket ------------------------------------------------------------------------------

Step = Callable[[socket.socket, threading.Event], None]


def expect(data: bytes) -> Step:
    """The executor must send exactly these bytes next."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        received = b""
        while len(received) < len(data) and (part := connection.recv(len(data) - len(received))):
            received += part
        assert received == data, f"expected {data.hex(' ')}, got {received.hex(' ')}"

    return step


def expect_end() -> Step:
    """The executor must close the connection without sending anything more."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        rest = connection.recv(1 << 16)
        assert not rest, f"expected the end of the stream, got {rest.hex(' ')}"

    return step


def send(data: bytes, *, chunk: int | None = None) -> Step:
    """Sends ``data``, ``chunk`` bytes at a time."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        for at in range(0, len(data), chunk or len(data) or 1):
            connection.sendall(data[at : at + (chunk or len(data))])

    return step


def stall() -> Step:
    """Does nothing until the context of the scripted host is left."""

    def step(_: socket.socket, leaving: threading.Event) -> None:
        leaving.wait(PATIENCE_SECONDS)

    return step


def shut_down_writing() -> Step:
    """Ends the host's direction of the stream only."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        connection.shutdown(socket.SHUT_WR)

    return step


@contextlib.contextmanager
def scripted_host(*steps: Step, tcp: bool = False) -> Iterator[str]:
    """Accepts one executor, performs ``steps`` and closes the connection; the value is the address.

    A step that failed is raised when the context is left.
    """
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_address(tcp))
        if tcp:
            listening = socket.create_server(("127.0.0.1", 0))
            address = f"127.0.0.1:{listening.getsockname()[1]}"
        else:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(address.removeprefix("unix://"))
            listening.listen()
        stack.enter_context(listening)
        listening.settimeout(PATIENCE_SECONDS)
        leaving = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(PATIENCE_SECONDS)
                    for step in steps:
                        step(connection, leaving)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, name="scripted host", daemon=True)
        thread.start()
        try:
            yield address
        finally:
            leaving.set()
            thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the scripted host does not stop"
        if failures:
            raise failures[0]


@contextlib.contextmanager
def _address(tcp: bool) -> Iterator[str]:
    if tcp:
        yield "127.0.0.1:0"
        return
    # Not pytest's tmp_path: socket paths have about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="host-") as folder:
        yield f"unix://{Path(folder) / 'host.sock'}"
