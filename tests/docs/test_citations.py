"""Every citation of the specification leads somewhere; `tests/docs/citations.py` says what a citation is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.citations import SPEC, Cited, places, read
from tests.support.paths import ROOT, text_files


def _files() -> list[Path]:
    """The tree without the specification itself and the examples of wrong citations in this folder."""
    return [file for file in text_files() if SPEC not in file.parents and file.parent != Path(__file__).parent]


def test_citations_name_what_the_specification_has() -> None:
    faults, found = [], 0
    for file in _files():
        reading = read(file.read_text(encoding="utf-8"))
        at = file.relative_to(ROOT).as_posix()
        for line, citation in reading.citations:
            found += 1
            faults += [f"{at}:{line}: {fault}" for cited in citation for fault in cited.faults()]
            if not citation:
                faults.append(f"{at}:{line}: no file of the specification")
        faults += [f"{at}:{line}: {name} is no part of a citation (CONTRIBUTING.md)" for line, name in reading.stray]
    assert faults == []
    # Citations end where their grammar does, so a hole in it would not be seen.
    assert found > 300


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("(spec executor/05).", [Cited("executor/05")]),
        ("spec executor/02, 04, 05: all", [Cited("executor/02"), Cited("executor/04"), Cited("executor/05")]),
        ("spec executor/05 and 10 say", [Cited("executor/05"), Cited("executor/10")]),
        ("spec modules/01 to 03", [Cited("modules/01"), Cited("modules/02"), Cited("modules/03")]),
        ('spec executor/07 "Linking", "Soft floats"', [Cited("executor/07", [], ["Linking", "Soft floats"])]),
        ("spec sdk/01 §3.1, §3.3, sdk/03 §5", [Cited("sdk/01", ["3.1", "3.3"]), Cited("sdk/03", ["5"])]),
        (
            "spec sdk/04 §2-§4, sdk/01 §3.9-§3.11",
            [Cited("sdk/04", ["2", "3", "4"]), Cited("sdk/01", ["3.9", "3.10", "3.11"])],
        ),
        ("/* spec sdk/01 section 9). */", [Cited("sdk/01", ["9"])]),
        ('"doc": "spec executor/10 \\"Message JSON\\"."', [Cited("executor/10", [], ["Message JSON"])]),
        ('#: … (spec executor/06 "Virtual\n#: file system")', [Cited("executor/06", [], ["Virtual file system"])]),
        ("spec executor/05\n    and sdk/02 §6", [Cited("executor/05"), Cited("sdk/02", ["6"])]),
        ("spec executor/08, 4 bytes", [Cited("executor/08")]),
        ("spec executor/08.\n\n10 more", [Cited("executor/08")]),
        ("spec engine/08", []),
        ("spec executor/8", []),
    ],
)
def test_forms_of_citations(text: str, cited: list[Cited]) -> None:
    reading = read(text)
    assert [citation for _, citation in reading.citations] == [cited]
    assert reading.stray == []


def test_a_file_that_is_named_without_being_cited_is_seen() -> None:
    reading = read("First.\nSee sdk/02 §1; not docs/spec/sdk/02-types-and-storage.md, nor ``tests/sdk/02``.")
    assert reading.stray == [(2, "sdk/02")]


@pytest.mark.parametrize(
    ("cited", "fault"),
    [
        (Cited("executor/11"), "there is no executor/11"),
        (Cited("sdk/02", ["6.3", "6.5"]), "sdk/02 has no section 6.5"),
        (Cited("executor/07", [], ["Linking", "Registry"]), 'executor/07 has nothing called "Registry"'),
    ],
)
def test_what_the_specification_does_not_have_is_a_fault(cited: Cited, fault: str) -> None:
    assert list(cited.faults()) == [fault]


def test_titles_are_headings_and_labels() -> None:
    file = SPEC / "executor" / "07-runners.md"
    _, titles = places(file)
    assert {"Contract version", "tar", "tar (registry runners only)", "Build side", "Float ban"} <= titles
    assert not {"Reg", "Registry"} & titles


def test_the_index_of_the_specification_is_complete() -> None:
    readme = (SPEC / "README.md").read_text(encoding="utf-8")
    index = re.findall(r"^\| ([\w/.-]+\.(?:md|json)) \|", readme, re.MULTILINE)
    assert sorted(index) == sorted({path.relative_to(SPEC).as_posix() for path in SPEC.rglob("*.*")} - {"README.md"})
