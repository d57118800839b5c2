"""NumPy expressions in the sandbox with soft and with hardware floats: which give other bits.

python -m tests.runners.numeric.numeric_differences [COUNT [SEED]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runners.numeric.numeric_expressions import expressions
from tests.runners.python.python_contracts import value_of_script

IMPORTS = "import numpy\n"
SCRIPT = (Path(__file__).parent / "sandboxed" / "evaluate.py").read_text(encoding="utf-8")
_DIGEST_BYTES = 8
_AT_ONCE = 1000


def differences(texts: list[str]) -> list[str]:
    """Those of the expressions whose results are not the same, bit for bit."""
    found = []
    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE]
        soft, hard = (
            value_of_script(SCRIPT, "\n".join(part), nondet=nondet, imports=IMPORTS) for nondet in (False, True)
        )
        assert len(soft) == len(hard) == _DIGEST_BYTES * len(part)
        for index, text in enumerate(part):
            at = slice(_DIGEST_BYTES * index, _DIGEST_BYTES * (index + 1))
            if soft[at] != hard[at]:
                found.append(text)
    return found


def shown(text: str) -> tuple[str, str]:
    """The result of an expression with soft and with hardware floats."""
    script = SCRIPT.replace("def main(", "def all(") + "\nmain = show\n"
    soft, hard = (value_of_script(script, text, nondet=nondet, imports=IMPORTS) for nondet in (False, True))
    return soft, hard


def main() -> int:
    count, seed = (int(word) for word in (*sys.argv[1:], *("20000", "1")[len(sys.argv) - 1 :]))
    found = differences(expressions(count, seed))
    for text in found:
        print(text, *shown(text), sep="\n  ")
    print(f"{count} expressions, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
