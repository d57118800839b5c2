"""State of settlement: keys and values behind one narrow interface, staged, and committed in one transaction.

:mod:`settlement.state.store` is the interface, with memory, SQLite and PostgreSQL behind it;
:mod:`settlement.state.staging` holds changes until they are committed or dropped; :mod:`settlement.state.slots` is the
layout of slots, :mod:`settlement.state.state` the words, balances and nodes that the engine sees.
"""
