"""Tests of contracts with pytest, in the sandbox that nodes run (``docs/testing.md``).

The fixtures are in :mod:`pytest_genvm.plugin`; pytest finds them when the package is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_genvm.contract import DirectContract
    from pytest_genvm.direct import DirectVM
    from pytest_genvm.failures import ContractReverted, ExecutorFailed, UnansweredRequest
    from pytest_genvm.mocks import ModuleFailure

__all__ = ["ContractReverted", "DirectContract", "DirectVM", "ExecutorFailed", "ModuleFailure", "UnansweredRequest"]

_HOMES = {
    "ContractReverted": "failures",
    "DirectContract": "contract",
    "DirectVM": "direct",
    "ExecutorFailed": "failures",
    "ModuleFailure": "mocks",
    "UnansweredRequest": "failures",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: pytest loads this package in every project that has it installed.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pytest_genvm.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
