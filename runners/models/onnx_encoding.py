"""Writing of ONNX models: messages as dictionaries become protobuf, in ascending order of fields."""

from __future__ import annotations

import importlib.util
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).parent
#: The package of the embeddings runner that knows the format.
PACKAGE = _HERE.parent / "py-lib-genlayer-embeddings" / "src" / "onnx"
_NAME = "pygenvm_onnx"


def package(module: str) -> ModuleType:
    """A module of :data:`PACKAGE`, which contracts see as ``onnx``, under a name that hides nobody's."""
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            _NAME, PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[_NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_NAME])
    return importlib.import_module(f"{_NAME}.{module}")


def encode(message: str, fields: Mapping[str, Any]) -> bytes:
    """The bytes of a message; `fields` by name, messages inside it as dictionaries."""
    table = package("messages")
    parts: list[bytes] = []
    for field in sorted(table.MESSAGES[message].values(), key=lambda field: int(field.number)):
        if field.name in fields:
            value = fields[field.name]
            for item in value if field.repeated else [value]:
                parts.append(_field(field.number, field.type, item, table.MESSAGES))
    return b"".join(parts)


def _field(number: int, kind: str, value: Any, messages: Mapping[str, Any]) -> bytes:
    if kind == "float":
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if kind in ("int32", "int64", "uint64"):
        return _varint(number << 3) + _varint(value & (1 << 64) - 1)
    data = encode(kind, value) if kind in messages else value.encode() if kind == "string" else value
    return _varint(number << 3 | 2) + _varint(len(data)) + bytes(data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
