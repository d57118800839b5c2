"""The plugin: options, markers, and whether our fixtures and modules are there.

Where genlayer-test is installed too, its fixtures have the same names. Ours stay away then, unless they are asked for
by ``-p pygenvm.pytest_plugin.plugin`` or ``genvm_direct = true``.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pygenvm.pytest_plugin import output, served, times, views

_NAME = "pygenvm.pytest_plugin.plugin"
_FIXTURES = "pygenvm.pytest_plugin.fixtures"
_WORKBENCH = "pygenvm.pytest_plugin.workbench"
#: What asks for us on the command line.
_ASKING = frozenset({_NAME, "genvm"})
#: The plugin of genlayer-test with the fixtures of the same names, as its distribution calls it.
_OTHERS_NAME = "gltest_direct"
_OTHERS_MODULE = "gltest.direct.pytest_plugin"
_OURS_TAKE = pytest.StashKey[bool]()
#: Runs of pytest in this process that use us; one may be inside another.
_runs: list[pytest.Config] = []
_preparation: threading.Thread | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    when = "time at which tests of contracts start: ISO 8601, or `now`"
    parser.getgroup("genvm").addoption("--genvm-time", metavar="TIME", default=None, help=when)
    parser.addini("genvm_time", f"{when} (default: 2026-01-01T00:00:00Z)", default="")
    parser.addini("genvm_strict_views", "contracts that are called can neither send nor emit events", type="bool")
    parser.addini("genvm_direct", "take the direct_* fixtures also where genlayer-test is installed", type="bool")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    _settle(early_config)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "direct: uses a contract by the fixtures direct_vm and direct_deploy")
    config.addinivalue_line("markers", "genvm_time(when): time at which the test starts: ISO 8601, or `now`")
    if not _settle(config):
        return
    # Last of all plugins, or else fixtures of the same names would be the other's.
    config.pluginmanager.register(importlib.import_module(_FIXTURES), _FIXTURES)
    output.full_trace = config.getoption("fulltrace")
    times.configured = config.getoption("genvm_time") or config.getini("genvm_time")
    views.strict = config.getini("genvm_strict_views")
    try:
        times.start_time()
    except ValueError as error:
        raise pytest.UsageError(f"genvm_time: {error}") from error


def pytest_report_header(config: pytest.Config) -> Sequence[str]:
    if config.stash[_OURS_TAKE]:
        return []
    return [f"genvm: the direct_* fixtures are those of genlayer-test; for ours add -p {_NAME} or genvm_direct = true"]


def pytest_itemcollected(item: pytest.Item) -> None:
    wants = "direct_vm" in getattr(item, "fixturenames", ()) and not item.config.option.collectonly
    if wants and item.config.stash[_OURS_TAKE] and _preparation is None:
        _begin_preparation()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """No test runs beside the preparation: one that forks would have its locks, and nobody who releases them."""
    _end_preparation()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if {"direct_vm", "direct_deploy"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("direct")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[Any]) -> Iterator[None]:
    failures = sys.modules.get("pygenvm.pytest_plugin.failures")
    if failures and call.excinfo:
        failures.add_details(call.excinfo.value)
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    if config in _runs:
        _runs.remove(config)
        if not _runs:
            served.uninstall()
            _end_preparation()
            workbench = sys.modules.get(_WORKBENCH)
            if workbench:
                workbench.shared.close()


def _settle(config: pytest.Config) -> bool:
    """Whether the fixtures, and modules such as ``gltest.direct``, are ours; puts the modules there."""
    if _OURS_TAKE not in config.stash:
        asked = config.getini("genvm_direct") or not _ASKING.isdisjoint(
            [*config.known_args_namespace.plugins, *os.environ.get("PYTEST_PLUGINS", "").split(",")]
        )
        others = config.pluginmanager.has_plugin(_OTHERS_NAME) or config.pluginmanager.has_plugin(_OTHERS_MODULE)
        config.stash[_OURS_TAKE] = bool(asked or not others)
        if config.stash[_OURS_TAKE]:
            _runs.append(config)
            served.install()
    return config.stash[_OURS_TAKE]


# --- the first executor -------------------------------------------------------------------------------


def _begin_preparation() -> None:
    """Starts it while tests are still collected: with the imports that it takes, that is as long as dozens of calls."""
    global _preparation
    _preparation = threading.Thread(target=_prepare, name="first executor of tests", daemon=True)
    _preparation.start()


def _prepare() -> None:
    importlib.import_module(_WORKBENCH).shared.prepare()


def _end_preparation() -> None:
    """Waits for it; the executor itself may still be on its way."""
    global _preparation
    if _preparation is not None:
        _preparation.join()
        _preparation = None
