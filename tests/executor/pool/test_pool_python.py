"""Python contracts in a pool: nothing is left of a run, and nothing depends on where it takes place."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.pool.client import ExecutorPool
from pygenvm.executor.primitives import calldata
from tests.executor.pool.pool_support import children, job, pool, template_of
from tests.support.execution import config_file, execute_process
from tests.support.hosts import InMemoryHost
from tests.support.machine import Script, machine
from tests.support.running import WatchedHost, until

pytestmark = pytest.mark.usefixtures("built_runners")

HEADER = b'# v0.2.16\n# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }\n'

#: Changes everything that it can reach, then tells what it sees; the second method only tells.
PROBE = (
    HEADER
    + b"""
import builtins, os, sys, json
from genlayer import *

class Probe(gl.Contract):
    text: str

    @gl.public.write
    def poison(self) -> str:
        builtins.sum = lambda _: 666
        builtins.poison = "in builtins"
        os.environ["POISON"] = "in the environment"
        sys.modules["poison"] = json
        sys.path.insert(0, "/poison")
        json.dumps = lambda *_: "poisoned"
        gl.Contract.poison = "in the SDK"
        for path in ("/poison", "/tmp/poison", "/contract.py", "poison"):
            try:
                with open(path, "w") as file:
                    file.write("poison")
            except OSError:
                pass
        sys.setrecursionlimit(50)
        print("poisoned")
        return self._seen()

    @gl.public.view
    def look(self) -> str:
        return self._seen()

    def _seen(self) -> str:
        files = [path for path in ("/poison", "/tmp/poison", "poison") if os.path.exists(path)]
        return "; ".join(
            [
                str(sum([1, 2])),
                str(hasattr(gl.Contract, "poison")),
                str(getattr(builtins, "poison", None)),
                repr(sorted(os.environ.items())),
                repr(os.getcwd()),
                repr(sys.path),
                str("poison" in sys.modules),
                json.dumps({}),
                str(sys.getrecursionlimit()),
                str(files),
                open("/contract.py").read()[:20],
                str(hash("x")),
                str(len(sys.modules)),
            ]
        )
"""
)

FAILING = (
    HEADER
    + b"""
from genlayer import *

class Failing(gl.Contract):
    text: str
    counts: TreeMap[str, u32]

    @gl.public.write
    def work(self, text: str) -> None:
        self.text = text * 100
        for word in text.split():
            self.counts[word] = u32(len(word))
        print(self.text)
        raise gl.vm.UserError(f"kept {sum(self.counts.values()) / 7}")

    @gl.public.write
    def crash(self) -> None:
        self.text = "x"
        raise SystemExit(3)
"""
)


def call(method: str, *args: Any) -> bytes:
    return calldata.encode({"method": method, "args": list(args)})


@pytest.fixture(scope="module")
def executors(built_runners: object) -> Iterator[ExecutorPool]:
    with pool(built=True) as made:
        yield made


def value_of(executors: ExecutorPool, method: str) -> str:
    """What the probe says in a run of its own."""
    with job(executors, code=PROBE, host=WatchedHost(calldata=call(method)), printed=frozenset(["result"])) as run:
        assert run.ended() == 0
        outcome = run.host.outcome
        assert isinstance(outcome, Return), (outcome, run.streams["stderr"].decode())
        value = calldata.decode(outcome.calldata)
    assert isinstance(value, str)
    return value


def test_a_contract_that_poisons_all_it_can_reach_is_not_seen_by_the_next(executors: ExecutorPool) -> None:
    host = WatchedHost(calldata=call("look"))
    host.put_code(PROBE)
    assert execute_process(host=host, built=True).exit_code == 0
    assert isinstance(host.outcome, Return)
    clean = calldata.decode(host.outcome.calldata)
    for _ in range(3):
        assert value_of(executors, "poison") != clean
        assert value_of(executors, "look") == clean


Seen = tuple[bytes | None, list[Any], bytes, int | None]


def fresh(code: bytes, data: bytes, config: Path | None) -> Seen:
    """Result with its fingerprint, traffic, stdout and exit code in a process of its own."""
    host = InMemoryHost(calldata=data)
    run = execute_process(code, "--print=result", "--print=fingerprint", host=host, built=True, config=config)
    return host.result, host.requests, run.stdout, run.exit_code


def pooled(code: bytes, data: bytes, executors: ExecutorPool) -> Seen:
    """The same in a pool."""
    printed = frozenset(["result", "fingerprint"])
    with job(executors, code=code, host=WatchedHost(calldata=data), printed=printed) as run:
        status = run.ended()
        return run.host.result, run.host.requests, run.streams["stdout"], status


CALLS = [
    (call("work", "some words and some more"), UserError),
    (call("crash"), VMError),
]


@pytest.mark.parametrize(("data", "kind"), CALLS, ids=["user error", "exit"])
def test_the_same_in_a_pool(executors: ExecutorPool, data: bytes, kind: type) -> None:
    expected = fresh(FAILING, data, None)
    assert expected[0] is not None
    result = decode_result(expected[0])
    assert isinstance(result.outcome, kind)
    assert result.fingerprint is not None
    for _ in range(2):
        assert pooled(FAILING, data, executors) == expected


def test_the_same_with_a_cold_store(executors: ExecutorPool, tmp_path: Path) -> None:
    """The template compiles both interpreters first."""
    config = config_file(tmp_path, built=True, cache_dir=str(tmp_path / "cache"))
    (data, _), _ = CALLS
    expected = pooled(FAILING, data, executors)
    with pool(config) as cold:
        assert pooled(FAILING, data, cold) == expected
    assert list((tmp_path / "cache" / "artefacts").glob("*.cwasm"))
    assert fresh(FAILING, data, config) == expected


def test_the_same_with_a_cold_store_and_a_small_contract(tmp_path: Path) -> None:
    data = Script().storage_write(bytes(32), 0, b"x").trap("UnreachableCodeReached").code
    found = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        config = config_file(folder, cache_dir=str(folder / "cache"))
        if name == "one":
            found.append(fresh(machine(), data, config))
        with pool(config) as executors:
            found += [pooled(machine(), data, executors), pooled(machine(), data, executors)]
    assert found == found[:1] * len(found)
    assert found[0][0] is not None
    assert decode_result(found[0][0]).outcome == VMError("wasm_trap UnreachableCodeReached")


# --- growth ---------------------------------------------------------------------------------------

CALLS_BEFORE, CALLS_AFTER = 10, 60
#: What a process may take more after that many calls: the allocator's own ups and downs.
GROWTH_BYTES = 1 << 20


def test_a_template_does_not_grow(executors: ExecutorPool) -> None:
    data = call("work", "some words")
    with job(executors, code=FAILING, host=WatchedHost(calldata=data)) as run:
        template = template_of(executors)
        assert run.ended() == 0

    def calls(count: int) -> tuple[int, int, int, int]:
        for _ in range(count):
            assert pooled(FAILING, data, executors)[3] == 0
        until(lambda: len(children(template)) == 2, "not two idle executors")
        # Of the hosts here, which are in this process.
        gc.collect()
        return open_files(template), open_files(os.getpid()), len(children(template)), resident_bytes(template)

    *before, memory = calls(CALLS_BEFORE)
    *after, memory_after = calls(CALLS_AFTER)
    assert after == before
    assert memory_after - memory <= GROWTH_BYTES


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
