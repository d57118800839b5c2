"""Python's tracebacks in what a run wrote to stderr, taken apart.

The text is the contract's own, so nothing in it needs to be true; what does not look like a traceback is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_HEAD = "Traceback (most recent call last):"
#: Between an exception and the one that was raised while it was handled.
_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>[0-9]{1,9})(?:, in (?P<function>.*))?')
_REPEATED = re.compile(r"  \[Previous line repeated ([0-9]{1,9}) more times?\]")
_MARK = re.compile(r"    [ ~^]*[~^][ ~^]*")
_SOURCE_INDENT = "    "
#: The end of a traceback: class and text of the exception.
_EXCEPTION = re.compile(r"(?P<kind>[\w.<>]+)(?:: (?P<text>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Frame:
    """One call. ``file`` is the name inside the sandbox; ``function`` is empty where a syntax error is."""

    file: str
    line: int
    function: str
    source: str = ""
    """The first line of the statement, without its indent; empty where the sandbox did not have the file."""
    mark: tuple[int, int] | None = None
    """Columns in ``source`` that failed; None for the whole line."""
    repeated: int = 0
    """How often the call before this one, to the same line, was left out."""

    @property
    def marked(self) -> str:
        """What failed."""
        return self.source[slice(*self.mark)] if self.mark else self.source


@dataclass(frozen=True, slots=True)
class Traceback:
    """An exception and the calls that led to it, the innermost last."""

    frames: tuple[Frame, ...]
    exception: str
    """Class and text as Python prints them, and notes, which may be further lines."""
    earlier: Traceback | None = None
    """The exception that was being handled."""

    @property
    def kind(self) -> str:
        """The class of the exception, such as ``ValueError``."""
        match = _EXCEPTION.match(self.exception)
        return match["kind"] if match else ""

    @property
    def first_line(self) -> str:
        """Class and text, of a text with several lines the first."""
        return self.exception.partition("\n")[0]


def take_apart(stderr: str) -> tuple[str, Traceback | None]:
    """What else is in ``stderr``, and the traceback that ends it."""
    lines = stderr.split("\n")
    heads = [number for number, line in enumerate(lines) if line == _HEAD]
    if not heads:
        return stderr, None
    traceback: Traceback | None = None
    first = end = len(lines)
    for index, head in enumerate(heads):
        follows = heads[index + 1] if index + 1 < len(heads) else end
        linked = follows >= 3 and lines[follows - 2] in _LINKS and follows < end
        earlier = traceback if traceback is not None and lines[head - 2] in _LINKS else None
        if earlier is None:
            first = head
        traceback = _parse(lines[head + 1 : follows - 3 if linked else follows], earlier)
    if traceback is None or not traceback.frames:
        return stderr, None
    return "\n".join(lines[:first]), traceback


def _parse(lines: Sequence[str], earlier: Traceback | None) -> Traceback:
    frames: list[Frame] = []
    position = 0
    while position < len(lines):
        if repeated := _REPEATED.fullmatch(lines[position]):
            if frames:
                frames[-1] = replace(frames[-1], repeated=int(repeated[1]))
            position += 1
            continue
        match = _FRAME.fullmatch(lines[position])
        if not match:
            break
        inner = position + 1
        while inner < len(lines) and lines[inner].startswith(_SOURCE_INDENT):
            inner += 1
        shown = lines[position + 1 : inner]
        source = shown[0].strip() if shown else ""
        mark = _mark(shown[1]) if len(shown) == 2 and _MARK.fullmatch(shown[1]) else None
        frames.append(Frame(match["file"], int(match["line"]), match["function"] or "", source, mark))
        position = inner
    return Traceback(tuple(frames), "\n".join(lines[position:]).strip("\n"), earlier)


def _mark(line: str) -> tuple[int, int]:
    text = line[len(_SOURCE_INDENT) :]
    return len(text) - len(text.lstrip()), len(text.rstrip())
