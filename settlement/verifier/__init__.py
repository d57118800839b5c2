"""Checking a receipt offline: what holds, what does not, and what the file does not let one check.

:mod:`settlement.verifier.document` is the file, :mod:`settlement.verifier.checks` the sentences,
:mod:`settlement.verifier.export` makes the file from a chain; ``genvm receipt`` is the command (docs/settlement.md).
"""
