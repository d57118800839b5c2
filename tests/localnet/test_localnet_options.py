"""Command lines that are read without argparse mean what they mean to it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from pygenvm.cli.main import parser_of
from pygenvm.localnet.options import plain

HASH = "0x" + "ab" * 32
#: Told apart from those that argparse has to look at.
PLAIN = [
    "local view get",
    "local view counter get",
    "local view get --json",
    "local view --args=[1] get",
    "local view get --args [1] --kwargs {} --from bob --timeout 1.5",
    "--log-level info --config=c.yaml local --db a.db view get",
    "local --db a.db --rpc http://x view get --db b.db",
    "local --db=a.db call add --args [1] --value 0x10",
    "local call add --validators 3 --threshold 2 --rotations 1 --appeals 2 --appeal-accepted --strict-views",
    "local call add --withhold leader --withhold=validator\u00a02",
    f"local call add --service unix:///s --key-file k --token-file t --model-spec {HASH} --records r",
    "local deploy a.py --name a --salt 7 --mocks m.yaml --llm-config l --web-config=w --traceback full",
    "local schema",
    "local schema counter --json",
    "local schema --json counter --timeout 2",
    "local state 0xab --raw",
    "local accounts --json",
    "local log --last 5",
]
OTHERS = [
    "local",
    "local view",
    "local view -h",
    "local view get --jso",
    "local view get --json=1",
    "local view get --args",
    "local view get --args -1",
    "local view get -- set",
    "local view --json get --args [] counter",
    "local view counter --json get",
    "local view get --traceback all",
    "local call add --value -1",
    "local call add --value ten",
    "local call add --validators 0",
    "local call add --withhold nobody",
    "local deploy",
    "local deploy a.py b.py",
    "local accounts alice",
    "local log --last 0",
    "local log --last 5 6",
    "local --json view get",
    "local lint a.py",
    "local serve",
    "--log-level loud local view get",
    "--log-fd x local view get",
    "run",
]


def by_argparse(words: list[str]) -> dict[str, Any]:
    found = vars(parser_of("local").parse_args(words))
    # That of an option that does something at once.
    assert found.pop("version") is None
    return found


@pytest.mark.parametrize("line", PLAIN)
def test_plain_ones(line: str) -> None:
    words = [word.replace("\u00a0", " ") for word in line.split(" ")]
    found = plain(words)
    assert found is not None
    assert vars(found) == by_argparse(words)


@pytest.mark.parametrize("line", OTHERS)
def test_all_others(line: str) -> None:
    assert plain(line.split(" ")) is None


def test_an_empty_method() -> None:
    words = ["local", "call", "counter", ""]
    found = plain(words)
    assert found is not None
    assert vars(found) == by_argparse(words)
    assert found.words == ["counter", ""]


@pytest.mark.parametrize("line", OTHERS[1:-1])
def test_what_argparse_says_of_others_it_says_alone(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """None of them is a line that it takes, but those that mean something else."""
    with contextlib.suppress(SystemExit):
        options = parser_of("local").parse_args(line.split(" "))
        assert options.action in ("lint", "serve", "view")
