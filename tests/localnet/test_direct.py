"""Coroutines without an event loop, and executors that are waited for without one."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from pygenvm.cli import signals
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.executor.spawn.lines import BlockingLine
from pygenvm.executor.terminal_text import visible
from pygenvm.localnet import background, direct
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import in_thread
from pygenvm.localnet.plain import value_text


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_thread", 0)
    direct.turn_on()


@pytest.mark.usefixtures("on")
def test_a_coroutine_is_carried_out() -> None:
    async def work() -> int:
        async with direct.lock():
            return await in_thread(threading.get_ident)

    assert background.run(work()) == threading.get_ident()


@pytest.mark.usefixtures("on")
def test_one_that_waits_for_others_is_refused() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="only an event loop knows of"):
        background.run(work())
    assert ended == [True]


@pytest.mark.usefixtures("on")
def test_only_in_the_thread_that_said_so() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    assert background.run_in_loop(work()) != threading.get_ident()
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(direct.is_on()))
    other.start()
    other.join()
    assert found == [False]


@pytest.mark.usefixtures("on")
def test_what_is_begun_is_carried_to_its_end() -> None:
    done = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)

    with signals.interrupting(hold_off=direct.hold_off):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                direct.undisturbed(work)
        with pytest.raises(KeyboardInterrupt):
            work()
    assert done == [True, True]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_a_line_brings_what_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    line = BlockingLine(pair[0], {})
    pair[1].sendall(b"abc")
    assert direct.run(line.receive()) == b"abc"
    sent = bytes(1 << 20)
    received = bytearray()

    def receive() -> None:
        while data := pair[1].recv(1 << 16):
            received.extend(data)

    reader = threading.Thread(target=receive)
    reader.start()
    direct.run(line.send(sent))
    pair[0].shutdown(socket.SHUT_WR)
    reader.join()
    assert received == sent
    pair[1].close()
    assert direct.run(line.receive()) == b""


def test_the_clock_of_a_line(pair: tuple[socket.socket, socket.socket]) -> None:
    line = BlockingLine(pair[0], {})
    happened: list[str] = []

    def send() -> None:
        happened.append("second")
        pair[1].sendall(b"x")

    line.call_later(0.02, send)
    line.call_later(0.0, lambda: happened.append("first"))
    line.call_later(0.01, lambda: happened.append("cancelled")).cancel()
    assert direct.run(line.receive()) == b"x"
    assert happened == ["first", "second"]


def test_what_else_a_line_watches(pair: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    watched: dict[int, Callable[[], object]] = {}

    def come() -> None:
        del watched[reading]
        pair[1].sendall(b"x")

    watched[reading] = come
    os.write(writing, b"!")
    try:
        assert direct.run(BlockingLine(pair[0], watched).receive()) == b"x"
    finally:
        os.close(reading)
        os.close(writing)


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_value_is_printed_as_it_would_be_with_colours(value: object) -> None:
    text = value_text(value)
    if "\t" not in text:
        for is_terminal in (True, False):
            out = io.StringIO()
            Console(file=out, highlight=False, force_terminal=is_terminal, width=40).print(Text(text), soft_wrap=True)
            assert out.getvalue() == text + "\n"


def test_a_text_has_no_quotes() -> None:
    assert value_text("a\x1b") == visible("a\x1b")
    assert value_text({"a": 1}) == '{\n  "a": 1\n}'


def test_addresses_of_accounts_are_hashes_of_their_names() -> None:
    for name, address in accounts.named().items():
        assert address.as_bytes == Keccak256(b"genvm local account " + name.encode()).digest()[:20]
