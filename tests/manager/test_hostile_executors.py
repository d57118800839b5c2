"""Executors that crash, hang, fork and flood; two versions beside each other (spec modules/04 §6, §8)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pygenvm.manager import limits
from tests.manager.process import HEADER, TIMESTAMP, ManagerProcess, alive, manager_process, run_body
from tests.support.running import until

NOWHERE = "unix:///nonexistent"
#: Does what ``--do=…`` among the words says; its folder is ``$here``.
_EXECUTOR = """\
#!/bin/sh
here=$(dirname "$0")
for word in "$@"; do
  case "$word" in
    --log-fd=*) log=/proc/self/fd/${word#*=} ;;
    --do=*) eval "${word#*=}" ;;
    --version) echo "genvm 0.2.16" ;;
    parse-version-pattern) . "$here/probe" ;;
  esac
done
"""


def install(root: Path, name: str, probe: str = "echo v0.2.16") -> Path:
    folder = root / "executor" / name / "bin"
    folder.mkdir(parents=True)
    (folder / "probe").write_text(probe)
    program = folder / "genvm"
    program.write_text(_EXECUTOR)
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def shared(root: Path) -> Iterator[ManagerProcess]:
    install(root, "vTEST")
    with manager_process(root, config={"idle_executors": 0}) as manager:
        yield manager
        manager.idle()
        assert manager.end() == 0
        assert manager.stderr.read_text() == ""


@pytest.fixture
def hostile(shared: ManagerProcess) -> Iterator[ManagerProcess]:
    yield shared
    shared.idle()
    until(lambda: not shared.descendants(), "processes are left")


def do(manager: ManagerProcess, what: str, **others: Any) -> int:
    return manager.start(NOWHERE, extra_args=[f"--do={what}"], **others)


def status_of(manager: ManagerProcess, run: int) -> int:
    return int(manager.logged("genvm ended", genvm_id=run)["exit_status"])


@pytest.mark.parametrize(
    ("what", "status"),
    [("exit 3", 3), ("exit 255", 255), ("kill -SEGV $$", -11), ("kill -9 $$", -9), ("kill -TERM $$", -15), (":", 0)],
)
def test_crashes(hostile: ManagerProcess, what: str, status: int) -> None:
    run = do(hostile, f"echo out; echo err >&2; {what}")
    ended = hostile.ended(run)
    assert (ended["stdout"], ended["stderr"]) == ("out\n", "err\n")
    assert status_of(hostile, run) == status


def test_one_that_ignores_to_be_asked(hostile: ManagerProcess) -> None:
    run = do(hostile, "trap : TERM; echo ready; while :; do sleep 1; done")
    begun = time.monotonic()
    # The known client says 20 ms, and a moment is always given.
    ended = hostile.part(run)
    assert limits.DELETE_WAIT_MIN_MS / 1000 <= time.monotonic() - begun < 15
    assert ended["stdout"] == "ready\n"
    assert status_of(hostile, run) == -9


def test_children_end_with_it(hostile: ManagerProcess, root: Path) -> None:
    """Also those that hold its output open: nobody waits for them."""
    pids = root / "pids"
    run = do(hostile, f"(sleep 1000 & echo $! >> {pids}; sleep 1000) & echo $! >> {pids}; sleep 0.3; echo over")
    assert hostile.ended(run)["stdout"] == "over\n"
    left = [int(line) for line in pids.read_text().split()]
    assert len(left) == 2
    until(lambda: not alive(left), "children are left")


def test_a_child_that_has_left_the_group_does_not_hold_the_run(hostile: ManagerProcess, root: Path) -> None:
    pid = root / "escaped"
    run = do(hostile, f"setsid sh -c 'echo $$ > {pid}; exec sleep 30' & sleep 0.5; echo over")
    begun = time.monotonic()
    assert hostile.ended(run)["stdout"] == "over\n"
    assert time.monotonic() - begun < 10
    until(lambda: not hostile.state()["permits_used"], "its permits are held")
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_floods_of_output_are_cut(hostile: ManagerProcess) -> None:
    before = hostile.resident()
    size = 100 << 20
    flood = f"head -c {size} /dev/zero | tr '\\0' x"
    run = do(hostile, f"echo first; {flood}; echo; echo last; head -c 1000000 /dev/zero >&2")
    ended = hostile.ended(run)
    head, _, tail = ended["stdout"].partition("\n… ")
    assert head.startswith("first\nxxx")
    assert len(head) == limits.OUTPUT_HEAD_BYTES
    dropped = int(tail.partition(" ")[0])
    assert dropped + limits.OUTPUT_HEAD_BYTES + limits.OUTPUT_TAIL_BYTES == size + len("first\n\nlast\n")
    assert tail.endswith("xx\nlast\n")
    assert len(ended["stderr"]) == 1_000_000
    assert hostile.resident() - before < 150 << 20


def test_floods_of_log_lines_leave_the_manager_answering(hostile: ManagerProcess) -> None:
    run = do(hostile, "yes > $log")
    slowest = 0.0
    for _ in range(5):
        begun = time.monotonic()
        hostile.state()
        slowest = max(slowest, time.monotonic() - begun)
    hostile.part(run)
    assert slowest < 5, slowest
    assert hostile.resident() < 300 << 20


def test_lines_of_the_log(hostile: ManagerProcess) -> None:
    record = json.dumps({"level": "warn", "target": "executor::x", "message": "from below", "extra": 1})
    lines = [record, "no json", "[1]", "", '{"level": 5}', "x" * 100_000, "half"]
    (hostile.root / "lines").write_text("\n".join(lines))
    run = do(hostile, f"cat {hostile.root}/lines > $log")
    hostile.ended(run)
    ended = hostile.logged("genvm ended", genvm_id=run)
    about = [one for one in hostile.log if one.get("genvm_id") == run and one["message"].startswith("genvm log")]
    assert [(one["level"], one["message"]) for one in about] == [
        ("warn", "genvm log"),
        ("info", "genvm log raw"),
        ("info", "genvm log raw"),
        ("info", "genvm log"),
        ("info", "genvm log raw"),
        ("info", "genvm log raw"),
    ]
    assert about[0]["log"] == json.loads(record)
    assert about[-1]["log"] == "half"
    assert {one["cookie"] for one in about} == {ended["cookie"]}


def test_the_command_line(hostile: ManagerProcess) -> None:
    """As nodes know it (spec modules/04 §6.2), the message compact."""
    body = run_body(NOWHERE, extra_args=["--do=printf '%s\\n' \"$@\"", "--debug-mode"], is_sync=True)
    body["message"] = {"a": [1, 2.5, "ä\u2028"], "b": None}
    run = hostile.post("/genvm/run", body)["id"]
    words = hostile.ended(run)["stdout"].split("\n")[:-1]
    cookie = hostile.logged("genvm ended", genvm_id=run)["cookie"]
    assert words[0].startswith("--log-fd=")
    assert words[1:] == [
        "run",
        *body["extra_args"],
        "--sync",
        "--host-data",
        body["host_data"],
        "--host",
        NOWHERE,
        "--message",
        '{"a":[1,2.5,"ä\u2028"],"b":null}',
        f"--cookie={cookie}",
    ]


@pytest.mark.parametrize(
    "probe", ["exit 1", "echo nonsense", "echo v", "kill -9 $$", "echo 99999999999999999999.1", "head -c 9 /dev/zero"]
)
def test_probes_that_tell_nothing(tmp_path: Path, hostile: ManagerProcess, probe: str) -> None:
    file = hostile.root / "executor" / "vTEST" / "bin" / "probe"
    file.write_text(probe)
    try:
        assert hostile.post("/contract/detect-version", b"x" * 200_000, **HEADER) == {"specified_major": 0}
    finally:
        file.write_text("echo v0.2.16")


def test_a_few_probes_at_a_time(hostile: ManagerProcess) -> None:
    folder = hostile.root / "executor" / "vTEST" / "bin"
    file = folder / "probe"
    file.write_text(
        'mkdir "$here/now.$$"; ls "$here" | grep -c now >> "$here/seen"; sleep 0.1; rmdir "$here/now.$$"; echo v0.2.16'
    )
    try:
        with ThreadPoolExecutor(12) as threads:
            answers = threads.map(lambda _: hostile.post("/contract/detect-version", b"", **HEADER), range(12))
            assert list(answers) == [{"specified_major": 0}] * 12
    finally:
        file.write_text("echo v0.2.16")
    seen = [int(line) for line in (folder / "seen").read_text().split()]
    assert len(seen) == 12
    assert max(seen) <= limits.PROBES


def test_programs_that_cannot_be_started(hostile: ManagerProcess) -> None:
    program = hostile.root / "executor" / "vTEST" / "bin" / "genvm"
    text = program.read_text()
    try:
        program.chmod(0o644)
        assert "executor vTEST is broken" in hostile.refused("POST", "/genvm/run", run_body(NOWHERE))
        program.chmod(0o755)
        program.write_text("nonsense")
        assert "cannot start the executor: [Errno 8]" in hostile.refused("POST", "/genvm/run", run_body(NOWHERE))
        program.write_text("#!/nonexistent\n")
        assert "No such file" in hostile.refused("POST", "/genvm/run", run_body(NOWHERE))
    finally:
        program.write_text(text)
    hostile.ended(do(hostile, ":"))


# --- versions beside each other -------------------------------------------------------------------


def test_versions_are_chosen_by_time_and_by_major(tmp_path: Path) -> None:
    """Three that are installed, one that is not, and one that is broken; only its own runs fail."""
    for name, declared in (("v0.2.15", "v0.2.15"), ("v0.2.17", "v0.2.17"), ("v1.0.0", "v1.0.0")):
        install(tmp_path, name, f"echo {declared}")
    (tmp_path / "executor" / "v2.0.0" / "bin").mkdir(parents=True)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        """
executor_versions:
  v0.2.15: { available_after: "2024-01-01T00:00:00Z" }
  v0.2.17: { available_after: "2025-01-01T00:00:00Z" }
  v1.0.0: { available_after: "2025-06-01T00:00:00Z" }
  v2.0.0: { available_after: "2030-01-01T00:00:00Z" }
"""
    )
    words = [f"--manifest-path={manifest}"]
    with manager_process(tmp_path, *words, config={"idle_executors": 0}, reroute=False) as manager:

        def chosen(major: int, time: str) -> str:
            run = manager.start(NOWHERE, major=major, timestamp=time, extra_args=['--do=echo "$here"'])
            return Path(manager.ended(run)["stdout"].strip()).parent.name

        assert chosen(0, TIMESTAMP) == "v0.2.15"
        assert chosen(0, "2025-01-01T00:00:00Z") == "v0.2.17"
        assert chosen(1, "2025-06-01T00:00:00Z") == "v1.0.0"
        late: dict[str, Any] = {"timestamp": "2030-01-01T00:00:00Z"}
        text = manager.refused("POST", "/genvm/run", run_body(NOWHERE, major=1))
        assert text == "no compatible version found for major 1"
        text = manager.refused("POST", "/genvm/run", run_body(NOWHERE, major=2, **late))
        assert text.startswith("executor v2.0.0 is not installed: there is no ")

        def major(code: bytes, time: str) -> Any:
            return manager.ask("POST", "/contract/detect-version", code, {"Deployment-Timestamp": time})

        assert major(b"", TIMESTAMP) == (200, {"specified_major": 0})
        assert major(b"", "2025-07-01T00:00:00Z") == (200, {"specified_major": 1})
        assert major(b"", "2023-01-01T00:00:00Z") == (500, {"error": "no_executor_version_available"})
        # A version that is removed from the manifest is used no more, without a restart; one that is added is.
        manifest.write_text('executor_versions:\n  v0.2.17: { available_after: "2020-01-01T00:00:00Z" }\n')
        manager.ask("POST", "/manifest/reload")
        assert chosen(0, TIMESTAMP) == "v0.2.17"
        assert manager.end() == 0


def test_our_own_executor_under_another_name(tmp_path: Path) -> None:
    """An installed version is a program of its own; the one that belongs to the manager comes out of the pool."""
    folder = tmp_path / "executor" / "v0.3.0" / "bin"
    folder.mkdir(parents=True)
    program = folder / "genvm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pygenvm.cli.main "$@"\n')
    program.chmod(0o755)
    with manager_process(tmp_path, config={"idle_executors": 0}, reroute=False) as manager:
        assert manager.logged("manager listening")["executors"] == {"versions": ["v0.2.16", "v0.3.0"]}
        run = manager.start(NOWHERE)
        assert manager.ended(run)["stderr"].startswith("Error: ")
        assert manager.logged("genvm started", genvm_id=run)["executor"] == "v0.3.0"
        assert manager.end() == 0
