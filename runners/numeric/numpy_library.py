"""NumPy for wasm32-wasip1: its own build with meson, whose objects the interpreter is linked of, and its Python files.

meson comes with NumPy's sources; ninja and Cython come from the package index. They and NumPy's code generators run in
the Python that runs us; what they are told of the Python to build for is in a file.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

from pygenvm.runners import sources
from pygenvm.runners.cpython import library, native
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import compilers, corrections
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

OBJECTS, PYTHON = "objects", "python"
#: Targets whose objects are only for NumPy's own tests.
TEST_TARGETS = (
    *("_multiarray_tests", "_operand_flag_tests", "_rational_tests", "_struct_ufunc_tests", "_umath_tests"),
    "lib_umath_tests",
)
#: A module for tests of SIMD, which there is not.
_LEFT_OUT = "_simd"

_FLAGS = "-O2 -DNDEBUG -fwrapv -D_GNU_SOURCE"
# CPython's stand-ins for threads are declared with a word that C++ does not have.
_CPP_FLAGS = f"{_FLAGS} -Drestrict=__restrict"
_OPTIONS = (
    *("-Dbuildtype=plain", "-Db_ndebug=true", "-Db_pie=false", f"-Dc_args={_FLAGS}", f"-Dcpp_args={_CPP_FLAGS}"),
    *("-Dblas=none", "-Dlapack=none", "-Dallow-noblas=true"),
    *("-Ddisable-optimization=true", "-Dcpu-baseline=none"),
    *("-Dcpu-dispatch=none", "-Ddisable-highway=true", "-Ddisable-svml=true", "-Ddisable-intel-sort=true"),
    "-Ddisable-threading=true",
)
_CROSS_FILE = """\
[binaries]
c = 'numeric-cc'
cpp = 'numeric-c++'
ar = 'ar'
cython = 'cython'
python = 'python'
pkg-config = 'false'

[host_machine]
system = 'wasi'
cpu_family = 'wasm32'
cpu = 'wasm32'
endian = 'little'

[properties]
needs_exe_wrapper = true
skip_sanity_check = true
longdouble_format = 'IEEE_QUAD_LE'
"""
# mtrand is built of its own copy of these functions, with another integer type. The linker would take one of two.
_TWICE = "numpy/random/src/distributions"
_LEGACY = "NP_RANDOM_LEGACY"
_FUNCTION = re.compile(r"\b(random_\w+)\s*\(")
_NAMES_MIN = 50
#: What numpy.show_config would tell of the machine that built it.
_OF_THE_MACHINE = ("build", "Python Information")
_MACHINE = re.compile(rf'("(?:{"|".join(_OF_THE_MACHINE)})": )\{{[^{{}}]*\}},')
_NO_PYTHON = ("*.so", "*.a", "*.pyi", "*.pxd", "*.h", "*.pyc", "__pycache__", "py.typed", "pkgconfig", "include")


def step() -> Step:
    """The step. Its result has the folders :data:`OBJECTS`, with one folder for each target, and :data:`PYTHON`."""
    named = ("numpy", "cython", "ninja")
    inputs = (
        *(sources.source(name).digest for name in named),
        digest_files([Path(__file__), Path(corrections.__file__)]),
        compilers.digest(),
    )
    title = f"compile NumPy {sources.source('numpy').version} for WebAssembly"
    return Step("wasm-numpy", title, inputs, (library.step(),), _make)


def _make(work: Work) -> None:
    source, build = work.folder / "src", work.folder / "build"
    archive = sources.fetch(sources.source("numpy"), work.workshop.sources)
    unpack_tar(archive, source, lambda path: path)
    corrections.correct(source, corrections.NUMPY)
    compilers.write_compilers(work)
    _rename_legacy(source)
    _write_tools(work)
    cross = work.folder / "cross.ini"
    cross.write_text(_CROSS_FILE, encoding="utf-8")
    meson = source / "vendored-meson" / "meson" / "meson.py"
    work.run("python", meson, "setup", build, "--cross-file", cross, *_OPTIONS, cwd=source)
    work.run("ninja", f"-j{work.workshop.jobs}", cwd=build)
    work.run("python", meson, "install", "--no-rebuild", "--destdir", work.folder / "installed", cwd=build)
    _collect_objects(build, work.out / OBJECTS)
    _collect_python(work.folder / "installed", work.out / PYTHON / "numpy")


def _rename_legacy(source: Path) -> None:
    """Gives mtrand's copy of the distributions names of its own, by the preprocessor."""
    folder = source / _TWICE
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.[ch]"))]
    names = sorted({name for text in texts for name in _FUNCTION.findall(text)})
    if len(names) < _NAMES_MIN:
        raise BuildError(f"{_TWICE} of NumPy has changed: {len(names)} functions")
    renamed = "".join(f"#define {name} mtrand_{name}\n" for name in names)
    header = source / "numpy" / "random" / "include" / "numpy" / "random" / "distributions.h"
    if not header.is_file():
        header = source / "numpy" / "_core" / "include" / "numpy" / "random" / "distributions.h"
    text = header.read_text(encoding="utf-8")
    header.write_text(f"#ifdef {_LEGACY}\n{renamed}#endif\n{text}", encoding="utf-8")


def _write_tools(work: Work) -> None:
    """`python`, `cython` and `ninja` in the step's folder on PATH."""
    tools = work.folder / "tools"
    for name in ("cython", "ninja"):
        with zipfile.ZipFile(sources.fetch(sources.source(name), work.workshop.sources)) as archive:
            archive.extractall(tools)
    [ninja] = tools.glob("*.data/scripts/ninja")
    ninja.chmod(0o755)
    (work.bin / "ninja").symlink_to(ninja)
    about = work.folder / "python.json"
    about.write_text(json.dumps(_about_python(work)), encoding="utf-8")
    # meson asks the Python that it builds for about itself, by a script of that name.
    python = (
        f'case $1 in *python_info.py) exec cat "{about}" ;; esac\n'
        f'PYTHONPATH="{tools}${{PYTHONPATH:+:$PYTHONPATH}}" exec "{sys.executable}" -s "$@"'
    )
    _script(work.bin / "python", python)
    _script(work.bin / "cython", f'exec "{work.bin / "python"}" -m cython "$@"')


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def _about_python(work: Work) -> dict[str, object]:
    """What meson wants to know of the Python that it builds for."""
    include = work.workshop.folder(library.step()) / "include"
    modules = "/python"
    paths = {
        **dict.fromkeys(("include", "platinclude"), str(include)),
        **dict.fromkeys(("stdlib", "platstdlib", "purelib", "platlib", "scripts", "data"), modules),
    }
    return {
        "variables": {"EXT_SUFFIX": ".so", "LIBPYTHON": "", "Py_GIL_DISABLED": 0, "base_prefix": "/"},
        "paths": paths,
        "sysconfig_paths": paths,
        "install_paths": {**paths, "purelib": modules, "platlib": modules},
        "version": native.VERSION,
        "platform": "wasi-wasm32",
        "is_pypy": False,
        "is_venv": False,
        "link_libpython": False,
        "suffix": ".so",
        "limited_api_suffix": None,
        "is_freethreaded": False,
    }


def _collect_objects(build: Path, target: Path) -> None:
    for folder in sorted(build.rglob("*.p")):
        name = folder.name.split(".")[0]
        objects = sorted(folder.rglob("*.o"))
        if not objects or name == _LEFT_OUT:
            continue
        (target / name).mkdir(parents=True)
        for number, path in enumerate(objects):
            path.rename(target / name / f"{number:02}-{path.name}")


def _collect_python(installed: Path, target: Path) -> None:
    found = [path for path in installed.rglob("numpy") if (path / "__init__.py").is_file()]
    if len(found) != 1:
        raise BuildError("meson has installed no numpy")
    shutil.copytree(found[0], target, ignore=shutil.ignore_patterns(*_NO_PYTHON))
    config = target / "__config__.py"
    text, count = _MACHINE.subn(r"\1{},", config.read_text(encoding="utf-8"))
    if count != len(_OF_THE_MACHINE):
        raise BuildError("numpy/__config__.py has changed: it may tell of this machine")
    config.write_text(text, encoding="utf-8")
