"""Pillow for wasm32-wasip1, with the libraries of its formats: libjpeg-turbo, libwebp, and the interpreter's zlib."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pygenvm.runners import sources
from pygenvm.runners.cpython import library
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import compilers, corrections
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

#: Folders of the result: objects that longjmp leaves, other objects, the package, and headers for src/unwind.c.
JUMPING, OBJECTS, PYTHON, INCLUDE = "jumping", "objects", "python", "include"

_FLAGS = ("-O2", "-DNDEBUG", "-fwrapv", "-std=gnu11", "-D_GNU_SOURCE")

_JPEG_VERSION, _JPEG_NUMBER = "3.1.2", 3001002
# As libjpeg-turbo's CMakeLists.txt has them: some are compiled for samples of 12 and 16 bits too.
_JPEG_16 = (
    *("jcapistd", "jccolor", "jcdiffct", "jclossls", "jcmainct", "jcprepct", "jcsample", "jdapistd", "jdcolor"),
    *("jddiffct", "jdlossls", "jdmainct", "jdpostct", "jdsample", "jutils"),
)
_JPEG_12 = (
    *_JPEG_16,
    *("jccoefct", "jcdctmgr", "jdcoefct", "jddctmgr", "jdmerge", "jfdctfst", "jfdctint", "jidctflt", "jidctfst"),
    *("jidctint", "jidctred", "jquant1", "jquant2"),
)
_JPEG_8 = (
    *_JPEG_12,
    *("jcapimin", "jchuff", "jcicc", "jcinit", "jclhuff", "jcmarker", "jcmaster", "jcomapi", "jcparam", "jcphuff"),
    *("jctrans", "jdapimin", "jdatadst", "jdatasrc", "jdhuff", "jdicc", "jdinput", "jdlhuff", "jdmarker", "jdmaster"),
    *("jdphuff", "jdtrans", "jerror", "jfdctflt", "jmemmgr", "jmemnobs", "jpeg_nbits", "jaricom", "jcarith", "jdarith"),
)
_JPEG_SETTINGS = {
    "JPEG_LIB_VERSION": "62",
    "VERSION": _JPEG_VERSION,
    "LIBJPEG_TURBO_VERSION_NUMBER": str(_JPEG_NUMBER),
    "BUILD": "pygenvm",
    "HIDDEN": "",
    "INLINE": "__inline__ __attribute__((always_inline))",
    "THREAD_LOCAL": "",
    "CMAKE_PROJECT_NAME": "libjpeg-turbo",
    "SIZE_T": "4",
    "COPYRIGHT_YEAR": "1991-2025",
}
_JPEG_DEFINED = ("C_ARITH_CODING_SUPPORTED", "D_ARITH_CODING_SUPPORTED")
_WEBP_FOLDERS = ("sharpyuv", "src/dec", "src/demux", "src/dsp", "src/enc", "src/mux", "src/utils")
# Code for other processors, which is empty here.
_WEBP_OTHERS = re.compile(r"_(avx2|mips32|mips_dsp_r2|msa|neon|sse2|sse41)\.c$")

_MODULES = ("_imaging", "_imagingmath", "_imagingmorph")
_WEBP_MODULE = "_webp"
# Two modules have functions of these names.
_WEBP_RENAMED = tuple(f"-DImagingSection{what}=webp_ImagingSection{what}" for what in ("Enter", "Leave"))
_IMAGING = ("decode", "encode", "map", "display", "outline", "path")
_WITH_SETJMP = ("JpegDecode", "JpegEncode")


def step() -> Step:
    """The step; see the names of folders above."""
    inputs = (
        *(sources.source(name).digest for name in ("pillow", "image-formats")),
        digest_files([Path(__file__), Path(corrections.__file__)]),
        compilers.digest(),
    )
    title = f"compile Pillow {sources.source('pillow').version} for WebAssembly"
    return Step("wasm-pillow", title, inputs, (library.step(),), _make)


def _make(work: Work) -> None:
    compilers.write_compilers(work)
    formats, pillow, zlib = work.folder / "formats", work.folder / "pillow", work.folder / "zlib"
    fetched = {name: sources.fetch(sources.source(name), work.workshop.sources) for name in ("image-formats", "pillow")}
    unpack_tar(fetched["image-formats"], formats, _format_file)
    unpack_tar(fetched["pillow"], pillow, lambda path: path if path.parts[0] == "src" else None)
    corrections.correct(pillow, corrections.PILLOW)
    _unpack_zlib(work, zlib)
    jumping = [*_jpeg(work, formats / "libjpeg-turbo"), *_pillow_codecs(work, pillow)]
    others = [*_webp(work, formats / "libwebp"), *_pillow(work, pillow)]
    for folder, objects in ((JUMPING, jumping), (OBJECTS, others)):
        (work.out / folder).mkdir()
        for number, path in enumerate(objects):
            path.rename(work.out / folder / f"{number:03}-{path.name}")
    package = work.out / PYTHON / "PIL"
    shutil.copytree(pillow / "src" / "PIL", package, ignore=shutil.ignore_patterns("*.pyi", "py.typed"))
    for header in (pillow / "src" / "libImaging").glob("*.h"):
        (work.out / INCLUDE / "libImaging").mkdir(parents=True, exist_ok=True)
        shutil.copy(header, work.out / INCLUDE / "libImaging")


def _format_file(path: PurePosixPath) -> PurePosixPath | None:
    """`opencv/3rdparty/<library>/...`, without that."""
    if path.parts[:2] != ("opencv", "3rdparty") or path.parts[2] not in ("libjpeg-turbo", "libwebp"):
        return None
    return PurePosixPath(*path.parts[2:])


def _unpack_zlib(work: Work, folder: Path) -> None:
    zlib = library._ZLIB
    unpack_tar(sources.fetch(sources.source(zlib.source), work.workshop.sources), folder, zlib.file)


def _jpeg(work: Work, folder: Path) -> list[Path]:
    for name in ("jconfig.h", "jconfigint.h", "jversion.h"):
        text = (folder / f"{name}.in").read_text(encoding="utf-8")
        text = re.sub(r"@(\w+)@", lambda match: _JPEG_SETTINGS[match[1]], text)
        text = re.sub(
            r"#cmakedefine (\w+)(.*)",
            lambda match: f"#define {match[1]}{match[2]}" if match[1] in _JPEG_DEFINED else f"/* no {match[1]} */",
            text,
        )
        (folder / name).write_text(text, encoding="utf-8")
    made: list[Path] = []
    for bits, units in ((8, _JPEG_8), (12, _JPEG_12), (16, _JPEG_16)):
        flags = ("-DNO_GETENV", "-DNO_PUTENV", f"-DBITS_IN_JSAMPLE={bits}", "-I.", "-Isrc")
        made += _compile(work, folder, [f"src/{unit}.c" for unit in units], flags, f"-{bits}")
    return made


def _webp(work: Work, folder: Path) -> list[Path]:
    found = [path for part in _WEBP_FOLDERS for path in sorted((folder / part).glob("*.c"))]
    units = [str(path.relative_to(folder)) for path in found if not _WEBP_OTHERS.search(path.name)]
    if len(units) < len(_WEBP_FOLDERS):
        raise BuildError("no libwebp sources in the archive of image formats")
    return _compile(work, folder, units, ("-I.", "-Isrc"), "-webp")


def _pillow_flags(work: Work) -> tuple[str, ...]:
    include = work.workshop.folder(library.step()) / "include"
    return (
        *("-DHAVE_LIBJPEG", "-DHAVE_LIBZ", f'-DPILLOW_VERSION="{sources.source("pillow").version}"'),
        *(f"-I{include}", "-I../zlib", "-I../formats/libjpeg-turbo", "-I../formats/libjpeg-turbo/src"),
        *("-I../formats/libwebp/src", "-Isrc", "-Isrc/libImaging"),
    )


def _pillow_codecs(work: Work, folder: Path) -> list[Path]:
    """The two that call setjmp, under names of their own."""
    header = compilers.INCLUDE / "imaging_names.h"
    flags = (*_pillow_flags(work), "-include", f"../include/{header.name}")
    return _compile(work, folder, [f"src/libImaging/{unit}.c" for unit in _WITH_SETJMP], flags, "-pillow")


def _pillow(work: Work, folder: Path) -> list[Path]:
    units = [f"src/{unit}.c" for unit in (*_MODULES, *_IMAGING)]
    for path in sorted((folder / "src" / "libImaging").glob("*.c")):
        if path.stem not in _WITH_SETJMP:
            units.append(f"src/libImaging/{path.name}")
    flags = _pillow_flags(work)
    webp = _compile(work, folder, [f"src/{_WEBP_MODULE}.c"], (*flags, *_WEBP_RENAMED), "-pillow")
    return [*webp, *_compile(work, folder, units, flags, "-pillow")]


def _compile(work: Work, folder: Path, units: Sequence[str], flags: Iterable[str], suffix: str) -> list[Path]:
    """Compiles each of the files in `folder`; the objects, in the same order."""
    flags, environment = tuple(flags), work.environment

    def compiled(unit: str) -> Path:
        target = folder / f"{Path(unit).stem}{suffix}.o"
        work.run("numeric-cc", *_FLAGS, *flags, "-c", unit, "-o", target.name, cwd=folder, env=environment)
        return target

    with ThreadPoolExecutor(work.workshop.jobs) as pool:
        objects = list(pool.map(compiled, units))
    if len(set(objects)) != len(objects):
        raise BuildError(f"two files in {folder.name} have the same name")
    return objects
