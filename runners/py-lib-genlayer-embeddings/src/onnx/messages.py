"""The messages of ONNX that models are made of: field numbers, names and types, as in the format's onnx.proto.

One table for whoever needs it: the protobuf classes of this package, the reading of models without them
(:mod:`.wire`), and the tool that writes models when runners are built. What is not listed is skipped when reading.
"""

from __future__ import annotations

from typing import NamedTuple

_TABLE = """
ModelProto: 1 ir_version int64, 2 producer_name string, 3 producer_version string, 4 domain string,
    5 model_version int64, 6 doc_string string, 7 graph GraphProto, 8 opset_import OperatorSetIdProto*,
    14 metadata_props StringStringEntryProto*
OperatorSetIdProto: 1 domain string, 2 version int64
StringStringEntryProto: 1 key string, 2 value string
GraphProto: 1 node NodeProto*, 2 name string, 5 initializer TensorProto*, 10 doc_string string,
    11 input ValueInfoProto*, 12 output ValueInfoProto*, 13 value_info ValueInfoProto*
NodeProto: 1 input string*, 2 output string*, 3 name string, 4 op_type string, 5 attribute AttributeProto*,
    6 doc_string string, 7 domain string
AttributeProto: 1 name string, 2 f float, 3 i int64, 4 s bytes, 5 t TensorProto, 7 floats float*, 8 ints int64*,
    9 strings bytes*, 13 doc_string string, 20 type int32
TensorProto: 1 dims int64*, 2 data_type int32, 4 float_data float*, 5 int32_data int32*, 6 string_data bytes*,
    7 int64_data int64*, 8 name string, 9 raw_data bytes, 10 double_data double*, 11 uint64_data uint64*,
    12 doc_string string, 13 external_data StringStringEntryProto*, 14 data_location int32
ValueInfoProto: 1 name string, 2 type TypeProto, 3 doc_string string
TypeProto: 1 tensor_type TypeProto.Tensor
TypeProto.Tensor: 1 elem_type int32, 2 shape TensorShapeProto
TensorShapeProto: 1 dim TensorShapeProto.Dimension*
TensorShapeProto.Dimension: 1 dim_value int64, 2 dim_param string
"""

#: Lists of these are one field of many numbers (`[packed = true]` in onnx.proto).
PACKED = frozenset(
    f"TensorProto.{name}" for name in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
)


class Field(NamedTuple):
    name: str
    number: int
    type: str
    repeated: bool


def _parse(table: str) -> dict[str, dict[int, Field]]:
    messages: dict[str, dict[int, Field]] = {}
    for line in table.strip().replace("\n    ", " ").split("\n"):
        message, fields = line.split(": ", 1)
        parsed = (field.split() for field in fields.split(","))
        messages[message] = {
            int(number): Field(name, int(number), kind.rstrip("*"), kind.endswith("*")) for number, name, kind in parsed
        }
    return messages


#: Message to field number to field.
MESSAGES = _parse(_TABLE)

#: Element types of tensors (`TensorProto.DataType`).
DATA_TYPES = {
    1: "FLOAT",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "STRING",
    9: "BOOL",
    10: "FLOAT16",
    11: "DOUBLE",
    12: "UINT32",
    13: "UINT64",
    14: "COMPLEX64",
    15: "COMPLEX128",
    16: "BFLOAT16",
    17: "FLOAT8E4M3FN",
    18: "FLOAT8E4M3FNUZ",
    19: "FLOAT8E5M2",
    20: "FLOAT8E5M2FNUZ",
}
#: `AttributeProto.AttributeType`: number to the field that has the value.
ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
#: `TensorProto.DataLocation.EXTERNAL`.
EXTERNAL = 1
