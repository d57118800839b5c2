"""What a person sees of a build: a bar with step and time on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress(Protocol):
    """Observer of a build."""

    def begin(self, title: str) -> None:
        """A step starts work; steps that the cache has never begin."""

    def end(self, title: str, seconds: float) -> None:
        """A step that has begun is done."""


class Silent:
    """Shows nothing."""

    def begin(self, title: str) -> None:
        pass

    def end(self, title: str, seconds: float) -> None:
        pass


class Lines:
    """One line at the begin and the end of each step, on stderr."""

    def begin(self, title: str) -> None:
        self._print(f"{title} ...")

    def end(self, title: str, seconds: float) -> None:
        self._print(f"{title}: done in {seconds:.1f} s")

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Terminal:
    """A live bar on a terminal: current step, steps done, elapsed time."""

    def __init__(self, bar: Bar, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("runners", total=total)

    def begin(self, title: str) -> None:
        self._bar.update(self._task, description=title)

    def end(self, title: str, seconds: float) -> None:
        self._bar.advance(self._task)
        self._bar.console.print(f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]", highlight=False)


@contextmanager
def shown_progress(total: int, visible: bool = True) -> Iterator[Progress]:
    """The display that fits stderr; `total` is the number of steps that have work to do."""
    if not visible:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            yield Terminal(bar, total)
