"""What the archives of runners hold, read once: a new process need not look at a thousand headers of each.

A folder has a file for each large archive, named after its hash: the BLAKE3 (32 bytes) of what follows, and JSON of the
state of the archive's file, the names of its files, where each begins and ends, and the outlines of folders
(:class:`executor.runner.archive.Outline`) that VMs have asked for. What is damaged or says something of another state
does not count; then, and where there is no such file, the archive is read.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.log import Remarks
from pygenvm.executor.runner.archive import Outline
from pygenvm.executor.runner.ustar import tar_places

_log = Remarks("executor.runner.listings")
_FORMAT = 1
_DIGEST_BYTES = 32
#: Smaller archives are read as soon as what is known of them.
_FILES_MIN = 30
_OUTLINE = ("files", "bytes", "longest", "components", "directories", "top")


class Listing:
    """Of one archive: its ``files``, by name and in their order, and what is known of its folders."""

    def __init__(self, kept: CacheFolder, name: str, data: memoryview, state: str) -> None:
        """
        :param kept: the folder with such files. :param name: of this one there.
        :param data: the archive. :param state: that of its file.
        :raises InvalidContract: the archive is read, and is none.
        """
        self._kept = kept
        self._name = name
        known = self._read(state)
        if known is None:
            places = tar_places(data)
            begins, ends = [begin for begin, _ in places.values()], [end for _, end in places.values()]
            known = {"format": _FORMAT, "state": state, "names": [*places], "begins": begins, "ends": ends}
            known["outlines"] = {}
        self._known = known
        contents = map(data.__getitem__, map(slice, known["begins"], known["ends"]))
        self.files = dict(zip(known["names"], contents, strict=True))

    def outline(self, prefix: str) -> Outline | None:
        """That of the folder of all files whose names start with ``prefix``, if it is known."""
        found = self._known["outlines"].get(prefix)
        return None if found is None else Outline(**{**found, "top": tuple(found["top"])})

    def keep(self, prefix: str, outline: Outline) -> None:
        """For later processes, where that saves them something."""
        if len(self.files) < _FILES_MIN:
            return
        self._known["outlines"][prefix] = {field: getattr(outline, field) for field in _OUTLINE}
        content = json.dumps(self._known).encode()
        with contextlib.suppress(OSError):
            self._kept.write(self._name, blake3(content).digest() + content)
            self._kept.trim(limits.LISTINGS_MAX, limits.LISTINGS_BYTES)

    def _read(self, state: str) -> dict[str, Any] | None:
        try:
            found = self._kept.read(self._name)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("what is known of an archive cannot be read: %s", error)
            return None
        if blake3(memoryview(found)[_DIGEST_BYTES:]).digest() != found[:_DIGEST_BYTES]:
            _log.warning("what is known of an archive is damaged: %s", self._name)
            return None
        known: dict[str, Any] = json.loads(found[_DIGEST_BYTES:])
        return known if known["format"] == _FORMAT and known["state"] == state else None
