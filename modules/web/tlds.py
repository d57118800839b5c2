"""The top-level domains of the root zone (spec modules/03 §3), in ``tlds.txt``: native script and punycode.

``python -m pygenvm.modules.web.tlds public_suffix_list.dat`` writes that file anew from a Public Suffix List, which
Debian's package ``publicsuffix`` and PyPI's ``publicsuffixlist`` carry: its ICANN section names all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import ada_url

_FILE = Path(__file__).with_name("tlds.txt")

#: Names that are reserved for use without the root zone; the suffix list has the last one for browsers' sake.
_NEVER = frozenset(("local", "localhost", "internal", "test", "onion"))


@cache
def root_zone() -> frozenset[str]:
    """Every top-level domain in each of its written forms, lower case."""
    return frozenset(line for line in _FILE.read_text(encoding="utf-8").split("\n") if line and line[0] != "#")


def written_forms(tld: str) -> tuple[str, ...]:
    """As given and as it stands in a parsed URL: ``中国``, ``xn--fiqs8s``."""
    tld = tld.strip().removeprefix(".").lower()
    return tuple(dict.fromkeys((tld, ada_url.idna_to_ascii(tld).decode() if not tld.isascii() else tld)))


def from_suffix_list(lines: Iterable[str]) -> list[str]:
    """The last labels of all rules of the ICANN section, sorted, ASCII first."""
    found: set[str] = set()
    inside = False
    for line in map(str.strip, lines):
        if line.startswith("// ===BEGIN") or line.startswith("// ===END"):
            inside = line.startswith("// ===BEGIN ICANN")
        elif inside and line and not line.startswith("//"):
            found.add(line.split()[0].rpartition(".")[2])
    return sorted((form for tld in found - _NEVER for form in written_forms(tld)), key=lambda t: (not t.isascii(), t))


def main(arguments: list[str]) -> None:
    text = Path(arguments[0]).read_text(encoding="utf-8")
    version = next((line[3:] for line in text.split("\n") if line.startswith("// VERSION")), "version unknown")
    tlds = from_suffix_list(text.split("\n"))
    head = f"# Top-level domains of the root zone, from the Public Suffix List ({version}); see tlds.py.\n"
    _FILE.write_text(head + "\n".join(tlds) + "\n", encoding="utf-8")
    print(f"{len(tlds)} names")


if __name__ == "__main__":
    main(sys.argv[1:])
