"""Two small runners in place of the real ones, and the command that works on them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.runners import cli, recipes
from pygenvm.runners.workshop import Step, Work

IDS = ("tool", "user-of-tool")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYGENVM_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two small runners in place of the real ones; changing the dict changes what they are made from."""
    contents = {"tool": b"1", "user-of-tool": b"2"}

    def step(runner: str, needs: tuple[Step, ...]) -> Step:
        def make(work: Work) -> None:
            (work.out / recipes.ARCHIVE_FILE).write_bytes(contents[runner])
            (work.out / recipes.HASH_FILE).write_text(archive_hash(contents[runner]))

        return Step(f"runner-{runner}", f"pack {runner}", (contents[runner].hex(),), needs, make)

    def steps() -> dict[str, Step]:
        tool = step("tool", ())
        return {"tool": tool, "user-of-tool": step("user-of-tool", (tool,))}

    monkeypatch.setattr(recipes, "archive_steps", steps)
    monkeypatch.setattr(recipes, "runner_ids", lambda *, plain=False: list(IDS))
    monkeypatch.setattr(recipes, "with_dependencies", lambda runner: list(IDS[: IDS.index(runner) + 1]))
    return contents


def genvm_runners(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    options = parser.parse_args(["runners", *words])
    options.config, options.interrupted = None, lambda: False
    return cli.run(options)
