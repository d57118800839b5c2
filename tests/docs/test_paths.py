"""Every path, test and limit that a document for people names is there.

A path is what stands in backticks, or behind a link, and has a slash or the ending of a file. It is looked for from the
root of the clone and from the document's folder; a star stands for anything. A test is a path, two colons and the name
of a function in that file. A limit is a name in capitals of the `limits.py` of a part.
"""

from __future__ import annotations

import ast
import glob
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pygenvm.executor.limits
import pygenvm.localnet.limits
import pygenvm.modules.limits
from tests.support.paths import DOCS, ROOT

DOCUMENTS = [
    *sorted(DOCS.glob("*.md")),
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "runners/README.md")),
]
#: Files and folders of authors' projects, one of archives, what `make` installs, folders and lists of the cache.
ELSEWHERE = frozenset(
    {
        *("ledger.py", "__init__.py", "contract/", "contract/__init__.py", "contracts/", "intelligent-contracts/"),
        *("runner.json", ".venv/bin/genvm"),
        # Beside a model.
        *("model.json", "model.py"),
        # Configurations of operators.
        *("genvm-module-llm.yaml", "genvm-module-web.yaml"),
        *("build/", "registry/", "registry/keys.json", "latest.json", "sources/"),
    }
)

_CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)|\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"(?:[\w.*-]+/)+(?:[\w.*-]+)?|[\w.*-]+\.(?:c|json|md|py|pyi|svg|toml|ya?ml)")
_TEST = re.compile(r"((?:[\w.-]+/)+[\w.-]+\.py)::(\w+)")
#: `EVENTS` is one too, so a name may be a single word.
_LIMIT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_LIMITS = {name for part in (pygenvm.executor, pygenvm.localnet, pygenvm.modules) for name in vars(part.limits)}


def named(text: str) -> Iterator[str]:
    """What stands in backticks or behind links."""
    return (code or link for code, link in _NAMED.findall(_CODE_BLOCK.sub("", text)))


def paths(text: str) -> Iterator[str]:
    return (name for name in named(text) if _PATH.fullmatch(name))


def is_there(path: str, document: Path) -> bool:
    return any(glob.glob(str(folder / path)) for folder in (ROOT, document.parent))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_of(document: Path) -> None:
    found = set(paths(document.read_text(encoding="utf-8")))
    assert {path for path in found - ELSEWHERE if not is_there(path, document)} == set()


def test_security_names_tests_and_limits_that_there_are() -> None:
    names = set(named((DOCS / "security.md").read_text(encoding="utf-8")))
    tests = [test for name in names if (test := _TEST.fullmatch(name))]
    limits = {name for name in names if _LIMIT.fullmatch(name)}
    # Names that are written in another way would not be seen.
    assert len(tests) > 50
    assert len(limits) > 50
    functions = {file: _functions(ROOT / file) for file in {test[1] for test in tests}}
    assert {test[0] for test in tests if test[2] not in functions[test[1]]} == set()
    assert limits - _LIMITS == {"PYTHONPATH"}


def _functions(file: Path) -> set[str]:
    statements = ast.parse(file.read_text(encoding="utf-8")).body
    return {item.name for item in statements if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
