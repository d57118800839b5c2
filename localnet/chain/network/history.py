"""The database of a network, below its transactions: settings, commits and the way back, blocks, validators.

*History.* Each commit has a number. It keeps what it overwrites, so that the state after any commit can still be seen
(:meth:`HistoryStore.pages_at`): by runs that began then, by appeals, and as the final state, which is that after the
last final commit of each contract. Whatever nobody can ask for any more is forgotten (:meth:`HistoryStore.forget`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import ContractInfo
from pygenvm.localnet.chain.network.errors import (
    ValidatorNotFound,
)
from pygenvm.localnet.chain.network.rows import (
    known_address,
    model_from_json,
    model_to_json,
    to_json,
    to_text,
    to_time,
)
from pygenvm.localnet.chain.network.types import (
    Block,
    Model,
    TxStatus,
    Validator,
)
from pygenvm.localnet.chain.network_schema import NETWORK_SCHEMA
from pygenvm.localnet.chain.store import Store, _sqlite_errors
from pygenvm.localnet.errors import DatabaseError
from pygenvm.localnet.private_files import make_file

OPEN = "status NOT IN ('FINALIZED', 'CANCELED')"
#: What a snapshot gives back; validators, models, blocks, the clock and the count of commits stay.
_STATE_TABLES = (
    "accounts",
    "contracts",
    "pages",
    "transactions",
    "queue",
    "network_transactions",
    "network_rounds",
    "network_unsettled",
    "network_history",
    "network_balances",
    "network_contracts",
)


class NoteKind:
    """What a note is about."""

    STATUS = "status"
    CONTRACT = "contract"
    BALANCE = "balance"
    BLOCK = "block"


class Note(NamedTuple):
    """Something that a write has changed."""

    kind: str
    address: Address | None = None
    id: bytes | None = None
    status: TxStatus | None = None
    seq: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is written: by the network's clock, and by the wall."""

    now: datetime
    wall: datetime
    window: float
    """Seconds of finality window."""

    @property
    def seconds(self) -> float:
        return self.now.timestamp()


class HistoryStore(Store):
    """The file of a network, without what is done with transactions."""

    def __init__(self, path: Path | None, *, durable: bool = True) -> None:
        super().__init__(path, durable=durable)
        self.chain_id = accounts.CHAIN_ID
        self.strict_nonces = True
        self.settles = False
        self.notes: list[Note] = []
        #: Number of the last commit.
        self.commits = 0
        #: Last commit that has changed the storage of an address, and its balance.
        self.storage_changed: dict[Address, int] = {}
        self.balance_changed: dict[Address, int] = {}
        #: Nothing is known of who has changed what before this commit.
        self.floor = 0
        #: Counts how often the whole state was replaced.
        self.epoch = 0

    # --- opening ----------------------------------------------------------------------------------

    def open_network(self, settings: Mapping[str, Any], moment: Moment) -> bool:
        """Makes the tables if there are none. True: they are new."""
        with _sqlite_errors(self._path):
            if not self._exists:
                # In the file itself, and not only in the journal of a process that is killed: it says whose file it is.
                with self._writing():
                    pass
            # One wait for the disk instead of three; :meth:`close` makes it one file again.
            self._connection.execute("PRAGMA journal_mode = WAL")
        with _sqlite_errors(self._path), self._writing():
            new = not self.has_network()
            if new:
                for statement in NETWORK_SCHEMA.split(";"):
                    self._connection.execute(statement)
                for name, value in settings.items():
                    self.set(name, value)
                self._execute("INSERT INTO network_blocks (number, timestamp) VALUES (0, ?)", int(moment.seconds))
                self.set("genesis", os.urandom(16).hex())
                # Contracts that commands have deployed are final.
                self._execute("INSERT INTO network_contracts SELECT address, 0, 0 FROM contracts")
                self.set("total", str(super().total_value()))
            self.commits = int(self.get("commits", 0))
            self.floor = self.commits
            # What commands have done since is final, and so is their total.
            self._execute(
                "INSERT INTO network_contracts SELECT address, ?, ? FROM contracts"
                " WHERE address NOT IN (SELECT address FROM network_contracts)",
                self.commits,
                self.commits,
            )
        return new

    def close(self) -> None:
        """Closes the file, which is all there is then."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        super().close()

    def batch(self, actions: Sequence[Callable[[Self], Any]]) -> list[Any]:
        """Carries out actions in one transaction of the database; one that fails leaves nothing but its error."""
        results: list[Any] = []
        with _sqlite_errors(self._path), self._writing():
            for action in actions:
                self.notes = []
                self._execute("SAVEPOINT action")
                try:
                    results.append((action(self), self.notes))
                except Exception as error:
                    self._execute("ROLLBACK TO action")
                    results.append(error)
                self._execute("RELEASE action")
        return results

    def _execute(self, statement: str, *parameters: object) -> Any:
        return self._connection.execute(statement, parameters)

    # --- settings ---------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, which is JSON."""
        row = self._one("SELECT value FROM network_settings WHERE name = ?", name)
        return json.loads(row[0]) if row else default

    def set(self, name: str, value: Any) -> None:
        """Changes a setting."""
        self._execute("INSERT OR REPLACE INTO network_settings (name, value) VALUES (?, ?)", name, json.dumps(value))

    # --- history ----------------------------------------------------------------------------------

    def next_commit(self) -> int:
        """Number of a new commit."""
        self.commits += 1
        self.set("commits", self.commits)
        return self.commits

    def pages_at(self, address: Address, slot: bytes, first: int, last: int, at: int) -> dict[int, bytes]:
        """Pages of a slot as they were after commit ``at``."""
        found = self.pages(address, slot, first, last)
        if self.storage_changed.get(address, self.floor) > at:
            rows = self._all(
                "SELECT page, data, MIN(seq) FROM network_history"
                " WHERE address = ? AND slot = ? AND page BETWEEN ? AND ? AND seq > ? GROUP BY page",
                address.as_bytes,
                slot,
                first,
                last,
                at,
            )
            found |= {page: data for page, data, _ in rows}
        return found

    def balance_at(self, address: Address, at: int) -> int:
        """A balance as it was after commit ``at``."""
        balance = self.balance(address)
        if self.balance_changed.get(address, self.floor) > at:
            rows = self._all("SELECT delta FROM network_balances WHERE address = ? AND seq > ?", address.as_bytes, at)
            balance -= sum(int(delta) for (delta,) in rows)
        return balance

    def contract_at(self, address: Address, at: int) -> ContractInfo | None:
        """The contract at an address after commit ``at``."""
        info = self.contract(address)
        if info is None:
            return None
        row = self._one("SELECT deployed_at FROM network_contracts WHERE address = ?", address.as_bytes)
        return info if row is not None and row[0] <= at else None

    def final_at(self, address: Address) -> int:
        """The last final commit of a contract."""
        row = self._one("SELECT final_at FROM network_contracts WHERE address = ?", address.as_bytes)
        # Not changed since then, or no contract: its state is that of now.
        return int(row[0]) if row else self.commits

    def write_pages(self, pages: Mapping[tuple[bytes, bytes, int], bytes], commit: int) -> None:
        """Writes pages, and keeps what they were."""
        for (raw, slot, page), data in pages.items():
            address = Address(raw)
            before = self.pages(address, slot, page, page).get(page, b"")
            self._execute(
                "INSERT OR IGNORE INTO network_history (address, slot, page, seq, data) VALUES (?, ?, ?, ?, ?)",
                raw,
                slot,
                page,
                commit,
                before,
            )
            self._execute(
                "INSERT OR REPLACE INTO pages (address, slot, page, data) VALUES (?, ?, ?, ?)", raw, slot, page, data
            )
            self.storage_changed[address] = commit

    def add_balance(self, address: Address, delta: int, commit: int) -> None:
        """Changes a balance, and keeps by how much.

        :raises DatabaseError: it would be negative.
        """
        if not delta:
            return
        balance = self.balance(address) + delta
        if not 0 <= balance <= limits.VALUE_MAX:
            raise DatabaseError(f"the balance of {address!s} would be {balance}; nothing was written")
        self._set_account("balance", address, str(balance))
        row = self._one("SELECT delta FROM network_balances WHERE address = ? AND seq = ?", address.as_bytes, commit)
        self._execute(
            "INSERT OR REPLACE INTO network_balances (address, seq, delta) VALUES (?, ?, ?)",
            address.as_bytes,
            commit,
            str(delta + (int(row[0]) if row else 0)),
        )
        self.balance_changed[address] = commit
        self.notes.append(Note(NoteKind.BALANCE, address))

    def forget(self, horizon: int) -> None:
        """Drops what nobody can ask for who began at commit ``horizon`` or later."""
        row = self._one(f"SELECT MIN(view_at) FROM network_transactions WHERE {OPEN} AND view_at IS NOT NULL")
        if row and row[0] is not None:
            horizon = min(horizon, row[0])
        self._execute("DELETE FROM network_balances WHERE seq <= ?", horizon)
        self._execute(
            "DELETE FROM network_history WHERE seq <= ? AND seq <= IFNULL("
            "(SELECT final_at FROM network_contracts WHERE address = network_history.address), seq)",
            horizon,
        )

    # --- blocks -----------------------------------------------------------------------------------

    def height(self, wall: datetime) -> tuple[int, int]:
        """The newest block's number and timestamp: each second without one has made one."""
        row = self._one("SELECT number, timestamp FROM network_blocks ORDER BY number DESC LIMIT 1")
        assert row is not None
        passed = max(0, int(wall.timestamp()) - row[1])
        return row[0] + passed, row[1] + passed

    def add_block(self, moment: Moment, id: bytes | None) -> int:
        """The number of a new block, with one transaction or none."""
        number, timestamp = self.height(moment.wall)
        number += 1
        self._execute("INSERT INTO network_blocks (number, timestamp, tx) VALUES (?, ?, ?)", number, timestamp, id)
        self.notes.append(Note(NoteKind.BLOCK, number=number))
        return number

    def block(self, number: int, wall: datetime) -> Block | None:
        """A block that there has been."""
        if not 0 <= number <= self.height(wall)[0]:
            return None
        row = self._one(
            "SELECT number, timestamp, tx FROM network_blocks WHERE number <= ? ORDER BY number DESC LIMIT 1", number
        )
        assert row is not None
        base, timestamp, tx = row
        ids = (bytes(tx),) if tx is not None and base == number else ()
        parent = self._block_hash(number - 1) if number else bytes(32)
        return Block(number, self._block_hash(number), parent, timestamp + number - base, ids)

    def block_of(self, hash: bytes, wall: datetime) -> Block | None:
        """A block by its hash, or by the id of its transaction."""
        row = self._one("SELECT number FROM network_blocks WHERE tx = ?", hash)
        if row:
            return self.block(row[0], wall)
        # The number is in the hash, so that blocks of seconds in which nothing was need not be kept.
        number = int.from_bytes(hash[:8], "big")
        if len(hash) == 32 and number < 1 << 62 and hash == self._block_hash(number):
            return self.block(number, wall)
        return None

    def _block_hash(self, number: int) -> bytes:
        genesis = bytes.fromhex(self.get("genesis"))
        return number.to_bytes(8, "big") + hash_of(b"block", genesis, number.to_bytes(8, "big"))[8:]

    # --- validators and providers -----------------------------------------------------------------

    def validators(self) -> list[Validator]:
        """In order of creation."""
        rows = self._all("SELECT number, address, stake, model, created_at FROM network_validators ORDER BY number")
        return [
            Validator(number, known_address(bytes(raw)), int(stake), model_from_json(json.loads(model)), to_time(at))
            for number, raw, stake, model, at in rows
        ]

    def add_validator(self, address: Address, secret: bytes, stake: int, model: Model, now: datetime) -> Validator:
        """A new one."""
        cursor = self._execute(
            "INSERT INTO network_validators (address, secret, stake, model, created_at) VALUES (?, ?, ?, ?, ?)",
            address.as_bytes,
            secret,
            str(stake),
            to_json(model_to_json(model)),
            to_text(now),
        )
        return Validator(cursor.lastrowid, address, stake, model, now)

    def update_validator(self, address: Address, stake: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        cursor = self._execute(
            "UPDATE network_validators SET stake = ?, model = ? WHERE address = ?",
            str(stake),
            to_json(model_to_json(model)),
            address.as_bytes,
        )
        if not cursor.rowcount:
            raise ValidatorNotFound(f"Validator {address!s} not found")

    def delete_all_validators(self) -> None:
        """There are none then."""
        self._execute("DELETE FROM network_validators")

    def delete_validator(self, address: Address) -> None:
        """:raises ValidatorNotFound: there is none."""
        if not self._execute("DELETE FROM network_validators WHERE address = ?", address.as_bytes).rowcount:
            raise ValidatorNotFound(f"Validator {address!s} not found")

    def providers(self) -> list[tuple[int, Model, bool]]:
        """Numbers, models, and whether they came with the network."""
        rows = self._all("SELECT number, model, is_default FROM network_providers ORDER BY number")
        return [(number, model_from_json(json.loads(model)), bool(default)) for number, model, default in rows]

    def add_provider(self, model: Model, *, is_default: bool = False) -> int:
        """Its number."""
        cursor = self._execute(
            "INSERT INTO network_providers (model, is_default) VALUES (?, ?)",
            to_json(model_to_json(model)),
            is_default,
        )
        return int(cursor.lastrowid)

    def update_provider(self, number: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        cursor = self._execute(
            "UPDATE network_providers SET model = ? WHERE number = ?", to_json(model_to_json(model)), number
        )
        if not cursor.rowcount:
            raise ValidatorNotFound(f"Provider {number} not found")

    def delete_provider(self, number: int) -> None:
        """:raises ValidatorNotFound: there is none."""
        if not self._execute("DELETE FROM network_providers WHERE number = ?", number).rowcount:
            raise ValidatorNotFound(f"Provider {number} not found")

    def reset_providers(self, models: Sequence[Model]) -> None:
        """As in a new network."""
        self._execute("DELETE FROM network_providers")
        for model in models:
            self.add_provider(model, is_default=True)
        self.set("models", _documents(models))

    def knows_others(self, models: Sequence[Model]) -> bool:
        """Whether the configuration had other models when the network was open before."""
        return bool(self.get("models") != _documents(models))

    def follow_providers(self, models: Sequence[Model]) -> None:
        """Adds models that are new in the configuration, and removes those that came from it and are not there any
        more; what somebody has added or removed stays so."""
        listed = [(number, to_json(model_to_json(model)), default) for number, model, default in self.providers()]
        before = self.get("models")
        if not isinstance(before, list):
            # Of a file that was made before this was noted.
            before = [document for _, document, default in listed if default]
        now = _documents(models)
        for number, document, default in listed:
            if default and document not in now:
                self.delete_provider(number)
        for model, document in zip(models, now, strict=True):
            if document not in before:
                self.add_provider(model, is_default=True)
        self.set("models", now)

    # --- the whole --------------------------------------------------------------------------------

    def write_to(self, path: Path) -> None:
        """Copies the database to a new file, which has reached the disk when this returns."""
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        try:
            with _sqlite_errors(temporary):
                make_file(temporary)
                self._execute("VACUUM INTO ?", os.fspath(temporary))
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
                temporary.rename(path)
        except DatabaseError:
            # Where the disk is full, half of a snapshot would keep it full.
            temporary.unlink(missing_ok=True)
            raise

    def read_from(self, path: Path, *, everything: bool = False) -> None:
        """Puts back the state of a file; blocks, validators, models and settings stay.

        :param everything: validators, models and clock too.
        :raises DatabaseError: it is not a file of ours.
        """
        Store(path).close()
        tables = [*_STATE_TABLES, *(("network_validators", "network_providers") if everything else ())]
        names = "'total', 'window', 'offset'" if everything else "'total'"
        with _sqlite_errors(path):
            self._execute("ATTACH ? AS snapshot", os.fspath(path))
            try:
                with self._writing():
                    for table in tables:
                        self._execute(f"DELETE FROM main.{table}")
                        self._execute(f"INSERT INTO main.{table} SELECT * FROM snapshot.{table}")
                    self._execute(
                        "INSERT OR REPLACE INTO network_settings SELECT * FROM snapshot.network_settings"
                        f" WHERE name IN ({names})"
                    )
                    # Numbers of commits and blocks go on from the larger ones.
                    found = self._one("SELECT value FROM snapshot.network_settings WHERE name = 'commits'")
                    self.commits = max(self.commits, json.loads(found[0]) if found else 0)
                    self._replaced()
            finally:
                self._execute("DETACH snapshot")

    def clear(self) -> None:
        """The state of a new network."""
        for table in _STATE_TABLES:
            self._execute(f"DELETE FROM {table}")
        if self._has_failures():
            self._execute("DELETE FROM failures")
        for address in accounts.names():
            self._set_account("balance", address, str(accounts.START_BALANCE))
        self.set("total", str(self.total_value()))
        self._replaced()

    def _replaced(self) -> None:
        """The state is another one: no run that has begun means anything."""
        self.epoch += 1
        self.floor = self.next_commit()
        self.storage_changed.clear()
        self.balance_changed.clear()

    def check(self) -> None:
        """:raises DatabaseError: value has appeared or vanished, or does not come from anywhere."""
        total, expected = self.total_value(), int(self.get("total"))
        if total != expected:
            raise DatabaseError(f"there is value of {total} in the network, and should be {expected}")


def _documents(models: Sequence[Model]) -> list[str]:
    return [to_json(model_to_json(model)) for model in models]


def hash_of(*parts: bytes) -> bytes:
    """SHA-256 of parts with their lengths."""
    data = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"genvm local network" + data).digest()
