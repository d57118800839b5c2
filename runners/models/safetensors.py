"""Reading of the format safetensors: a length, a JSON table of tensors, and their bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pygenvm.runners.errors import BuildError

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Tensor:
    """Little-endian numbers in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def read_safetensors(file: bytes) -> Mapping[str, Tensor]:
    """The tensors of a file, by name.

    :raises BuildError: it is of another format.
    """
    start = _LENGTH_BYTES + int.from_bytes(file[:_LENGTH_BYTES], "little")
    try:
        table = json.loads(file[_LENGTH_BYTES:start])
        return {
            name: Tensor(entry["dtype"], tuple(entry["shape"]), _part(file, start, *entry["data_offsets"]))
            for name, entry in table.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"the weights are not a safetensors file: {error}") from error


def _part(file: bytes, start: int, begin: int, end: int) -> memoryview:
    part = memoryview(file)[start + begin : start + end]
    if len(part) != end - begin:
        raise ValueError("a tensor ends behind the file")
    return part
