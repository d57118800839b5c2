"""The JSON-lines log (spec executor/10 "Log")."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.config import Config
from pygenvm.executor.log import Logger, Remarks
from pygenvm.executor.primitives.address import Address


class Sink:
    """A file to log into; ``lines`` are the records so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


TARGET = __name__.replace(".", "::")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    made = Sink(tmp_path / "log")
    yield made
    os.close(made.fd)


def test_keys_and_their_order(sink: Sink) -> None:
    before = time.time_ns() // 1_000_000
    Logger(fd=sink.fd).info("hello", answer=42, message="again")
    text = sink.path.read_text()
    assert text.startswith(
        f'{{"level":"info","target":"{TARGET}","message":"hello","answer":42,"message":"again","file":"'
    )
    assert text.endswith('"}\n')
    assert text.count("\n") == 1
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    assert [key for key, _ in pairs] == ["level", "target", "message", "answer", "message", "file", "ts"]
    path, line = pairs[-2][1].split(":")
    assert (path, int(line) > 0) == (__file__, True)
    assert before <= int(pairs[-1][1]) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ('text\n"é', 'text\n"é'),
        ("$x", "$$x"),
        ("$$x", "$$$x"),
        ("a$", "a$"),
        (b"\x00\xff", "$Bytes(00ff)"),
        (bytearray(b"a"), "$Bytes(61)"),
        (b"a" * 128, "$Bytes(" + "61" * 128 + ")"),
        (b"a" * 100 + b"b" * 100, "$Bytes(" + "61" * 64 + "…" + "62" * 64 + "; 200 bytes)"),
        (Address(b"\x01" + bytes(19)), "$Address(01" + "00" * 19 + ")"),
        (["$", (b"", {"k": "$v", 1: 2})], ["$$", ["$Bytes()", {"k": "$$v", "1": 2}]]),
        (frozenset({1}), [1]),
        (Path("/a/b"), "/a/b"),
        ("\ud800", "\ud800"),
    ],
)
def test_values(sink: Sink, value: Any, shown: Any) -> None:
    Logger(fd=sink.fd).info("m", value=value)
    (line,) = sink.lines()
    assert line["value"] == shown


def test_big_values_are_cut(sink: Sink) -> None:
    deep: Any = "bottom"
    for _ in range(limits.LOG_DEPTH_MAX + 1):
        deep = [deep]
    cycle: list[Any] = []
    cycle.append(cycle)
    Logger(fd=sink.fd).info(
        "m" * 100_000, text="x" * 100_000, items=list(range(5000)), pairs=dict.fromkeys(range(5000)),
        number=1 << 50_000, deep=deep, cycle=cycle,
    )  # fmt: skip
    (line,) = sink.lines()
    assert line["message"] == "m" * limits.LOG_TEXT_CHARS_MAX + "…"
    assert line["text"] == "x" * limits.LOG_TEXT_CHARS_MAX + "…"
    assert line["items"] == list(range(limits.LOG_ITEMS_MAX))
    assert len(line["pairs"]) == limits.LOG_ITEMS_MAX
    assert line["number"] == "0x1" + "0" * 61 + "…"
    assert json.dumps(line["deep"]).count("[") == limits.LOG_DEPTH_MAX
    assert json.dumps(line["cycle"]).count("[") == limits.LOG_DEPTH_MAX


def failing(depth: int) -> None:
    if depth:
        failing(depth - 1)
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def test_errors(sink: Sink) -> None:
    log = Logger(fd=sink.fd)
    try:
        failing(1)
    except ValueError as error:
        log.error("m", error=error)
    log.error("m", error=OSError("plain"))
    first, second = sink.lines()
    assert first["error"]["causes"] == ["ValueError: outer", "KeyError: 'inner'"]
    places = first["error"]["traceback"]
    assert all(place.startswith(f"{__file__}:") for place in places)
    assert [place.split()[1] for place in places] == ["test_errors", "failing", "failing"]
    assert second["error"] == {"causes": ["OSError: plain"], "traceback": []}


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("trace", ["trace", "debug", "info", "warn", "error"]),
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(sink: Sink, level: str, written: list[str]) -> None:
    log = Logger(fd=sink.fd, level=level)
    for name in ("trace", "debug", "info", "warn", "error"):
        getattr(log, name)(name)
    assert [line["level"] for line in sink.lines()] == written
    assert [line["message"] for line in sink.lines()] == written


@pytest.mark.parametrize(
    ("patterns", "silenced"),
    [
        ((), set()),
        (("a",), {"a"}),
        (("a*",), {"a", "a::b", "a::b::c"}),
        (("a::b*", "ab"), {"a::b", "a::b::c", "ab"}),
        (("a::b::c", "other*"), {"a::b::c"}),
    ],
)
def test_disabled_targets(sink: Sink, patterns: tuple[str, ...], silenced: set[str]) -> None:
    log = Logger(fd=sink.fd, disabled=patterns)
    targets = ["a", "a::b", "a::b::c", "ab", "ab::a"]
    for target in targets:
        log.write(2, target, "m", {}, "f:1")
    assert [line["target"] for line in sink.lines()] == [target for target in targets if target not in silenced]


def test_a_lost_descriptor_does_not_raise(tmp_path: Path) -> None:
    sink = Sink(tmp_path / "log")
    os.close(sink.fd)
    Logger(fd=sink.fd).error("nobody reads this")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        Logger(fd=writer).error("nor this")
    finally:
        os.close(writer)
    assert sink.lines() == []


def test_lines_of_threads_do_not_mix() -> None:
    reader, writer = os.pipe()
    log = Logger(fd=writer)
    threads = [threading.Thread(target=log.info, args=("x" * 60_000,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    received = b""
    while received.count(b"\n") < len(threads):
        received += os.read(reader, 1 << 16)
    for thread in threads:
        thread.join()
    os.close(reader)
    os.close(writer)
    assert [len(json.loads(line)["message"]) for line in received.splitlines()] == [60_000] * 4


def test_from_config(sink: Sink, tmp_path: Path) -> None:
    config = Config("", "", "", log_level="warn", log_disable=("executor::quiet*",))
    log = Logger.from_config(config, fd=sink.fd)
    log.info("too low")
    log.warn("shown")
    library = Remarks("executor.runner")
    library.logger.info("too low")
    Remarks("executor.quiet.inner").warning("silenced")
    library.warning("from %s", "library")
    try:
        failing(0)
    except ValueError:
        library.logger.exception("failed")
    lines = sink.lines()
    assert [(line["level"], line["target"], line["message"]) for line in lines] == [
        ("warn", TARGET, "shown"),
        ("warn", "executor::runner", "from library"),
        ("error", "executor::runner", "failed"),
    ]
    assert all(line["file"].startswith(f"{__file__}:") for line in lines)
    assert lines[2]["error"]["causes"][0] == "ValueError: outer"
    Logger.from_config(config, fd=sink.fd, level="error").warn("too low now")
    library.warning("too low now")
    library.logger.critical("once")
    assert [line["message"] for line in sink.lines()[3:]] == ["once"]


def test_remarks_in_a_process_without_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "executor.runner"):
        Remarks("executor.runner").warning("from %s", "library")
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("executor.runner", "WARNING", "from library")
    assert record.pathname == __file__
