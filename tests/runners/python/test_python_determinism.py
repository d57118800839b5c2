"""A Python contract sees, does and leaves behind the same on every host (spec executor/06, executor/09)."""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pygenvm.executor.config import cache_root
from pygenvm.executor.outcome import VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from tests.runners.python.python_contracts import contract, script
from tests.support.execution import command, config_file, execute
from tests.support.hosts import InMemoryHost, serving
from tests.support.paths import ROOT

#: What the executor needs of the machine, whatever else the environment holds.
NEEDED = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")


def curious_host() -> InMemoryHost:
    host = InMemoryHost(calldata=calldata.encode({"method": "look"}))
    host.put_code(contract(script("sandboxed/curious_contract.py")))
    return host


@dataclass
class Seen:
    """All that can be seen of a run from outside."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    traffic: list[Any]
    result: bytes | None

    @property
    def facts(self) -> dict[str, str]:
        lines = self.stdout.decode().splitlines()
        return dict(line.split("\t", 1) for line in lines if "\t" in line)

    def value(self, name: str) -> Any:
        return ast.literal_eval(self.facts[name])


@dataclass
class Circumstances:
    """How the executor is started."""

    environment: dict[str, str] = field(default_factory=dict)
    interpreter: str = sys.executable
    folder: Path = ROOT
    config: Path | None = None
    before: Callable[[], None] | None = None
    tcp: bool = False
    python_path: Sequence[Path] = ()
    message: dict[str, Any] = field(default_factory=dict)


def look(circumstances: Circumstances) -> Seen:
    host = curious_host()
    path = os.pathsep.join(map(str, (*circumstances.python_path, ROOT)))
    environment = {name: os.environ[name] for name in NEEDED if name in os.environ}
    environment |= {"PYTHONPATH": path, "PYGENVM_CACHE": str(cache_root())}
    with serving(host, tcp=circumstances.tcp) as node:
        line = command(
            node.address,
            message=circumstances.message,
            config=circumstances.config,
            built=True,
            global_options=("--log-level", "error"),
        )
        done = subprocess.run(
            [circumstances.interpreter, *line[1:]],
            env=environment | circumstances.environment,
            cwd=circumstances.folder,
            preexec_fn=circumstances.before,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
    return Seen(done.returncode, done.stdout, done.stderr, host.requests, host.result)


@pytest.fixture(scope="module")
def plain(built_runners: object) -> Seen:
    seen = look(Circumstances())
    assert seen.exit_code == 0, seen.stderr.decode()
    return seen


def assert_same(seen: Seen, plain: Seen) -> None:
    assert seen.stderr.decode() == plain.stderr.decode()
    assert seen.facts == plain.facts
    assert seen == plain


# --- the same everywhere ----------------------------------------------------------------------------


def test_run_again(plain: Seen) -> None:
    assert_same(look(Circumstances()), plain)


def test_other_environment(plain: Seen, tmp_path: Path) -> None:
    environment = {
        **{"PYTHONHASHSEED": "0", "TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "C", "PYTHONUTF8": "0"},
        **{
            "HOME": "/nonexistent",
            "TMPDIR": str(tmp_path),
            "COLUMNS": "7",
            "USER": "x",
            "PYTHONINTMAXSTRDIGITS": "640",
        },
        **{"GENLAYER_ENABLE_PROFILER": "true", "PYTHONHOME_": "y", "NO_COLOR": "1", "PYTHONMALLOC": "malloc"},
        **{f"VARIABLE_{number}": "x" * number for number in range(500)},
    }
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / "contract.py").write_text("raise SystemExit")
    assert_same(look(Circumstances(environment, folder=folder, before=lambda: _set_umask(0o077))), plain)


def _set_umask(mask: int) -> None:
    os.umask(mask)


def test_other_clock_file_order_and_processors(plain: Seen, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def before() -> None:
        os.nice(5)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    environment = {"PYTHONHASHSEED": "12345", "STRANGE_HOST_MARK": str(mark), "TZ": "EST5EDT"}
    strange = Circumstances(environment, before=before, python_path=[Path(__file__).with_name("strange_host")])
    assert_same(look(strange), plain)
    assert mark.read_text(), "the other clock was not in use"


def test_cold_and_warm_store_with_another_registry(
    plain: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tmp_path / "registry copy"
    files = sorted(
        path for part in ("runners", "registry") for path in (cache_root() / part).rglob("*") if path.is_file()
    )
    current = [path for path in files if path.suffix == ".json" or path.stem in _current_hashes()]
    for path in reversed(current):
        copy = registry / path.relative_to(cache_root())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        os.utime(copy, (1, 1))
    store = tmp_path / "store"
    config = config_file(tmp_path, registry=registry, cache_dir=str(store), threads=1, blocking_threads=1)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    other = Circumstances({"PYTHONHASHSEED": "77"}, config=config, before=before, tcp=True)
    assert not store.exists()
    assert_same(look(other), plain)
    assert list(store.rglob("*.cwasm")), "nothing was compiled into the new store"
    assert_same(look(other), plain)


def _current_hashes() -> set[str]:
    latest = json.loads((cache_root() / "registry" / "latest.json").read_text())
    return {name[2:] for name in latest.values()}


def other_pythons() -> list[str]:
    """Interpreters of other versions on PATH that have everything the executor imports."""
    names = [f"python3.{minor}" for minor in range(11, 20) if minor != sys.version_info.minor]
    found = [path for path in map(shutil.which, names) if path]
    check = "import sys, wasmtime, blake3, yaml, websockets; assert sys.version_info >= (3, 11)"
    return [
        path for path in found if subprocess.run([path, "-c", check], capture_output=True, check=False).returncode == 0
    ]


def test_other_versions_of_python_on_the_host(plain: Seen) -> None:
    """With those that are there; with none it says nothing."""
    for interpreter in other_pythons():
        assert_same(look(Circumstances({"PYTHONHASHSEED": "3"}, interpreter=interpreter)), plain)


def test_in_this_process(plain: Seen) -> None:
    for _ in range(2):
        run = execute(host=curious_host(), built=True)
        assert run.payload == plain.result
        assert run.stdout == plain.stdout
        assert run.stderr == plain.stderr


# --- and these are the values -----------------------------------------------------------------------


def random_stream(count: int) -> bytes:
    """The deterministic generator, from its definition (spec executor/06 "Random")."""
    generator = Random(int.from_bytes(b"GenLayer", "little"))
    return b"".join(generator.getrandbits(32).to_bytes(4, "little") for _ in range(count // 4))


def fnv(data: bytes, prefix: int, suffix: int) -> int:
    """CPython's hash of a string where pointers have 32 bits."""
    value = prefix ^ data[0] << 7
    tail = len(data) % 4 or 4
    blocks = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - tail, 4)]
    for block in [*blocks, *data[-tail:]]:
        value = (1_000_003 * value ^ block) & 0xFFFF_FFFF
    value ^= len(data) ^ suffix
    return value - (value >> 31 << 32)


def test_the_run_is_a_rich_one(plain: Seen) -> None:
    assert plain.result is not None
    assert len(plain.facts) >= 25
    assert re.search(rb"RuntimeError: \('the end', \{.*<contract\.Plain object at 0x[0-9a-f]+>.*\}\)\n\Z", plain.stderr)
    methods = {request.method for request in plain.traffic}
    assert methods >= {HostMethod.STORAGE_WRITE, HostMethod.POST_EVENT, HostMethod.POST_MESSAGE}
    written = [request for request in plain.traffic if request.method is HostMethod.STORAGE_WRITE]
    assert sum(len(request.fields["data"]) for request in written) > 5000


def test_the_result_has_a_fingerprint_of_both_modules(plain: Seen) -> None:
    host = curious_host()
    host.result = plain.result
    assert host.outcome == VMError("exit_code 1")
    assert sorted(host.fingerprint["module_instances"]) == ["cpython", "softfloat"]
    assert host.fingerprint["frames"]
    assert {frame["module_name"] for frame in host.fingerprint["frames"]} == {"cpython"}


def test_another_message_gives_another_fingerprint(plain: Seen) -> None:
    later = look(Circumstances(message={"datetime": "2026-11-20T00:00:00.000000001Z"}))
    assert later.result != plain.result
    assert "1795132800000000001" in later.facts["clocks"]


def test_hashes_come_from_the_deterministic_generator(plain: Seen) -> None:
    prefix, suffix = (int.from_bytes(random_stream(8)[at : at + 4], "little") for at in (0, 4))
    hashes = plain.value("hashes")
    assert hashes[:4] == [fnv(b"abc", prefix, suffix), 0, fnv(b"abc", prefix, suffix), 1]
    assert hashes[0] == 185252338


def test_random_bytes_are_those_of_the_specification(plain: Seen) -> None:
    stream = random_stream(4096)
    assert stream.startswith(bytes.fromhex("fd73bcb8b239b678e9a8ce31fb0de0eb654efcf46ddf81ac"))
    # `random` takes its seed first: 624 words
    assert plain.value("first_bytes") == stream[2496 : 2496 + 24].hex()
    # a sandbox starts where its parent started
    assert f"Return(calldata='{stream[2496 : 2496 + 24].hex()}')" in plain.stdout.decode()
    generator = Random(int.from_bytes(stream[:2496], "little"))
    assert plain.value("random_module")[0] == generator.random()


def test_time_stands_still_at_the_message(plain: Seen) -> None:
    clocks = plain.facts["clocks"]
    assert clocks.startswith(
        "[1795132800.0, 1795132800000000000, 1795132800.0, 1795132800000000000, 1795132800000000000"
    )
    assert "'2026-11-20T00:00:00', '2026-11-20T00:00:00+00:00', 'Fri Nov 20 00:00:00 2026']" in clocks
    assert "('UTC', 'UTC'), 0, " in clocks


#: Where CPython looks by default; a contract may map files there.
DEFAULT_PATHS = ("python313.zip", "python3.13", "python3.13/lib-dynload")


def test_environment_and_arguments(plain: Seen) -> None:
    environ, argv, _, path, folder, *_ = plain.value("environment")
    assert environ == {"PYTHONHOME": "/py/std", "PYTHONPATH": "/py/std:/py/libs", "pwd": "/"}
    assert argv == ["/py/libs/_genlayer_runner.py"]
    assert path == ["/py/libs", "/py/std", "/py/libs", *(f"/py/std/lib/{name}" for name in DEFAULT_PATHS), "/"]
    assert folder == "/"


def test_nothing_of_the_host_is_told(plain: Seen) -> None:
    for secret in (str(ROOT), str(Path.home()), str(cache_root()), sys.executable, os.uname().release):
        assert secret not in plain.stdout.decode() + plain.stderr.decode()
    assert "uname_result(sysname='wasi', nodename='(none)', release='0.0.0', version=" in plain.facts["system"]
    assert plain.facts["user_ids"] == "AttributeError: module 'os' has no attribute 'getuid'"
    assert plain.facts["users"] == "'~'"
    assert "st_ino=0, st_dev=0, st_nlink=0, st_uid=0, st_gid=0" in plain.facts["files"]
    assert "('C', 'UTF-8')" in plain.facts["locale"]


def test_the_file_system_is_the_contract_s(plain: Seen) -> None:
    assert "('/', ['__pycache__', 'py'], ['contract.py'])" in plain.facts["files"]
    assert plain.facts["temporary_files"].startswith("FileNotFoundError: [Errno 44] No usable temporary directory")
    # reserved numbers: 0 message, 1 and 2 streams, 3 the root directory
    assert plain.value("descriptors")[2] == 0
    assert min(plain.value("descriptors")[0]) > 3


def test_there_is_one_thread(plain: Seen) -> None:
    assert plain.facts["concurrency"] == "RuntimeError: can't start new thread"
