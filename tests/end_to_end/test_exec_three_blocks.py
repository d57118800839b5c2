"""A Python contract with three nondet blocks through the real command: every role, every end (spec executor/04).

Each block asks the language model; the validator's function asks too and compares.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import GET_STATS, FatalError, Ok, UserError
from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.outcome import UserError as UserErrorOutcome
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.runners.registry import BuiltRunners
from tests.support.execution import Execution, config_file, execute_process
from tests.support.hosts import InMemoryHost
from tests.support.module_server import Call, Reply, answering, serving_module
from tests.support.module_server import Script as ModuleScript

CONTRACT = """
from genlayer import *

def block(number):
    def leader():
        answer = gl.nondet.exec_prompt(f"block {number}")
        if answer == "refuse":
            raise gl.vm.UserError(f"block {number} refuses")
        return answer

    def validator(result):
        return isinstance(result, gl.vm.Return) and result.calldata == leader()

    return gl.vm.run_nondet_unsafe(leader, validator)

class Blocks(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def run(self) -> list[str]:
        return [block(number) for number in range(3)]
"""

ANSWERS = ("zero", "one", "two")
RETURNED = Return(calldata.encode(list(ANSWERS)))
#: What the leader posts, byte for byte: the kind of result and calldata.
POSTED = [b"\x00\x24zero", b"\x00\x1cone", b"\x00\x1ctwo"]
#: What each block makes the host of a leader see.
BLOCK = [
    HostMethod.GET_LEADER_NONDET_RESULT,
    HostMethod.REMAINING_FUEL_AS_GEN,
    HostMethod.CONSUME_FUEL,
    HostMethod.POST_NONDET_RESULT,
]


def saying(*answers: Any) -> ModuleScript:
    """The model's answer in each block: a text, or a whole reply."""

    async def script(call: Call) -> Reply:
        if call.request.name == GET_STATS:
            return Ok(None)
        answer = answers[int(call.request.payload["payload"]["prompt"].removeprefix("block "))]
        return Ok({"data": answer, "consumed_gen": 1}) if isinstance(answer, str) else answer

    return script


@pytest.fixture
def run(built_runners: BuiltRunners, tmp_path: Path) -> Any:
    """Runs the contract; the executor is the leader unless ``leader_results`` are given."""

    def run(script: ModuleScript, *arguments: str, leader_results: Any = None) -> tuple[Execution, int]:
        header = f'# v0.2.16\n# {{ "Depends": "py-genlayer:{built_runners.latest["py-genlayer"]}" }}\n'
        host = InMemoryHost(calldata=calldata.encode({"method": "run"}), leader_results=leader_results)
        with serving_module(script) as server:
            config = config_file(tmp_path, built=True, modules={"llm": {"address": server.address}})
            code = (header + CONTRACT).encode()
            done = execute_process(code, "--print=result", *arguments, host=host, config=config)
            asked = len([request for request in server.requests if request.name != GET_STATS])
        assert done.exit_code == 0, done.stderr
        return done, asked

    return run


def posted(done: Execution) -> list[bytes]:
    fields = done.host.fields_of(HostMethod.POST_NONDET_RESULT)
    assert [item["call_no"] for item in fields] == list(range(len(fields)))
    return [item["result"] for item in fields]


def disagreements(done: Execution) -> list[int]:
    return [fields["call_no"] for fields in done.host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT)]


def test_leader(run: Any) -> None:
    done, asked = run(saying(*ANSWERS))
    assert done.outcome == RETURNED
    assert posted(done) == POSTED
    assert asked == 3
    begin = done.host.methods.index(HostMethod.GET_LEADER_NONDET_RESULT)
    assert done.host.methods[begin:] == [*BLOCK * 3, HostMethod.CONSUME_RESULT]


def test_validator_that_agrees(run: Any) -> None:
    done, asked = run(saying(*ANSWERS), leader_results=POSTED)
    assert done.outcome == RETURNED
    assert (disagreements(done), posted(done)) == ([], [])
    assert asked == 3
    assert b"disagreement" not in done.stdout


def test_validator_that_disagrees_at_the_second(run: Any) -> None:
    """Its own result is the leader's all the same."""
    done, _ = run(saying("zero", "another", "two"), leader_results=POSTED)
    assert done.outcome == RETURNED
    assert disagreements(done) == [1]
    assert done.host.methods[-2:] == [HostMethod.NOTIFY_NONDET_DISAGREEMENT, HostMethod.CONSUME_RESULT]
    assert done.stdout.splitlines()[-1] == b"nondet disagreement: 1"


@pytest.mark.parametrize("failure", ["refuse", UserError({"causes": ["NO"], "ctx": {}})])
def test_validator_that_fails_disagrees(run: Any, failure: Any) -> None:
    """It gives up with an error of its own, or with an exception that nobody caught."""
    done, _ = run(saying("zero", failure, failure), leader_results=POSTED)
    assert done.outcome == RETURNED
    assert disagreements(done) == [1]


def test_validator_whose_model_is_broken(run: Any) -> None:
    """That is nobody's verdict: the run has no result."""
    done, _ = run(saying("zero", FatalError("broken"), "two"), leader_results=POSTED)
    assert isinstance(done.outcome, InternalError)
    assert disagreements(done) == []


def test_leader_that_fails(run: Any) -> None:
    """With an exception in the second block: a VM error, which ends the contract. The third one never begins."""
    done, asked = run(saying("zero", UserError({"causes": ["NO"], "ctx": {}}), "two"))
    assert done.outcome == VMError("exit_code 1")
    assert posted(done) == [POSTED[0], b"\x02exit_code 1"]
    assert asked == 2
    # A validator meets the same error, and judges both blocks.
    done, asked = run(saying("zero", "one", "two"), leader_results=posted(done))
    assert done.outcome == VMError("exit_code 1")
    assert asked == 1
    assert disagreements(done) == [1]


def test_leader_that_refuses(run: Any) -> None:
    done, _ = run(saying("zero", "refuse", "two"))
    assert done.outcome == UserErrorOutcome("block 1 refuses")
    assert posted(done) == [POSTED[0], b"\x01block 1 refuses"]


def test_leader_whose_model_is_broken(run: Any) -> None:
    done, _ = run(saying("zero", FatalError("broken"), "two"))
    assert isinstance(done.outcome, InternalError)
    assert posted(done) == POSTED[:1]


def test_sync(run: Any) -> None:
    """Nobody is asked and nothing is judged."""
    done, asked = run(answering(FatalError("asked")), "--sync", leader_results=POSTED)
    assert done.outcome == RETURNED
    assert asked == 0
    assert HostMethod.REMAINING_FUEL_AS_GEN not in done.host.methods
    assert disagreements(done) == []


def test_validators_wait_at_the_same_time(run: Any) -> None:
    """No answer comes before all three have asked: one after the other they would wait for ever."""
    together = asyncio.Barrier(3)
    answer = saying(*ANSWERS)

    async def script(call: Call) -> Reply:
        if call.request.name != GET_STATS:
            await together.wait()
        return await answer(call)

    done, asked = run(script, leader_results=POSTED)
    assert done.outcome == RETURNED
    assert asked == 3
    assert disagreements(done) == []
