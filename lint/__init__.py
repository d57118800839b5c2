"""Looks for mistakes in contracts without running them.

One file per family of rules, or part of one, all of the same shape: ``RULES`` lists them, ``check`` yields what it
finds, with the module and the node it was found at. A rule speaks only where it is certain; what cannot be followed is
let pass. Rules need not ask whether a place is reached: an error below a condition is reported as a warning.

    model.py           rules, places, findings
    source.py          files, names and what they stand for, classes
    annotations.py     what annotations say; types of expressions in storage
    stored.py          classes and methods with fields in storage
    kinds.py           what kind of value an expression gives
    calls.py           which function a call reaches, and in what VM it runs
    names.py           the names of the SDK, and what its functions take
    header.py          GL1xx
    contract_class.py  GL2xx
    storage.py         GL3xx, with temporaries.py and values.py
    methods.py         GL4xx, with other_contracts.py
    nondet.py          GL5xx
    old_names.py       GL6xx, with arguments.py
    events.py          GL7xx
    sandbox.py         GL8xx
    check.py           reads contracts and runs all rules; GL0xx
    report.py          what people and programs read
"""

from __future__ import annotations

from pygenvm.lint.check import Settings, find_contracts, lint, lint_code, rules
from pygenvm.lint.model import Finding, Level, Place, Rule

__all__ = ["Finding", "Level", "Place", "Rule", "Settings", "find_contracts", "lint", "lint_code", "rules"]
