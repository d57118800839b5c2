"""An archive: file names and their bytes (spec executor/07)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias

from blake3 import blake3

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner.ids import RUNNER_JSON
from pygenvm.executor.runner.runner_json import Action, parse_runner_json

#: Contents are views into the archive's own bytes where the format allows it; they are never written to.
FileContent: TypeAlias = bytes | memoryview


class Folder:
    """Files below a prefix of one archive, as ``MapFile`` takes them; never changed, so VMs may share it.

    ``entries`` has the names without the prefix and the contents, in the order of the archive. Over all names:
    ``bytes`` is the sum of their lengths in UTF-8, ``longest`` the greatest, ``components`` the number of their parts.
    """

    def __init__(self, files: Mapping[str, FileContent], prefix: str) -> None:
        start = len(prefix)
        self.entries = tuple(
            (name[start:], content)
            for name, content in files.items()
            # Zip archives may list directories; those are no files.
            if name.startswith(prefix) and len(name) > start and not name.endswith("/")
        )
        names = [name for name, _ in self.entries]
        joined = "".join(names)
        lengths = list(
            map(len, names if joined.isascii() else [name.encode("utf-8", "surrogatepass") for name in names])
        )
        self.bytes = sum(lengths)
        self.longest = max(lengths, default=0)
        self.components = joined.count("/") + len(names)


class Archive:
    """A registry runner or a contract.

    ``id`` is ``<id>:<hash>`` of a runner or the internal id of a contract; ``data_size`` is the length
    in bytes of the whole tar, zip, wasm or text, which each use by a VM is charged (spec executor/08).
    ``state`` tells apart what a file of this machine has held at different times; None for what comes from a host.
    """

    def __init__(self, id: str, files: Mapping[str, FileContent], data_size: int, state: str | None = None) -> None:
        self.id = id
        self.files = files
        self.data_size = data_size
        self.state = state
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
            folder = self._folders[prefix] = Folder(self.files, prefix)
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
