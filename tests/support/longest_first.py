"""Files of tests in the order of how long they take, for pytest-xdist: one that begins last keeps all waiting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

#: What pytest's cache has of the last runs: by the tests that ``-m`` chose, by file, its seconds.
SECONDS = "pygenvm/seconds"


def sort(items: list[pytest.Item], seconds: Mapping[str, float]) -> None:
    # Of a file that is not measured: a second for each test that may take one.
    guessed = Counter(_file(item.nodeid) for item in items if item.get_closest_marker("runners"))
    guessed.update(_file(item.nodeid) for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -seconds.get(_file(item.nodeid), guessed[_file(item.nodeid)]))


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class Measured:
    """A plugin of the process that starts the others."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._took: defaultdict[str, float] = defaultdict(float)

    def _recorded(self) -> dict[str, dict[str, float]]:
        recorded: dict[str, dict[str, float]] = self._config.cache.get(SECONDS, {})
        return recorded

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        # All processes must have one order: they do not read the cache, which another run may be changing.
        node.workerinput["seconds"] = self._recorded().get(self._config.option.markexpr, {})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._took[_file(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        recorded, chosen = self._recorded(), self._config.option.markexpr
        took = {file: round(seconds, 1) for file, seconds in self._took.items()}
        self._config.cache.set(SECONDS, {**recorded, chosen: {**recorded.get(chosen, {}), **took}})
