"""Votes on disk: without output, embedding and nonce nobody can reveal, and an operator that does not is slashed.

A vote is on disk, synced, before its commit is sent; it stays until its task is settled. One process has the folder.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Final

from pygenvm.executor.json_text import parse_json
from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.types.words import Address, Hash

_NAME = re.compile(r"[0-9a-f]{64}\.vote")
_CHARS_MAX: Final = 4096


class VotesError(Exception):
    """The folder or a vote in it cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Vote:
    task: Hash
    model_spec: Hash
    prompt: Hash
    output: Hash
    embedding: Hash
    nonce: Hash

    def commitment(self, operator: Address) -> Hash:
        return commit_hash(self.task, self.model_spec, self.prompt, self.output, self.embedding, operator, self.nonce)


class Votes:
    """:raises VotesError: the folder cannot be used, or another process has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: IO[str] = (folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sync(folder)
        except BlockingIOError:
            raise VotesError(f"another operator runs with {folder}; each needs a folder of its own") from None
        except OSError as error:
            raise VotesError(f"{folder}: {os.strerror(error.errno or 0)}") from error

    def close(self) -> None:
        self._lock.close()

    def tasks(self) -> Iterator[Hash]:
        """Those with a vote."""
        for path in sorted(self._folder.iterdir()):
            if _NAME.fullmatch(path.name):
                yield Hash(bytes.fromhex(path.stem))

    def read(self, task: Hash) -> Vote | None:
        """:raises VotesError: what is there is no vote for this task."""
        try:
            text = self._path(task).read_text(encoding="utf-8")
            members = parse_json(text, max_chars=_CHARS_MAX, max_depth=1)
            values = {one.name: Hash(bytes.fromhex(members[one.name])) for one in fields(Vote)}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VotesError(f"{self._path(task)} cannot be read: {error}") from error
        vote = Vote(**values)
        if vote.task != task or any(len(value) != 32 for value in values.values()):
            raise VotesError(f"{self._path(task)} is no vote for this task")
        return vote

    def keep(self, vote: Vote) -> None:
        """On return it outlives a power cut.

        :raises VotesError: there is one already, which may have been committed to; or it cannot be written.
        """
        path = self._path(vote.task)
        if path.exists():
            raise VotesError(f"{path} is there already")
        unfinished = path.with_suffix(".new")
        members = ",\n".join(f'"{one.name}": "{getattr(vote, one.name).hex()}"' for one in fields(Vote))
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{{{members}}}\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
            _sync(self._folder)
        except OSError as error:
            raise VotesError(f"{path}: {os.strerror(error.errno or 0)}") from error

    def forget(self, task: Hash) -> None:
        self._path(task).unlink(missing_ok=True)

    def _path(self, task: Hash) -> Path:
        return self._folder / f"{task.hex()}.vote"


def _sync(folder: Path) -> None:
    """A new name in it outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
