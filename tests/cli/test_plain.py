"""Command lines of `genvm run` that are read without argparse: it would have said the same."""

from __future__ import annotations

import contextlib
import io
import random

import pytest

from pygenvm.cli import run
from pygenvm.cli.main import parser_of

GIVEN = ["--message", "{}", "--host", "unix://x", "--host-data={}"]


def by_argparse(words: list[str]) -> dict[str, object] | None:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            found = vars(parser_of("run").parse_args(words))
        except SystemExit:
            return None
    # Nobody asks for it: who names it has ended.
    del found["version"]
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["run", *GIVEN],
        ["--log-fd=7", "--config", "a", "--log-level=warn", "--config=b", "run", *GIVEN, "--sync", "--cookie=c"],
        ["run", *GIVEN, "--print", "result", "--print=fingerprint", "--record", "r", "--trace", "--debug-mode"],
        ["run", *GIVEN, "--permissions", "", "--cookie=-x", "--host=", "--message=a=b", "--record="],
    ],
)
def test_what_programs_write(words: list[str]) -> None:
    found = run.plain(words)
    assert found is not None
    assert vars(found) == by_argparse(words)


PIECES = [
    *(
        "run",
        "--message",
        "--message=m",
        "--host",
        "--host=h",
        "--host-data",
        "--host-data={}",
        "--cookie=",
        "--cookie",
    ),
    *("--cookie", "--sync", "--sync=1", "--debug-mode", "--print", "--print=result", "result", "--permissions=r", "-1"),
    *(
        "--record",
        "--record=r",
        "--trace",
        "--log-fd=3",
        "--log-fd",
        "3",
        "--log-fd=x",
        "--log-level=info",
        "--log-level=loud",
    ),
    *("--config", "--config=c", "--", "-h", "--help", "--mess=m", "", "-", "pool", "--print=nothing", "a b", "-a b"),
]


def test_whatever_is_written() -> None:
    chance = random.Random(5)
    read = 0
    for _ in range(3000):
        words = [chance.choice(PIECES) for _ in range(chance.randrange(5))]
        words += chance.choice([[], ["run", *GIVEN], ["run", "--message=m", "--host=h"]])
        words += [chance.choice(PIECES) for _ in range(chance.randrange(4))]
        found = run.plain(words)
        if found is not None:
            read += 1
            assert vars(found) == by_argparse(words), words
    assert read > 100
