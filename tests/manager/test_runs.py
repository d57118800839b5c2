"""Runs as nodes have them: the sequence of spec modules/05 §4, against a real manager with its pool."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import Ok
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.runner.contract_file import read_contract
from pygenvm.runners.registry import BuiltRunners
from tests.manager.process import HEADER, ManagerProcess, alive, manager_process, run_body
from tests.support.execution import LATE, NO_MODULE, config_file
from tests.support.hosts import CONTRACT, InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.module_server import ModuleServer, answering, serving_module
from tests.support.paths import EXAMPLES
from tests.support.running import ROOT, WatchedHost, until


def writes() -> Script:
    return Script().storage_write(ROOT, 0, b"abcd")


#: Begins with a write, by which a test knows that it runs, and never ends.
ENDLESS = Script().storage_write(ROOT, 0, b"x").loop()
NOWHERE = "unix:///nonexistent"


def host_of(script: Script, **others: Any) -> WatchedHost:
    host = WatchedHost(calldata=script.code, **others)
    host.put_code(machine())
    return host


# --- as it should be ------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True])
def test_the_sequence_of_a_node(manager: ManagerProcess, tcp: bool) -> None:
    with serving(host := host_of(writes().write(1, b"said\n").write(2, b"warned\n")), tcp=tcp) as node:
        run = manager.start(node.address)
        assert node.wait()
        # Right after the acknowledgement, as every node does; the result line is there.
        status = manager.part(run)
    assert isinstance(host.outcome, Return)
    assert host.storage[CONTRACT, ROOT] == b"abcd"
    assert status["stdout"].startswith("said\nexecuted with `Return(")
    assert status["stdout"].endswith(")`\n")
    assert status["stderr"] == "warned\n"
    assert 0 <= status["finished_at"] < 5000
    # It is read once.
    assert manager.status_of(run) is None
    assert manager.delete(run) == {"error": f"GenVM with id {run} not found", "genvm_id": run}


def test_the_result_line_is_never_lost(manager: ManagerProcess) -> None:
    for _ in range(20):
        with serving(host_of(writes())) as node:
            run = manager.start(node.address)
            assert node.wait()
            assert manager.part(run)["stdout"].endswith(")`\n")


def test_ids_and_cookies(manager: ManagerProcess) -> None:
    first = manager.start(NOWHERE)
    second = manager.start(NOWHERE)
    assert first % 2 == 1
    assert second == first + 2
    assert manager.logged("genvm started", genvm_id=first)["cookie"] == f"{first + 1:x}"


def test_without_output(manager: ManagerProcess) -> None:
    with serving(host_of(writes().write(1, b"said\n"))) as node:
        run = manager.start(node.address, capture_output=False)
        assert node.wait()
        status = manager.part(run)
    assert (status["stdout"], status["stderr"]) == ("", "")


def test_deleting_twice_and_after_the_end(manager: ManagerProcess) -> None:
    with serving(host_of(writes())) as node:
        run = manager.start(node.address)
        assert node.wait()
    manager.idle()
    done = {"result": "shutdown_completed", "genvm_id": run}
    begun = time.monotonic()
    assert [manager.delete(run), manager.delete(run, None)] == [done, done]
    assert time.monotonic() - begun < 5
    status = manager.status_of(run)
    assert status is not None
    assert "Return" in status["stdout"]


def test_the_time_of_the_end(manager: ManagerProcess) -> None:
    run = manager.start(NOWHERE)
    manager.idle()
    time.sleep(0.3)
    status = manager.status_of(run)
    assert status is not None
    assert 300 <= status["finished_at"] < 10_000


def test_a_leader_asks_a_module_and_a_validator_agrees(manager: ManagerProcess, web_module: ModuleServer) -> None:
    block = Script().nondet(
        Script().gl_call({"WebRender": {"mode": "text", "url": "http://a"}}), Script().gl_call({"Return": True})
    )
    with serving(leader := host_of(block)) as node:
        run = manager.start(node.address)
        assert node.wait()
        manager.part(run)
    assert isinstance(leader.outcome, Return)
    (posted,) = leader.fields_of(HostMethod.POST_NONDET_RESULT)
    assert b"page" in posted["result"]
    assert [request.name for request in web_module.requests] == ["Render"]
    hello = calldata.decode(web_module.sessions[-1].hello)
    assert manager.logged("genvm started", genvm_id=run)["cookie"] == hello["cookie"]
    for verdict, disagreements in ((True, []), (False, [{"call_no": 0}])):
        judged = Script().nondet(Script(), Script().gl_call({"Return": verdict}))
        with serving(validator := host_of(judged, leader_results=[posted["result"]])) as node:
            run = manager.start(node.address)
            assert node.wait()
            manager.part(run)
        assert isinstance(validator.outcome, Return)
        assert validator.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == disagreements


def test_a_sync_run_takes_over_and_costs_one_permit(manager: ManagerProcess) -> None:
    script = Script().nondet(Script(), Script()).storage_write(ROOT, 0, b"x")
    host = host_of(script, leader_results=[b"\x00\x03"], holding=HostMethod.STORAGE_WRITE)
    with serving(host) as node:
        run = manager.start(node.address, is_sync=True)
        host.reached(HostMethod.STORAGE_WRITE)
        assert manager.state()["permits_used"] == 1
        host.release.set()
        assert node.wait()
        manager.part(run)
    assert isinstance(host.outcome, Return)
    assert host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == []


# --- read-only ------------------------------------------------------------------------------------


def test_a_read_only_run_writes_nothing(manager: ManagerProcess) -> None:
    with serving(host := host_of(writes())) as node:
        run = manager.start(node.address, "/genvm/run/readonly")
        assert node.wait()
        manager.part(run)
    assert host.fields_of(HostMethod.STORAGE_WRITE) == []
    assert (CONTRACT, ROOT) not in host.storage


def test_the_time_of_a_read_only_run_may_be_in_the_header(manager: ManagerProcess) -> None:
    body = run_body(NOWHERE)
    del body["timestamp"]
    assert "timestamp is missing" in manager.refused("POST", "/genvm/run/readonly", body)
    assert manager.post("/genvm/run/readonly", body, **HEADER)["result"] == "started"


@pytest.mark.parametrize(
    "words", [["--permissions", "rw"], ["--permissions=s"], ["--permissions=r", "--permissions=w"]]
)
def test_a_read_only_run_may_not_have_more(manager: ManagerProcess, words: list[str]) -> None:
    text = manager.refused("POST", "/genvm/run/readonly", run_body(NOWHERE, extra_args=words))
    assert "a read-only run may have the permissions rcn" in text


def test_a_read_only_run_may_have_less(manager: ManagerProcess) -> None:
    """Without `n` a nondet block is forbidden."""
    script = Script().nondet(Script())
    for words, asked in ((["--permissions=r"], 0), ([], 1)):
        with serving(host := host_of(script)) as node:
            run = manager.start(node.address, "/genvm/run/readonly", extra_args=words)
            assert node.wait()
            manager.part(run)
        assert len(host.fields_of(HostMethod.GET_LEADER_NONDET_RESULT)) == asked


def test_code_without_a_header(manager: ManagerProcess) -> None:
    assert "Deployment-Timestamp is missing" in manager.refused("POST", "/genvm/run/readonly", b"# v0.2.16\n")


def test_code_that_has_no_schema(manager: ManagerProcess) -> None:
    text = manager.refused("POST", "/genvm/run/readonly", b"# v0.2.16\nnonsense", HEADER)
    assert text.startswith("the contract has no schema: ")


# --- words for the command line -------------------------------------------------------------------


def test_words_that_a_pool_does_not_know_make_a_process(manager: ManagerProcess) -> None:
    """What is wrong with them is said by `genvm run`."""
    run = manager.start(NOWHERE, extra_args=["--no-such-option"])
    status = manager.ended(run)
    assert "unrecognized arguments: --no-such-option" in status["stderr"]
    with serving(host := host_of(writes())) as node:
        run = manager.start(node.address, extra_args=["--trace", "--print=result"])
        assert node.wait()
        assert "Return" in manager.part(run)["stdout"]
    assert isinstance(host.outcome, Return)


def test_printing(manager: ManagerProcess) -> None:
    with serving(host_of(writes())) as node:
        run = manager.start(node.address, extra_args=["--print", "result", "--print=fingerprint"])
        assert node.wait()
        assert "fingerprint" in manager.part(run)["stdout"].lower()


# --- ends -----------------------------------------------------------------------------------------


def test_a_deadline_delivers_a_timeout(manager: ManagerProcess) -> None:
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address, max_execution_minutes=0)
        assert node.wait()
        status = manager.ended(run)
    assert host.outcome == VMError("timeout")
    assert "VMError(" in status["stdout"]
    assert manager.logged("genvm ended", genvm_id=run)["stopped"] == "deadline"


def test_deleting_a_run_that_goes_on(manager: ManagerProcess) -> None:
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        assert manager.status_of(run) is None
        assert manager.state()["running"] == 1
        status = manager.part(run)
    assert host.outcome == VMError("timeout")
    assert "timeout" in status["stdout"]


def test_two_who_delete_a_run_at_a_time(manager: ManagerProcess) -> None:
    answers: list[Any] = []
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        threads = [threading.Thread(target=lambda: answers.append(manager.delete(run))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == [{"result": "shutdown_completed", "genvm_id": run}] * 4
    assert manager.status_of(run) is not None


def test_who_deletes_and_leaves_has_deleted(manager: ManagerProcess) -> None:
    with serving(host := host_of(ENDLESS, holding=HostMethod.STORAGE_WRITE)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        with contextlib.closing(manager.connect()) as connection:
            connection.request("DELETE", f"/genvm/{run}?wait_timeout_ms=30000")
            # The request has arrived when an answer to a later one does.
            manager.state()
        host.release.set()
        assert node.wait()
        manager.idle()
    assert host.outcome == VMError("timeout")
    assert manager.logged("genvm ended", genvm_id=run)["stopped"] == "deleted"
    assert manager.status_of(run) is not None


@pytest.mark.parametrize("address", [NOWHERE, "127.0.0.1:9", "nonsense", "", "unix://", "tcp://x", "999.1.1.1:1"])
def test_hosts_that_are_not_there(manager: ManagerProcess, address: str) -> None:
    run = manager.start(address)
    status = manager.ended(run)
    assert status["stderr"].startswith("Error: "), status
    assert len(status["stderr"].splitlines()) == 1
    assert manager.logged("genvm ended", genvm_id=run)["exit_status"] == 1


def test_a_host_that_stalls(manager: ManagerProcess) -> None:
    with serving(host := host_of(writes(), holding=HostMethod.STORAGE_WRITE)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        begun = time.monotonic()
        manager.part(run)
        assert time.monotonic() - begun < 10


def test_a_killed_executor(manager: ManagerProcess) -> None:
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        (pid,) = executors_at_work(manager)
        os.kill(pid, signal.SIGKILL)
        assert not node.wait()
        status = manager.ended(run)
    assert status["stdout"] == ""
    assert manager.logged("genvm ended", genvm_id=run)["exit_status"] == -9


def executors_at_work(manager: ManagerProcess) -> list[int]:
    """Those that have a connection to a host: all but the template and its idle executors burn time."""

    def ticks(pid: int) -> int:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11])
        return 0

    before = {pid: ticks(pid) for pid in manager.descendants()}
    found: list[int] = []

    def burning() -> list[int]:
        found[:] = [pid for pid, spent in before.items() if ticks(pid) > spent + 5]
        return found

    return list(until(burning, "no executor is at work"))


def test_a_killed_pool_is_replaced(manager: ManagerProcess) -> None:
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        executors = manager.descendants()
        # The manager's own child; ids begin again at the smallest at some time.
        template = executors[0]
        os.kill(template, signal.SIGKILL)
        assert not node.wait()
        status = manager.ended(run)
        assert status["stdout"] == ""
    until(lambda: not alive(executors), "executors outlive their template")
    with serving(host := host_of(writes())) as node:
        run = manager.start(node.address)
        assert node.wait()
        manager.part(run)
    assert isinstance(host.outcome, Return)


def test_executors_have_the_variables_that_were_set(tmp_path: Path) -> None:
    """Also those of the pool; runs that are under way go on."""
    config = config_file(tmp_path, modules={"web": {"address": "${ENV[WEB_ADDRESS]}"}, "llm": {"address": NO_MODULE}})
    script = Script().nondet(Script().gl_call({"WebRender": {"mode": "text", "url": "http://a"}}))
    with (
        serving_module(answering(Ok({"text": "page"}))) as module,
        manager_process(
            tmp_path, config={"executor_config": str(config)}, environment={"WEB_ADDRESS": NO_MODULE}
        ) as manager,
        serving(under_way := host_of(ENDLESS)) as other,
    ):
        run = manager.start(other.address)
        under_way.reached(HostMethod.STORAGE_WRITE)
        manager.post("/env", {"key": "WEB_ADDRESS", "value": module.address})
        manager.post("/env", {"key": "ANOTHER", "value": "x"})
        with serving(host := host_of(script)) as node:
            asking = manager.start(node.address)
            assert node.wait()
            manager.part(asking)
        assert [request.name for request in module.requests] == ["Render"]
        assert isinstance(host.outcome, Return)
        assert manager.status_of(run) is None
        manager.part(run)
        assert under_way.outcome == VMError("timeout")
        # The old template is gone, with its idle executors.
        until(lambda: len(manager.descendants()) == 3, "two pools are there")
        assert manager.end() == 0


# --- waiting for permits --------------------------------------------------------------------------


@contextlib.contextmanager
def all_permits_held(manager: ManagerProcess) -> Iterator[Callable[[], object]]:
    """Calls the value to let go of them."""
    manager.post("/permits", {"permits": 2})
    with serving(host := host_of(ENDLESS)) as node:
        run = manager.start(node.address)
        host.reached(HostMethod.STORAGE_WRITE)
        try:
            yield lambda: manager.part(run)
        finally:
            manager.delete(run)
            manager.post("/permits", {"permits": 8})


def test_who_leaves_gives_his_place_up(manager: ManagerProcess) -> None:
    with all_permits_held(manager) as let_go, serving(host := host_of(writes())) as node:
        waiting = manager.connect()
        send_run(waiting, NOWHERE)
        until(lambda: manager.state()["waiting"] == 1, "it does not wait")
        behind = manager.connect()
        send_run(behind, node.address)
        until(lambda: manager.state()["waiting"] == 2, "it does not wait")
        waiting.close()
        until(lambda: manager.state()["waiting"] == 1, "its place is kept")
        let_go()
        assert b"started" in behind.getresponse().read()
        assert node.wait()
        behind.close()
    assert isinstance(host.outcome, Return)
    assert not [record for record in manager.log if record.get("message") == "request failed"]


def send_run(connection: Any, address: str) -> None:
    connection.request("POST", "/genvm/run", json.dumps(run_body(address)).encode())


def test_more_permits_let_those_go_who_wait(manager: ManagerProcess) -> None:
    with all_permits_held(manager):
        waiting = [manager.connect() for _ in range(3)]
        for connection in waiting:
            send_run(connection, NOWHERE)
        until(lambda: manager.state()["waiting"] == 3, "they do not wait")
        manager.post("/permits", {"permits": 4})
        for connection in waiting:
            assert b"started" in connection.getresponse().read()
            connection.close()


# --- Python contracts -----------------------------------------------------------------------------


def test_a_contract_is_deployed_and_called(built_runners: BuiltRunners, tmp_path: Any) -> None:
    """Detect the version, write the code where it belongs, construct, call, read only, and ask for the schema."""
    code = read_contract(EXAMPLES / "storage.py")
    config = {"executor_config": str(config_file(tmp_path, built=True))}
    with manager_process(tmp_path, config=config) as manager:
        major = manager.post("/contract/detect-version", code, **HEADER)["specified_major"]
        writes = manager.post("/contract/pre-deploy-writes?bytes=array", code, **HEADER)["writes"]
        host = InMemoryHost()
        for key, value in writes:
            slot, at = bytes(key[:32]), int.from_bytes(bytes(key[32:]), "little")
            content = host.slot(slot)
            content[at : at + len(value)] = bytes(value)

        def call(data: Any, path: str = "/genvm/run", **message: Any) -> Any:
            host.calldata = calldata.encode(data)
            with serving(host) as node:
                run = manager.start(node.address, path, major=major, message=message)
                assert node.wait()
                manager.part(run)
            assert isinstance(host.outcome, Return), host.outcome
            return calldata.decode(host.outcome.calldata)

        call({"args": ["hello"]}, is_init=True)
        assert call({"method": "get_storage"}, "/genvm/run/readonly") == "hello"
        call({"method": "update_storage", "args": ["world"]})
        assert call({"method": "get_storage"}) == "world"
        now = {"Deployment-Timestamp": LATE}
        schema = manager.post("/genvm/run/readonly", code, **now)
        assert schema["methods"].keys() == {"get_storage", "update_storage"}
        text = manager.refused("POST", "/genvm/run/readonly", code + b"\nraise ValueError\n", now)
        assert text.startswith("the contract has no schema: ")
        assert manager.end() == 0
