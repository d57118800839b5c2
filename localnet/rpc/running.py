"""The file by which commands in a project's folder find the server that runs there."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pygenvm.executor.json_text import parse_json

FILE_NAME = "server.json"
_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Running:
    """A server. ``instance`` is what it calls itself in ``genvm_getStatus``, so that no other is taken for it."""

    url: str
    instance: str
    pid: int


@contextlib.contextmanager
def announced(folder: Path, running: Running) -> Iterator[None]:
    """While the context lasts, commands in the folder above ``folder`` find the server."""
    path = folder / FILE_NAME
    text = json.dumps({"url": running.url, "instance": running.instance, "pid": running.pid})
    unfinished = path.with_name(f"{FILE_NAME}.{running.pid}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
    try:
        yield
    finally:
        # Another server's is left alone.
        with contextlib.suppress(OSError):
            if (found := read(folder)) is not None and found.instance == running.instance:
                path.unlink()


def read(folder: Path) -> Running | None:
    """What a server has written, which may have been killed since; None: nothing that can be read."""
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
        document = parse_json(text, max_chars=_CHARACTERS, max_depth=5)
        url, instance, pid = document["url"], document["instance"], document["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (isinstance(url, str) and isinstance(instance, str) and isinstance(pid, int)):
        return None
    return Running(url, instance, pid)
