"""An archive: file names and their bytes (spec executor/07)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from executor.outcome import InvalidContract
from executor.runner.ids import RUNNER_JSON
from executor.runner.runner_json import Action, parse_runner_json

#: Contents are views into the archive's own bytes where the format allows it; they are never written to.
FileContent: TypeAlias = bytes | memoryview


@dataclass(frozen=True, eq=False)
class Archive:
    """A registry runner or a contract.

    ``id`` is ``<id>:<hash>`` of a runner or the internal id of a contract; ``data_size`` is the length
    in bytes of the whole tar, zip, wasm or text, which each use by a VM is charged (spec executor/08).
    ``state`` tells apart what a file of this machine has held at different times; None for what comes from a host.
    """

    id: str
    files: Mapping[str, FileContent]
    data_size: int
    state: str | None = None

    def file(self, name: str) -> FileContent:
        """Content of one file.

        :raises InvalidContract: there is none of this name.
        """
        content = self.files.get(name)
        if content is None:
            raise InvalidContract(f"{self.id} has no file {name!r}")
        return content

    def below(self, prefix: str) -> Iterator[tuple[str, FileContent]]:
        """Names starting with ``prefix``, without it, and their contents, in the order of the archive."""
        start = len(prefix)
        return ((name[start:], content) for name, content in self.files.items() if name.startswith(prefix))

    @cached_property
    def action(self) -> Action:
        """The parsed runner.json.

        :raises InvalidContract: it is missing or malformed.
        """
        return parse_runner_json(bytes(self.file(RUNNER_JSON)), f"{RUNNER_JSON} of {self.id}")
