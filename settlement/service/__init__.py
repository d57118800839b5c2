"""The engine over HTTP: JSON for readers, signed transactions, blocks by one writer (spec settlement/03 §7).

:mod:`settlement.service.node` owns the chain: a thread that writes, and readers on connections of their own.
:mod:`settlement.service.app` is the HTTP side of it, :mod:`settlement.service.serve` the process.
"""
