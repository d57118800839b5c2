"""Stores: the same promises in memory, in SQLite and in PostgreSQL. Stagings on top of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.settlement.state import keys
from pygenvm.settlement.state.cached import CachedStore
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.state.postgres import PostgresStore
from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import Changes, Store, StoreConflict, StoreError, after
from tests.settlement.vectors import account, word

LASTING = ["sqlite", "postgres"]


def name_of(kind: str, request: pytest.FixtureRequest) -> str:
    """What :func:`open_store` takes for a fresh store."""
    if kind == "memory":
        return "memory:"
    if kind == "sqlite":
        return str(request.getfixturevalue("tmp_path") / "state.db")
    found: str = request.getfixturevalue("postgres").database()
    return found


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest) -> str:
    return name_of(request.param, request)


@pytest.fixture(params=["memory", *LASTING])
def name(request: pytest.FixtureRequest) -> str:
    return name_of(request.param, request)


@pytest.fixture
def store(name: str) -> Iterator[Store]:
    opened = open_store(name)
    yield opened
    opened.close()


def test_values(store: Store) -> None:
    assert store.read(b"a") is None
    store.apply({b"a": b"1", b"b": b"", b"\xff\xff": b"\0\xff"})
    assert (store.read(b"a"), store.read(b"b"), store.read(b"\xff\xff")) == (b"1", b"", b"\0\xff")
    store.apply({b"a": b"2", b"b": None, b"missing": None})
    assert (store.read(b"a"), store.read(b"b"), store.read(b"missing")) == (b"2", None, None)
    store.apply({})


def test_items_are_ascending_and_of_the_prefix(store: Store) -> None:
    values = {bytes((first, second)): bytes((first,)) for first in (0, 97, 98, 255) for second in (255, 0, 7)}
    store.apply(values)
    assert list(store.items(b"")) == sorted(values.items())
    assert [key for key, _ in store.items(b"a")] == [b"a\x00", b"a\x07", b"a\xff"]
    assert [key for key, _ in store.items(b"\xff")] == [b"\xff\x00", b"\xff\x07", b"\xff\xff"]
    assert list(store.items(b"c")) == []
    assert (after(b"a\xff\xff"), after(b"\xff"), after(b"")) == (b"b", None, None)


def test_what_was_applied_is_there_after_opening_again(lasting: str) -> None:
    first = open_store(lasting)
    first.apply({b"a": b"1"})
    first.close()
    second = open_store(lasting)
    assert second.read(b"a") == b"1"
    second.apply({b"a": b"2"})
    second.close()


def test_a_second_writer_is_noticed(lasting: str) -> None:
    first, second = open_store(lasting), open_store(lasting)
    first.apply({b"a": b"1"})
    with pytest.raises(StoreConflict):
        second.apply({b"a": b"2", b"b": b"2"})
    assert (second.read(b"a"), second.read(b"b")) == (b"1", None)
    first.apply({b"a": b"3"})
    first.close()
    second.close()


def test_an_apply_that_fails_has_written_nothing(lasting: str) -> None:
    store = open_store(lasting)
    store.apply({b"a": b"1"})
    with pytest.raises(StoreError):
        store.apply({b"a": b"2", b"b": b"2", b"c": object()})  # type: ignore[dict-item]  # no store takes it
    assert (store.read(b"a"), store.read(b"b"), store.read(b"c")) == (b"1", None, None)
    store.apply({b"a": b"3"})
    assert store.read(b"a") == b"3"
    store.close()


class _Failing(MemoryStore):
    fails = False

    def apply(self, changes: Changes) -> None:
        super().apply(changes)
        if self.fails:
            raise StoreError("nobody knows")


def test_the_cache_forgets_what_may_be_wrong() -> None:
    below = _Failing()
    store = CachedStore(below)
    assert store.read(b"a") is None
    below.fails = True
    with pytest.raises(StoreError):
        store.apply({b"a": b"1"})
    assert store.read(b"a") == b"1"


def test_the_cache_keeps_no_blocks() -> None:
    below = MemoryStore()
    store = CachedStore(below)
    store.apply({b"word": bytes(32), b"block": bytes(33)})
    below.apply({b"word": b"1", b"block": b"2"})
    assert (store.read(b"word"), store.read(b"block")) == (bytes(32), b"2")


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="no settlement state"):
        SqliteStore(other)
    text = tmp_path / "text"
    text.write_text("no database " * 100)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(text)
    with pytest.raises(StoreError, match="cannot open"):
        SqliteStore(tmp_path / "missing" / "state.db")
    assert text.read_text().startswith("no database")


def test_a_damaged_file_is_an_error_and_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    store.apply({number.to_bytes(4, "big"): bytes(100) for number in range(2000)})
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xee" * (size - 4096))
    with pytest.raises(StoreError):
        SqliteStore(path).read((7).to_bytes(4, "big"))


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreError, match="cannot open"):
        PostgresStore("postgresql:///none?host=/nonexistent&connect_timeout=1")


def test_sqlite_survives_power_cuts_by_its_settings(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    query = store._connection.execute
    assert query("PRAGMA journal_mode").fetchone() == ("wal",)
    assert query("PRAGMA synchronous").fetchone() == (2,)
    store.close()


# --- staging ---


def test_staging(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"1"})
    staging = Staging(store)
    staging.write(b"a", b"2")
    staging.write(b"b", None)
    staging.write(b"c", b"2")
    assert [staging.read(key) for key in (b"a", b"b", b"c")] == [b"2", None, b"2"]
    assert list(staging.items(b"")) == [(b"a", b"2"), (b"c", b"2")]
    assert list(store.items(b"")) == [(b"a", b"1"), (b"b", b"1")]
    staging.abort()
    assert list(staging.items(b"")) == [(b"a", b"1"), (b"b", b"1")]
    staging.write(b"d", b"4")
    staging.commit()
    assert not staging.changed
    assert store.read(b"d") == b"4"


def test_overlays_are_private() -> None:
    staging = Staging(MemoryStore())
    staging.write(b"a", b"1")
    one, other = staging.overlay(), staging.overlay()
    one.write(b"a", b"2")
    other.write(b"b", b"3")
    assert (staging.read(b"a"), other.read(b"a"), one.read(b"b")) == (b"1", b"1", None)
    one.commit()
    assert (staging.read(b"a"), other.read(b"a")) == (b"2", b"2")
    other.abort()
    assert staging.read(b"b") is None


def test_a_failed_commit_keeps_the_changes() -> None:
    below = _Failing()
    below.fails = True
    staging = Staging(below)
    staging.write(b"a", b"1")
    with pytest.raises(StoreError):
        staging.commit()
    assert staging.changed


def test_due_tasks_come_once_and_in_order() -> None:
    state = State(Staging(MemoryStore()))
    for number in (3, 1, 2):
        state.add_due(7, word(number))
    state.add_due(8, word(4))
    assert state.take_due(7) == [word(3), word(1), word(2)]
    assert state.take_due(7) == []
    assert state.take_due(8) == [word(4)]
    assert list(state.staging.items(b"")) == []
    state.add_due(9, word(5))
    state.staging.write(keys.due_task(9, 0), None)
    with pytest.raises(StoreError, match="due at height 9"):
        state.take_due(9)


def test_zero_words_stay_in_the_digest() -> None:
    state = State(Staging(MemoryStore()))
    state.set_word(word(1), word(0))
    assert state.digest()[1] == 1
    assert not state.is_set(word(1))
    state.set_balance(account(1), 5)
    assert state.digest()[1] == 1
