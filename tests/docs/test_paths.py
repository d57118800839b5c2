"""Every path that a document for people names is there.

A path is what stands in backticks, or behind a link, and has a slash or the ending of a file. It is looked for from the
root of the clone and from the document's folder; a star stands for anything.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import DOCS, ROOT

DOCUMENTS = [
    *sorted(DOCS.glob("*.md")),
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "runners/README.md")),
]
#: A file of authors' projects, one of archives, what `make` installs, folders and lists of the cache.
ELSEWHERE = frozenset(
    {
        *("ledger.py", "runner.json", ".venv/bin/genvm"),
        *("build/", "registry/", "registry/keys.json", "latest.json", "sources/"),
    }
)

_CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)|\]\(([^)#\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"(?:[\w.*-]+/)+(?:[\w.*-]+)?|[\w.*-]+\.(?:c|json|md|py|pyi|svg|toml|ya?ml)")


def paths(text: str) -> Iterator[str]:
    for code, link in _NAMED.findall(_CODE_BLOCK.sub("", text)):
        if _PATH.fullmatch(code or link):
            yield code or link


def is_there(path: str, document: Path) -> bool:
    return any(glob.glob(str(folder / path)) for folder in (ROOT, document.parent))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_of(document: Path) -> None:
    named = set(paths(document.read_text(encoding="utf-8")))
    assert {path for path in named - ELSEWHERE if not is_there(path, document)} == set()
