"""An archive: file names and their bytes (spec executor/07)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol, TypeAlias

from blake3 import blake3

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner.ids import RUNNER_JSON
from pygenvm.executor.runner.runner_json import Action, parse_runner_json

#: Contents are views into the archive's own bytes where the format allows it; they are never written to.
FileContent: TypeAlias = bytes | memoryview


class Outline(metaclass=Frozen):
    """What a folder is like, without its names: how many ``files`` it has, and how many ``directories`` with itself.

    Over all names: ``bytes`` is the sum of their lengths in UTF-8, ``longest`` the greatest, ``components`` the number
    of their parts. ``directories`` is 0 where one name stands in the way of another. ``top`` has what is in the folder
    itself, files and directories, if that is not much; otherwise nothing.
    """

    files: int
    bytes: int
    longest: int
    components: int
    directories: int
    top: tuple[str, ...]


class Folder:
    """Files below a prefix of one archive, as ``MapFile`` takes them; never changed, so VMs may share it.

    ``count``, ``bytes``, ``longest`` and ``components`` are those of its :class:`Outline`, ``directories`` and ``top``
    too as soon as somebody has found out.
    """

    def __init__(
        self,
        files: Mapping[str, FileContent],
        prefix: str,
        outline: Outline | None = None,
        keep: Callable[[str, Outline], None] = lambda _prefix, _outline: None,
    ) -> None:
        """:param outline: its own, found out earlier. :param keep: is given the one that is found out now."""
        self._files = files
        self._prefix = prefix
        self._keep = keep
        self.directories: int | None = None
        self.top: tuple[str, ...] = ()
        if outline is not None:
            self.count, self.bytes = outline.files, outline.bytes
            self.longest, self.components = outline.longest, outline.components
            self.directories, self.top = outline.directories, outline.top
            return
        names = [name for name, _ in self.entries]
        joined = "".join(names)
        lengths = list(
            map(len, names if joined.isascii() else [name.encode("utf-8", "surrogatepass") for name in names])
        )
        self.count = len(names)
        self.bytes = sum(lengths)
        self.longest = max(lengths, default=0)
        self.components = joined.count("/") + len(names)

    @cached_property
    def entries(self) -> tuple[tuple[str, FileContent], ...]:
        """The names without the prefix and the contents, in the order of the archive."""
        prefix, start = self._prefix, len(self._prefix)
        return tuple(
            (name[start:], content)
            for name, content in self._files.items()
            # Zip archives may list directories; those are no files.
            if name.startswith(prefix) and len(name) > start and not name.endswith("/")
        )

    def found_out(self, directories: int, top: tuple[str, ...]) -> None:
        """What an :class:`Outline` says of these, by whoever has made a tree of it."""
        self.directories, self.top = directories, top
        self._keep(self._prefix, Outline(self.count, self.bytes, self.longest, self.components, directories, top))


class Outlines(Protocol):
    """Those of the folders of one archive."""

    def outline(self, prefix: str) -> Outline | None:
        """What is known of that folder."""

    def keep(self, prefix: str, outline: Outline) -> None:
        """Something has become known."""


class Archive:
    """A registry runner or a contract.

    ``id`` is ``<id>:<hash>`` of a runner or the internal id of a contract; ``data_size`` is the length
    in bytes of the whole tar, zip, wasm or text, which each use by a VM is charged (spec executor/08).
    ``state`` tells apart what a file of this machine has held at different times; None for what comes from a host.
    """

    def __init__(
        self,
        id: str,
        files: Mapping[str, FileContent],
        data_size: int,
        state: str | None = None,
        outlines: Outlines | None = None,
    ) -> None:
        self.id = id
        self.files = files
        self.data_size = data_size
        self.state = state
        self._outlines = outlines
        self._folders: dict[str, Folder] = {}

    def file(self, name: str) -> FileContent:
        """Content of one file.

        :raises InvalidContract: there is none of this name.
        """
        content = self.files.get(name)
        if content is None:
            raise InvalidContract(f"{self.id} has no file {name!r}")
        return content

    def folder(self, prefix: str) -> Folder:
        """The files whose names start with ``prefix``."""
        folder = self._folders.get(prefix)
        if folder is None:
            known = self._outlines
            folder = self._folders[prefix] = (
                Folder(self.files, prefix)
                if known is None
                else Folder(self.files, prefix, known.outline(prefix), known.keep)
            )
        return folder

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3 (32 bytes) of all that a VM can see of it: names and contents in their order, and ``data_size``."""
        digest = blake3(self.data_size.to_bytes(8, "little"))
        for name, content in self.files.items():
            encoded = name.encode("utf-8", "surrogatepass")
            digest.update(struct.pack("<QQ", len(encoded), len(content)))
            digest.update(encoded)
            digest.update(content)
        return digest.digest()

    def origin(self, name: str) -> str | None:
        """Stands for the bytes of one file and changes whenever they might; None for what comes from a host."""
        return None if self.state is None else f"{self.state} {name}"

    @cached_property
    def action(self) -> Action:
        """The parsed runner.json.

        :raises InvalidContract: it is missing or malformed.
        """
        where = f"{RUNNER_JSON} of {self.id}"
        return parse_runner_json(bytes(self.file(RUNNER_JSON)), where, installed=self.state is not None)
