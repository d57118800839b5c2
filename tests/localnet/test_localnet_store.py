"""The database: atomic, one file."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.host_protocol.paged import PAGE_BYTES, SLOT_SPACE
from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import (
    ContractInfo,
    Kind,
    Receipt,
    Status,
    Transaction,
    outcome_from_bytes,
    outcome_to_bytes,
)
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.store import Changes, Store
from pygenvm.localnet.errors import DatabaseError
from tests.support.paths import ROOT
from tests.support.properties import examples

ALICE, BOB = accounts.named()["alice"], accounts.named()["bob"]
CONTRACT = Address(b"\x01" * 20)
SLOT = b"\x02" * 32


def receipt() -> Receipt:
    transaction = Transaction(Kind.CALL, ALICE, ALICE, CONTRACT, 0, b"\x06")
    return Receipt(transaction, Status.OK, Return(b"\x00"), b"\x03" * 32, "2026-01-01T00:00:00Z")


def transfer(amount: int) -> Changes:
    balance = accounts.START_BALANCE
    return Changes(receipt(), balances={ALICE: balance - amount, BOB: balance + amount})


def test_a_new_network(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "x" / "local.db")) as store:
        assert [info.name for info in store.accounts()] == list(accounts.NAMES)
        assert store.balance(ALICE) == 10**24
        assert store.total_value() == 10**25
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 0)])
def test_waits_for_the_disk_only_where_that_is_wanted(tmp_path: Path, durable: bool, level: int) -> None:
    path = tmp_path / "local.db"
    with closing(Store(path, durable=durable)) as store:
        store.commit([transfer(5)])
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (level,)
    with closing(Store(path)) as store:
        assert store.balance(BOB) == accounts.START_BALANCE + 5


def test_commit_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "x" / "local.db"
    changes = transfer(5)
    changes.pages[CONTRACT.as_bytes, SLOT, 3] = b"page"
    changes.nonces[ALICE] = 1
    with closing(Store(path)) as store:
        assert [item.number for item in store.commit([changes, transfer(5)])] == [1, 2]
    with closing(Store(path)) as store:
        assert store.balance(BOB) == accounts.START_BALANCE + 5
        assert store.pages(CONTRACT, SLOT, 0, 9) == {3: b"page"}
        assert (store.nonce(ALICE), store.nonce(BOB)) == (1, 0)
        assert store.transaction_count() == 2


def test_value_cannot_appear_or_vanish(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    with closing(Store(path)) as store:
        store.commit([transfer(5)])
        before = path.read_bytes()
        for balances in ({ALICE: 1}, {BOB: 2 * accounts.START_BALANCE}, {CONTRACT: 1}):
            with pytest.raises(DatabaseError, match="create or destroy value"):
                store.commit([transfer(7), Changes(receipt(), balances=balances)])
        assert store.transaction_count() == 1
    assert path.read_bytes() == before


def test_balances_cannot_be_negative(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "local.db")) as store, pytest.raises(DatabaseError, match="negative"):
        store.commit([transfer(accounts.START_BALANCE + 1)])


@pytest.mark.parametrize("statements", [1, 4, 7])
@pytest.mark.parametrize("first", [True, False])
def test_a_kill_in_the_middle_of_a_commit_changes_nothing(tmp_path: Path, statements: int, first: bool) -> None:
    path = tmp_path / "local.db"
    if not first:
        with closing(Store(path)) as store:
            store.commit([transfer(5)])
    script = f"""
        import contextlib, os, pathlib, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        import pygenvm.localnet.chain.store, tests.localnet.test_localnet_store as here
        writes = 0
        class Connection(pygenvm.localnet.chain.store.sqlite3.Connection):
            def execute(self, statement, *parameters):
                global writes
                result = super().execute(statement, *parameters)
                if statement.startswith(("INSERT", "UPDATE")):
                    writes += 1
                    if writes == {statements}:
                        self.execute("PRAGMA cache_spill = 1")
                        os.kill(os.getpid(), signal.SIGKILL)
                return result
        pygenvm.localnet.chain.store._connect = lambda path, durable: pygenvm.localnet.chain.store.sqlite3.connect(
            path, isolation_level=None, factory=Connection)
        with contextlib.closing(pygenvm.localnet.chain.store.Store(pathlib.Path({str(path)!r}))) as store:
            writes = 0
            changes = here.transfer(9)
            changes.pages.clear()
            changes.pages.update({{(bytes(20), bytes(32), number): b"x" * 4096 for number in range(3000)}})
            store.commit([changes, here.transfer(9), here.transfer(9)])
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    with closing(Store(path)) as store:
        assert store.balance(BOB) == accounts.START_BALANCE + (0 if first else 5)
        assert store.transaction_count() == (0 if first else 1)
        assert store.slot_count(Address(bytes(20))) == 0
    with closing(Store(path)) as store:
        store.commit([transfer(6)])
        assert store.balance(BOB) == accounts.START_BALANCE + 6


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(500)])
def test_other_files_are_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "local.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseError):
        Store(path)
    assert path.read_bytes() == content


def test_other_databases_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(DatabaseError, match="not the database of a local network"):
        Store(path)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    with closing(Store(path)) as store:
        store.commit([transfer(1)])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(DatabaseError, match="version 2 of the database layout, this release reads 1"):
        Store(path)


# --- files of strangers -----------------------------------------------------------------------------


ENDLESS = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n)"


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A database with a contract, a transaction and a message under way, to be spoiled."""
    path = tmp_path / "strange.db"
    changes = transfer(5)
    changes.balances[ALICE] -= 7
    changes.queue.append(Transaction(Kind.CALL, ALICE, ALICE, CONTRACT, 7, b"\x06"))
    changes = replaced(changes, contract=ContractInfo(CONTRACT, "thing", 0, True))
    changes.pages[CONTRACT.as_bytes, SLOT, 3] = b"page"
    with closing(Store(path)) as store:
        store.commit([changes])
        store.record_failure(receipt())
    return path


def spoil(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.commit()


@pytest.mark.parametrize(
    "script",
    [
        f"DROP TABLE accounts; CREATE VIEW accounts AS {ENDLESS} SELECT x address, '1' balance, 1 nonce FROM n",
        f"CREATE TRIGGER t AFTER INSERT ON pages BEGIN INSERT INTO queue {ENDLESS} SELECT x, * FROM n; END",
        "CREATE TABLE more (x)",
        "CREATE INDEX more ON accounts (hex(balance))",
        "DROP TABLE queue",
        "ALTER TABLE accounts ADD COLUMN more AS (hex(balance))",
        "DROP TABLE contracts; CREATE TABLE contracts (number, address, name, top_level)",
    ],
    ids=["view", "trigger", "table", "index", "none", "generated", "other types"],
)
def test_tables_are_ours(strange: Path, script: str) -> None:
    """Issue: a recursive view hung `genvm local accounts`."""
    spoil(strange, script)
    with pytest.raises(DatabaseError, match="has not the tables of a local network"):
        Store(strange)


def test_vacuum_and_whitespace_do_no_harm(strange: Path) -> None:
    spoil(strange, "VACUUM; PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, ', ', ',\n   ')")
    with closing(Store(strange)) as store:
        assert store.total_value() == accounts.START_BALANCE * len(accounts.NAMES)


def test_statements_have_an_end(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATEMENT_SECONDS", 0.1)
    with closing(Store(strange)) as store, pytest.raises(DatabaseError, match=r"no answer within 0\.1 seconds"):
        store._one(f"{ENDLESS} SELECT count(*) FROM n")


def test_answers_have_an_end(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(strange)) as store:
        with pytest.raises(DatabaseError, match="more than can be held in memory"):
            store._all(f"{ENDLESS} SELECT 1 FROM n")
        monkeypatch.setattr(limits, "ANSWER_BYTES", 1 << 20)
        with pytest.raises(DatabaseError, match="more than can be held in memory"):
            store._all(f"{ENDLESS} SELECT zeroblob(1 << 19) FROM n")
        with pytest.raises(DatabaseError, match="too big"):
            store._all(f"SELECT zeroblob({limits.DATABASE_VALUE_BYTES + 1})")


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE accounts SET balance = 'many'",
        "UPDATE accounts SET balance = '-1'",
        f"UPDATE accounts SET balance = '{10**78}'",
        "UPDATE accounts SET balance = hex(zeroblob(10000))",
        "UPDATE accounts SET balance = x'31'",
        "UPDATE accounts SET nonce = 'many'",
        "UPDATE accounts SET nonce = -1",
        "UPDATE accounts SET address = substr(address, 2)",
        "UPDATE accounts SET address = hex(address)",
        "UPDATE contracts SET address = x''",
        "UPDATE contracts SET name = x'61'",
        "UPDATE contracts SET name = CAST(x'ff' AS TEXT)",
        "UPDATE contracts SET top_level = 'x'",
        "UPDATE pages SET data = zeroblob(4097)",
        "UPDATE pages SET data = 'text'",
        "UPDATE pages SET page = 'x'",
        "UPDATE pages SET slot = x''",
        "UPDATE queue SET kind = 'joke'",
        "UPDATE queue SET value = '1.5'",
        "UPDATE queue SET released_on = char(27)",
        "UPDATE transactions SET number = -1",
        "UPDATE transactions SET kind = 'joke'",
        "UPDATE transactions SET status = 'joke'",
        "UPDATE transactions SET sender = x''",
        "UPDATE transactions SET parent = 'x'",
        "UPDATE transactions SET tx_id = 1",
        "UPDATE transactions SET outcome = x''",
        "UPDATE transactions SET outcome = x'09'",
        "UPDATE transactions SET outcome = x'00ff'",
        "UPDATE transactions SET outcome = x'01ff'",
        "UPDATE transactions SET details = x''",
        "UPDATE transactions SET details = x'06'",
        "UPDATE transactions SET details = x'00'",
        "UPDATE failures SET after = 'x'",
        "UPDATE failures SET details = 1",
    ],
)
def test_values_are_checked(strange: Path, script: str) -> None:
    spoil(strange, script)
    with closing(Store(strange)) as store, pytest.raises(DatabaseError, match=r"database .*strange\.db"):
        everything(store)


def everything(store: Store) -> None:
    """Asks all that can be asked."""
    store.accounts()
    store.total_value()
    store.log(100)
    store.failed_deployment()
    store.transaction_count()
    store.queued(100)
    for info in store.contracts():
        store.contract(info.address)
        store.nonce(info.address)
        store.balance(info.address)
        store.kept_at(info.address)
        store.slot_count(info.address)
        for slot, last in store.slots(info.address, 100):
            store.pages(info.address, slot, 0, last)


def test_a_transaction_number_that_has_no_next(strange: Path) -> None:
    spoil(strange, "UPDATE transactions SET number = 9223372036854775807")
    with closing(Store(strange)) as store, pytest.raises(DatabaseError, match="too large"):
        store.commit([transfer(1)])


@pytest.mark.parametrize("outcome", [Return(b"\x10"), UserError("é"), VMError("OOM"), InternalError("x")])
def test_outcomes_are_kept(outcome: Outcome) -> None:
    assert outcome_from_bytes(outcome_to_bytes(outcome)) == outcome


def test_captured_text() -> None:
    assert Captured(b"a\xff", b"b").text() == "a\ufffdb"
    assert Captured(b"a", b"b", 7).text() == "a\n… 7 bytes left out …\nb"


# --- overlay ----------------------------------------------------------------------------------------

_writes = st.lists(
    st.tuples(st.integers(0, 3 * PAGE_BYTES), st.binary(max_size=40) | st.just(b"z" * 2 * PAGE_BYTES)), max_size=6
)


@examples(60)
@given(committed=_writes, pending=_writes, index=st.integers(0, 3 * PAGE_BYTES), length=st.integers(0, 3 * PAGE_BYTES))
def test_storage_is_a_byte_array(
    tmp_path_factory: pytest.TempPathFactory,
    committed: list[tuple[int, bytes]],
    pending: list[tuple[int, bytes]],
    index: int,
    length: int,
) -> None:
    plain = bytearray(8 * PAGE_BYTES)
    with closing(Store(tmp_path_factory.mktemp("store") / "local.db")) as store:
        first = Overlay(store)
        for position, data in committed:
            first.write(CONTRACT, SLOT, position, data)
            plain[position : position + len(data)] = data
        store.commit([Changes(receipt(), pages=first.written_pages())])
        before = bytes(plain)
        overlay = Overlay(store)
        for position, data in pending:
            overlay.write(CONTRACT, SLOT, position, data)
            plain[position : position + len(data)] = data
        assert overlay.read(CONTRACT, SLOT, index, length) == plain[index : index + length]
        assert Overlay(store).read(CONTRACT, SLOT, index, length) == before[index : index + length]
        assert overlay.read(CONTRACT, b"\x09" * 32, index, length) == bytes(length)


def test_limits_of_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay = Overlay(Store(None))
    overlay.write(CONTRACT, SLOT, SLOT_SPACE - 1, b"x")
    assert overlay.read(CONTRACT, SLOT, SLOT_SPACE - 2, 2) == b"\0x"
    for refused in (
        lambda: overlay.read(CONTRACT, SLOT, SLOT_SPACE - 1, 2),
        lambda: overlay.read(CONTRACT, SLOT, 0, limits.STORAGE_READ_BYTES + 1),
        lambda: overlay.write(CONTRACT, SLOT, SLOT_SPACE - 1, b"xy"),
    ):
        with pytest.raises(HostErrorReply) as refusal:
            refused()
        assert refusal.value.code is HostErrorCode.FORBIDDEN
    monkeypatch.setattr(limits, "STORAGE_PAGES_WRITTEN", 1)
    overlay = Overlay(Store(None))
    overlay.write(CONTRACT, SLOT, SLOT_SPACE - 2, b"x")
    with pytest.raises(HostErrorReply) as refusal:
        overlay.write(CONTRACT, SLOT, 0, b"x")
    assert refusal.value.code is HostErrorCode.OUT_OF_STORAGE_GAS
