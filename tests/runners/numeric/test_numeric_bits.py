"""NumPy gives the same bits with soft floats and with hardware floats."""

from __future__ import annotations

import pytest

from tests.runners.numeric.numeric_differences import IMPORTS, SCRIPT, differences
from tests.runners.numeric.numeric_expressions import expressions
from tests.runners.python.python_contracts import value_of_script


@pytest.mark.usefixtures("numeric_runners")
def test_random_expressions() -> None:
    assert differences(expressions(1500, seed=2)) == []


@pytest.mark.usefixtures("numeric_runners")
def test_expressions_mean_something() -> None:
    """Most have a value, and those that must be different are told apart."""
    texts = expressions(500, seed=3)
    script = SCRIPT.replace("def main(", "def digests(") + (
        "\ndef main(expressions):\n"
        "    return [outcome(text).decode('latin-1')[:60] for text in expressions.split('\\n')]\n"
    )
    found = value_of_script(script, "\n".join(texts), imports=IMPORTS)
    failed = [text for text, value in zip(texts, found, strict=True) if value.endswith("Error")]
    assert len(failed) < 120, failed[:20]
    assert len(set(found)) > 350
