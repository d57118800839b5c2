"""Values that are made once: what is kept of them, and of those that could not be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygenvm.executor.run.made import MadeOnce


def made_in(folder: Path, kept_bytes: int) -> MadeOnce[bytes]:
    return MadeOnce(str(folder), "value", decoded=bytes, kept_bytes=kept_bytes, files_max=1000, files_bytes=1 << 20)


def test_values_that_are_empty_are_bounded_too(tmp_path: Path) -> None:
    """A contract without an image is known by its name alone, and there may be many."""
    values = made_in(tmp_path, 1000)
    for number in range(500):
        assert values.get(f"{number:064}", lambda: b"") == b""
    assert 0 < len(values._known._kept) < 20


def test_what_could_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    values = made_in(tmp_path, 1000)

    def fail() -> bytes:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        values.get("a", fail)
    assert not values._making
    assert values.get("a", lambda: b"made") == b"made"
    assert values.get("a", fail) == b"made"
    assert made_in(tmp_path, 1000).get("a", fail) == b"made"
