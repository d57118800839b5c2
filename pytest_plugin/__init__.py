"""Tests of contracts with pytest, in the sandbox that nodes run (``docs/testing.md``).

The fixtures are in :mod:`pytest_plugin.plugin`; pytest finds them when the package is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.pytest_plugin.contract import DirectContract
    from pygenvm.pytest_plugin.direct import DirectVM
    from pygenvm.pytest_plugin.failures import ContractReverted, ExecutorFailed, UnansweredRequest
    from pygenvm.pytest_plugin.mocks import ModuleFailure

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

        return getattr(import_module(f"pygenvm.pytest_plugin.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
