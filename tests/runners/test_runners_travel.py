"""Runners in one file: export, import, and files that lie."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.runners import licences, recipes, registry, travel
from pygenvm.runners.errors import BuildError
from pygenvm.runners.progress import Silent
from pygenvm.runners.registry import BuiltRunners
from pygenvm.runners.workshop import Workshop
from tests.support.paths import EXAMPLES, ROOT
from tests.support.small_runners import genvm_runners

ONE, TWO = archive_hash(b"1"), archive_hash(b"2")
TOOL = f"runners/tool/{ONE[:2]}/{ONE[2:]}.tar"


@pytest.fixture
def exported(cache: Path, content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with both runners, and a new, empty cache for whoever imports it."""
    target = tmp_path_factory.mktemp("carried") / "runners.export"
    assert genvm_runners("export", str(target)) == 0
    shutil.rmtree(cache)
    cache.mkdir()
    return target


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "build" not in path.relative_to(folder).parts
    }


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The file with other members."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def refused(path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What an import says that must not change anything."""
    before = tree(cache)
    capsys.readouterr()
    assert genvm_runners("import", str(path)) == 1
    assert tree(cache) == before
    assert not list(cache.glob(".import-*"))
    return capsys.readouterr().err


# --- there and back ---------------------------------------------------------------------------------


def test_an_import_gives_what_was_exported(
    exported: Path, cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(exported.read_bytes()).hexdigest()
    assert genvm_runners("import", str(exported)) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"tool:{ONE}",
        f"user-of-tool:{TWO}",
        f"2 archives are new here, 0 were here already. SHA-256 of the file: {digest}",
    ]
    assert "unpack tool: done in" in said.err
    assert genvm_runners("verify") == 0
    # They are those of the recipes: nothing is built.
    built = registry.build(jobs=1, progress=False)
    assert dict(built.latest) == {"tool": ONE, "user-of-tool": TWO}
    assert not list((cache / "build").glob("runner-*"))
    assert (cache / TOOL).stat().st_mode & 0o777 == 0o644
    assert genvm_runners("import", str(exported)) == 0
    assert "0 archives are new here, 2 were here already" in capsys.readouterr().out


def test_the_same_runners_give_the_same_file(
    cache: Path, content: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert genvm_runners("export", str(first)) == genvm_runners("export", str(second)) == 0
    assert first.read_bytes() == second.read_bytes()
    assert capsys.readouterr().out.splitlines()[-1].endswith(hashlib.sha256(second.read_bytes()).hexdigest())
    assert stat.S_IMODE(first.stat().st_mode) == 0o644


def test_an_export_replaces_a_file_only_when_it_is_complete(
    cache: Path, content: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "folder" / "runners.export"
    target.parent.mkdir()
    target.write_text("old")
    genvm_runners("build")
    archive = cache / TOOL
    archive.write_bytes(b"damaged")
    built = registry.BuiltRunners(cache, {"tool": ONE})
    with pytest.raises(BuildError, match=f"tool:{ONE} has the hash"):
        travel.export(built, {"tool": [ONE]}, {}, target, Silent())
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]
    assert genvm_runners("export", str(tmp_path / "nowhere" / "file")) == 1
    assert "nowhere" in capsys.readouterr().err


def test_one_runner_or_all_that_are_here(cache: Path, content: dict[str, bytes], tmp_path: Path) -> None:
    genvm_runners("build")
    content["tool"] = b"3"
    genvm_runners("build")

    def archives(*options: str) -> set[str]:
        assert genvm_runners("export", str(tmp_path / "file"), *options) == 0
        with zipfile.ZipFile(tmp_path / "file") as file:
            every = json.loads(file.read("registry/all.json"))
        return {f"{runner}:{name}" for runner, names in every.items() for name in names}

    gone = archive_hash(b"4")
    place = registry.archive_path(cache / "runners", "gone", gone)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"4")
    registry.write_json(cache / "registry" / "all.json", {**registry.read_all(cache / "registry"), "gone": [gone]})
    three = archive_hash(b"3")
    assert archives() == {f"tool:{three}", f"user-of-tool:{TWO}"}
    assert archives("--only", "tool") == {f"tool:{three}"}
    assert archives("--all") == {f"tool:{ONE}", f"tool:{three}", f"user-of-tool:{TWO}", f"gone:{gone}"}


def test_what_is_here_stays_current_unless_the_file_has_what_belongs_to_the_recipes(
    exported: Path, cache: Path, content: dict[str, bytes]
) -> None:
    content["tool"] = b"3"
    genvm_runners("build")
    assert genvm_runners("import", str(exported)) == 0
    three = archive_hash(b"3")
    assert registry.read_all(cache / "registry")["tool"] == [ONE, three]
    assert registry.read_latest(cache / "registry")["tool"] == three
    # An older pygenvm's recipes are those of the file.
    content["tool"] = b"1"
    assert genvm_runners("import", str(exported)) == 0
    assert registry.read_all(cache / "registry")["tool"] == [three, ONE]
    assert registry.read_latest(cache / "registry")["tool"] == ONE


def test_a_damaged_archive_is_replaced(exported: Path, cache: Path) -> None:
    genvm_runners("import", str(exported))
    (cache / TOOL).write_bytes(b"damaged")
    assert genvm_runners("import", str(exported)) == 0
    assert (cache / TOOL).read_bytes() == b"1"


def test_licences_travel_and_those_that_are_here_stay(exported: Path, cache: Path) -> None:
    about = {"name": "lib", "version": "1", "licence": "MIT", "what": "a library", "texts": ["LICENSE"]}
    table = {"components": {"lib-1": about}, "archives": {f"tool:{ONE}": ["lib-1"]}}

    def change(members: dict[str, bytes]) -> None:
        members["registry/licences.json"] = json.dumps(table).encode()
        members["registry/licences/lib-1/LICENSE"] = b"Permission is granted."

    rewritten(exported, change)
    assert genvm_runners("import", str(exported)) == 0
    known = registry.installed_runners().licences()
    assert known.archives == {f"tool:{ONE}": ("lib-1",)}
    [(name, path)] = known.texts("lib-1")
    assert (name, path.read_bytes()) == ("LICENSE", b"Permission is granted.")
    rewritten(exported, lambda members: members.update({"registry/licences/lib-1/LICENSE": b"No."}))
    assert genvm_runners("import", str(exported)) == 0
    assert path.read_bytes() == b"Permission is granted."


# --- files that lie -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "runners/../../evil",
        "runners/tool/../../../evil.tar",
        f"runners/../{ONE[:2]}/{ONE[2:]}.tar",
        "registry/licences/../../evil",
        "registry/licences/lib-1/..",
        "registry\\all.json",
        "registry/licences/lib-1/",
        "registry/other.json",
        "compiled/evil.cwasm",
        "a\nb",
        "\x1b[31m",
    ],
)
def test_names_that_no_export_has(exported: Path, cache: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(exported, lambda members: members.update({name: b"evil"}))
    said = refused(exported, cache, capsys)
    assert "no file of an export is called" in said
    assert "\x1b" not in said


def test_a_name_that_ends_at_a_null_byte(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr("registry/licences/a/b" + "X" + "evil", b"")
    content = exported.read_bytes()
    exported.write_bytes(content.replace(b"registry/licences/a/bXevil", b"registry/licences/a/b\0evil"))
    assert "no file of an export is called" in refused(exported, cache, capsys)


def test_links_and_folders(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = exported.read_bytes()
    for kind in (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR):
        exported.write_bytes(original)
        info = zipfile.ZipInfo("registry/licences/lib-1/LICENSE")
        info.external_attr = (kind | 0o777) << 16
        with zipfile.ZipFile(exported, "a") as file:
            file.writestr(info, b"/etc/passwd")
        assert "is not a plain file" in refused(exported, cache, capsys)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr(TOOL, b"1")
    assert "is there twice" in refused(exported, cache, capsys)


def test_another_hash(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(exported, lambda members: members.update({TOOL: b"other"}))
    assert f"what is called tool:{ONE} has the hash {archive_hash(b'other')}" in refused(exported, cache, capsys)


def test_the_last_archive_is_looked_at_before_the_first_is_published(
    exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(exported, lambda members: members.update({f"runners/user-of-tool/{TWO[:2]}/{TWO[2:]}.tar": b"other"}))
    assert "has the hash" in refused(exported, cache, capsys)
    assert not (cache / TOOL).exists()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_truncated(exported: Path, cache: Path, part: float, capsys: pytest.CaptureFixture[str]) -> None:
    whole = exported.read_bytes()
    exported.write_bytes(whole[: int(part * len(whole))])
    assert "was not made by `genvm runners export`" in refused(exported, cache, capsys)


@pytest.mark.slow
def test_every_flipped_byte_is_noticed_or_of_no_matter(
    exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = exported.read_bytes()
    genvm_runners("import", str(exported))
    expected = tree(cache)
    for at in range(0, len(whole), 3):
        exported.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        shutil.rmtree(cache)
        cache.mkdir()
        if genvm_runners("import", str(exported)) == 0:
            assert tree(cache) == expected
        else:
            assert tree(cache) == {}
            assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("list_name", "text", "expected"),
    [
        ("all.json", "[]", "is not a JSON object"),
        ("all.json", "{", "is not JSON"),
        ("all.json", "[" * 100_000, "is not JSON"),
        ("all.json", '{"tool": "x"}', "is not a map"),
        ("all.json", "{}", "is not once in all.json and once in the file"),
        ("all.json", json.dumps({"tool": [ONE, ONE], "user-of-tool": [TWO]}), "is not once in all.json"),
        ("all.json", json.dumps({"tool": [ONE, "0" * 52], "user-of-tool": [TWO]}), "is not once in all.json"),
        ("all.json", json.dumps({"../tool": [ONE]}), "not a runner id"),
        ("all.json", json.dumps({"on_chain": [ONE]}), "internal id"),
        ("latest.json", json.dumps({"tool": "0" * 52}), "which is not in it"),
        ("keys.json", json.dumps({"tool": {"key": "0" * 52}}), "which is not in it"),
        ("keys.json", json.dumps({"tool": []}), "is not a map"),
        ("licences.json", "{}", "is not a list of licences"),
        ("licences.json", json.dumps({"components": {}, "archives": {"tool:x": []}}), "which is not in it"),
        ("licences.json", json.dumps({"components": {"../a": {}}, "archives": {}}), "is not a list of licences"),
    ],
)
def test_lists_that_do_not_fit(
    exported: Path, cache: Path, list_name: str, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(exported, lambda members: members.update({f"registry/{list_name}": text.encode()}))
    assert expected in refused(exported, cache, capsys)


@pytest.mark.parametrize("name", [f"registry/{name}" for name in travel.LISTS])
def test_without_a_list(exported: Path, cache: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def remove(members: dict[str, bytes]) -> None:
        del members[name]

    rewritten(exported, remove)
    assert "genvm runners export" in refused(exported, cache, capsys)


def test_a_missing_licence(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"name": "lib", "version": "1", "licence": "MIT", "what": "a library", "texts": ["LICENSE"]}
    table = json.dumps({"components": {"lib-1": about}, "archives": {}}).encode()
    rewritten(exported, lambda members: members.update({"registry/licences.json": table}))
    assert "the licence LICENSE of lib-1 is missing" in refused(exported, cache, capsys)


def test_huge_files(
    exported: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes are looked at before anything is unpacked, and nothing is unpacked beyond them."""
    rewritten(exported, lambda members: members.update({"registry/licences/a/b": bytes(2 << 20)}))
    assert "at most 1048576 are accepted" in refused(exported, cache, capsys)
    rewritten(exported, lambda members: members.update({"registry/licences/a/b": b""}))
    with monkeypatch.context() as patch:
        patch.setattr(travel, "UNPACKED_BYTES_MAX", 100)
        assert "unpacks to" in refused(exported, cache, capsys)
    with monkeypatch.context() as patch:
        patch.setattr(travel, "ENTRIES_MAX", 3)
        assert "at most 3 are accepted" in refused(exported, cache, capsys)


def test_more_than_the_directory_says(exported: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(exported, lambda members: members.update({TOOL: bytes(1 << 20)}))
    content = exported.read_bytes()
    exported.write_bytes(content.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 5)))
    said = refused(exported, cache, capsys)
    assert "is damaged" in said or "has the hash" in said


def test_things_that_are_no_files(
    cache: Path, content: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing" in refused(tmp_path / "nothing", cache, capsys)
    (tmp_path / "text").write_text("text" * 100)
    assert "genvm runners export" in refused(tmp_path / "text", cache, capsys)
    assert genvm_runners("import", "/dev/null") == 1
    assert "is not a file" in capsys.readouterr().err


# --- at the same time, and in the midst ----------------------------------------------------------------


def test_two_imports_at_once(exported: Path, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: genvm_runners("import", str(exported)), range(4)))
    assert codes == [0, 0, 0, 0]
    assert genvm_runners("verify") == 0


def test_an_import_waits_for_a_build(exported: Path, cache: Path) -> None:
    workshop = Workshop(cache, cache / "sources", 1)
    with ThreadPoolExecutor(1) as pool:
        with workshop.locked(visible=False):
            done = pool.submit(genvm_runners, "import", str(exported))
            time.sleep(0.2)
            assert not (cache / "runners").exists()
        assert done.result(10) == 0


def test_a_full_disk(
    exported: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "make room on that device" in refused(exported, cache, capsys)
        target = exported.parent / "again"
        assert genvm_runners("export", str(target)) == 1
        assert list(exported.parent.iterdir()) == [exported]
        assert "make room on that device" in capsys.readouterr().err


def limited(program: str) -> subprocess.CompletedProcess[str]:
    """A program whose files cannot have more than half a MiB."""
    begin = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))\n"
    command = [sys.executable, "-c", begin + textwrap.dedent(program)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_files_that_cannot_grow(
    cache: Path, content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content["tool"] = os.urandom(1 << 20)
    target = tmp_path_factory.mktemp("carried") / "runners.export"
    assert genvm_runners("export", str(target)) == 0
    before = target.read_bytes()
    name = archive_hash(content["tool"])
    done = limited(f"""
        from pathlib import Path
        from pygenvm.runners import registry, travel
        from pygenvm.runners.progress import Silent
        built = registry.BuiltRunners(Path({str(cache)!r}), {{"tool": {name!r}}})
        travel.export(built, {{"tool": [{name!r}]}}, {{}}, Path({str(target)!r}), Silent())
    """)
    assert os.strerror(errno.EFBIG) in done.stderr
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == before
    shutil.rmtree(cache)
    cache.mkdir()
    done = limited(f"""
        from tests.support.small_runners import genvm_runners
        raise SystemExit(genvm_runners("import", {str(target)!r}))
    """)
    assert done.returncode == 1
    assert os.strerror(errno.EFBIG) in done.stderr
    assert tree(cache) == {}


@pytest.fixture
def slow_import(exported: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that stops in the midst of an import: one archive unpacked, nothing published."""
    program = f"""
        import sys, time
        from pathlib import Path
        from pygenvm.runners import travel
        from pygenvm.runners.progress import Silent
        unpack = travel.ExportedFile.unpack
        def slow(self, *arguments):
            unpack(self, *arguments)
            print("unpacked", flush=True)
            time.sleep(60)
        travel.ExportedFile.unpack = slow
        with open({str(exported)!r}, "rb") as file:
            travel.import_file(travel.ExportedFile(file, "file"), Path({str(cache)!r}), {{}}, Silent(), None)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


def test_kill_in_the_midst(slow_import: subprocess.Popen[str], exported: Path, cache: Path) -> None:
    assert slow_import.stdout is not None
    assert slow_import.stdout.readline() == "unpacked\n"
    slow_import.send_signal(signal.SIGKILL)
    slow_import.wait()
    assert registry.installed_runners().latest == {}
    assert not (cache / "runners").exists()
    assert len(list(cache.glob(".import-*"))) == 1
    # The next one goes on from the begin, and removes what is left.
    assert genvm_runners("import", str(exported)) == 0
    assert not list(cache.glob(".import-*"))
    assert genvm_runners("verify") == 0


def test_licences_that_are_not_sound() -> None:
    tables: tuple[object, ...] = ([], {"components": []}, {"components": {"a": {"texts": [1]}}, "archives": {}})
    for table in tables:
        with pytest.raises(BuildError, match="is not a list of licences"):
            licences.parse(json.dumps(table).encode(), "it")


# --- the real ones --------------------------------------------------------------------------------------


def test_real_runners_with_their_modules(
    built_runners: BuiltRunners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever imports them runs contracts without a build and without compiling anything."""
    target = tmp_path / "runners.export"
    # Not those with NumPy, whose modules take minutes to compile.
    assert genvm_runners("export", "--modules", "--only", "py-genlayer", str(target)) == 0
    expected = {runner: built_runners.latest[runner] for runner in recipes.with_dependencies("py-genlayer")}
    root = tmp_path / "cache"
    monkeypatch.setenv("PYGENVM_CACHE", str(root))
    assert genvm_runners("import", str(target)) == 0
    assert "Its compiled modules were not taken over" in capsys.readouterr().out
    assert not list(root.rglob("*.cwasm"))
    assert genvm_runners("import", "--modules", str(target)) == 0
    assert "3 compiled modules are of use here, 0 are not" in capsys.readouterr().out
    assert dict(registry.build(jobs=1, only="py-genlayer", progress=False).latest) == expected
    assert not list((root / "build").glob("runner-*"))
    licences_here = registry.installed_runners().licences()
    assert licences_here.archives.keys() == {f"{runner}:{name}" for runner, name in expected.items()}
    before = {path.name for path in root.rglob("*.cwasm")}
    assert len(before) == 3
    program = "from pygenvm.cli.main import main; raise SystemExit(main())"
    deployed = subprocess.run(
        [sys.executable, "-c", program, "local", "--db", str(tmp_path / "db"), "deploy", str(EXAMPLES / "counter.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert {path.name for path in root.rglob("*.cwasm")} == before


def test_a_kill_in_the_midst_of_an_export(cache: Path, content: dict[str, bytes], tmp_path: Path) -> None:
    genvm_runners("build")
    target = tmp_path / "folder" / "runners.export"
    target.parent.mkdir()
    target.write_text("old")
    program = f"""
        import os, signal
        from pathlib import Path
        from pygenvm.runners import registry, travel
        from pygenvm.runners.progress import Silent
        built = registry.BuiltRunners(Path({str(cache)!r}), {{"tool": {ONE!r}}})
        travel.verified = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        travel.export(built, {{"tool": [{ONE!r}]}}, {{}}, Path({str(target)!r}), Silent())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir() if not path.name.startswith(".")] == [target.name]
