"""``genvm settlement simulate``: table, JSON, plot and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pygenvm.cli.main import main
from pygenvm.settlement.engine import ledger
from pygenvm.settlement.simulate.settings import Behaviour
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.words import Address

QUICK = ("settlement", "simulate", "--operators", "60", "--models", "3", "--tasks", "40")


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK]) == 0
    printed, told = capsys.readouterr()
    assert told == ""
    lines = printed.splitlines()
    assert lines[0].split() == ["behaviour", "operators", "draws", "paid", "slashed", "income", "work", "net", "left"]
    assert [line.split()[0] for line in lines[1:8]] == [each.value for each in Behaviour]
    assert sum(int(line.split()[2]) for line in lines[1:8]) == 200
    assert "Conservation held after each of " in printed
    assert "The engine refused: ErrCommitMismatch " in printed
    shares = [line for line in lines if line[:1].isdigit()]
    assert [line.split(" %")[0] for line in shares] == [str(percent) for percent in range(0, 90, 10)]
    assert all(len(line) <= 80 and "…" not in line for line in [*lines[:8], *shares])


def test_json_is_the_same_in_every_process() -> None:
    # Sets of bytes have another order in each: nothing may go by it.
    texts = {
        subprocess.run(
            [sys.executable, "-m", "pygenvm.cli.main", *QUICK, "--json", "--seed", "7"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    document = json.loads(texts.pop())
    assert document["settings"]["seed"] == 7
    assert sum(document["outcomes"].values()) == 40
    assert set(document["behaviours"]) == {each.value for each in Behaviour}
    assert document["receipts"] == 40
    assert len(document["receiptRoot"]) == 66
    assert [point["dishonestPercent"] for point in document["sweep"]] == list(range(0, 90, 10))
    income = sum(int(one["income"]) for one in document["behaviours"].values())
    # What requesters gave was burnt, or is somebody's.
    assert int(document["spent"]) == int(document["burnt"]) + income


def test_the_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plot.svg"
    assert main([*QUICK, "--plot", str(file), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    root = ElementTree.parse(file).getroot()
    namespace = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{namespace}svg"
    texts = [element.text for element in root.iter(f"{namespace}text")]
    for title in (
        "Does the quorum hold?",
        "What does a forgery cost? (tokens)",
        "What does it pay? (tokens for each draw)",
    ):
        assert title in texts
    assert {each.value for each in Behaviour} <= set(texts)
    # Three curves with a point for each share, and one for each share with a forgery.
    assert 27 < len(list(root.iter(f"{namespace}circle"))) <= 36
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for circle in root.iter(f"{namespace}circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height


def test_options_reach_the_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--mix", "honest=3, withholding=1", "--reward", "0.25", "--n", "3", "--threshold", "2", "--error", "0")
    assert main([*QUICK, *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["mix"] == {"honest": 3, "withholding": 1}
    assert document["settings"]["reward"] == str(25 * 10**16)
    assert document["behaviours"]["honest"]["operators"] == 45
    assert document["behaviours"]["honest"]["draws"] + document["behaviours"]["withholding"]["draws"] == 120


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mix", "honest=1,evil=1"), "'evil' is none of honest, lazy"),
        (("--mix", "honest=1,honest=2"), "'honest=2' is not a name and its weight, once"),
        (("--mix", "honest"), "'honest' is not a name and its weight, once"),
        (("--mix", "honest=0"), "a mix has weights"),
        (("--reward", "much"), "'much' is not an amount"),
        (("--reward", "nan"), "'nan' is not an amount"),
        (("--reward", "0." + "0" * 18 + "1"), "has more than 18 decimals"),
        (("--models", "30"), "2 operators for a model are too few"),
        (("--threshold", "6"), "the threshold for 5 operators is 3 to 5"),
    ],
)
def test_bad_command_lines(options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([*QUICK, *options])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    printed, told = capsys.readouterr()
    assert printed == ""
    assert said in told


def test_a_plot_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--plot", str(tmp_path / "missing" / "plot.svg")]) == 3
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("Error: ")


def test_a_broken_engine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = ledger.pull

    def wrong(state: State, source: Address, amount: int) -> None:
        right(state, source, amount)
        state.set_balance(source, state.balance(source) + 1)

    monkeypatch.setattr(ledger, "pull", wrong)
    assert main([*QUICK]) == 1
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("Error: the engine broke a rule: register at height 1: all balances are ")
