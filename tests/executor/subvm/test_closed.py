"""VMs that see nothing but the files that they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pygenvm.executor.outcome import InternalError, InternalErrorRaised, Return
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.runner.actions import Source
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.subvm import services
from pygenvm.executor.subvm.closed import ClosedWorld
from tests.support.execution import artefacts, on_big_stack
from tests.support.hosts import SENDER
from tests.support.machine import Answer, Script, machine, returned

SLOT = bytes([7]) * 32


def ended(script: Script) -> tuple[Any, bytes]:
    """Outcome and output of the program in a closed world."""

    def work() -> tuple[Any, bytes]:
        world = ClosedWorld(artefacts())
        vm = world.vm(script.code)
        try:
            archive = Archive("closed", {"machine": machine()}, 0)
            vm.start_wasm(archive, "machine", {}, Source(archive, ()))
            return vm.outcome, world.output
        finally:
            vm.close()

    outcome, output = on_big_stack(work)
    return outcome, output


def test_what_needs_a_permission_or_chance_is_forbidden() -> None:
    """A program finds out that it may not, and goes on."""
    prompt = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}
    message = {"address": SENDER, "calldata": b"", "value": 0}
    script = (
        Script()
        .storage_read(SLOT, 0, 1)
        .storage_write(SLOT, 0, b"x")
        .gl_call({"EthSend": message})
        .gl_call({"CallContract": {"address": SENDER, "calldata": None, "state": 2}})
        .gl_call({"RunNondet": {"data_leader": b"", "data_validator": b""}})
        .gl_call(prompt)
    )
    outcome, _ = ended(script)
    assert isinstance(outcome, Return), outcome
    answers = script.read(returned(outcome.calldata))
    assert [answer.errno for answer in answers if isinstance(answer, Answer)] == [GlErrno.FORBIDDEN] * 6


def test_without_a_version_there_are_neither_events_nor_traces() -> None:
    script = Script().gl_call({"EmitEvent": {"topics": [], "blob": {}}}).gl_call({"Trace": {"Message": "m"}})
    outcome, _ = ended(script)
    assert [answer.errno for answer in script.read(returned(outcome.calldata))] == [GlErrno.INVAL] * 2


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        (Script().get_balance(SENDER), "balance"),
        (Script().get_self_balance(), "balance"),
        (Script().sandbox(Script()), "sandbox"),
    ],
    ids=["balance", "own balance", "sandbox"],
)
def test_what_needs_no_permission_ends_the_vm(script: Script, asked: str) -> None:
    """The program would get an answer that depends on more than its files."""
    outcome, _ = ended(script)
    assert outcome == InternalError(f"a program that sees only its files asked for `{asked}`")


def test_the_end_of_the_output_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.executor.limits.CLOSED_OUTPUT_BYTES", 5)
    _, output = ended(Script().write(1, b"out").write(2, b"err"))
    assert output == b"uterr"


def _methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if not name.startswith("_") and callable(value)]


def _requests() -> list[Any]:
    groups = {
        "host": services.HostServices,
        "modules": services.ModuleServices,
        "entropy": services.Entropy,
        "spawn": services.Spawner,
    }
    # Whether there is an image everybody may ask; there is none.
    names = [(group, name) for group in groups for name in _methods(groups[group]) if name != "image"]
    return [pytest.param(group, name, id=f"{group}.{name}") for group, name in names]


@pytest.mark.parametrize(("group", "name"), _requests())
def test_whatever_else_is_asked_for_is_refused(group: str, name: str) -> None:
    """Every method of the interfaces is there, and says no."""
    method: Callable[..., Any] = getattr(getattr(ClosedWorld(artefacts()), group), name)
    with pytest.raises(InternalErrorRaised, match=f"asked for `{name}`"):
        method()
