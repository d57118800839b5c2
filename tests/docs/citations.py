"""Citations of the specification in the tree, and the places of ``docs/spec`` that they may name.

A citation is the word ``spec``, a file by folder and number, and what follows in the same breath: sections by number,
titles in quotes, further files. A number alone is a file of the folder before it::

    spec executor/05
    spec executor/02, 04, 05
    spec executor/05 and 10
    spec modules/01 to 03
    spec executor/07 "Linking", "Soft floats"
    spec executor/06 "File table", executor/08
    spec sdk/01 §3.5, sdk/04 §2-§4
    spec sdk/01 section 9                                  where only ASCII is welcome

A title is a heading, or what stands before the colon at the start of a line or list item; what it adds in brackets, or
behind a colon or comma, may be left out. The first word that is none of all this ends the citation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.paths import DOCS

SPEC = DOCS / "spec"

_FILE = r"(?:executor|modules|sdk|settlement|localnet-rpc)/[0-9]{2}(?![0-9])"
_SECTION = r"(?:§|section\ )[0-9]+(?:\.[0-9]+)*"
_ITEM = re.compile(
    rf"""(?:,\ +|;\ +|\ +and\ +|\ +)
    (?: (?P<file>{_FILE}) (?:\ +to\ +(?P<last_file>[0-9]{{2}}\b))?
      | (?P<number>[0-9]{{2}}\b)
      | (?P<section>{_SECTION}) (?:-(?P<last_section>{_SECTION}))?
      | "(?P<title>[^"\n]+)" )""",
    re.VERBOSE,
)
_START = re.compile(r"\bspec(?=\ +[a-z-]+/[0-9])")
#: A file of the specification, whether or not it is cited properly.
_MENTION = re.compile(rf"(?<![\w/.-]){_FILE}(?![\w/-])")
#: The end of a line with the comment mark of the next one, unless that is empty.
_LINE_END = re.compile(r"\n[ \t]*(?:#:?|//|\*)?(?=[^\n])")

_HEADING = re.compile(r"#+ +(.+)")
_LABEL = re.compile(r"(?:[-*] +|[0-9]+\. +)?([^\s|#`][^|:]*):(?:\s|$)")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)*)\.? +")
_ADDED = re.compile(r" \(|: |, ")
_MARKUP = re.compile(r"\*\*|`")


@dataclass
class Cited:
    """One file of a citation, with the places in it."""

    file: str
    sections: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def faults(self) -> Iterator[str]:
        """What the specification does not have."""
        found = sorted(SPEC.glob(f"{self.file}-*.md"))
        if len(found) != 1:
            yield f"there is no {self.file}"
            return
        sections, titles = places(found[0])
        yield from (f"{self.file} has no section {name}" for name in self.sections if name not in sections)
        yield from (f'{self.file} has nothing called "{name}"' for name in self.titles if name not in titles)


@dataclass
class Reading:
    """What a text says of the specification: its citations by line, and files that it names without citing them."""

    citations: list[tuple[int, list[Cited]]] = field(default_factory=list)
    stray: list[tuple[int, str]] = field(default_factory=list)


def read(text: str) -> Reading:
    """Find all citations of a text, across the ends of its lines."""
    # Positions stay, so that they have line numbers.
    flat = _LINE_END.sub(lambda end: " " * len(end[0]), text).replace('\\"', ' "')

    def line(position: int) -> int:
        return text.count("\n", 0, position) + 1

    result, done = Reading(), 0
    for start in _START.finditer(flat):
        cited, end = _cited(flat, start.end())
        result.citations.append((line(start.start()), cited))
        result.stray += [(line(found.start()), found[0]) for found in _MENTION.finditer(flat, done, start.start())]
        done = end
    result.stray += [(line(found.start()), found[0]) for found in _MENTION.finditer(flat, done)]
    return result


def _cited(text: str, position: int) -> tuple[list[Cited], int]:
    """The files of a citation that starts at ``position``, and where it ends; none if the first file does not exist."""
    cited: list[Cited] = []
    while (item := _ITEM.match(text, position)) and (cited or item["file"]):
        if item["file"]:
            cited.append(Cited(item["file"]))
            folder, first = item["file"].split("/")
            last = item["last_file"] or first
            cited += [Cited(f"{folder}/{number:02}") for number in range(int(first) + 1, int(last) + 1)]
        elif item["number"]:
            cited.append(Cited(f"{cited[-1].file.split('/')[0]}/{item['number']}"))
        elif item["section"]:
            cited[-1].sections += _range(item["section"], item["last_section"] or item["section"])
        else:
            cited[-1].titles.append(" ".join(item["title"].split()))
        position = item.end()
    return cited, position


def _range(first: str, last: str) -> list[str]:
    """``§3.1-§3.3``: the last number counts up."""
    *above, low = re.findall("[0-9]+", first)
    high = re.findall("[0-9]+", last)[-1]
    return [".".join([*above, str(number)]) for number in range(int(low), int(high) + 1)]


@cache
def places(file: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Numbers of the sections of a file, and its titles in all forms in which they may be cited."""
    sections, titles = set(), set()
    for line in file.read_text(encoding="utf-8").splitlines():
        plain = _MARKUP.sub("", line)
        heading = _HEADING.match(plain)
        found = heading or _LABEL.match(plain)
        if found is None:
            continue
        title = found[1].strip()
        if heading and (number := _NUMBER.match(title)):
            sections.add(number[1])
            title = title[number.end() :]
        titles |= {title, *(title[: added.start()] for added in _ADDED.finditer(title))}
    return frozenset(sections), frozenset(titles)
