"""Tables that a network (:mod:`localnet.chain.network`) adds to those of :mod:`localnet.chain.store`.

``accounts``, ``contracts``, ``pages`` and ``transactions`` have the accepted state, as the commands of ``genvm local``
know it. ``network_history`` and ``network_balances`` lead from there back to earlier states, and so to the final one:
each commit has a number, and what it overwrote is kept as long as somebody may need it. ``escrow`` of a transaction is
the value that it holds: its own until a contract has it, then that of messages which go out when it is final.
"""

from __future__ import annotations

NETWORK_SCHEMA = """
CREATE TABLE network_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE network_transactions (seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
                                   kind INTEGER NOT NULL, status TEXT NOT NULL, sender BLOB NOT NULL,
                                   recipient BLOB NOT NULL, origin BLOB NOT NULL, nonce INTEGER NOT NULL,
                                   value TEXT NOT NULL, escrow TEXT NOT NULL, calldata BLOB NOT NULL,
                                   code BLOB NOT NULL, parent INTEGER, released_on TEXT NOT NULL,
                                   block INTEGER NOT NULL, log INTEGER, commit_at INTEGER, view_at INTEGER,
                                   since REAL, factor REAL NOT NULL, details TEXT NOT NULL);
CREATE INDEX network_by_recipient ON network_transactions (recipient, seq);
CREATE INDEX network_by_sender ON network_transactions (sender, seq);
CREATE INDEX network_by_parent ON network_transactions (parent) WHERE parent IS NOT NULL;
CREATE INDEX network_open ON network_transactions (recipient, seq) WHERE status NOT IN ('FINALIZED', 'CANCELED');
CREATE TABLE network_rounds (tx INTEGER NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL,
                             PRIMARY KEY (tx, number)) WITHOUT ROWID;
CREATE TABLE network_unsettled (tx INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (tx, number)) WITHOUT ROWID;
CREATE TABLE network_history (address BLOB NOT NULL, slot BLOB NOT NULL, page INTEGER NOT NULL, seq INTEGER NOT NULL,
                              data BLOB NOT NULL, PRIMARY KEY (address, slot, page, seq)) WITHOUT ROWID;
CREATE INDEX network_history_by_seq ON network_history (seq);
CREATE TABLE network_balances (address BLOB NOT NULL, seq INTEGER NOT NULL, delta TEXT NOT NULL,
                               PRIMARY KEY (address, seq)) WITHOUT ROWID;
CREATE INDEX network_balances_by_seq ON network_balances (seq);
CREATE TABLE network_contracts (address BLOB PRIMARY KEY, deployed_at INTEGER NOT NULL, final_at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE network_blocks (number INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, tx BLOB);
CREATE INDEX network_blocks_by_tx ON network_blocks (tx) WHERE tx IS NOT NULL;
CREATE TABLE network_validators (number INTEGER PRIMARY KEY AUTOINCREMENT, address BLOB NOT NULL UNIQUE,
                                 secret BLOB NOT NULL, stake TEXT NOT NULL, model TEXT NOT NULL,
                                 created_at TEXT NOT NULL);
CREATE TABLE network_providers (number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL,
                                is_default INTEGER NOT NULL);
"""
