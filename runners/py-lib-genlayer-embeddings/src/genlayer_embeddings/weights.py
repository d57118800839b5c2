"""The large tensors of a model, read from its file when they are needed first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .operators import Array, constant

#: Where a part of at least 1/TABLE_SHARE of a table is wanted, all of it is read.
TABLE_SHARE = 4


class Weights:
    """Tensors by number; `entries` are place, size, element type and shape of each."""

    def __init__(self, path: Path, size: int, entries: Sequence[tuple[int, int, str, tuple[int, ...]]]) -> None:
        self._path = path
        self._size = size
        self._entries = entries
        self._read: dict[int, Array] = {}

    def __getitem__(self, number: int) -> Array:
        if number not in self._read:
            offset, size, kind, shape = self._entries[number]
            self._read[number] = constant(kind, shape, self._bytes(offset, size))
        return self._read[number]

    def table(self, number: int) -> Array | Table:
        """For looking up rows: what is read already, or something that reads only those."""
        *_, shape = self._entries[number]
        return self[number] if number in self._read or len(shape) < 2 else Table(self, number)

    def rows(self, number: int, indices: Array) -> Array:
        """``self[number][indices]`` with the other rows left in the file."""
        offset, size, kind, shape = self._entries[number]
        wanted, places = np.unique(indices, return_inverse=True)
        if len(wanted) * TABLE_SHARE >= shape[0]:
            return self[number].take(indices, axis=0)
        row_size = size // shape[0]
        read = b"".join([self._bytes(offset + range(shape[0])[int(index)] * row_size, row_size) for index in wanted])
        rows = constant(kind, (len(wanted), *shape[1:]), read)
        return rows[places.reshape(indices.shape)]

    @cached_property
    def _file(self) -> BinaryIO:
        file = open(self._path, "rb", buffering=0)  # noqa: SIM115 - it is read for as long as the VM lives
        if os.fstat(file.fileno()).st_size != self._size:
            raise ValueError(f"{self._path} is not the model that was translated")
        return file

    def _bytes(self, offset: int, size: int) -> bytearray:
        content = bytearray(size)
        self._file.seek(offset)
        if self._file.readinto(content) != size:  # type: ignore[attr-defined]
            raise ValueError(f"{self._path} ends before byte {offset + size}")
        return content


class Table:
    """A tensor of which only rows are looked up."""

    def __init__(self, weights: Weights, number: int) -> None:
        self._weights = weights
        self._number = number

    def take(self, indices: Array, axis: int = 0) -> Array:
        """As :meth:`numpy.ndarray.take`."""
        return (
            self._weights[self._number].take(indices, axis=axis) if axis else self._weights.rows(self._number, indices)
        )
