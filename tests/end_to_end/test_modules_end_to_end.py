"""Nondet blocks that ask modules, through the executor: leader, validators, failures, signals, metrics."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import GET_STATS, FatalError, Ok, Request, UserError
from pygenvm.executor.outcome import InternalError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from tests.support.execution import command, config_file
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost, Node, serving
from tests.support.machine import Answer, Script, machine
from tests.support.module_server import Call, Reply, answering, serving_module, statistics
from tests.support.module_server import Script as ModuleScript
from tests.support.patience import patience, time_for_statistics  # noqa: F401

#: spec executor/04 and sdk/04 §6: requests of contracts, and the frames that modules get for them.
HELLO = "1606636f6f6b69650c3209686f73745f64617461160c6e6f64655f616464726573731430780574785f6964143078"
RENDER = bytes.fromhex(
    "0e0957656252656e6465721e046d6f646524746578740375726c44687474703a2f2f6111776169745f61667465725f6c6f616465641c306d73"
)
RENDER_FRAME = (
    "0e0652656e6465721e046d6f646524746578740375726c44687474703a2f2f6111776169745f61667465725f6c6f616465641c306d73"
)
POST = bytes.fromhex(
    "0e0a576562526571756573742604626f64790b71076865616465727306066d6574686f6424504f53540375726c44687474703a2f2f61"
)
#: `sign` was left out.
POST_FRAME = (
    "0e07526571756573742e04626f64790b71076865616465727306066d6574686f6424504f5354047369676e080375726c44687474703a2f2f61"
)
PROMPT = bytes.fromhex(
    "0e0a4578656350726f6d70741e06696d61676573050670726f6d70740c700f726573706f6e73655f666f726d61742474657874"
)
#: The fuel is 5.
PROMPT_FRAME = (
    "0e0650726f6d707416077061796c6f61641e06696d61676573050670726f6d70740c700f726573706f6e73655f666f726d61742474657874"
    "1572656d61696e696e675f6675656c5f61735f67656e29"
)
COMPARE: dict[str, Any] = {
    "template": "EqComparative",
    "leader_answer": "a",
    "validator_answer": "b",
    "principle": "same",
}
STATS_FRAME = b"\x44GetStats".hex()
PAGE = Ok({"text": "page"})
SEEN_PAGE = Answer(0, calldata.encode({"ok": {"text": "page"}}))
LEADER_RESULT = b"\x00" + calldata.encode("by the leader")


def asking(*requests: Any) -> Script:
    """A function of a block that makes these requests and returns what they gave."""
    script = Script()
    for request in requests:
        script.gl_call(request)
    return script


def agreeing(*requests: Any) -> Script:
    """A validator's function that makes these requests and agrees."""
    return asking(*requests, {"Return": True})


def metrics_in(log: str) -> dict[str, Any]:
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (record,) = [record for record in records if record["message"] == "metrics"]
    assert record["level"] == "info"
    found: dict[str, Any] = record["metrics"]
    return found


def test_a_leader_renders_pages_and_makes_requests() -> None:
    leader = asking(RENDER, POST)
    program = Script().nondet(leader).nondet(leader)
    with serving_module(answering(PAGE)) as web, tempfile.TemporaryFile("w+") as log:
        ran = program.run(web=web.address, log_fd=log.fileno())
        log.seek(0)
        measured = metrics_in(log.read())
    for answer in ran.answers:
        assert leader.inside(answer) == [SEEN_PAGE, SEEN_PAGE]
    results = [answer.content for answer in ran.answers]
    posted = [{"call_no": number, "result": result} for number, result in enumerate(results)]
    assert ran.host.fields_of(HostMethod.POST_NONDET_RESULT) == posted
    (session,) = web.sessions
    assert [frame.hex() for frame in session.frames] == [
        RENDER_FRAME,
        POST_FRAME,
        RENDER_FRAME,
        POST_FRAME,
        STATS_FRAME,
    ]
    assert session.close_code == 1000
    assert measured["web"] == {"scripting": {"requests_count": 4, "requests_time": 0}}
    assert measured["llm"] is None
    assert measured["gvm"]["web_module"]["calls"] == 4
    assert measured["gvm"]["web_module"]["time"] > 0
    assert measured["gvm"]["llm_module"] == {"calls": 0, "time": 0}
    assert measured["gvm"]["host"]["time"] > 0
    assert measured["gvm"]["supervisor"].keys() == {"precompile_hits", "compiled_modules", "compilation_time"}


def test_a_leader_prompts() -> None:
    leader = asking(PROMPT)
    with serving_module(answering(Ok({"data": "hi", "consumed_gen": 3}))) as llm:
        ran = Script().nondet(leader).run(llm=llm.address, host=InMemoryHost(fuel=5))
    assert leader.inside(ran.answers[0]) == [Answer(0, calldata.encode({"ok": "hi"}))]
    assert [frame.hex() for frame in llm.sessions[0].frames] == [PROMPT_FRAME, STATS_FRAME]
    block = [HostMethod.REMAINING_FUEL_AS_GEN, HostMethod.CONSUME_FUEL, HostMethod.POST_NONDET_RESULT]
    assert ran.host.methods[-4:] == [*block, HostMethod.CONSUME_RESULT]
    assert ran.host.fields_of(HostMethod.CONSUME_FUEL) == [{"amount": 3}]


@pytest.mark.parametrize(
    ("template", "data"), [("EqComparative", "yes"), ("EqComparative", {}), ("EqNonComparativeLeader", True)]
)
def test_a_template_answer_of_the_wrong_type(template: str, data: Any) -> None:
    request = {**COMPARE, "template": template, "task": "t", "criteria": "c", "input": "i"}
    program = Script().nondet(asking({"ExecPromptTemplate": request}))
    with serving_module(answering(Ok({"data": data, "consumed_gen": 4}))) as llm:
        ran = program.run(llm=llm.address)
    assert isinstance(ran.outcome, InternalError)
    assert ran.host.fields_of(HostMethod.CONSUME_FUEL) == [{"amount": 4}]
    assert HostMethod.POST_NONDET_RESULT not in ran.host.methods
    assert [request.name for request in llm.requests] == ["PromptTemplate"]


def test_a_judge() -> None:
    leader = asking({"ExecPromptTemplate": COMPARE})
    with serving_module(answering(Ok({"data": False, "consumed_gen": 0}))) as llm:
        ran = Script().nondet(leader).run(llm=llm.address)
    assert leader.inside(ran.answers[0]) == [Answer(0, calldata.encode({"ok": False}))]
    assert llm.requests == [Request("PromptTemplate", {"payload": COMPARE, "remaining_fuel_as_gen": 2**53 - 1})]


def test_the_contract_sees_user_errors() -> None:
    error = {"causes": ["TLD_FORBIDDEN"], "ctx": {"tld": "local"}}
    leader = asking(RENDER, PROMPT)
    with serving_module(answering(UserError(error))) as module:
        ran = Script().nondet(leader).run(web=module.address, llm=module.address)
    assert leader.inside(ran.answers[0]) == [Answer(0, calldata.encode({"error": error}))] * 2
    assert HostMethod.CONSUME_FUEL not in ran.host.methods


def test_the_host_sees_fatal_errors() -> None:
    text = 'ModuleError { causes: ["STATUS_NOT_OK"], fatal: true, ctx: {} }'
    with serving_module(answering(FatalError(text))) as web:
        ran = Script().nondet(asking(RENDER)).run(web=web.address)
    assert isinstance(ran.outcome, InternalError)
    assert f"module error: {text}" in ran.outcome.message
    assert HostMethod.POST_NONDET_RESULT not in ran.host.methods
    assert [request.name for request in web.sessions[0].requests] == ["Render", GET_STATS]


def test_a_module_that_is_not_there() -> None:
    ran = Script().nondet(asking(RENDER)).run()
    assert isinstance(ran.outcome, InternalError)
    assert "web module at ws://127.0.0.1:9: Render: cannot connect" in ran.outcome.message


def test_a_host_that_hides_the_fuel() -> None:
    host = InMemoryHost(refusals={HostMethod.REMAINING_FUEL_AS_GEN: HostErrorCode.FORBIDDEN})
    with serving_module(answering(PAGE)) as llm:
        ran = Script().nondet(asking(PROMPT)).run(llm=llm.address, host=host)
    assert ran.outcome == VMError("forbidden")
    assert host.fields_of(HostMethod.POST_NONDET_RESULT) == [{"call_no": 0, "result": b"\x02forbidden"}]
    assert llm.sessions == []


def test_validators_of_several_blocks_wait_at_the_same_time() -> None:
    """The service answers nobody before all three have asked."""
    together = asyncio.Barrier(3)

    async def script(call: Call) -> Reply:
        if call.request.name == GET_STATS:
            return statistics(call)
        await together.wait()
        return PAGE

    program = Script()
    for _ in range(3):
        program.nondet(asking(), agreeing(RENDER))
    with serving_module(script) as web, tempfile.TemporaryFile("w+") as log:
        host = InMemoryHost(leader_results=[LEADER_RESULT] * 3)
        ran = program.run(web=web.address, host=host, log_fd=log.fileno())
        log.seek(0)
        measured = metrics_in(log.read())
    assert ran.answers == [Answer(0, LEADER_RESULT)] * 3
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
    assert len({session.hello for session in web.sessions}) == 1
    assert len(web.sessions) == 3
    assert measured["web"] == [{"scripting": {"requests_count": 1, "requests_time": 0}}] * 3


def test_statistics_come_after_a_disagreement_and_before_the_result() -> None:
    async def script(call: Call) -> Reply:
        if call.request.name != GET_STATS:
            return PAGE
        async with asyncio.timeout(PATIENCE_SECONDS):
            while HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods:
                await asyncio.sleep(0.001)
        assert HostMethod.CONSUME_RESULT not in host.methods
        return statistics(call)

    host = InMemoryHost(leader_results=[LEADER_RESULT])
    with serving_module(script) as web:
        ran = Script().nondet(asking(), asking(RENDER)).run(web=web.address, host=host)
    assert ran.answers == [Answer(0, LEADER_RESULT)]
    assert host.methods[-2:] == [HostMethod.NOTIFY_NONDET_DISAGREEMENT, HostMethod.CONSUME_RESULT]


# --- what only a process has ----------------------------------------------------------------------


def run_process(
    program: Script, host: InMemoryHost, script: ModuleScript, started: Callable[[subprocess.Popen[str]], None]
) -> tuple[list[bytes], list[str], str]:
    """Hellos, names of requests and log of a process that ends with exit code 0; one server is both modules."""
    host.calldata = program.code
    host.put_code(machine())

    def command_line(node: Node, folder: str, address: str) -> list[str]:
        modules = {"llm": {"address": address}, "web": {"address": address}}
        return command(node.address, "--cookie", "2", config=config_file(Path(folder), modules=modules))

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(host) as node,
        serving_module(script) as server,
        subprocess.Popen(
            command_line(node, folder, server.address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        started(process)
        try:
            _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        assert process.returncode == 0, stderr
    names = [request.name for session in server.sessions for request in session.requests]
    return [session.hello for session in server.sessions], names, stderr


def test_cookie_and_host_data_travel_to_the_module() -> None:
    host = InMemoryHost()
    leader = asking(RENDER)
    hellos, names, _ = run_process(Script().nondet(leader), host, answering(PAGE), lambda _: None)
    assert [hello.hex() for hello in hellos] == [HELLO]
    assert names == ["Render", GET_STATS]


def test_a_fatal_error_of_one_validator_does_not_wait_for_another() -> None:
    """The process ends although one validator's request is never answered."""
    second = asyncio.Event()

    async def script(call: Call) -> Reply:
        if call.request.name == "Render":
            await second.wait()
            return FatalError("broken")
        if call.request.name == "Request":
            second.set()
            await asyncio.sleep(10 * PATIENCE_SECONDS)
        return statistics(call)

    host = InMemoryHost(leader_results=[LEADER_RESULT] * 2)
    program = Script().nondet(asking(), agreeing(RENDER)).nondet(asking(), agreeing(POST))
    _, names, _ = run_process(program, host, script, lambda _: None)
    assert isinstance(host.outcome, InternalError)
    assert "Render: module error: broken" in host.outcome.message
    assert sorted(names) == [GET_STATS, "Render", "Request"]


def test_a_termination_signal_ends_a_run_that_waits_for_a_module() -> None:
    running: list[subprocess.Popen[str]] = []

    async def script(_: Call) -> Reply:
        running[0].send_signal(signal.SIGTERM)
        await asyncio.sleep(10 * PATIENCE_SECONDS)
        return None

    host = InMemoryHost()
    _, names, log = run_process(Script().nondet(asking(RENDER)), host, script, running.append)
    assert host.outcome == VMError("timeout")
    assert names == ["Render"]
    assert '"message":"metrics"' not in log
