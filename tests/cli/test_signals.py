"""An interrupt arrives in the code of others, and something else comes out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


class Finalized:
    """Interrupts the process when it is collected, where Python drops what is raised."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)


def test_an_interrupt_in_a_finalizer_is_none_less(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    hook = sys.unraisablehook
    reached = []

    def run() -> None:
        with signals.interrupting():
            Finalized()
            reached.append("behind it")
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert reached
    assert capsys.readouterr().err == ""
    assert (signal.getsignal(signal.SIGALRM), sys.unraisablehook) == (before, hook)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_one_that_is_dropped_again_and_again() -> None:
    def run() -> None:
        with signals.interrupting():
            for _ in range(3):
                Finalized()
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run()


def test_what_else_is_dropped_is_told() -> None:
    told: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda what: told.append(what.exc_value)

    class Fails:
        def __del__(self) -> None:
            raise RuntimeError("oops")

    try:
        with signals.interrupting():
            Fails()
    finally:
        sys.unraisablehook = hook
    assert [str(error) for error in told] == ["oops"]


def without_signals() -> None:
    """As some programs start others: they ignore the end of their children, and wait for signals."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [*SIGNALS, signal.SIGCHLD, signal.SIGALRM])


@pytest.mark.parametrize("program", ["main", "genvm_modules"])
def test_programs_hear_signals(program: str) -> None:
    script = f"""
import signal
from pygenvm.cli.{program} import main
try:
    main()
finally:
    print(signal.getsignal(signal.SIGCHLD).name, signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    words = [sys.executable, "-c", script, "--version"]
    done = subprocess.run(words, preexec_fn=without_signals, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "SIG_DFL set()"
