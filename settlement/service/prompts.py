"""What tasks ask: a task itself has only the hash of it (spec settlement/02 §10).

A prompt comes with the transaction that imports its intent. It is kept when that is in a block, so that whoever pays
nothing leaves nothing here.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.service import limits
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.words import Hash


class Prompts:
    """Files of a folder, each by its hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: OrderedDict[Hash, bytes] = OrderedDict()

    def offer(self, prompt: bytes) -> None:
        """Remembers it until the intent is in a block; of too many the oldest is forgotten."""
        digest = prompt_hash(prompt)
        self._waiting[digest] = prompt
        self._waiting.move_to_end(digest)
        while len(self._waiting) > limits.PROMPTS_WAITING or self._bytes() > limits.PROMPTS_WAITING_BYTES:
            self._waiting.popitem(last=False)

    def _bytes(self) -> int:
        return sum(map(len, self._waiting.values()))

    def keep(self, digest: Hash) -> None:
        """Before the block with its intent is accepted.

        :raises StoreError: it cannot be written, and waits as before.
        """
        prompt = self._waiting.get(digest)
        if prompt is None:
            return
        try:
            self._write(self._path(digest), prompt)
        except OSError as error:
            raise StoreError(f"cannot write {self._path(digest)}: {error.strerror}") from error
        del self._waiting[digest]

    def _write(self, path: Path, prompt: bytes) -> None:
        if path.exists():
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        with unfinished.open("wb") as file:
            file.write(prompt)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def read(self, digest: Hash) -> bytes | None:
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, digest: Hash) -> Path:
        return self._folder / digest.hex()
