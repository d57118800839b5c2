"""libpython for wasm32-wasip1: CPython's own cross build with zig, and what it links with."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from pygenvm.runners import sources, toolchain
from pygenvm.runners.cpython import native
from pygenvm.runners.errors import BuildError
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step, Work, digest_files

_CONFIG_SITE = Path(__file__).parent / "src" / "config.site"
_ZLIB_FOLDER = "zlib-1.3.1"
_ZLIB_FILES = ("adler32", "crc32", "deflate", "infback", "inffast", "inflate", "inftrees", "trees", "zutil")
_ZLIB_FLAGS = ("-O2", "-DZ_HAVE_UNISTD_H")
# In the order in which the command links them.
LIBRARIES = (
    *(f"libpython{native.VERSION}.a", "Modules/_decimal/libmpdec/libmpdec.a", "Modules/_hacl/libHacl_Hash_SHA2.a"),
    *("Modules/expat/libexpat.a", "libz.a"),
)


def step() -> Step:
    """The step. Its result has the archives of :data:`LIBRARIES` and the folder `include`."""
    inputs = (
        sources.source("cpython").digest,
        sources.source("zlib").digest,
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
    _compile_zlib(work, build)
    upstream = (source / "Tools" / "wasm" / "config.site-wasm32-wasi").read_text(encoding="utf-8")
    config_site = build / "config.site"
    config_site.write_text(upstream + _CONFIG_SITE.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {
        **{"CC": "wasm-cc", "AR": "ar", "RANLIB": "ranlib", "OPT": "-DNDEBUG -O2 -fwrapv"},
        **{"CONFIG_SITE": str(config_site), "ZLIB_CFLAGS": "-I../zlib", "ZLIB_LIBS": "-L. -lz"},
    }
    options = (
        # The build machine only has to be another one than the host; its true name would end in the configuration.
        *("-q", "--host=wasm32-wasip1", "--build=x86_64-pc-linux-gnu", "--prefix=/usr/local"),
        f"--with-build-python={native.python(workshop.folder(native.step()))}",
        *("--disable-test-modules", "--without-ensurepip", "--without-doc-strings", "--disable-ipv6"),
    )
    work.run("sh", "../src/configure", *options, cwd=build, env=settings)
    library = f"libpython{native.VERSION}.a"
    work.run("make", f"-j{workshop.jobs}", library, native.VERSION_FLAGS, cwd=build)
    for name in LIBRARIES:
        shutil.copyfile(build / name, work.out / Path(name).name)
    shutil.copytree(source / "Include", work.out / "include")
    shutil.copyfile(build / "pyconfig.h", work.out / "include" / "pyconfig.h")


def _compile_zlib(work: Work, build: Path) -> None:
    archive = sources.fetch(sources.source("zlib"), work.workshop.sources)
    if not unpack_tar(archive, work.folder / "zlib", _zlib_file):
        raise BuildError(f"no zlib sources in {archive.name}")
    folder = work.folder / "zlib"
    for name in _ZLIB_FILES:
        work.run("wasm-cc", *_ZLIB_FLAGS, "-c", f"{name}.c", "-o", f"{name}.o", cwd=folder)
    work.run("ar", "rcs", build / "libz.a", *(f"{name}.o" for name in _ZLIB_FILES), cwd=folder)


def _zlib_file(path: PurePosixPath) -> PurePosixPath | None:
    """Files directly in zlib's folder, which is the top one (stripped already) or one inside another project."""
    if path.parent.name == _ZLIB_FOLDER or (len(path.parts) == 1 and path.suffix in (".c", ".h")):
        return PurePosixPath(path.name)
    return None
