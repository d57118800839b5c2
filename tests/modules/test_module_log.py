"""The log of services: format, secrets, bounds."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.modules import limits
from pygenvm.modules.log import Logger, Secrets, take_over_logging

LOG_TARGET = "genvm_modules::tests"
KEY = "sk-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    with (tmp_path / "log").open("w+b", buffering=0) as opened:
        yield opened


def records(file: Any) -> list[dict[str, Any]]:
    file.seek(0)
    return [json.loads(line) for line in file.read().splitlines()]


def test_records_are_those_of_the_specification(file: Any) -> None:
    log = Logger(fd=file.fileno(), level="debug", disabled=["genvm_modules::quiet*"])
    log.info("hello", number=1, text="$x", data=b"\x01" * 200, share=float("inf"))
    log.trace("too fine")
    log.write(4, "genvm_modules::quiet::part", "disabled", {}, "")
    session = log.of_session("c00k1e").bound(request="Render")
    session.warn("trouble", error=OSError("broken"), cookie="own")
    first, second = records(file)
    assert list(first) == ["level", "target", "message", "number", "text", "data", "share", "cookie", "file", "ts"]
    assert (first["level"], first["target"], first["text"], first["share"]) == ("info", LOG_TARGET, "$$x", "inf")
    assert first["cookie"] == "<absent>"
    assert first["data"].startswith("$Bytes(0101")
    assert first["ts"].isdigit()
    assert "/test_module_log.py:" in first["file"]
    assert (second["cookie"], second["request"]) == ("own", "Render")
    assert second["error"]["causes"] == ["OSError: broken"]


def test_secrets_are_masked_in_whatever_they_stand(file: Any) -> None:
    log = Logger(fd=file.fileno(), secrets=Secrets(["first secret/+ä", KEY]))
    try:
        raise ValueError(f"got {KEY}") from OSError(KEY)
    except ValueError as error:
        log.info(f"a {KEY}", b=f"{KEY}{KEY}", c=[{KEY: (KEY, {"x": KEY.encode()})}], e=error, o=Path(f"/x/{KEY}"))
    log.info("url", url="https://a/?key=first%20secret%2F%2B%C3%A4&k=first+secret%2F%2B%C3%A4", cookie=KEY)
    log.info("long", text="x" * (1 << 16) + KEY, data=b"x" * 40 + KEY.encode() + b"x" * 1000)
    file.seek(0)
    text = file.read()
    assert len(text.splitlines()) == 3
    for form in (KEY.encode(), KEY.encode().hex().encode()[:8], b"first secret", b"first+", b"first%20"):
        assert form not in text
    assert text.count(b"***") > 9


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    secrets = Secrets(["abcdefgh", "abcdefghijkl"])
    assert secrets.mask("<abcdefghijkl> <abcdefgh>") == "<***> <***>"


def test_what_is_discarded_is_shown_again_unless_somebody_else_added_it_too() -> None:
    secrets = Secrets(["abcdefgh", "ijklmnop"])
    secrets.add("abcdefgh")
    secrets.discard("abcdefgh")
    secrets.discard("ijklmnop")
    secrets.discard("never added")
    assert secrets.mask(["abcdefgh", b"ijklmnop"]) == ["***", b"ijklmnop"]
    secrets.discard("abcdefgh")
    assert secrets.mask("abcdefgh") == "abcdefgh"


def test_headers_that_every_request_has_are_no_secrets() -> None:
    secrets = Secrets()
    secrets.add_headers(
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", "x-node": "node-number-1"}
    )
    assert secrets.mask(f"application/json {KEY} Bearer node-number-1") == "application/json *** Bearer ***"


def test_a_session_can_only_write_so_much(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.modules.log.LOG_SESSION_BYTES", 2000)
    log = Logger(fd=file.fileno())
    noisy, other = log.of_session("a"), log.of_session("b")
    for _ in range(100):
        noisy.info("x" * 200)
    other.info("heard")
    told = records(file)
    assert len(told) < 12
    assert [record["message"] for record in told[-2:]] == ["left out", "heard"]


def test_a_service_can_only_write_so_much_a_minute(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("pygenvm.modules.log.LOG_BYTES_PER_MINUTE", 2000)
    monkeypatch.setattr("pygenvm.modules.log.time.monotonic", lambda: now)
    log = Logger(fd=file.fileno())
    now = 60.0
    for _ in range(100):
        log.info("x" * 200)
    now = 120.0
    log.info("heard")
    told = records(file)
    assert [record["message"] for record in told[-2:]] == ["left out", "heard"]
    assert told[-2]["records"] == 100 - len(told) + 2


def test_a_pipe_that_is_read_slowly_loses_nothing_that_fits() -> None:
    read, write = os.pipe()
    log = Logger(fd=write)
    received: list[bytes] = []

    def drain() -> None:
        with open(read, "rb") as source:
            received.append(source.read())

    for number in range(500):
        log.info("line", number=number)
    reader = threading.Thread(target=drain)
    reader.start()
    log.flush(10)
    os.close(write)
    reader.join(10)
    assert [json.loads(line)["number"] for line in received[0].splitlines()] == list(range(500))


def test_libraries_use_the_same_log(file: Any) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        take_over_logging(Logger(fd=file.fileno(), secrets=Secrets([KEY])))
        logging.getLogger("aiohttp.client").warning("unclosed %s", KEY)
        logging.getLogger("aiohttp.client").info("nothing")
    finally:
        root.handlers, root.level = before
    (record,) = records(file)
    assert (record["level"], record["target"], record["message"]) == ("warn", "aiohttp::client", "unclosed ***")


def test_a_closed_descriptor_is_no_trouble() -> None:
    Logger(fd=-1).info("into nothing")


def test_bounds_fit_each_other() -> None:
    assert limits.LOG_SESSION_BYTES < limits.LOG_BYTES_PER_MINUTE


def test_a_terminal_that_is_stopped_stops_nobody() -> None:
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal, open(theirs, "wb", buffering=0):
        log = Logger(fd=theirs)

        def write() -> None:
            for _ in range(100):
                log.info("x" * 4000)

        done = threading.Thread(target=write, daemon=True)
        done.start()
        done.join(10.0)
        assert not done.is_alive()
        # What waits is lost now, and not written to whoever has the number of the descriptor next.
        terminal.close()
        log.flush(10)
