"""The width of help texts."""

from __future__ import annotations

import argparse

import pytest

from pygenvm.cli.formatter import formatter


@pytest.mark.parametrize("columns", [None, "", "0", "-4", "text", "43", "+60", "200"])
def test_help_is_as_wide_as_argparse_makes_it(monkeypatch: pytest.MonkeyPatch, columns: str | None) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    texts = set()
    for chosen in (formatter, argparse.RawDescriptionHelpFormatter):
        parser = argparse.ArgumentParser("genvm", formatter_class=chosen, epilog="two  spaces\n lines")
        parser.add_argument("--words", help="many words " * 30)
        texts.add(parser.format_help())
    assert len(texts) == 1
