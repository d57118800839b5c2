"""The rows about what authors do over and over: a view in a test, one by a command, and a suite of tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import contracts, suite_plugin
from benchmarks.measure import Row, interleaved, scaled
from benchmarks.support import (
    BenchmarkError,
    genvm_command,
    own_environment,
    process_seconds,
    python_seconds,
    typed,
)
from pygenvm.cli import standby
from pygenvm.localnet.executors.pooled import PooledExecutor
from pygenvm.localnet.net import LocalNet
from pygenvm.pytest_plugin import DirectVM
from pygenvm.pytest_plugin.workbench import shared

_MS = 1e3
_WARM_UP = 3
_LOADING_SECONDS = 2.0
#: The pool that a command leaves behind ends so long after the last one.
_LEFT_SECONDS = 10
_PAUSE_SECONDS = 0.1
#: Without those that check types or use a model of 90 MB.
_SUITE = ("tests/examples", *(f"--ignore=tests/examples/test_example_{name}.py" for name in ("types", "node", "faq")))


def plugin_view(rounds: int) -> list[Row]:
    """A view by the pytest plugin, beside one by an executor out of a pool."""
    vm = DirectVM()
    try:
        contract = vm.deploy_code(contracts.hello())
        pooled = PooledExecutor(options=["--log-level=error"])
        with tempfile.TemporaryDirectory(prefix="genvm-bench-") as folder:
            net = LocalNet(Path(folder, "net.db"), executor=pooled)
            address = net.deploy(contracts.hello()).receipt.transaction.contract

            def ours() -> object:
                # The same view at the same time would not be carried out again.
                vm.warp(timedelta(seconds=1))
                return vm.view(contract, "hello")

            ways: dict[str, Callable[[], object]] = {
                "ours": ours,
                "pooled": lambda: net.view(address, "hello"),
            }
            samples = interleaved({name: _timed(way) for name, way in ways.items()}, rounds, _WARM_UP)
            pooled.close()
    finally:
        vm._close()
        shared.close()
    return [
        Row(
            name="plugin-view",
            title="view by the pytest plugin",
            unit="ms",
            ours=scaled(samples["ours"], _MS),
            yardstick=scaled(samples["pooled"], _MS),
            yardstick_is="an executor out of a pool for each, and a file that is opened for each",
            value_at_most=6.0,
        )
    ]


def command_view(rounds: int) -> list[Row]:
    """``genvm local view`` as a command, from its start to its end: the first one, and those that follow it."""
    title = "`genvm local view`, start to end of the command"
    with tempfile.TemporaryDirectory(prefix="genvm-bench-") as folder, pytest.MonkeyPatch.context() as variables:
        database = str(Path(folder, "net.db"))
        net = LocalNet(database)
        if not net.deploy(contracts.hello()).receipt.ok:
            raise BenchmarkError("the contract cannot be deployed")
        words = [*genvm_command(), "local", "--db", database, "view", "hello"]
        variables.setenv(standby.IDLE_VARIABLE, "0")
        alone = _command_view(f"{title}, the first one", words, rounds)
        variables.setenv(standby.IDLE_VARIABLE, str(_LEFT_SECONDS))
        variables.delenv("CI", raising=False)
        typed(words)
        time.sleep(_LOADING_SECONDS)
        behind = _command_view(f"{title}, behind another one", words, rounds)
    return [alone, behind]


def _command_view(title: str, words: Sequence[str], rounds: int) -> Row:
    def ours() -> float:
        # Nobody types the next one sooner, and a pool gets ready for it meanwhile.
        time.sleep(_PAUSE_SECONDS)
        return process_seconds(words)

    ways: dict[str, Callable[[], float]] = {
        "ours": ours,
        "python": lambda: python_seconds("pass"),
    }
    samples = interleaved(ways, rounds, _WARM_UP)
    return Row(
        name="command-view",
        title=title,
        unit="ms",
        ours=scaled(samples["ours"], _MS),
        yardstick=scaled(samples["python"], _MS),
        yardstick_is="python3 -c pass",
        ratio_at_most=3.0,
    )


def examples_suite(rounds: int) -> list[Row]:
    """The tests of the example contracts, without the start of pytest and its collection."""
    samples = interleaved({"ours": lambda: _suite(()), "each": lambda: _suite(("--executor-each",))}, rounds)
    return [
        Row(
            name="examples-suite",
            title="tests of the example contracts, from the first to the last",
            unit="s",
            ours=scaled(samples["ours"], 1.0),
            yardstick=scaled(samples["each"], 1.0),
            yardstick_is="the same with an executor out of a pool for each run",
            ratio_at_most=0.25,
        )
    ]


def _timed(way: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        begun = time.perf_counter()
        way()
        return time.perf_counter() - begun

    return run


def _suite(options: Sequence[str]) -> float:
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "-p", suite_plugin.__name__, *_SUITE, *options]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, env=own_environment(), capture_output=True, text=True)
    told = [line for line in done.stdout.splitlines() if line.startswith(suite_plugin.TOOK)]
    if done.returncode or len(told) != 1:
        raise BenchmarkError(f"the tests of the examples fail: {done.stdout[-2000:]}")
    return float(told[0].removeprefix(suite_plugin.TOOK))
