"""`make help` tells about every target."""

from __future__ import annotations

import subprocess

from tests.support.paths import ROOT


def test_help_names_every_target() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    told = {words[1] for words in map(str.split, done.stdout.splitlines()) if len(words) > 2}
    (phony,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert told == set(phony.split()[1:])
