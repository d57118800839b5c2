"""Modules as processes of the manager: started, watched, started again, stopped (spec modules/04 §5)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pygenvm.executor.outcome import Return
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.log import ManagerLog
from pygenvm.manager.modules import ModuleName, ModuleProcesses
from pygenvm.modules.cli.serving import default_file
from tests.manager.process import ManagerProcess, alive, manager_process
from tests.support.execution import config_file
from tests.support.hosts import serving
from tests.support.machine import Script, machine
from tests.support.running import WatchedHost, until

pytestmark = pytest.mark.slow

KEY = "sk-abcdefghijklmnop"


PROMPT: dict[str, Any] = {
    "system_message": None,
    "user_message": "OK?",
    "temperature": 0.7,
    "images": [],
    "max_tokens": 10,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shipped(name: str, port: int, **changes: Any) -> dict[str, Any]:
    """The shipped file, read and changed as nodes do it."""
    document = yaml.safe_load(default_file(name).read_text())
    return {**document, "bind_address": f"127.0.0.1:{port}", "vm_count": 1, "grace_seconds": 1, **changes}


# --- the real ones --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("llm", "web")}


@pytest.fixture(scope="module")
def serving_modules(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagerProcess]:
    root = tmp_path_factory.mktemp("modules")
    modules = {name: {"address": f"ws://127.0.0.1:{port}"} for name, port in ports.items()}
    config = {"executor_config": str(config_file(root, modules=modules)), "idle_executors": 1}
    # What a node gets with `config: null` is beside the program.
    (root / "config").mkdir()
    (root / "config" / "genvm-module-web.yaml").write_text(yaml.safe_dump(shipped("web", ports["web"])))
    with manager_process(root, config=config) as manager:
        yield manager
        left = manager.descendants()
        assert manager.end() == 0
        assert alive(left) == []
        assert "Traceback" not in manager.stderr.read_text()


def llm(ports: dict[str, int], folder: Path, **changes: Any) -> dict[str, Any]:
    mocks = folder / "mocks.yaml"
    mocks.write_text('llm: {".*": Paris}\n')
    written = {"provider": "mock", "file": str(mocks), "key": "${ENV[MOCK_KEY]}", "models": {"m": {}}}
    return shipped("llm", ports["llm"], backends={"written": written}, **changes)


def prompt() -> Script:
    return Script().nondet(Script().gl_call({"ExecPrompt": {"prompt": "Where?", "images": []}}))


def test_a_life_of_the_modules(serving_modules: ManagerProcess, ports: dict[str, int], tmp_path: Path) -> None:
    manager = serving_modules

    def states() -> tuple[str, str]:
        state = manager.state()
        return state["llm_module"], state["web_module"]

    assert manager.post("/module/stop", {"module_type": "Llm"}) == {"result": "module_not_running"}
    assert manager.post("/env", {"key": "MOCK_KEY", "value": KEY}) == {"result": "env_var_set", "key": "MOCK_KEY"}
    start = {"module_type": "Llm", "config": llm(ports, tmp_path), "allow_empty_backends": False}
    assert manager.post("/module/start", start) == {"result": "module_started"}
    assert states() == ("running", "stopped")
    # `config` null, and in lower case.
    assert manager.post("/module/start", {"module_type": "web", "config": None}) == {"result": "module_started"}
    assert states() == ("running", "running")
    assert manager.refused("POST", "/module/start", start) == "module_already_running"
    assert manager.refused("POST", "/module/start", {"module_type": "WEB"}) == "module_already_running"

    # They listen: a run asks at once.
    host = WatchedHost(calldata=prompt().code)
    host.put_code(machine())
    with serving(host) as node:
        run = manager.start(node.address)
        assert node.wait()
        manager.part(run)
    assert isinstance(host.outcome, Return)
    assert b"Paris" in host.outcome.calldata
    assert manager.ask("GET", "/health/ready") == (200, {"ready": True, "problems": []})

    # Killed: it is said at once, and it comes back.
    before = manager.descendants()
    pid = listener(before, ports["web"])
    os.kill(pid, signal.SIGKILL)
    until(lambda: states()[1] == "stopped", "its end is not noticed")
    until(lambda: states()[1] == "running", "it is not started again")
    assert manager.logged("module ended", module="web")["error"] == "it ended with signal SIGKILL"
    assert listener(manager.descendants(), ports["web"]) != pid

    for name in ("Llm", "Web"):
        assert manager.post("/module/stop", {"module_type": name}) == {"result": "module_stopped"}
    assert states() == ("stopped", "stopped")
    assert manager.post("/module/stop", {"module_type": "web"}) == {"result": "module_not_running"}
    with contextlib.closing(socket.socket()) as gone, pytest.raises(ConnectionRefusedError):
        gone.connect(("127.0.0.1", ports["web"]))


def listener(pids: list[int], port: int) -> int:
    """The process that listens at a port."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            inodes.add(f"socket:[{fields[9]}]")
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(fd) in inodes:
                    return pid
    raise AssertionError("nobody listens")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"backends": {}}, "backends: no valid backend detected"),
        ({"lua_script_path": "/nonexistent.lua"}, "/nonexistent.lua"),
    ],
)
def test_configurations_that_will_not_do(
    serving_modules: ManagerProcess, ports: dict[str, int], tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    config = {**llm(ports, tmp_path), **changes}
    text = serving_modules.refused("POST", "/module/start", {"module_type": "Llm", "config": config})
    assert text.startswith("module_failed_to_start: ")
    assert error in text
    assert serving_modules.state()["llm_module"] == "stopped"


def test_a_module_may_start_without_backends(serving_modules: ManagerProcess, ports: dict[str, int]) -> None:
    config = shipped("llm", ports["llm"], backends={})
    start = {"module_type": "llm", "config": config, "allow_empty_backends": True}
    assert serving_modules.post("/module/start", start) == {"result": "module_started"}
    assert serving_modules.post("/module/stop", {"module_type": "llm"}) == {"result": "module_stopped"}


def test_an_address_in_use(serving_modules: ManagerProcess, ports: dict[str, int], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = {**llm(ports, tmp_path), "bind_address": f"127.0.0.1:{taken.getsockname()[1]}"}
        text = serving_modules.refused("POST", "/module/start", {"module_type": "Llm", "config": config})
    assert "in use" in text


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "module_type is missing"),
        ({"module_type": "Vision"}, "module_type must be one of llm, web, not 'vision'"),
        ({"module_type": 1}, "module_type must be a text"),
        ({"module_type": "llm", "config": "x"}, "config must be an object"),
        ({"module_type": "llm", "allow_empty_backends": 1}, "allow_empty_backends must be true or false"),
    ],
)
def test_requests_that_make_no_sense(serving_modules: ManagerProcess, body: Any, error: str) -> None:
    assert error in serving_modules.refused("POST", "/module/start", body)


def test_keys_are_in_no_log_and_no_answer(
    serving_modules: ManagerProcess, ports: dict[str, int], tmp_path: Path
) -> None:
    """Given in the configuration itself or through /env; also where the configuration is wrong."""
    manager = serving_modules
    secret = "sk-0123456789abcdefghijklmnop"
    manager.post("/log/level", {"level": "trace"})
    backend = {"provider": "openai-compatible", "host": "http://127.0.0.1:9", "key": secret, "models": {"m": {}}}
    config = {**llm(ports, tmp_path), "backends": {"b": backend}, "log_level": "trace"}
    answers = [manager.ask("POST", "/module/start", {"module_type": "Llm", "config": config})]
    assert answers[0][0] == 200
    command_lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in manager.descendants()]
    manager.post("/module/stop", {"module_type": "Llm"})
    answers.append(
        manager.ask("POST", "/module/start", {"module_type": "Llm", "config": {**config, "bind_address": "nonsense"}})
    )
    assert answers[1][0] == 500
    check = {"host": "http://127.0.0.1:9", "provider": "openai-compatible", "model": "m", "key": "${ENV[MOCK_KEY]}"}
    manager.post("/env", {"key": "MOCK_KEY", "value": secret})
    results = manager.post("/llm/check", {"configs": [check], "test_prompts": [PROMPT]})
    answers.append((200, results))
    manager.post("/log/level", {"level": "info"})
    assert secret not in repr(answers)
    assert secret.encode() not in b"".join(command_lines)
    assert secret not in repr(manager.log)
    assert secret not in manager.stderr.read_text()


def test_checks_of_providers(serving_modules: ManagerProcess) -> None:
    config = {"host": "http://127.0.0.1:9", "provider": "openai-compatible", "model": "m", "key": "x"}
    answer = serving_modules.post("/llm/check", {"configs": [config, config], "test_prompts": [PROMPT]})
    assert [(one["config_index"], one["prompt_index"], one["available"], one["response"]) for one in answer] == [
        (0, 0, False, None),
        (1, 0, False, None),
    ]
    assert all(isinstance(one["error"], str) and one["error"] for one in answer)
    assert serving_modules.post("/llm/check", {"configs": [], "test_prompts": []}) == []
    assert "configs" in serving_modules.refused("POST", "/llm/check", {"test_prompts": []})


# --- those that misbehave -------------------------------------------------------------------------

_BEGIN = """\
#!/bin/sh
for word in "$@"; do
  case "$word" in --ready-fd=*) ready=/proc/self/fd/${word#*=} ;; esac
done
"""


@contextlib.asynccontextmanager
async def processes(folder: Path, rest: str) -> AsyncIterator[ModuleProcesses]:
    program = folder / "module"
    program.write_text(_BEGIN + rest)
    program.chmod(0o755)
    with open(os.devnull, "wb") as nowhere:
        made = ModuleProcesses(ManagerLog(fd=nowhere.fileno()), command=[str(program)])
        try:
            yield made
        finally:
            await made.close()


async def state_is(modules: ModuleProcesses, name: ModuleName, state: str) -> None:
    async with asyncio.timeout(30):
        while modules.state(name) != state:
            await asyncio.sleep(0.01)


LISTENS = "echo '{\"listening\": true}' > $ready\n"


async def test_one_that_never_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_START_SECONDS", 0.3)
    monkeypatch.setattr(limits, "MODULE_END_SECONDS", 0.1)
    async with processes(tmp_path, f"echo $$ > {tmp_path}/pid\nsleep 1000\n") as modules:
        with pytest.raises(RequestError, match=r"module_failed_to_start: it does not listen after 0\.3 s"):
            await modules.start("web", None, allow_empty=False)
        assert modules.state("web") == "stopped"
        assert alive([int((tmp_path / "pid").read_text())]) == []


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        ("exit 3\n", "it ended with exit code 3"),
        ("kill -9 $$\n", "it ended with signal SIGKILL"),
        ('echo \'{"error": "no luck"}\' > $ready\nexit 1\n', "no luck"),
        ("head -c 1000000 /dev/zero > $ready\nexit 1\n", "exit code 1"),
        ("echo nonsense > $ready\nexit 0\n", "exit code 0"),
        ("echo '[1]' > $ready\nexit 0\n", "exit code 0"),
    ],
)
async def test_those_that_end_instead(tmp_path: Path, rest: str, error: str) -> None:
    async with processes(tmp_path, rest) as modules:
        with pytest.raises(RequestError, match=f"module_failed_to_start: .*{error}"):
            await modules.start("llm", {"a": 1}, allow_empty=False)
        assert modules.states() == {"llm": "stopped", "web": "stopped"}


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async with processes(tmp_path, "") as modules:
        (tmp_path / "module").unlink()
        with pytest.raises(RequestError, match="module_failed_to_start: cannot be started: No such file"):
            await modules.start("llm", None, allow_empty=False)


async def test_pauses_grow_while_one_keeps_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_RESTART_SECONDS", 0.05)
    monkeypatch.setattr(limits, "MODULE_RESTART_SECONDS_MAX", 0.2)
    times = tmp_path / "times"
    async with processes(tmp_path, f"date +%s.%N >> {times}\n{LISTENS}exit 1\n") as modules:
        await modules.start("web", None, allow_empty=False)
        async with asyncio.timeout(30):
            while modules.restarts("web") < 6:
                await asyncio.sleep(0.02)
        assert modules.failures() == {"web": "it ended with exit code 1"}
    starts = [float(line) for line in times.read_text().split()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2), strict=False):
        assert pause >= least


async def test_one_that_does_not_come_back_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens, is killed, hangs, and listens again."""
    monkeypatch.setattr(limits, "MODULE_RESTART_SECONDS", 0.05)
    monkeypatch.setattr(limits, "MODULE_START_SECONDS", 2.0)
    monkeypatch.setattr(limits, "MODULE_END_SECONDS", 0.1)
    count = tmp_path / "count"
    rest = f"echo x >> {count}\nif [ $(wc -l < {count}) = 2 ]; then exec sleep 1000; fi\n{LISTENS}exec sleep 1000\n"
    async with processes(tmp_path, rest) as modules:
        await modules.start("web", None, allow_empty=False)
        (pid,) = [module.process.pid for module in modules._modules.values() if module.process is not None]
        os.kill(pid, signal.SIGKILL)
        await state_is(modules, "web", "stopped")
        await state_is(modules, "web", "running")
        assert modules.restarts("web") == 2
        assert modules.failures() == {}


async def test_one_that_ignores_signals_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULE_STOP_SECONDS", 0.3)
    rest = f"trap '' TERM\nsleep 1000 & echo $! > {tmp_path}/child\n{LISTENS}while true; do sleep 1; done\n"
    async with processes(tmp_path, rest) as modules:
        await modules.start("web", None, allow_empty=False)
        child = int((tmp_path / "child").read_text())
        stopping = asyncio.create_task(modules.stop("web"))
        await state_is(modules, "web", "stopping")
        assert await stopping
        assert modules.state("web") == "stopped"
        until(lambda: not alive([child]), "what it had started lives on")


async def test_stopping_one_that_waits_to_be_started_again(tmp_path: Path) -> None:
    async with processes(tmp_path, f"{LISTENS}exit 1\n") as modules:
        await modules.start("web", None, allow_empty=False)
        await state_is(modules, "web", "stopped")
        with pytest.raises(RequestError, match="module_already_running"):
            await modules.start("web", None, allow_empty=False)
        assert await modules.stop("web")
        assert not await modules.stop("web")


async def test_a_client_that_leaves_leaves_the_module(tmp_path: Path) -> None:
    """Nodes have time limits of their own, and ask again."""
    async with processes(tmp_path, f"sleep 0.5\n{LISTENS}exec sleep 1000\n") as modules:
        starting = asyncio.create_task(modules.start("web", None, allow_empty=False))
        await asyncio.sleep(0.1)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(RequestError, match="module_already_running"):
            await modules.start("web", None, allow_empty=False)
        assert modules.state("web") == "running"
        stopping = asyncio.create_task(modules.stop("web"))
        await asyncio.sleep(0)
        stopping.cancel()
        await state_is(modules, "web", "stopped")
        assert not await modules.stop("web")


async def test_the_end_of_the_manager_breaks_a_start_off(tmp_path: Path) -> None:
    async with processes(tmp_path, f"echo $$ > {tmp_path}/pid\nsleep 1000\n") as modules:
        starting = asyncio.create_task(modules.start("web", None, allow_empty=False))
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        await modules.close()
        assert time.monotonic() - begun < 10
        with pytest.raises(RequestError, match="shutting down"):
            await starting
        assert alive([int((tmp_path / "pid").read_text())]) == []
