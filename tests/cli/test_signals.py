"""An interrupt arrives in the code of others, and something else comes out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from pygenvm.cli import signals
from pygenvm.cli.main import main
from pygenvm.runners import cli as runners_cli
from pygenvm.runners.errors import BuildError

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def interrupt(number: signal.Signals, error: Exception) -> None:
    try:
        os.kill(os.getpid(), number)
        time.sleep(60)
    except KeyboardInterrupt:
        raise error from None


@pytest.mark.parametrize("number", SIGNALS)
def test_whatever_an_interrupt_becomes_is_one(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told: list[Callable[[], bool]] = []

    def run() -> None:
        with signals.interrupting() as interrupted:
            told.append(interrupted)
            interrupt(number, RuntimeError("cannot release un-acquired lock"))

    with pytest.raises(KeyboardInterrupt):
        run()
    assert told[0]()
    assert signal.getsignal(number) is before


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="oops"), signals.interrupting():
        raise RuntimeError("oops")


def test_nothing_has_interrupted() -> None:
    with signals.interrupting() as interrupted:
        assert not interrupted()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_build_whose_compiler_has_died_of_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runners_cli, "_build", lambda _: interrupt(number, BuildError("the compiler ended")))
    assert main(["runners", "build"]) == 130
    assert capsys.readouterr().err.startswith("Interrupted. Finished steps are kept")
