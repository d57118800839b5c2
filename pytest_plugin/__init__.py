"""Tests of contracts with pytest, in the sandbox that nodes run (``docs/testing.md``).

The fixtures are in :mod:`pytest_plugin.fixtures`; pytest finds them when the package is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.pytest_plugin.addresses import DirectAddress, create_address
    from pygenvm.pytest_plugin.contract import DirectContract
    from pygenvm.pytest_plugin.direct import DirectVM
    from pygenvm.pytest_plugin.failures import (
        ContractReverted,
        ExecutorFailed,
        UnansweredRequest,
        UnansweredRequestWarning,
        UnusedMockWarning,
    )
    from pygenvm.pytest_plugin.mocks import ModuleFailure
    from pygenvm.pytest_plugin.served import OnlyInSandbox

__all__ = [
    "ContractReverted",
    "DirectAddress",
    "DirectContract",
    "DirectVM",
    "ExecutorFailed",
    "ModuleFailure",
    "OnlyInSandbox",
    "UnansweredRequest",
    "UnansweredRequestWarning",
    "UnusedMockWarning",
    "create_address",
]

_HOMES = {
    "ContractReverted": "failures",
    "DirectAddress": "addresses",
    "DirectContract": "contract",
    "DirectVM": "direct",
    "ExecutorFailed": "failures",
    "ModuleFailure": "mocks",
    "OnlyInSandbox": "served",
    "UnansweredRequest": "failures",
    "UnansweredRequestWarning": "failures",
    "UnusedMockWarning": "failures",
    "create_address": "addresses",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: pytest loads this package in every project that has it installed.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pygenvm.pytest_plugin.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
