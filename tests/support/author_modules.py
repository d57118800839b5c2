"""Services of an author for tests: in a folder of their own, and gone when the test is over."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import PATIENCE_SECONDS

#: Of providers that the LLM module knows by itself.
KEYS = ("OPENAIKEY", "HEURISTKEY", "ANTHROPICKEY", "XAIKEY", "GEMINIKEY", "ATOMAKEY")


@pytest.fixture
def author_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the services of a test note themselves. Whatever a test starts ends with it."""
    from pygenvm.localnet.modules.places import IDLE_VARIABLE, own_folder

    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    # Should a test be killed, nothing stays for long.
    monkeypatch.setenv(IDLE_VARIABLE, "60")
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    folder = own_folder()
    try:
        yield folder
    finally:
        for pid in living(folder).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)


def living(folder: Path) -> dict[str, int]:
    """Name to process id of the services that run."""
    from pygenvm.localnet.modules.processes import _read_living

    notes = {note: _read_living(note) for note in folder.glob("*.json")}
    return {note.name.partition("-")[0]: noted["pid"] for note, noted in notes.items() if noted}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A container without an init leaves zombies.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.02)
