"""Whether a network can go on with a file from elsewhere: everything in it can be read, and every count goes on.

What a file does to others is up to :mod:`localnet.chain.store`. But a value that nobody can read stops each question
that comes across it, and a number at the end of its range all that comes after it, also when another file is loaded
then. So a file is looked at as a whole before it takes the place of what is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.checks import check_model, check_stake
from pygenvm.localnet.chain.network.errors import BadFile
from pygenvm.localnet.chain.network.store import NetworkStore

#: Numbers that a network counts on from.
_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "contracts": ("number",),
    "transactions": ("number",),
    "queue": ("number",),
    "network_transactions": ("seq", "parent", "block", "log", "commit_at", "view_at"),
    "network_rounds": ("tx", "number"),
    "network_unsettled": ("tx", "number"),
    "network_history": ("page", "seq"),
    "network_balances": ("seq",),
    "network_contracts": ("deployed_at", "final_at"),
    "network_validators": ("number",),
    "network_providers": ("number",),
}
_COUNT_MAX: Final = 1 << 53
_SECRET_BYTES: Final = 32


def examine(store: NetworkStore) -> None:
    """:raises BadFile: a network could not go on with what ``store`` holds."""
    try:
        _examine(store)
    except BadFile:
        raise
    except Exception as error:
        # Whatever reading it raises: an address of another length is a plain `Exception`, deep JSON a `RecursionError`.
        raise BadFile(f"the file is damaged: {error!s:.200}") from error


def _examine(store: NetworkStore) -> None:
    for table, columns in _COUNTED.items():
        for column in columns:
            _forbid(
                store,
                f"SELECT 1 FROM {table} WHERE typeof({column}) NOT IN ('integer', 'null')"
                f" OR {column} NOT BETWEEN 0 AND {_COUNT_MAX}",
                f"{column} of {table} is no count",
            )
    _forbid(
        store,
        "SELECT 1 FROM network_transactions WHERE parent >= seq"
        " OR parent IS NOT NULL AND parent NOT IN (SELECT seq FROM network_transactions)",
        "a transaction was triggered by one that is not before it",
    )
    _examine_settings(store)
    store.check()
    store.accounts()
    for (seq,) in store._all("SELECT seq FROM network_transactions"):
        row = store.row(seq)
        for virtual in row.details.virtual:
            check_stake(1 if virtual.stake is None else virtual.stake)
        if (row.since is not None and not math.isfinite(row.since)) or not 0 <= row.factor <= 1:
            raise BadFile(f"the file is damaged: the finality window of transaction {seq}")
        store.rounds(seq)
    for validator in store.validators():
        check_stake(validator.stake)
        check_model(validator.model)
    for _, model, _ in store.providers():
        check_model(model)
    _forbid(
        store,
        f"SELECT 1 FROM network_validators WHERE typeof(secret) <> 'blob' OR length(secret) <> {_SECRET_BYTES}",
        "the key of a validator",
    )


def _examine_settings(store: NetworkStore) -> None:
    for name, least, most in (
        ("commits", 0, _COUNT_MAX),
        ("last_snapshot", 0, _COUNT_MAX),
        ("window", 0, limits.FINALITY_WINDOW_SECONDS),
        ("offset", -limits.CLOCK_OFFSET_SECONDS, limits.CLOCK_OFFSET_SECONDS),
    ):
        value = store.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise BadFile(f"the file is damaged: {value!r:.80} is no {name}")


def _forbid(store: NetworkStore, question: str, what: str) -> None:
    if store._one(f"{question} LIMIT 1"):
        raise BadFile(f"the file is damaged: {what}")
