"""Where executors live: the one interface through which the manager starts, awaits and stops them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pygenvm.executor.arguments import RunArguments
from pygenvm.manager.versions import InstalledExecutor


@dataclass(slots=True)
class Notes:
    """What an executor says of itself in its log."""

    blame: str | None = None
    """Whose fault an internal error was."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run (spec modules/04 §6, §6.2)."""

    executor: InstalledExecutor
    message: str
    """JSON text."""
    host: str
    host_data: str
    """JSON text."""
    cookie: str
    sync: bool
    extra: tuple[str, ...]
    """Words for the command line, as the client gave them."""
    capture_output: bool
    on_log: Callable[[bytes], None]
    """Gets each line of the executor's log."""
    notes: Notes = field(default_factory=Notes)

    def without_payload(self) -> Job:
        """What is kept of it once it has ended."""
        return replace(self, message="", host_data="", extra=(), on_log=lambda _: None)

    def words(self) -> list[str]:
        """``run`` and its options as they stand on a command line."""
        words = ["run", *self.extra, *["--sync"] * self.sync, "--host-data", self.host_data, "--host", self.host]
        return [*words, "--message", self.message, f"--cookie={self.cookie}"]

    def arguments(self) -> RunArguments | None:
        """The same for an executor of a pool; None if there is a word that it is not known for."""
        given: dict[str, Any] = {}
        printed: set[str] = set()
        words = iter(self.extra)
        for word in words:
            name, given_here, value = word.partition("=")
            if word == "--debug-mode":
                given["debug_mode"] = True
            elif word == "--sync":
                given["sync"] = True
            elif name in ("--print", "--permissions"):
                if not given_here:
                    value = next(words, "")
                if name == "--permissions":
                    given["permissions"] = value
                elif value in PRINTED:
                    printed.add(value)
                else:
                    return None
            else:
                return None
        return RunArguments(
            message=self.message,
            host=self.host,
            host_data=self.host_data,
            cookie=self.cookie,
            printed=frozenset(printed),
            **{"sync": self.sync, **given},
        )


#: What ``--print`` of an executor takes (spec executor/10 "run").
PRINTED = ("result", "fingerprint", "stderr-full")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended; its output is complete."""

    status: int
    """Exit code, or minus the number of the signal."""
    stdout: str
    stderr: str
    at: float
    """When, by the monotonic clock."""


class Execution(Protocol):
    """A run that has been started."""

    @property
    def pid(self) -> int | None:
        """The process on this machine, for metrics and people; None where there is none."""

    def terminate(self) -> None:
        """Ask it to end: it still delivers a result. Does nothing once it has ended."""

    def kill(self) -> None:
        """End it and everything that it has started, at once."""

    async def wait(self) -> Ended:
        """Returns as soon as it has ended and all that it wrote was read. May be awaited by several tasks."""


class Backend(Protocol):
    """Starts executors."""

    async def start(self, job: Job) -> Execution:
        """:raises RequestError: it cannot be started."""

    def environment_changed(self) -> None:
        """What is started from now on has this process's variables as they are now."""

    async def close(self) -> None:
        """End whatever still runs, at once."""
