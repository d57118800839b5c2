"""What the archives of runners hold, read once: a new process need not look at a thousand headers of each.

A folder has a file for each large archive, named after its hash: JSON of the names of its files, where each begins and
ends, and the outlines of folders (:class:`executor.runner.archive.Outline`) that VMs have asked for; and the state of
the archive's file, without which nothing of it counts. Where there is none, or a damaged one, the archive is read.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from pygenvm.executor import limits
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.log import Remarks
from pygenvm.executor.runner.archive import Outline
from pygenvm.executor.runner.ustar import tar_places

_log = Remarks("executor.runner.listings")
#: Smaller archives are read as soon as what is known of them.
_FILES_MIN = 100
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
        self._known = self._read(state)
        if self._known is not None:
            try:
                self._understand(self._known, data)
                return
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                _log.warning("what is known of an archive is not usable: %s", error)
        places = tar_places(data)
        begins, ends = [begin for begin, _ in places.values()], [end for _, end in places.values()]
        self._known = {"state": state, "names": list(places), "begins": begins, "ends": ends, "outlines": {}}
        self._understand(self._known, data)

    def outline(self, prefix: str) -> Outline | None:
        """That of the folder of all files whose names start with ``prefix``, if it is known."""
        return self._outlines.get(prefix)

    def keep(self, prefix: str, outline: Outline) -> None:
        """For later processes, where that saves them something."""
        if len(self.files) < _FILES_MIN:
            return
        assert self._known is not None
        self._known["outlines"][prefix] = [getattr(outline, field) for field in _OUTLINE]
        with contextlib.suppress(OSError):
            self._kept.write(self._name, json.dumps(self._known).encode())
            self._kept.trim(limits.LISTINGS_MAX, limits.LISTINGS_BYTES)

    def _read(self, state: str) -> dict[str, Any] | None:
        try:
            known = json.loads(self._kept.read(self._name))
            return known if known["state"] == state else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("what is known of an archive is not usable: %s", error)
            return None

    def _understand(self, known: dict[str, Any], data: memoryview) -> None:
        names, begins, ends = known["names"], known["begins"], known["ends"]
        # A slice does not say when it lies outside, or that it is counted from the end.
        if min(begins, default=0) < 0 or max(ends, default=0) > len(data):
            raise ValueError("a file lies outside of the archive")
        self.files = dict(zip(names, map(data.__getitem__, map(slice, begins, ends)), strict=True))
        if len(self.files) != len(names):
            raise ValueError("two files have one name")
        self._outlines = {
            prefix: Outline(*(*numbers, tuple(top))) for prefix, (*numbers, top) in known["outlines"].items()
        }
