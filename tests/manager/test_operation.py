"""Health and metrics of the manager: what operators watch."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from pygenvm.executor.primitives.abi import HostMethod
from tests.manager.live import live_manager
from tests.manager.process import ManagerProcess
from tests.support.hosts import serving
from tests.support.machine import Script, machine
from tests.support.running import ROOT, WatchedHost, until


def metrics(manager: ManagerProcess) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with contextlib.closing(manager.connect()) as connection:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        text = response.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def host_of(script: Script, **others: HostMethod) -> WatchedHost:
    host = WatchedHost(calldata=script.code, **others)
    host.put_code(machine())
    return host


def test_runs_are_counted_by_outcome(manager: ManagerProcess) -> None:
    def ended() -> dict[str, float]:
        found: dict[str, float] = {}
        for (name, labels), value in metrics(manager).items():
            if name == "genvm_manager_runs_total":
                outcome = dict(labels)["outcome"]
                found[outcome] = found.get(outcome, 0) + value
        return found

    before, counted = ended(), metrics(manager)
    rollback, trap = Script().gl_call({"Rollback": "no"}), Script().trap("IntegerOverflow")
    for script in (Script().storage_write(ROOT, 0, b"x"), rollback, trap):
        with serving(host_of(script)) as node:
            run = manager.start(node.address)
            assert node.wait()
            manager.part(run)
    manager.ended(manager.start("unix:///nonexistent"))
    after = ended()
    more = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert more == {"return": 1, "user_error": 1, "vm_error": 1, "crashed": 1}
    now = metrics(manager)
    for name in ("genvm_manager_wait_seconds_count", "genvm_manager_run_seconds_count"):
        assert now[name, ()] - counted[name, ()] == 4
    assert now["genvm_manager_run_seconds_sum", ()] > counted["genvm_manager_run_seconds_sum", ()]


def test_a_normal_run_was_not_stopped(manager: ManagerProcess) -> None:
    """Though every node deletes every run."""
    with serving(host_of(Script().storage_write(ROOT, 0, b"x"))) as node:
        run = manager.start(node.address)
        assert node.wait()
        until(lambda: not manager.state()["running"], "it does not end")
        manager.part(run)
    assert manager.logged("genvm ended", genvm_id=run)["stopped"] == ""


def test_what_is_going_on(manager: ManagerProcess) -> None:
    with serving(host := host_of(Script().storage_write(ROOT, 0, b"x"), holding=HostMethod.STORAGE_WRITE)) as node:
        run = manager.start(node.address, is_sync=True)
        host.reached(HostMethod.STORAGE_WRITE)
        now = metrics(manager)
        assert now["genvm_manager_running", ()] == now["genvm_manager_permits_used", ()] == 1
        assert now["genvm_manager_permits", ()] == 8
        assert now["genvm_manager_waiting", ()] == 0
        assert now["genvm_manager_runs_resident_bytes", ()] > 10 << 20
        assert now["genvm_manager_resident_bytes", ()] > 10 << 20
        assert now["genvm_manager_uptime_seconds", ()] > 0
        assert now["genvm_manager_module_running", (("module", "llm"),)] == 0
        host.release.set()
        assert node.wait()
        manager.part(run)


def test_requests_are_counted_by_route(manager: ManagerProcess) -> None:
    """Unknown paths and ids make no series of their own."""

    def counted(route: str, status: str) -> float:
        return metrics(manager).get(("genvm_manager_requests_total", (("route", route), ("status", status))), 0)

    before = counted("/status", "200"), counted("/genvm/{id}", "200"), counted("other", "404")
    manager.state()
    manager.status_of(123456)
    manager.status_of(123458)
    for path in ("/a", "/b", "/genvm/x"):
        assert manager.ask("GET", path)[0] == 404
    now = counted("/status", "200"), counted("/genvm/{id}", "200"), counted("other", "404")
    assert [later - earlier for earlier, later in zip(before, now, strict=True)] == [1, 2, 3]
    names = {dict(labels).get("route", "") for _, labels in metrics(manager)}
    assert not any("123456" in name or name in ("/a", "/b") for name in names)


def test_health(manager: ManagerProcess) -> None:
    assert manager.ask("GET", "/health/live") == (200, {"alive": True})
    assert manager.ask("GET", "/health/ready") == (200, {"ready": True, "problems": []})


def test_it_is_not_ready_when_a_module_has_failed_or_it_ends(tmp_path: Path) -> None:
    def ready(url: str) -> tuple[int, object]:
        try:
            with urlopen(f"{url}/health/ready", timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    with live_manager(tmp_path) as live:
        live.wait(live.manager.modules.start("web", None, allow_empty=False))
        assert ready(live.url) == (200, {"ready": True, "problems": []})
        (process,) = [module.process for module in live.manager.modules._modules.values()]
        assert process is not None
        live.call(process.kill)
        why = "the web module has failed: it ended with signal SIGKILL"
        until(lambda: ready(live.url) == (503, {"ready": False, "problems": [why]}), "its end is not told")
        until(lambda: ready(live.url) == (200, {"ready": True, "problems": []}), "it is not started again")
        live.manager.closing = True
        assert ready(live.url) == (503, {"ready": False, "problems": ["the manager is shutting down"]})
