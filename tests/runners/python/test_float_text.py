"""Floats in the deterministic sandbox give the same text as on native Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.runners.python.float_expressions import SPECIAL, expressions
from tests.runners.python.python_contracts import script, value_of_script

COUNT = 2000
SEED = 20_261_120

#: What other versions of Python may compute differently: `sum` is more exact since 3.12, complex arithmetic since 3.14.
DIFFERS_BY_VERSION = ("sum(", "complex(")


@pytest.fixture(scope="module")
def cases() -> list[str]:
    every_pair = [
        f"({x}) {operator} ({y})" for x in SPECIAL for y in SPECIAL for operator in ("+", "*", "/", "//", "%")
    ]
    return [*expressions(COUNT, SEED), *every_pair]


@pytest.fixture(scope="module")
def in_sandbox(cases: list[str], built_runners: object) -> list[str]:
    texts: list[str] = value_of_script(script("float_text.py"), cases)
    return texts


def on(python: Path, cases: list[str]) -> list[str]:
    done = subprocess.run(
        [python, "-I", "-S", "-X", "utf8", Path(__file__).with_name("float_text.py")],
        input="\n".join(cases).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    return [ast.literal_eval(line) for line in done.stdout.decode("ascii").splitlines()]


def differences(cases: list[str], first: list[str], second: list[str]) -> list[tuple[str, str, str]]:
    return [case for case in zip(cases, first, second, strict=True) if case[1] != case[2]]


def test_the_same_text_as_the_same_version_of_python(
    cases: list[str], in_sandbox: list[str], native_python: Path
) -> None:
    assert len(cases) > COUNT
    assert differences(cases, in_sandbox, on(native_python, cases)) == []


def test_the_same_values_as_the_python_of_this_machine(cases: list[str], in_sandbox: list[str]) -> None:
    chosen = [
        case for case in zip(cases, in_sandbox, strict=True) if not any(part in case[0] for part in DIFFERS_BY_VERSION)
    ]
    assert len(chosen) > COUNT
    here = on(Path(sys.executable), [expression for expression, _ in chosen])

    def without_message(text: str) -> str:
        return text.split(":")[0] if "Error: " in text else text

    assert [
        (expression, text, native)
        for (expression, text), native in zip(chosen, here, strict=True)
        if without_message(text) != without_message(native)
    ] == []


def test_the_expressions_cover_what_they_are_for(in_sandbox: list[str]) -> None:
    kinds = Counter(
        text.split(":")[0] if "Error: " in text else type(ast.literal_eval(text)).__name__
        for text in in_sandbox
        if not any(word in text for word in ("nan", "inf"))
    )
    least = {"float": 1000, "bool": 150, "int": 50, "str": 150, "list": 30, "tuple": 10, "complex": 10}
    least |= {"ValueError": 30, "OverflowError": 30, "ZeroDivisionError": 30}
    assert {kind: kinds[kind] for kind, count in least.items() if kinds[kind] < count} == {}
    assert sum("nan" in text for text in in_sandbox) > 100
    assert sum("inf" in text for text in in_sandbox) > 100
    assert "-0.0" in in_sandbox
    assert "5e-324" in in_sandbox
