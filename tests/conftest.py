"""Fixtures of the whole suite, the marks by which `make quick` leaves tests out, and which tests are watched."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pygenvm.executor.log import Remarks
from pygenvm.runners.registry import BuiltRunners, build, default_jobs, ensure_built
from tests.support import covering, longest_first
from tests.support.author_modules import author_modules

__all__ = ["author_modules"]

#: Whoever uses one of these fixtures, the plugin's last, needs runners, which takes minutes where they are not built.
NEEDS_RUNNERS = {"built_runners", "every_runner", "softfloat_wasm", "direct_vm"}
_WATCHED = tuple(folder for _, folder in covering.COVERED.values())
_LEFT_OUT = pytest.StashKey[Counter[str]]()

# What `make quick` loads: the share of the examples that `make test` tries a property with.
hypothesis.settings.register_profile("quick", max_examples=25)

# What a terminal sends is ignored in the background of a shell, and would be by all programs that tests start.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

# pytest runs of a test's own look the same on every machine: in CI pytest would show the whole text of a failure twice.
for _name in ("BUILD_NUMBER", "CI", "PYTEST_ADDOPTS"):
    os.environ.pop(_name, None)

# No command leaves a pool behind that the next test finds.
os.environ["PYGENVM_POOL_IDLE"] = "0"


_RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(scope="session")
def built_runners() -> BuiltRunners:
    """Every built-in runner, built below the cache folder if it is not there yet (minutes)."""
    return ensure_built(progress=False)


@pytest.fixture(scope="session")
def every_runner(built_runners: BuiltRunners) -> BuiltRunners:
    """As :func:`built_runners`, and those with NumPy and with the embedding model."""
    return build(jobs=default_jobs(), progress=False)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """One with a short name: the path of a socket has at most 107 bytes, and pytest's folders have long ones."""
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _recursion_limit() -> None:
    """As Python has it: py_ecc, which eth-account brings, raises it so far that the stack of C ends first."""
    sys.setrecursionlimit(_RECURSION_LIMIT)


@pytest.fixture(autouse=True)
def _library_log() -> Iterator[None]:
    """A test that sends the executor's log somewhere leaves it as it was for the next one."""
    library = logging.getLogger("executor")
    _reset(library)
    yield
    _reset(library)


def _reset(library: logging.Logger) -> None:
    Remarks.destination, library.handlers, library.propagate = None, [], True
    # Loggers below remember what is enabled until a level is set, and libraries that configure logging disable them.
    library.setLevel(logging.NOTSET)
    logging.disable(logging.NOTSET)
    for name, below in list(logging.root.manager.loggerDict.items()):
        if name.startswith("executor.") and isinstance(below, logging.Logger):
            below.disabled = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and not NEEDS_RUNNERS.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.runners)
    if hasattr(config, "workerinput"):
        longest_first.sort(items, config.workerinput.get("seconds", {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Lines are noted while tests run whose part promises something; the others are a sixth faster without that."""
    if item.config.getoption("cov_source", None) != covering.SOURCES or item.nodeid.startswith(_WATCHED):
        return (yield)
    # Not the mark `no_cover`, which leaves fixtures out, and has no effect in the processes of pytest-xdist.
    noted_here, noted_in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(noted_here)
        threading.settrace(noted_in_threads)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests and their modules stay to the end: the garbage collector shall not look through them again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


# --- what was left out ---


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = Counter()
    is_worker, has_workers = hasattr(config, "workerinput"), config.getoption("dist", "no") != "no"
    if has_workers and not is_worker and config.pluginmanager.hasplugin("cacheprovider"):
        config.pluginmanager.register(longest_first.Measured(config))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        mark = next((name for name in ("runners", "slow") if item.get_closest_marker(name)), "")
        item.config.stash[_LEFT_OUT][mark] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Of pytest-xdist: what a worker process tells the one that prints.
    if hasattr(session.config, "workeroutput"):
        left_out = session.config.stash[_LEFT_OUT]
        session.config.workeroutput["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Each worker collects, and leaves out, the same.
    if found := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[_LEFT_OUT] = Counter(found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[_LEFT_OUT]
    said = {"runners": "need the built runners", "slow": "are slow", "": "were not chosen"}
    parts = [f"{left_out[mark]} that {why}" for mark, why in said.items() if left_out[mark]]
    if parts:
        terminalreporter.write_line(f"left out: tests, {', '.join(parts)}; `make test` runs all")
