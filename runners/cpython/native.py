"""Python for the build machine, of the very version that the sandbox gets.

The cross build freezes modules with it, and it makes all bytecode. It has no extension modules, which neither needs.
"""

from __future__ import annotations

from pathlib import Path

from pygenvm.runners import sources, toolchain
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

VERSION = "3.13"
# What sys.version says: the day of the release, not of the build, and the compiler without its build's details.
VERSION_FLAGS = """CPPFLAGS=-DDATE='"Jun 11 2025"' -DTIME='"00:00:00"' -DCOMPILER='"[Clang 20.1.2]"'"""


def step() -> Step:
    """The step; :func:`python` names the executable in its result."""
    inputs = (sources.source("cpython").digest, digest_files([Path(__file__)]))
    title = f"compile Python {sources.source('cpython').version} for the build itself"
    return Step("build-python", title, inputs, (toolchain.zig_step(),), _make, sources.host_platform())


def python(result: Path) -> Path:
    """The interpreter in the result of the step."""
    return result / "bin" / "python3"


def unpack_sources(work: Work) -> Path:
    """CPython's source tree, as `src` in the work folder."""
    archive = sources.fetch(sources.source("cpython"), work.workshop.sources)
    unpack_tar(archive, work.folder / "src", lambda path: None if path.parts[:2] == ("Lib", "test") else path)
    return work.folder / "src"


def _make(work: Work) -> None:
    source = unpack_sources(work)
    build = work.folder / "build"
    build.mkdir()
    toolchain.write_compilers(work)
    static = "-static -s" if sources.host_platform().startswith("linux") else ""
    compilers = {"CC": "native-cc", "AR": "ar", "RANLIB": "ranlib", "OPT": "-O1 -DNDEBUG", "LDFLAGS": static}
    options = ("-q", "--disable-test-modules", "--without-ensurepip")
    work.run("sh", "../src/configure", *options, cwd=build, env=compilers)
    work.run("make", f"-j{work.workshop.jobs}", "python", VERSION_FLAGS, cwd=build)
    (work.out / "bin").mkdir()
    built = next(path for path in (build / "python", build / "python.exe") if path.is_file())
    built.rename(python(work.out))
    library = work.out / "lib" / f"python{VERSION}"
    library.parent.mkdir()
    (source / "Lib").rename(library)
    (library / "lib-dynload").mkdir()
