"""cpython.wasm with NumPy and Pillow built in, as a WASI command."""

from __future__ import annotations

from pathlib import Path

from pygenvm.runners.cpython import command, libc, library
from pygenvm.runners.numeric import compilers, images, numpy_library, unwind
from pygenvm.runners.softfloat import rewrite
from pygenvm.runners.workshop import Step, Work, digest_files

FILE_NAME = command.FILE_NAME
KERNELS = Path(__file__).parent / "kernels"

_COMPILE = ("-DNDEBUG", "-O2", "-fwrapv", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fvisibility=hidden")
# musl leaves the exponent of what is not finite unwritten, and NumPy would show what was in memory. Others give 0.
_FREXP = {
    Path("libc", "musl", "src", "math", f"{name}.c"): (
        (f"ee == {most}) {{\n\t\treturn x;", f"ee == {most}) {{\n\t\t*e = 0;\n\t\treturn x;"),
    )
    for name, most in (("frexp", "0x7ff"), ("frexpf", "0xff"), ("frexpl", "0x7fff"))
}
_MORE = ("-DMORE_MODULES=genlayer_more_modules", '-DSNAPSHOT_MODULE="_genlayer_snapshot_numeric"')


def step(*, tests: bool = False) -> Step:
    """The step; its result is the file :data:`FILE_NAME`. With ``tests`` it has the modules of NumPy's own tests."""
    inputs = (
        command.digest(),
        compilers.digest(),
        digest_files([Path(__file__), Path(unwind.__file__), Path(rewrite.__file__), compilers.SOURCE, KERNELS]),
        *(["tests"] if tests else []),
    )
    needs = (library.step(), numpy_library.step(), images.step())
    title = "link the interpreter with NumPy and Pillow"
    return Step(
        "wasm-numeric-tests" if tests else "wasm-numeric", title, inputs, needs, _make_tests if tests else _make
    )


def _make(work: Work) -> None:
    _link(work, tests=False)


def _make_tests(work: Work) -> None:
    _link(work, tests=True)


def _link(work: Work, *, tests: bool) -> None:
    compilers.write_compilers(work)
    pillow, numpy = (work.workshop.folder(step()) for step in (images.step, numpy_library.step))
    objects: list[str | Path] = [*command.compile_units(work, *_MORE)]
    own = _compile_own(work, pillow, *(["-DWITH_TEST_MODULES"] if tests else []))
    jumping = sorted((pillow / images.JUMPING).iterdir())
    objects += [own.pop("unwind_first"), *jumping, own.pop("unwind_last"), *own.values()]
    objects += sorted((pillow / images.OBJECTS).iterdir())
    objects += _numpy_objects(numpy / numpy_library.OBJECTS, tests)
    corrections = {**libc.CORRECTIONS, **_FREXP}
    linked = unwind.with_returns(command.link(work, "numeric-c++", objects, corrections, names=True))
    (work.out / FILE_NAME).write_bytes(rewrite.with_needed_names(linked))


def _numpy_objects(folder: Path, tests: bool) -> list[Path]:
    """Each once: two modules have the same copy of LAPACK. Were they not the same, the linker would refuse them."""
    found: dict[bytes, Path] = {}
    for target in sorted(folder.iterdir()):
        if tests or target.name not in numpy_library.TEST_TARGETS:
            for path in sorted(target.iterdir()):
                found.setdefault(path.read_bytes(), path)
    return list(found.values())


def _compile_own(work: Work, pillow: Path, *flags: str) -> dict[str, str]:
    """Our own C and the kernels: the objects by name."""
    include = work.workshop.folder(library.step()) / "include"
    for header in KERNELS.glob("*.h"):
        (work.folder / header.name).write_bytes(header.read_bytes())
    found: dict[str, str] = {}
    for path in (*sorted(compilers.SOURCE.glob("*.c")), *sorted(KERNELS.glob("*.c"))):
        (work.folder / path.name).write_bytes(path.read_bytes())
        includes = (f"-I{include}", f"-I{pillow / images.INCLUDE}", f"-I{pillow / images.INCLUDE / 'libImaging'}")
        target = f"{path.stem}.o"
        work.run("numeric-cc", *_COMPILE, *flags, *includes, "-c", path.name, "-o", target, cwd=work.folder)
        found[path.stem] = target
    return found
