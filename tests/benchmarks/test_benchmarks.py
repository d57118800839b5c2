"""The command of the benchmarks: what it writes, never how fast anything is."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.breakdown import Breakdown, breakdowns
from benchmarks.docs import PAGE, IncompleteResults, write_docs
from benchmarks.measure import Numbers, Row, interleaved
from benchmarks.observing import PHASES, seconds_by_stage
from benchmarks.picture import picture
from benchmarks.results import Results

pytestmark = pytest.mark.usefixtures("built_runners")

_SVG = "{http://www.w3.org/2000/svg}"


def _row(ours: float, yardstick: float | None = None, **others: Any) -> Row:
    of = Numbers.of
    return Row("name", "a title", "ms", of([ours]), None if yardstick is None else of([yardstick]), **others)


def _results() -> Results:
    return Results(
        rows=[_row(1.0, 2.0, yardstick_is="<other>", ratio_at_most=1.0), _row(9.0, value_at_most=5.0)],
        breakdowns=[Breakdown("one", "a call", 10.0, [("first", 4.0), ("second", 5.5)], [("end", 1.0)])],
        instructions={
            "calls": [{"title": "hello", "phases": [["start", 10]], "total": 10, "host_calls": 1}],
            "prices": [{"title": "write", "instructions": 5.0, "host_calls": 1.0}],
        },
    )


class TestCommand:
    @pytest.fixture(scope="class")
    def written(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("benchmarks")
        files = ["--json", str(folder / "results.json"), "--svg", str(folder / "picture.svg")]
        assert main(["in-process", "pooled", "pooled-image", "cold", "--rounds", "1", *files]) == 0
        return folder

    def test_json_has_every_row_with_its_fields(self, written: Path) -> None:
        found = json.loads((written / "results.json").read_text())
        assert {"processor", "cores", "system", "Python", "wasmtime", "date"} <= found["machine"].keys()
        names = ["in-process", "in-process", "pooled", "pooled-image", "cold", "cold"]
        assert [row["name"] for row in found["rows"]] == names
        for row in found["rows"]:
            assert {"title", "unit", "yardstick_is", "ratio", "target", "met"} <= row.keys()
            for side in ("ours", "yardstick"):
                assert row[side].keys() == {"median", "low", "high", "least", "count"}
                assert row[side]["median"] > 0

    def test_picture_is_xml_with_a_bar_for_each_side(self, written: Path) -> None:
        root = ET.fromstring((written / "picture.svg").read_text())
        colors = [bar.get("fill") for bar in root.iter(f"{_SVG}rect")]
        assert colors.count("#2a6fbb") == colors.count("#b9c2cc") == 4 + 1  # and the legend

    def test_results_are_read_back(self, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        svg = tmp_path / "again.svg"
        assert main(["--from", str(written / "results.json"), "--svg", str(svg)]) == 0
        assert svg.read_text() == (written / "picture.svg").read_text()
        assert "storage write by a pre-started executor" in " ".join(capsys.readouterr().out.split())

    def test_unknown_name_is_a_bad_command_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["nonsense"])
        assert "there are in-process, images, pooled" in capsys.readouterr().err

    @pytest.mark.parametrize("rounds", ["0", "-1", "many"])
    def test_rounds_are_a_number_above_0(self, rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            main([f"--rounds={rounds}"])
        assert f"'{rounds}' is not a number above 0" in capsys.readouterr().err

    def test_help_names_every_benchmark(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="0"):
            main(["--help"])
        text = capsys.readouterr().out
        for name in ("in-process", "storage-read", "calldata", "soak", "breakdown", "instructions"):
            assert f"  {name} " in text


class TestBreakdown:
    @pytest.fixture(scope="class")
    def found(self) -> list[Breakdown]:
        return breakdowns(1)

    def test_has_both_paths_and_all_phases_of_the_interpreter(self, found: list[Breakdown]) -> None:
        assert [one.name for one in found] == ["in-process", "pooled"]
        for one in found:
            assert [stage for stage, _ in one.stages if stage in PHASES] == list(PHASES)
            assert all(value >= 0 for _, value in one.stages)
            assert len(dict(one.stages)) == len(one.stages) > 15
            assert one.whole > 0

    def test_pooled_has_the_hand_over_and_the_end(self, found: list[Breakdown]) -> None:
        stages = [stage for stage, _ in found[1].stages]
        assert stages[0] == "hand-over: client, template, executor; message"
        assert [stage for stage, _ in found[1].afterwards] == ["until the executor is gone"]

    def test_stages_add_up_to_the_time_between_the_marks(self) -> None:
        marks = [(1.0, "a"), (1.5, "b"), (2.0, "a"), (4.0, "behind the end")]
        assert seconds_by_stage(marks, 3.0) == {"a": 1.5, "b": 0.5}

    def test_difference_is_relative_to_the_whole(self) -> None:
        one = Breakdown("x", "x", 10.0, [("a", 4.0), ("b", 5.5)], [("not counted", 100.0)])
        assert one.difference == pytest.approx(-0.05)
        assert one.adds_up
        assert not Breakdown("x", "x", 10.0, [("a", 8.9)], []).adds_up


class TestRows:
    def test_ratio_target(self) -> None:
        assert _row(1.0, 2.0, ratio_at_most=0.5).met is True
        assert _row(1.1, 2.0, ratio_at_most=0.5).met is False
        assert _row(1.0, 2.0, ratio_at_most=0.5).target_text == "≥ 2 \u00d7 faster"
        assert _row(3.0, 2.0, ratio_at_most=2.0).ratio_text == "1.50 \u00d7"

    def test_all_targets_of_a_row_must_be_met(self) -> None:
        assert _row(6.0, 600.0, ratio_at_most=0.05, value_at_most=5.0).met is False
        assert _row(1.0).met is None

    def test_order_rotates_and_the_warm_up_does_not_count(self) -> None:
        order: list[str] = []

        def of(name: str) -> Callable[[], float]:
            def run() -> float:
                order.append(name)
                return float(len(order))

            return run

        samples = interleaved({"a": of("a"), "b": of("b")}, rounds=2, warm_up=1)
        assert order == ["a", "b", "b", "a", "a", "b"]
        assert samples == {"a": [4.0, 5.0], "b": [3.0, 6.0]}

    def test_picture_escapes_texts(self) -> None:
        root = ET.fromstring(picture(_results().rows, "a < b & c"))
        texts = [text.text for text in root.iter(f"{_SVG}text")]
        assert "<other>" in texts
        assert "a < b & c" in texts


class TestPage:
    def test_all_parts_are_replaced(self, tmp_path: Path) -> None:
        page, drawing = tmp_path / "page.md", tmp_path / "page.svg"
        page.write_text(PAGE.read_text())
        for _ in range(2):
            write_docs(_results(), page, drawing)
        text = page.read_text()
        assert text.count("| a title |") == 2
        assert "The stages add up to -5.0% of the whole, within 10%." in text
        assert "Missed: a title." in text
        ET.fromstring(drawing.read_text())

    def test_results_survive_json(self) -> None:
        written = json.loads(json.dumps(_results().to_json()))
        assert json.loads(json.dumps(Results.from_json(written).to_json())) == written

    def test_a_part_of_the_results_is_not_enough(self, tmp_path: Path) -> None:
        with pytest.raises(IncompleteResults, match="run all benchmarks"):
            write_docs(Results(rows=_results().rows), tmp_path / "page.md", tmp_path / "page.svg")
