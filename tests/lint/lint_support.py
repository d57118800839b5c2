"""Short contracts for the linter. ``#! GL301`` at the end of a line says that this is found there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from pygenvm.lint import Finding, Settings, lint

RUNNER = "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6"
OLD_RUNNER = "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0"
HEADER = f'# v0.2.16\n# {{ "Depends": "{RUNNER}" }}\n\n'
#: Of the SDK v0.1.0; each contract with it has a GL112 in its second line.
OLD_HEADER = HEADER.replace(RUNNER, OLD_RUNNER)
IMPORTS = "from genlayer import *\n"
SETTINGS = Settings(
    {"py-genlayer": ["built"], "py-genlayer-multi": [], "py-genlayer-v0_1_0": ["built"], "cpython": ["built"]},
    buildable=("py-genlayer", "py-genlayer-multi", "py-genlayer-v0_1_0", "cpython", "softfloat"),
    left_out=("tkinter", "http/server"),
)

_MARK = re.compile(r"#! ?(GL\d{3}(?: GL\d{3})*)$")


def contract(body: str, *, before: str = "", header: str = HEADER, imports: str = IMPORTS) -> str:
    """A contract whose class has ``body``, and an ``__init__`` if it has none itself."""
    body, before = textwrap.dedent(body).strip("\n"), textwrap.dedent(before).strip("\n")
    if "def __init__(" not in body:
        body += "\n\ndef __init__(self) -> None: ...\n"
    return f"{header}{imports}\n{before}\n\nclass C(gl.Contract):\n{textwrap.indent(body, '    ')}"


def each(*lines: str, view: bool = False) -> str:
    """A public method for every line, so that each shows what becomes of it."""
    kind = "view" if view else "write"
    return "".join(f"@gl.public.{kind}\ndef m{at}(self) -> None:\n    {line}\n" for at, line in enumerate(lines))


def found(folder: Path, text: str) -> list[Finding]:
    """What is found in a file with that text."""
    path = folder / "contract.py"
    path.write_bytes(text.encode())
    return lint(path, SETTINGS)


def places(findings: list[Finding]) -> list[tuple[int, str]]:
    """Line and code of each."""
    return [(finding.place.line, finding.code) for finding in findings]


def expected(text: str) -> list[tuple[int, str]]:
    """Line and code of each mark."""
    return [
        (number, code)
        for number, line in enumerate(text.split("\n"), 1)
        if (mark := _MARK.search(line))
        for code in mark[1].split()
    ]
