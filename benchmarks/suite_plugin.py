"""A plugin of pytest for the row *examples-suite*: tells how long the tests took, and may give each run an executor."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.pytest_plugin import workbench

#: Begins the line that has the seconds.
TOOK = "the tests took "
_OPTION = "--executor-each"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_OPTION, action="store_true", help="an executor out of a pool for each run")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(_OPTION):
        vars(workbench)["series_of_runs"] = many_runs


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    begun = time.perf_counter()
    result = yield
    print(f"\n{TOOK}{time.perf_counter() - begun}")
    return result
