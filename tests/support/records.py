"""Records of runs for tests: run again, taken apart, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
from blake3 import blake3

from pygenvm.executor.config import load_config
from pygenvm.executor.log import Logger
from pygenvm.executor.record.reading import read_record
from pygenvm.executor.replay.player import Player, Verdict, replay
from pygenvm.executor.run.process import artefacts_dir
from tests.support.execution import on_big_stack


def replayed(path: Path, config: Path) -> Verdict:
    """A replay in this process."""
    settings = load_config(str(config))
    with open("/dev/null", "wb") as nothing:
        log = Logger(fd=nothing.fileno(), level="error")
        player = Player(read_record(path))
        verdict: Verdict = on_big_stack(lambda: replay(player, settings, log, artefacts_dir(settings)))
        return verdict


def objects(path: Path) -> list[Any]:
    """All parts of a record: header, events, end."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(path.read_bytes())
    return list(unpacker)


def write(path: Path, parts: list[Any]) -> None:
    """The record with a right checksum again."""
    body = b"".join(map(msgpack.packb, parts[:-1]))
    end = {**parts[-1], "events": len(parts) - 2, "blake3": blake3(body).digest()}
    path.write_bytes(body + msgpack.packb(end))
