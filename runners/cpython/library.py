"""libpython for wasm32-wasip1: CPython's own cross build with zig, and what it links with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pygenvm.runners import sources, toolchain
from pygenvm.runners.cpython import native
from pygenvm.runners.errors import BuildError
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

_CONFIG_SITE = Path(__file__).parent / "src" / "config.site"
# In the order in which the command links them.
LIBRARIES = (
    *(f"libpython{native.VERSION}.a", "Modules/_decimal/libmpdec/libmpdec.a", "Modules/_hacl/libHacl_Hash_SHA2.a"),
    *("Modules/expat/libexpat.a", "libz.a", "libbz2.a"),
)


@dataclass(frozen=True)
class _CLibrary:
    """A library of another project that CPython links with; `folder` is its own inside of a larger project."""

    source: str
    folder: str
    units: tuple[str, ...]
    flags: tuple[str, ...]
    archive: str

    def file(self, path: PurePosixPath) -> PurePosixPath | None:
        """Where to put a file of the source: those directly in the top folder, which is stripped, or in `folder`."""
        if path.parent.name == self.folder or (len(path.parts) == 1 and path.suffix in (".c", ".h")):
            return PurePosixPath(path.name)
        return None


_ZLIB = _CLibrary(
    "zlib",
    "zlib-1.3.1",
    ("adler32", "crc32", "deflate", "infback", "inffast", "inflate", "inftrees", "trees", "zutil"),
    ("-O2", "-DZ_HAVE_UNISTD_H"),
    "libz.a",
)
_BZIP2 = _CLibrary(
    "bzip2",
    "bzip2",
    ("blocksort", "bzlib", "compress", "crctable", "decompress", "huffman", "randtable"),
    ("-O2",),
    "libbz2.a",
)


def step() -> Step:
    """The step. Its result has the archives of :data:`LIBRARIES` and the folder `include`."""
    inputs = (
        sources.source("cpython").digest,
        *(sources.source(library.source).digest for library in (_ZLIB, _BZIP2)),
        digest_files([Path(__file__), _CONFIG_SITE]),
    )
    title = f"compile Python {sources.source('cpython').version} for WebAssembly"
    return Step("wasm-python", title, inputs, (native.step(),), _make)


def _make(work: Work) -> None:
    workshop = work.workshop
    source = native.unpack_sources(work)
    build = work.folder / "build"
    build.mkdir()
    toolchain.write_compilers(work)
    for library in (_ZLIB, _BZIP2):
        _compile(library, work, build)
    upstream = (source / "Tools" / "wasm" / "config.site-wasm32-wasi").read_text(encoding="utf-8")
    config_site = build / "config.site"
    config_site.write_text(upstream + _CONFIG_SITE.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {
        **{"CC": "wasm-cc", "AR": "ar", "RANLIB": "ranlib", "OPT": "-DNDEBUG -O2 -fwrapv"},
        **{"CONFIG_SITE": str(config_site), "ZLIB_CFLAGS": "-I../zlib", "ZLIB_LIBS": "-L. -lz"},
        **{"BZIP2_CFLAGS": "-I../bzip2", "BZIP2_LIBS": "-L. -lbz2"},
    }
    options = (
        # The build machine only has to be another one than the host; its true name would end in the configuration.
        *("-q", "--host=wasm32-wasip1", "--build=x86_64-pc-linux-gnu", "--prefix=/usr/local"),
        f"--with-build-python={native.python(workshop.folder(native.step()))}",
        *("--disable-test-modules", "--without-ensurepip", "--without-doc-strings", "--disable-ipv6"),
    )
    work.run("sh", "../src/configure", *options, cwd=build, env=settings)
    work.run("make", f"-j{workshop.jobs}", f"libpython{native.VERSION}.a", native.VERSION_FLAGS, cwd=build)
    for name in LIBRARIES:
        shutil.copyfile(build / name, work.out / Path(name).name)
    shutil.copytree(source / "Include", work.out / "include")
    shutil.copyfile(build / "pyconfig.h", work.out / "include" / "pyconfig.h")


def _compile(library: _CLibrary, work: Work, build: Path) -> None:
    archive = sources.fetch(sources.source(library.source), work.workshop.sources)
    folder = work.folder / library.source
    if not unpack_tar(archive, folder, library.file):
        raise BuildError(f"no {library.source} sources in {archive.name}")
    for unit in library.units:
        work.run("wasm-cc", *library.flags, "-c", f"{unit}.c", "-o", f"{unit}.o", cwd=folder)
    work.run("ar", "rcs", build / library.archive, *(f"{unit}.o" for unit in library.units), cwd=folder)
