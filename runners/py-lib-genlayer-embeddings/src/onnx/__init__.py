"""The protobuf classes of ONNX models, ``ModelProto`` and those inside it, by the runner py-lib-protobuf.

They are made when one is asked for first; whoever only embeds text never waits for them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .messages import DATA_TYPES, MESSAGES, PACKED

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PACKAGE = "onnx"


@cache
def _classes() -> dict[str, type[Message]]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="onnx/onnx-ml.proto", package=_PACKAGE, syntax="proto2")
    made: dict[str, Any] = {}
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        message = made[name] = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        for field in fields.values():
            added = message.field.add(name=field.name, number=field.number)
            added.label = kinds.LABEL_REPEATED if field.repeated else kinds.LABEL_OPTIONAL
            if field.type in MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{field.type}"
            else:
                added.type = kinds.Type.Value(f"TYPE_{field.type.upper()}")
            if f"{name}.{field.name}" in PACKED:
                added.options.packed = True
    data_type = made["TensorProto"].enum_type.add(name="DataType")
    for number, text in {0: "UNDEFINED", **DATA_TYPES}.items():
        data_type.value.add(name=text, number=number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    top = [name for name in MESSAGES if "." not in name]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in top}


def __getattr__(name: str) -> Any:
    if name in MESSAGES and "." not in name:
        return _classes()[name]
    raise AttributeError(f"module 'onnx' has no attribute {name!r}")


def load_model_from_string(data: bytes) -> Any:
    """``ModelProto`` of the bytes of a model file."""
    return _classes()["ModelProto"].FromString(data)


def load(path: str) -> Any:
    """``ModelProto`` of a model file."""
    with open(path, "rb") as file:
        return load_model_from_string(file.read())
