"""The file by which commands in a project's folder find the server that runs there."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pygenvm.executor.json_text import parse_json
from pygenvm.localnet.private_files import write_file
from pygenvm.localnet.rpc.client import Client, RpcFailure, Unreachable

FILE_NAME = "server.json"
_CHARACTERS = 10_000
#: Seconds for the first answer of a server that is said to run, and until one that starts does.
_LOOK_SECONDS = 2.0
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A server. ``instance`` is what it calls itself in ``genvm_getStatus``, so that no other is taken for it."""

    url: str
    """Empty while it starts."""
    instance: str
    pid: int

    @property
    def lives(self) -> bool:
        """Whether there is such a process, or one that has got its number."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return True

    def client(self) -> Client | None:
        """For a server that answers; None: it was killed, or is another one."""
        try:
            if Client(self.url, timeout=_LOOK_SECONDS).status()["instance"] != self.instance:
                return None
        except (Unreachable, RpcFailure, KeyError, TypeError):
            return None
        return Client(self.url)


class Announcement:
    """What the server of a project tells; made before it opens the file of the network."""

    def __init__(self, folder: Path, running: Running) -> None:
        self._folder = folder
        self._running = running
        self._write()

    def listening(self, url: str) -> None:
        """Commands may come."""
        self._running = replace(self._running, url=url)
        self._write()

    def _write(self) -> None:
        of = self._running
        path = self._folder / FILE_NAME
        unfinished = path.with_name(f"{FILE_NAME}.{of.pid}")
        # Of a process that had this number, and was killed.
        unfinished.unlink(missing_ok=True)
        write_file(unfinished, json.dumps({"url": of.url, "instance": of.instance, "pid": of.pid}).encode())
        os.replace(unfinished, path)


@contextlib.contextmanager
def announced(folder: Path, running: Running) -> Iterator[Announcement]:
    """While the context lasts, commands in the folder above ``folder`` find the server, or wait until it listens."""
    announcement = Announcement(folder, running)
    try:
        yield announcement
    finally:
        # Another server's is left alone.
        with contextlib.suppress(OSError):
            if (found := read(folder)) is not None and found.instance == running.instance:
                (folder / FILE_NAME).unlink()


def read(folder: Path) -> Running | None:
    """What a server has written, which may have been killed since; None: nothing that can be read."""
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
        document = parse_json(text, max_chars=_CHARACTERS, max_depth=5)
        url, instance, pid = document["url"], document["instance"], document["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (isinstance(url, str) and isinstance(instance, str) and type(pid) is int and pid > 0):
        return None
    return Running(url, instance, pid)


def server_of(folder: Path) -> Running | None:
    """The server whose file is in ``folder``, if it is there or starting."""
    told = read(folder)
    if told is None or not told.lives:
        return None
    return told if not told.url or told.client() is not None else None


def client_of(folder: Path) -> Client | None:
    """For the server whose file is in ``folder``; one that is starting is waited for."""
    deadline = time.monotonic() + _START_SECONDS
    while (told := read(folder)) is not None and not told.url and told.lives and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return told.client() if told is not None and told.url else None
