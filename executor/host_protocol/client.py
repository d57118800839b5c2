"""Blocking client of the host socket: the executor's side of the protocol (spec executor/02)."""

from __future__ import annotations

import _socket
import struct
import threading
import time
from typing import Protocol

from pygenvm.executor.host_protocol import codec
from pygenvm.executor.host_protocol.codec import ProtocolViolation, Reply, ReplyDecoder
from pygenvm.executor.host_protocol.endpoint import UnixEndpoint, parse_endpoint
from pygenvm.executor.host_protocol.methods import METHODS, ReplyKind
from pygenvm.executor.host_protocol.result import decode_leader_result
from pygenvm.executor.limits import HOST_CONNECT_SECONDS, HOST_COPY_BYTES, HOST_READ_BYTES
from pygenvm.executor.machine import take_memory
from pygenvm.executor.observer import NOBODY, Observer
from pygenvm.executor.outcome import ContractOutcome, HostFault, VMErrorRaised
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address

_STORAGE_READ = codec.request_struct(HostMethod.STORAGE_READ)
_LENGTH = struct.Struct("<I")


class Connection(Protocol):
    """What the client uses of a connected, blocking stream socket."""

    def sendall(self, data: bytes | memoryview, /) -> None: ...
    def recv_into(self, buffer: memoryview, /) -> int: ...
    def settimeout(self, value: float | None, /) -> None: ...
    def close(self) -> None: ...


class Admission(Protocol):
    """Decides which requests may still be sent at the end of a run: :class:`executor.run.ending.Ending`."""

    def admit(self, method: HostMethod) -> None:
        """The calling thread is about to send a request; called with the client's mutex held.

        :raises InternalErrorRaised: it must not be sent.
        """

    def host_lost(self, why: str) -> None:
        """A request has failed, and with it the connection."""


class HostClient:
    """One connection to the host of a run; every method is one request, sent and answered before the next one.

    May be used from several threads: one mutex covers each request with its reply. All methods raise
    :class:`VMErrorRaised` with the name of the error byte that the host answered, :class:`HostFault` for an unknown
    error byte, a closed or broken connection or an oversized reply, and what :meth:`Admission.admit` raises.
    ``ValueError`` is a wrong argument; nothing has been sent then.
    """

    def __init__(self, connection: Connection, observer: Observer = NOBODY, admission: Admission | None = None) -> None:
        """The client owns ``connection`` from now on.

        Without ``admission`` every request is sent; the position in the stream is unknown after a :class:`HostFault`,
        and it is the caller who must know that.
        """
        self._socket = connection
        self._observer = observer
        self._admission = admission
        self._mutex = threading.Lock()
        # Most replies are small: memory that is there when it is written to.
        self._buffer = memoryview(take_memory(HOST_READ_BYTES))
        #: Time that requests took, without waiting for other threads.
        self.time_ns = 0

    @classmethod
    def connect(cls, address: str, observer: Observer = NOBODY, admission: Admission | None = None) -> HostClient:
        """Connects to ``unix://PATH``, ``host:port`` or ``[ipv6]:port``; :class:`HostFault` if it cannot."""
        connection: _socket.socket
        try:
            endpoint = parse_endpoint(address)
        except ValueError as error:
            raise HostFault(str(error)) from None
        try:
            if isinstance(endpoint, UnixEndpoint):
                # A run that connects to no other kind does not load the module around it: a fortieth of its time.
                connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
                try:
                    connection.connect(endpoint.path)
                except BaseException:
                    connection.close()
                    raise
            else:
                import socket

                connection = socket.create_connection((endpoint.host, endpoint.port), HOST_CONNECT_SECONDS)
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise HostFault(f"cannot connect to host {address}: {error}") from error
        return cls(connection, observer, admission)

    # --- requests ---------------------------------------------------------------------------------

    def get_calldata(self) -> bytes:
        """Calldata of the call, unchanged."""
        return self._bytes(HostMethod.GET_CALLDATA)

    def storage_read(self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int) -> bytes:
        """``length`` bytes from byte ``index`` of the 32-byte ``slot``: exactly one request, also for length 0.

        The caller has checked that it may hold ``length`` bytes; the buffer grows only as they arrive.
        """
        if len(slot) != codec.SLOT_BYTES:
            raise ValueError(f"a slot has {codec.SLOT_BYTES} bytes, got {len(slot)}")
        try:
            request = _STORAGE_READ.pack(HostMethod.STORAGE_READ, storage_type, address.as_bytes, slot, index, length)
        except struct.error as error:
            raise ValueError(f"storage read of {length} bytes at {index}: {error}") from None
        data: bytes = self._exchange(HostMethod.STORAGE_READ, request, length).value
        return data

    def storage_write(self, slot: bytes, index: int, data: bytes | memoryview) -> None:
        """Writes ``data`` at byte ``index`` of the 32-byte ``slot``: exactly one request, also for no data."""
        if len(data) <= HOST_COPY_BYTES:
            self._ask(HostMethod.STORAGE_WRITE, slot, index, data)
            return
        # The length of the data is the last field in front of it.
        head = codec.encode_request(HostMethod.STORAGE_WRITE, slot, index, b"")[:-4] + _LENGTH.pack(len(data))
        self._exchange(HostMethod.STORAGE_WRITE, head, 0, data)

    def consume_result(self, result: bytes) -> None:
        """Sends the result of the run and waits for its acknowledgement. The last request of a run."""
        self._ask(HostMethod.CONSUME_RESULT, result)

    def get_leader_nondet_result(self, call_no: int) -> ContractOutcome | None:
        """The leader's outcome of nondet block ``call_no``, or None: this process is the leader."""
        reply = self._ask(HostMethod.GET_LEADER_NONDET_RESULT, call_no)
        if reply.error is HostErrorCode.I_AM_LEADER:
            return None
        try:
            return decode_leader_result(reply.value)
        except ProtocolViolation as violation:
            raise HostFault(str(violation)) from None

    def post_nondet_result(self, call_no: int, result: bytes) -> None:
        """``result`` is the result code byte and payload of block ``call_no``."""
        self._ask(HostMethod.POST_NONDET_RESULT, call_no, result)

    def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        """``data`` is made by :func:`executor.host_protocol.codec.post_message_data`."""
        self._ask(HostMethod.POST_MESSAGE, receiver, calldata, data)

    def post_event(self, topics: list[bytes], blob: bytes) -> None:
        """``topics`` of 32 bytes each; ``blob`` is the calldata encoding of a map."""
        self._ask(HostMethod.POST_EVENT, topics, blob)

    def consume_fuel(self, amount: int) -> None:
        """Reports ``amount`` (below 2**64) as used. There is no reply."""
        self._ask(HostMethod.CONSUME_FUEL, amount)

    def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        """``data`` is made by :func:`executor.host_protocol.codec.deploy_contract_data`."""
        self._ask(HostMethod.DEPLOY_CONTRACT, calldata, code, data)

    def eth_call(self, address: Address, calldata: bytes) -> bytes:
        """Raw answer of the EVM contract."""
        return self._bytes(HostMethod.ETH_CALL, address, calldata)

    def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        """``data`` is made by :func:`executor.host_protocol.codec.eth_send_data`."""
        self._ask(HostMethod.ETH_SEND, address, calldata, data)

    def get_balance(self, address: Address) -> int:
        """Balance below 2**256. One request per call: keeping the answer is the caller's part."""
        return self._int(HostMethod.GET_BALANCE, address)

    def remaining_fuel_as_gen(self) -> int:
        """Fuel left, below 2**64."""
        return self._int(HostMethod.REMAINING_FUEL_AS_GEN)

    def notify_nondet_disagreement(self, call_no: int) -> None:
        """Tells the host that this validator rejects the leader's block ``call_no``. There is no reply."""
        self._ask(HostMethod.NOTIFY_NONDET_DISAGREEMENT, call_no)

    # --- end of the run ---------------------------------------------------------------------------

    def drain(self, timeout: float) -> bool:
        """Wait, at most ``timeout`` seconds, for a request of another thread that is under way.

        True: none is any more, and each later reply is waited for at most ``timeout``. False: the request still waits
        for the host, and nothing can be sent behind half of it; a later call may try again.

        A thread inside a request of its own (a signal handler that interrupted it) gets False.
        """
        if not self._mutex.acquire(timeout=timeout):
            return False
        self._socket.settimeout(timeout)
        self._mutex.release()
        return True

    def close(self) -> None:
        """Closes the socket. Not while another thread is in a request."""
        self._socket.close()

    # --- transport --------------------------------------------------------------------------------

    def _ask(self, method: HostMethod, *values: codec.FieldValue) -> Reply:
        return self._exchange(method, codec.encode_request(method, *values), 0)

    def _bytes(self, method: HostMethod, *values: codec.FieldValue) -> bytes:
        value: bytes = self._ask(method, *values).value
        return value

    def _int(self, method: HostMethod, *values: codec.FieldValue) -> int:
        value: int = self._ask(method, *values).value
        return value

    def _exchange(self, method: HostMethod, request: bytes, length: int, rest: bytes | memoryview = b"") -> Reply:
        watched = self._observer is not NOBODY
        reply: Reply | None = None
        with self._mutex:
            if self._admission is not None:
                self._admission.admit(method)
            if watched:
                whole = b"".join((request, rest)) if rest else request
                try:
                    self._observer.host_requested(method, whole)
                except BaseException:
                    self._lose("an earlier request was not completed")
                    raise
            begun = time.perf_counter_ns()
            try:
                reply = self._transfer(method, request, length, rest)
            except (OSError, ProtocolViolation) as error:
                why = f"host connection: {error}"
                self._lose(why)
                failure = HostFault(f"{method.name.lower()}: {why}")
                failure.__cause__ = error
            except BaseException:
                # A signal's: the reply stays unread.
                self._lose("an earlier request was not completed")
                raise
            ended = time.perf_counter_ns()
            self.time_ns += ended - begun
        if watched:
            # The connection is free again: an observer that writes may take its time.
            code, value = (None, None) if reply is None else (reply.error, reply.value)
            self._observer.host_replied(method, whole, code, value, begun, ended)
        if reply is None:
            raise failure
        if reply.error is not HostErrorCode.OK and reply.error not in METHODS[method].answers:
            raise VMErrorRaised(reply.error.name.lower(), f"the host refused {method.name.lower()}")
        return reply

    def _lose(self, why: str) -> None:
        if self._admission is not None:
            self._admission.host_lost(why)

    def _transfer(self, method: HostMethod, request: bytes, length: int, rest: bytes | memoryview) -> Reply:
        self._socket.sendall(request)
        if rest:
            self._socket.sendall(rest)
        if METHODS[method].reply_kind is ReplyKind.NONE:
            return Reply(HostErrorCode.OK)
        received = self._receive()
        # Hot path: the usual storage read arrives whole, and its length was known beforehand.
        if method is HostMethod.STORAGE_READ and len(received) == length + 1 and not received[0]:
            return Reply(HostErrorCode.OK, bytes(received[1:]))
        decoder = ReplyDecoder(method, length)
        decoder.feed(received)
        while (reply := decoder.next_reply()) is None:
            decoder.feed(self._receive())
        return reply

    def _receive(self) -> memoryview:
        """What the host has sent, at least one byte; valid until the next call."""
        count = self._socket.recv_into(self._buffer)
        if not count:
            raise ConnectionError("closed by the host")
        return self._buffer[:count]
