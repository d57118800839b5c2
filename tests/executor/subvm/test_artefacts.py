"""The artefact store: damage, races, places that cannot be written, and compilers that do not survive."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.outcome import InternalError, InternalErrorRaised, InvalidContract, Return, VMError
from pygenvm.executor.subvm import artefacts, compiler, engine
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.wasmtime_c import Module
from tests.support.archives import install, runner_tar
from tests.support.execution import Execution, command, config_file, execute_process, wat
from tests.support.hosts import InMemoryHost, serving
from tests.support.paths import ROOT
from tests.support.running import genvm, running, until
from tests.support.slow_module import slow_module

#: Returns 42 from the entry function by gl_call.
ANSWER = wat(
    r"""(module
      (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\0e\06Return\d1\02")
      (func (export "_start") (drop (call $gl_call (i32.const 0) (i32.const 10) (i32.const 64)))))"""
)
ANSWERED = Return(bytes([0xD1, 0x02]))


def load(folder: Path, wasm: bytes = ANSWER) -> ArtefactStore:
    """A store as a new process has it, after loading one module."""
    store = ArtefactStore(folder)
    store.load(wasm, deterministic=True, trusted=False)
    return store


def names(folder: Path) -> list[str]:
    return sorted(path.suffix or path.name for path in folder.iterdir())


def run(folder: Path, config: Path) -> Execution:
    return execute_process(ANSWER, config=config, host=InMemoryHost())


def test_content_of_a_store(tmp_path: Path) -> None:
    store = load(tmp_path)
    assert (store.compiled, store.hits) == (1, 0)
    assert names(tmp_path / "contracts") == [".cwasm", ".json"]
    (artefact,) = (tmp_path / "contracts").glob("*.cwasm")
    (note,) = (tmp_path / "contracts").glob("*.json")
    assert artefact.stem == json.loads(note.read_bytes())["blake3"] == blake3(artefact.read_bytes()).hexdigest()
    again = load(tmp_path)
    assert (again.compiled, again.hits) == (0, 1)


def test_what_is_made_differently_is_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    floats = wat('(module (func (export "_start") (drop (f64.add (f64.const 1) (f64.const 2)))))')
    for deterministic in (True, False):
        for trusted in (True, False):
            store = ArtefactStore(tmp_path)
            store.load(floats, deterministic=deterministic, trusted=trusted)
            assert store.compiled == 1
    for place, name in ((engine, "fingerprint"), (artefacts, "_changes")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, lambda *_: b"another")
            store = ArtefactStore(tmp_path)
            store.load(floats, deterministic=True, trusted=False)
            assert store.compiled == 1


def test_a_flipped_byte_is_not_executed(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "artefacts"
    assert run(folder, config).outcome == ANSWERED
    (artefact,) = (folder / "contracts").glob("*.cwasm")
    original = artefact.read_bytes()
    for part in (0.001, 0.3, 0.6, 0.999):
        content = bytearray(original)
        content[int(part * len(content))] ^= 1
        artefact.write_bytes(content)
        again = run(folder, config)
        assert again.outcome == ANSWERED
        assert b'"compiled_modules":1' in again.stderr
        assert b"the artefact is damaged" in again.stderr
        # The store is healed, by the same bytes.
        assert artefact.read_bytes() == original
        assert load(folder).compiled == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: b"[" * 100_000,
        lambda text: b"7",
        lambda text: b"{}",
        lambda text: text.replace(b'"facts"', b'"fact"'),
        lambda text: text.replace(b'"memory_bytes"', b'"memory_byte"'),
        lambda text: b'{"blake3": 7, "facts": {}}',
        lambda text: b"\xff",
    ],
)
def test_torn_notes(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    load(tmp_path)
    (note,) = (tmp_path / "contracts").glob("*.json")
    original = note.read_bytes()
    note.write_bytes(damage(original))
    assert load(tmp_path).compiled == 1
    assert note.read_bytes() == original


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"x" * 5000])
def test_torn_artefacts(tmp_path: Path, content: bytes) -> None:
    load(tmp_path)
    (artefact,) = (tmp_path / "contracts").glob("*.cwasm")
    artefact.write_bytes(content)
    assert load(tmp_path).compiled == 1
    assert load(tmp_path).compiled == 0
    artefact.unlink()
    assert load(tmp_path).compiled == 1


def test_an_artefact_under_the_note_of_another_module(tmp_path: Path) -> None:
    """It is intact, but no artefact."""
    load(tmp_path)
    (note,) = (tmp_path / "contracts").glob("*.json")
    (tmp_path / "contracts" / f"{blake3(b'text').hexdigest()}.cwasm").write_bytes(b"text")
    value = json.loads(note.read_bytes())
    note.write_text(json.dumps({**value, "blake3": blake3(b"text").hexdigest()}))
    assert load(tmp_path).compiled == 1


def test_four_processes_fill_a_store_at_once(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "artefacts"
    hosts = [InMemoryHost() for _ in range(4)]
    with ExitStack() as stack:
        processes = []
        for host in hosts:
            host.put_code(ANSWER)
            node = stack.enter_context(serving(host))
            processes.append(
                subprocess.Popen(
                    command(node.address, config=config), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
                )
            )
        logs = [process.communicate(timeout=60)[1] for process in processes]
    assert [host.outcome for host in hosts] == [ANSWERED] * 4
    assert sum(b'"compiled_modules":1' in log for log in logs) == 1
    assert names(folder / "contracts") == [".cwasm", ".json"]


def test_threads_compile_once(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    modules: list[Any] = []

    def work() -> None:
        modules.append(store.load(ANSWER, deterministic=True, trusted=False))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.compiled == 1
    assert len(set(map(id, modules))) == 1


def test_a_lock_that_nobody_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another process is bounded; the module is compiled a second time then."""

    def compile_module(*_: object, **__: object) -> None:
        raise InvalidContract("compiled")

    monkeypatch.setattr(limits, "COMPILE_SECONDS", 0.3)
    monkeypatch.setattr(compiler, "compile_module", compile_module)
    store = ArtefactStore(tmp_path)
    key = store._digest_of(ANSWER, artefacts._Mode(True, True), "wasm")
    store.contracts.make()
    with Path(store.contracts.path, f"{key}.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidContract, match="compiled"):
            store.load(ANSWER, deterministic=True, trusted=False)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache_dir in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/cache")):
        config = config_file(tmp_path, cache_dir=str(cache_dir))
        done = run(tmp_path, config)
        assert done.outcome == ANSWERED
        assert b"is not kept" in done.stderr


def test_a_store_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(CacheFolder, "write", refuse)
    assert load(tmp_path).compiled == 0
    assert load(tmp_path, slow_module(1, 1)).compiled == 1
    assert names(tmp_path / "contracts") == [".cwasm", ".json"]


def test_forgotten_files_are_removed(tmp_path: Path) -> None:
    load(tmp_path)
    for name, age in (("new-old", limits.UNFINISHED_FILE_SECONDS + 10), ("new-fresh", 0)):
        (tmp_path / "contracts" / name).write_bytes(b"x")
        os.utime(tmp_path / "contracts" / name, (time.time() - age,) * 2)
    load(tmp_path, slow_module(1, 2))
    assert sorted(path.name for path in (tmp_path / "contracts").glob("new-*")) == ["new-fresh"]


# --- what is kept of contracts --------------------------------------------------------------------


def test_modules_of_contracts_are_trimmed_and_those_of_runners_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtefactStore(tmp_path)
    store.load(ANSWER, deterministic=True, trusted=False, origin="a file of a runner")
    kept = {path.name for path in tmp_path.glob("*.*")}
    contracts = [slow_module(1, number) for number in range(1, 8)]
    load(tmp_path, contracts[0])
    one = sum(path.stat().st_size for path in Path(store.contracts.path).iterdir())
    monkeypatch.setattr(limits, "CONTRACT_ARTEFACT_BYTES", 4 * one)
    for wasm in contracts[1:]:
        load(tmp_path, wasm)
        assert sum(path.stat().st_size for path in Path(store.contracts.path).iterdir()) <= 5.5 * one
    assert {path.name for path in tmp_path.glob("*.*")} == kept
    assert load(tmp_path, contracts[-1]).compiled == 0
    assert load(tmp_path, contracts[0]).compiled == 1


def test_few_modules_of_contracts_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a VM uses is the VM's; what nobody uses is bounded in bytes, and loaded again."""
    others = [ANSWER + custom(str(number)) for number in range(4)]
    size = load_module(ArtefactStore(tmp_path), ANSWER).image_bytes()
    monkeypatch.setattr(limits, "CONTRACT_MODULES_KEPT_BYTES", 2 * size)
    store = ArtefactStore(tmp_path)
    first = load_module(store, ANSWER)
    assert load_module(store, ANSWER) is first
    dropped = [weakref.ref(load_module(store, wasm)) for wasm in others]
    assert [reference() is None for reference in dropped] == [True, True, False, False]
    assert load_module(store, ANSWER) is not first
    # Those of runners stay, however many there are.
    runners = [weakref.ref(load_module(store, wasm, origin=f"{wasm!r}")) for wasm in others]
    assert all(reference() is not None for reference in runners)


def load_module(store: ArtefactStore, wasm: bytes, origin: str | None = None) -> Module:
    return store.load(wasm, deterministic=True, trusted=False, origin=origin).module


def custom(name: str) -> bytes:
    """A custom section without content."""
    return bytes([0, len(name) + 1, len(name)]) + name.encode()


def test_what_is_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTRACT_ARTEFACTS_MAX", 6)  # of each contract two
    load(tmp_path)
    for number in range(1, 9):
        for path in (tmp_path / "contracts").iterdir():
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 7_200 * 10**9))
        assert load(tmp_path).compiled == 0
        load(tmp_path, slow_module(1, number))
    assert len(names(tmp_path / "contracts")) <= 8


def test_an_artefact_out_of_proportion_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTRACT_ARTEFACT_BASE_BYTES", 100)
    monkeypatch.setattr(limits, "CONTRACT_ARTEFACT_BYTES_PER_BYTE", 1)
    assert load(tmp_path).compiled == load(tmp_path).compiled == 1
    assert names(tmp_path / "contracts") == []
    store = ArtefactStore(tmp_path)
    store.load(ANSWER, deterministic=True, trusted=False, origin="a file of a runner")
    assert names(tmp_path) == [".cwasm", ".json", "contracts"]


# --- other users of the machine -------------------------------------------------------------------

STRANGER = 54_321


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cache: cache.chmod(0o777),
        lambda cache: (cache / "artefacts").chmod(0o702),
        lambda cache: cache.parent.chmod(0o707),
        lambda cache: os.chown(cache / "artefacts" / "contracts", STRANGER, -1),
        lambda cache: os.chown(cache, STRANGER, -1),
        lambda cache: os.chown(next(cache.rglob("*.json")), STRANGER, -1),
        lambda cache: next(cache.rglob("*.cwasm")).chmod(0o646),
    ],
)
def test_what_others_could_have_written_is_not_used(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    cache = tmp_path / "folder" / "cache"
    config = config_file(tmp_path, cache_dir=str(cache))
    assert run(tmp_path, config).outcome == ANSWERED
    assert cache.stat().st_mode & 0o777 == (cache / "artefacts").stat().st_mode & 0o777 == 0o700
    assert load(cache / "artefacts").hits == 1
    spoil(cache)
    done = run(tmp_path, config)
    assert done.outcome == ANSWERED
    assert b'"compiled_modules":1' in done.stderr
    assert b"others may write to" in done.stderr or b"belongs to user" in done.stderr


def test_a_planted_artefact_is_not_executed(tmp_path: Path) -> None:
    """A folder of everybody, as one that another user has made ready beforehand."""
    cache = tmp_path / "cache"
    load(cache / "artefacts")
    config = config_file(tmp_path, cache_dir=str(cache))
    link = tmp_path / "link"
    link.symlink_to(cache)
    assert b'"compiled_modules":0' in run(tmp_path, config_file(tmp_path, cache_dir=str(link))).stderr
    (cache / "artefacts" / "contracts").chmod(0o1777)
    assert b'"compiled_modules":0' in run(tmp_path, config).stderr
    for path in (cache / "artefacts" / "contracts").iterdir():
        target = tmp_path / path.name
        path.rename(target)
        path.symlink_to(target)
    assert b'"compiled_modules":1' in run(tmp_path, config).stderr


# --- compilers ------------------------------------------------------------------------------------


def test_the_compiler_takes_nothing_from_where_it_is_started(tmp_path: Path) -> None:
    """Neither modules of the standard library's names nor packages of ours."""
    planted = tmp_path / "planted"
    for name in ("resource", "threading", "blake3", "pygenvm", "executor", "sitecustomize", "usercustomize"):
        (planted / name).mkdir(parents=True)
        (planted / name / "__init__.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w').write({name!r})\n")
    script = (
        "import os, sys; from pathlib import Path; from pygenvm.executor.subvm.artefacts import ArtefactStore;"
        "os.chdir(sys.argv[1]); os.environ.update(PYTHONPATH=sys.argv[1], PYTHONUSERBASE=sys.argv[1]);"
        "store = ArtefactStore(Path(sys.argv[2]));"
        "store.load(sys.stdin.buffer.read(), deterministic=True, trusted=False); print(store.compiled)"
    )
    arguments = [sys.executable, "-P", "-c", script, str(planted), str(tmp_path / "store")]
    done = subprocess.run(arguments, input=ANSWER, capture_output=True, check=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stdout == b"1\n"
    assert not (tmp_path / "taken").exists()


def test_the_compiler_has_as_many_threads_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "9")
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with running(code=slow_module(), config=config) as run_:
        (child,) = until(run_.children, "nothing is compiled")
        environment, wanted = Path(f"/proc/{child}/environ"), f"RAYON_NUM_THREADS={limits.COMPILER_THREADS}".encode()
        # It is ours, or empty, until the process has become the compiler.
        until(lambda: wanted in environment.read_bytes().split(b"\0"), "another number of threads")
        os.kill(child, signal.SIGKILL)
        assert run_.ended() == 0


def uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def module(bodies: list[bytes]) -> bytes:
    """Functions of type (i32) -> () with these bodies, the first exported as `f`."""

    def section(number: int, content: bytes) -> bytes:
        return bytes([number]) + uleb(len(content)) + content

    sized = [uleb(len(body) + 2) + b"\0" + body + b"\x0b" for body in bodies]
    return b"\0asm\x01\0\0\0" + b"".join(
        (
            section(1, b"\x01\x60\x01\x7f\x00"),
            section(3, uleb(len(bodies)) + bytes(len(bodies))),
            section(7, b"\x01\x01f\x00\x00"),
            section(10, uleb(len(bodies)) + b"".join(sized)),
        )
    )


BLOCK = b"\x02\x40\x20\x00\x0d\x00\x0b"


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([BLOCK * 100_000], id="branches in one function"),
        pytest.param([b"\x20\x00\x0e" + uleb(70_000) + bytes(70_001)], id="one big table of branches"),
        pytest.param([b""] * 200_000, id="functions"),
        pytest.param([b"\x02\x40" * 60_000 + b"\x0b" * 60_000], id="blocks inside each other"),
        pytest.param([b"\x01" * 1_100_000], id="one long function"),
    ],
)
def test_compile_bombs_are_refused_before_the_compiler_sees_them(tmp_path: Path, bodies: list[bytes]) -> None:
    with pytest.raises(InvalidContract, match=r"at most|more than|larger than"):
        load(tmp_path, module(bodies))
    assert names(tmp_path / "contracts") == []


def test_time_of_the_compiler_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPILE_SECONDS", 0.05)
    with pytest.raises(InternalErrorRaised, match=r"compiling a module took more than 0\.05 s"):
        load(tmp_path, slow_module())
    assert names(tmp_path / "contracts") == []


def _memory_is_gone(child: int) -> None:
    resource.prlimit(child, resource.RLIMIT_AS, (1 << 20, 1 << 20))


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("end", [_kill, _memory_is_gone])
def test_a_compiler_that_dies_is_an_internal_error(tmp_path: Path, end: Callable[[int], None]) -> None:
    """Not the contract's: other validators may have been able to compile it."""
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    with running(code=slow_module(), config=config) as run_:
        (child,) = until(run_.children, "nothing is compiled")
        end(child)
        assert run_.ended() == 0
    outcome = run_.host.outcome
    assert isinstance(outcome, InternalError)
    assert outcome.message.startswith("the compiler died with status")
    assert list((tmp_path / "cache" / "artefacts" / "contracts").iterdir()) == []


def test_a_node_that_ignores_the_end_of_its_children(tmp_path: Path) -> None:
    """Its executor inherits that, and would not learn what the compiler said."""
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    ignoring = partial(signal.signal, signal.SIGCHLD, signal.SIG_IGN)
    with running(code=module([b"\x6a"]), config=config, preexec_fn=ignoring) as run_:
        assert run_.ended() == 0
    assert run_.host.outcome == VMError("invalid_contract")
    assert list((tmp_path / "cache" / "artefacts" / "contracts").iterdir()) == []


def test_what_the_engine_refuses_is_the_contracts_fault(tmp_path: Path) -> None:
    ill_typed = module([b"\x6a"])
    with pytest.raises(InvalidContract, match="the engine refuses the module"):
        load(tmp_path, ill_typed)
    assert names(tmp_path / "contracts") == []


def test_cold_and_warm_are_the_same(tmp_path: Path) -> None:
    """Results, fingerprints and traffic, with and without a store, filled or not."""
    trap = wat(
        '(module $named (memory (export "memory") 1) (func $f (i32.store (i32.const 8) (i32.const 7)) unreachable)'
        ' (func (export "_start") (call $f)))'
    )
    seen = []
    for cache in ("cache", "cache", "none"):
        directory = tmp_path / cache if cache == "cache" else Path("/proc/none")
        config = config_file(tmp_path, cache_dir=str(directory))
        done = execute_process(trap, config=config)
        seen.append((done.payload, done.host.requests))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] is not None
    assert b"wasm_trap UnreachableCodeReached" in seen[0][0]


# --- genvm precompile -----------------------------------------------------------------------------


def test_precompile(tmp_path: Path) -> None:
    """Every core module once per mode, whatever its name ends in; the rest of an archive is left alone."""
    second = ANSWER + struct.pack("<BB", 0, 2) + b"\x01x"
    root = tmp_path / "root"
    archives = {
        "a": runner_tar({"Seq": []}, {"one.wasm": ANSWER, "lib.so": second, "text.wasm": b"no", "other": ANSWER}),
        "b": runner_tar({"Seq": []}, {"same.wasm": ANSWER}),
    }
    install(root, archives)
    config = config_file(tmp_path, registry=root, cache_dir=str(tmp_path / "cache"))
    done = genvm(config, "precompile")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "cache" / "artefacts"
    assert done.stdout == f"4 modules compiled, 0 were there already: {folder}\n"
    assert sum("(det): done in " in line for line in done.stderr.splitlines()) == 2
    assert sum("(non-det): done in " in line for line in done.stderr.splitlines()) == 2
    assert "\x1b" not in done.stderr
    # Where runs look for modules of runners.
    assert len(list(folder.glob("*.json"))) == 4
    assert genvm(config, "precompile").stdout.startswith("0 modules compiled, 4 were there already")


def test_precompile_needs_every_archive(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, {"a": runner_tar({"Seq": []}, {"one.wasm": ANSWER})})
    next((root / "runners").rglob("*.tar")).unlink()
    config = config_file(tmp_path, registry=root, cache_dir=str(tmp_path / "cache"))
    done = genvm(config, "precompile")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "is not installed" in done.stderr


def test_precompile_of_a_bad_module(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, {"a": runner_tar({"Seq": []}, {"bad.wasm": module([b"\x6a"])})})
    config = config_file(tmp_path, registry=root, cache_dir=str(tmp_path / "cache"))
    done = genvm(config, "precompile")
    assert done.returncode == 1
    assert "/bad.wasm: invalid_contract: the engine refuses the module" in done.stderr


def test_precompile_info(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    done = genvm(config, "precompile", "--info")
    assert done.returncode == 0
    record = json.loads(done.stderr)
    assert record["message"] == "directories"
    assert record["compiled"] == str(tmp_path / "cache" / "artefacts")
    assert not (tmp_path / "cache").exists()


def test_precompile_into_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    config = config_file(tmp_path, cache_dir="/proc/cache")
    done = genvm(config, "precompile")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")


# --- packages -------------------------------------------------------------------------------------------


def packaged(folder: Path, wasm: bytes = ANSWER) -> Path:
    """A folder with a compiled module as a package has it."""
    ArtefactStore(folder).portable(wasm, deterministic=True)
    return folder


def load_with(package: Path, folder: Path, origin: str | None = "somewhere") -> ArtefactStore:
    store = ArtefactStore(folder, packaged=[package])
    store.load(ANSWER, deterministic=True, trusted=True, origin=origin)
    return store


def test_a_module_of_a_package_is_not_compiled(tmp_path: Path) -> None:
    package = packaged(tmp_path / "package")
    before = {path: path.stat().st_mtime_ns for path in (package, *package.iterdir())}
    assert sorted(path.suffix for path in package.iterdir()) == [".cwasm", ".json"]
    for _ in range(2):
        store = load_with(package, tmp_path / "own")
        assert (store.compiled, store.hits) == (0, 1)
        # Of a user's own there is only what tells that it was looked at.
        assert names(tmp_path / "own") == [".mark"]
    assert before == {path: path.stat().st_mtime_ns for path in (package, *package.iterdir())}
    # The mark tells where it is: nobody looks at its bytes, or at the note, again.
    (note,) = package.glob("*.json")
    text = note.read_bytes()
    note.unlink()
    assert load_with(package, tmp_path / "own").compiled == 0
    note.write_bytes(text)
    # It is made once.
    assert ArtefactStore(package).portable(ANSWER, deterministic=True) == tuple(
        path.name for path in sorted(package.iterdir(), key=lambda path: path.suffix, reverse=True)
    )


def test_modules_of_contracts_are_not_those_of_packages(tmp_path: Path) -> None:
    package = packaged(tmp_path / "package")
    assert load_with(package, tmp_path / "own", origin=None).compiled == 1


@pytest.mark.parametrize("damage", ["artefact", "note", "engine"])
def test_what_cannot_be_used_is_compiled_into_the_own_folder(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    if damage == "engine":
        # As on a machine that lacks what a module needs: the engine refuses it when it is loaded.
        with monkeypatch.context() as patch:
            patch.setitem(engine.SETTINGS, "consume_fuel", True)
            patch.setattr(engine, "fingerprint", lambda *_: b"of both")
            packaged(package)
    else:
        packaged(package)
        pattern = "*.cwasm" if damage == "artefact" else "*.json"
        (path,) = package.glob(pattern)
        path.write_bytes(b"damaged")
    if damage == "engine":
        real = engine.fingerprint
        monkeypatch.setattr(engine, "fingerprint", lambda of, portable=False: b"of both" if portable else real(of))
    store = load_with(package, tmp_path / "own")
    assert store.compiled == 1
    assert names(tmp_path / "own") == [".cwasm", ".json"]
    again = load_with(package, tmp_path / "own")
    assert (again.compiled, again.hits) == (0, 1)


def test_a_package_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    package = packaged(tmp_path / "package")
    package.chmod(0o777)
    assert load_with(package, tmp_path / "own").compiled == 1


def test_portable_modules_do_not_depend_on_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    of_this, of_most = (engine.fingerprint.__wrapped__(engine.engine(), portable) for portable in (False, True))
    monkeypatch.setattr(engine, "_cpu_features", lambda: "another processor")
    assert engine.fingerprint.__wrapped__(engine.engine(), False) != of_this
    assert engine.fingerprint.__wrapped__(engine.engine(), True) == of_most != of_this


def test_modules_that_are_offered(tmp_path: Path) -> None:
    package = packaged(tmp_path / "package")
    files = {path.name: path.read_bytes() for path in package.iterdir()}
    store = ArtefactStore(tmp_path / "own")
    assert store.adopt(ANSWER, deterministic=True, offered=files.get)
    again = ArtefactStore(tmp_path / "own")
    again.load(ANSWER, deterministic=True, trusted=True, origin="somewhere")
    assert again.compiled == 0
    other = ArtefactStore(tmp_path / "other")
    assert not other.adopt(ANSWER, deterministic=False, offered=files.get)
    note, artefact = sorted(files, key=lambda name: name.endswith(".cwasm"))
    for damaged in ({note: b"["}, {note: b"{}"}, {note: b'{"facts": 1}'}, {artefact: files[artefact] + b"x"}):
        assert not other.adopt(ANSWER, deterministic=True, offered=(files | damaged).get)
    assert not other.adopt(ANSWER, deterministic=True, offered={note: files[note]}.get)
    assert not (tmp_path / "other").exists()
