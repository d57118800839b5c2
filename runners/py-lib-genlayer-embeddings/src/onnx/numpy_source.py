"""From an ONNX model to straight-line Python over numpy (spec sdk/05 §2 "ONNX operators needed").

    def main(input_ids, attention_mask, token_type_ids):
        v0 = Gather(weights[0], input_ids)
        ...

Needs neither numpy nor protobuf, so that a model can be translated when runners are built:
``python -m onnx.numpy_source --model-json model.json --output-py model.py``. The operators are in
:mod:`genlayer_embeddings.operators`.
"""

from __future__ import annotations

import argparse
import json
import keyword
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .messages import ATTRIBUTE_FIELDS, DATA_TYPES, EXTERNAL
from .wire import MalformedModel, Message, Span, read_model

MODEL_FILE = "model.onnx"
#: Tensors from this size on are read from the file when they are needed first; smaller ones stand in the code.
FILE_BYTES_MIN = 1024

#: Attributes that each operator may have. They become keyword arguments of the function of the operator's name, the
#: element type of Cast its second argument.
OPERATORS: Mapping[str, frozenset[str]] = {
    name: frozenset(attributes.split())
    for name, attributes in {
        "Add": "",
        "Cast": "to saturate",
        "Concat": "axis",
        "Constant": "value value_float value_floats value_int value_ints",
        "Div": "",
        "Erf": "",
        "Gather": "axis",
        "Gemm": "alpha beta transA transB",
        "MatMul": "",
        "Mul": "",
        "Pow": "",
        "ReduceMean": "axes keepdims noop_with_empty_axes",
        "Reshape": "allowzero",
        "Shape": "start end",
        "Slice": "axes starts ends",
        "Softmax": "axis",
        "Split": "axis split num_outputs",
        "Sqrt": "",
        "Sub": "",
        "Tanh": "",
        "Transpose": "perm",
        "Unsqueeze": "axes",
    }.items()
}

# Element type to how its raw bytes are read; what is no type of numpy becomes float32 (`widened`).
_ELEMENTS = {
    "FLOAT": "float32",
    "UINT8": "uint8",
    "INT8": "int8",
    "UINT16": "uint16",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "DOUBLE": "float64",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FLOAT16": "float16",
    "BFLOAT16": "bfloat16",
    "FLOAT8E4M3FN": "float8e4m3fn",
    "FLOAT8E4M3FNUZ": "float8e4m3fnuz",
    "FLOAT8E5M2": "float8e5m2",
    "FLOAT8E5M2FNUZ": "float8e5m2fnuz",
}
_WIDENED = frozenset(name for name in _ELEMENTS.values() if name == "float16" or name.startswith(("bfloat", "float8")))
_ITEM_BYTES = {
    "bool": 1,
    "bfloat16": 2,
    **{f"{kind}{bits}": bits // 8 for bits in (8, 16, 32, 64) for kind in ("int", "uint")},
}
_ITEM_BYTES |= {"float16": 2, "float32": 4, "float64": 8} | {name: 1 for name in _WIDENED if name.startswith("float8")}
# Where values are that are not raw, and how one is written as raw bytes.
_LISTS = {
    "float32": ("float_data", ""),
    "float64": ("double_data", ""),
    "int64": ("int64_data", "<q"),
    "uint32": ("uint64_data", "<I"),
    "uint64": ("uint64_data", "<Q"),
    "int32": ("int32_data", "<i"),
    "int16": ("int32_data", "<h"),
    "int8": ("int32_data", "<b"),
    "uint16": ("int32_data", "<H"),
    "uint8": ("int32_data", "<B"),
    "bool": ("int32_data", "<?"),
    "float16": ("int32_data", "<H"),
    "bfloat16": ("int32_data", "<H"),
} | {name: ("int32_data", "<B") for name in _WIDENED if name.startswith("float8")}

_SOURCE = '''\
"""Made of {file} by onnx.numpy_source."""

from pathlib import Path

from genlayer_embeddings.operators import *
from genlayer_embeddings.weights import Weights

tokens_truncate = {tokens_truncate!r}
weights = Weights(Path(__file__).with_name({file!r}), {size}, {table})


def main({parameters}):
{body}
    return {{{outputs}}}
'''


def source_of(data: bytes, description: Mapping[str, Any], file: str = MODEL_FILE) -> str:
    """The Python module that computes the model with the bytes `data`, which lies beside it as `file`.

    :param description: what model.json says: `rename-outputs`, `tokens_truncate`.
    :raises MalformedModel: it is not a model.
    :raises Exception: it has an operator that is not supported.
    """
    model = read_model(data)
    if "graph" not in model:
        raise MalformedModel("the model has no graph")
    opsets = {entry.get("domain", ""): entry.get("version", 1) for entry in model.get("opset_import", [])}
    translation = _Translation(data, opsets.get("", opsets.get("ai.onnx", 1)))
    body = translation.body(model["graph"])
    renamed = description.get("rename-outputs", {})
    outputs = [entry.get("name", "") for entry in model["graph"].get("output", [])]
    return _SOURCE.format(
        file=file,
        tokens_truncate=description.get("tokens_truncate", 512),
        size=len(data),
        table=translation.table(),
        parameters=", ".join(translation.parameters),
        body=body or "    pass",
        outputs=", ".join(f"{renamed.get(name, name)!r}: {translation.value(name)}" for name in outputs),
    )


class _Translation:
    """One graph on its way to Python."""

    def __init__(self, data: bytes, opset: int) -> None:
        self._data = data
        self._opset = opset
        self._names: dict[str, str] = {"": "None"}
        self._tensors: dict[str, Message] = {}
        self._in_file: list[tuple[int, int, str, tuple[int, ...]]] = []
        self._count = 0
        self.parameters: list[str] = []

    def value(self, name: str) -> str:
        """The expression of a value.

        :raises MalformedModel: nothing before gives it.
        """
        if name not in self._names:
            if name not in self._tensors:
                raise MalformedModel(f"value {name!r} is used before something gives it")
            self._names[name] = self._tensor(self._tensors[name])
        return self._names[name]

    def table(self) -> str:
        """The tensors that are read from the file: place, size, element type, shape."""
        return "[\n" + "".join(f"    {entry!r},\n" for entry in self._in_file) + "]"

    def body(self, graph: Message) -> str:
        self._tensors = {tensor.get("name", ""): tensor for tensor in graph.get("initializer", [])}
        for entry in graph.get("input", []):
            name = entry.get("name", "")
            if name not in self._tensors:
                self._names[name] = self._parameter(name)
        nodes = graph.get("node", [])
        last_use = {name: number for number, node in enumerate(nodes) for name in node.get("input", [])}
        kept = {entry.get("name", "") for entry in graph.get("output", [])}
        lines = []
        for number, node in enumerate(nodes):
            lines.append(f"    {self._node(node)}")
            inputs = dict.fromkeys(node.get("input", []))
            done = [self._names[name] for name in inputs if last_use[name] == number and name not in kept]
            # Memory goes back as soon as nobody needs the value any more.
            if dropped := [name for name in done if re.fullmatch(r"v\d+", name)]:
                lines.append(f"    del {', '.join(dropped)}")
        return "\n".join(lines)

    def _parameter(self, name: str) -> str:
        text = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not text.isidentifier() or keyword.iskeyword(text) or re.fullmatch(r"v\d+|weights", text):
            text = f"_{text}"
        if text in self.parameters:
            raise MalformedModel(f"two inputs are called {text}")
        self.parameters.append(text)
        return text

    def _node(self, node: Message) -> str:
        operator = node.get("op_type", "")
        if operator not in OPERATORS or node.get("domain", "") not in ("", "ai.onnx"):
            raise Exception(f"op_type {operator} not supported")
        attributes = dict(self._attributes(operator, node))
        if operator == "Constant":
            expression = self._constant(attributes)
        else:
            inputs = [self._operand(operator, position, name) for position, name in enumerate(node.get("input", []))]
            expression = f"{operator}({', '.join(self._arguments(operator, inputs, attributes, node))})"
        outputs = node.get("output", [])
        targets = [f"v{self._count + number}" for number in range(len(outputs))]
        self._count += len(targets)
        # An output without a name is one that nobody asks for; as an input it means that there is none.
        self._names.update((name, target) for name, target in zip(outputs, targets, strict=True) if name)
        if not targets:
            raise MalformedModel(f"{operator} gives nothing")
        return f"{', '.join(targets)}{',' if operator == 'Split' else ''} = {expression}"

    def _operand(self, operator: str, position: int, name: str) -> str:
        value = self.value(name)
        # Of a large table only the rows that are needed are read.
        if operator == "Gather" and position == 0 and (found := re.fullmatch(r"weights\[(\d+)\]", value)):
            return f"weights.table({found[1]})"
        return value

    def _arguments(self, operator: str, inputs: list[str], attributes: dict[str, Any], node: Message) -> Iterator[str]:
        """Arguments of the function, in the form of the newest version of the operator."""
        if operator == "Cast":
            attributes.pop("saturate", None)
            element = self._element_type(attributes.pop("to", 0))
            inputs = [*inputs, repr("float32" if element in _WIDENED else element)]
        elif operator == "Softmax":
            attributes.setdefault("axis", 1 if self._opset < 13 else -1)
        elif operator == "Slice" and self._opset < 10:
            axes = attributes.pop("axes", None)
            inputs = [*inputs, repr(attributes.pop("starts", [])), repr(attributes.pop("ends", [])), repr(axes)]
        elif operator in ("Unsqueeze", "ReduceMean") and "axes" in attributes:
            inputs = [*inputs, repr(attributes.pop("axes"))]
        elif operator == "Split":
            if "split" in attributes:
                inputs = [*inputs, repr(attributes.pop("split"))]
            attributes["num_outputs"] = len(node.get("output", []))
        yield from inputs
        for name, value in attributes.items():
            yield f"{name}={_literal(value)}"

    def _attributes(self, operator: str, node: Message) -> Iterator[tuple[str, Any]]:
        for attribute in node.get("attribute", []):
            name = attribute.get("name", "")
            if name not in OPERATORS[operator]:
                raise Exception(f"op_type {operator} with the attribute {name} not supported")
            field = ATTRIBUTE_FIELDS.get(attribute.get("type", 0))
            if field is None:
                raise MalformedModel(f"the attribute {name} of {operator} has an unknown type")
            value = attribute.get(field, [] if field in ("floats", "ints") else 0)
            if field in ("s", "strings") or (field == "t" and name != "value"):
                raise MalformedModel(f"the attribute {name} of {operator} is no number")
            yield name, self._floats(value) if field == "floats" else value

    def _floats(self, spans: Iterable[Span]) -> list[float]:
        return [value for span in spans for (value,) in struct.iter_unpack("<f", self._bytes(span))]

    def _bytes(self, span: Span) -> bytes:
        return self._data[span.offset : span.offset + span.size]

    def _constant(self, attributes: Mapping[str, Any]) -> str:
        if len(attributes) != 1:
            raise MalformedModel("Constant needs exactly one value")
        ((name, value),) = attributes.items()
        if name == "value":
            if not isinstance(value, dict):
                raise MalformedModel("the value of Constant is no tensor")
            return self._tensor(value)
        kind, form = ("float32", "<f") if "float" in name else ("int64", "<q")
        values = value if isinstance(value, list) else [value]
        shape = (len(values),) if isinstance(value, list) else ()
        return _inline(kind, shape, b"".join(struct.pack(form, item) for item in values))

    def _element_type(self, number: int) -> str:
        name = DATA_TYPES.get(number, str(number))
        if name not in _ELEMENTS:
            raise MalformedModel(f"element type {name} not supported")
        return _ELEMENTS[name]

    def _tensor(self, tensor: Message) -> str:
        """The expression that gives a tensor of the model."""
        name = tensor.get("name", "")
        if tensor.get("data_location", 0) == EXTERNAL or "external_data" in tensor:
            raise MalformedModel(f"tensor {name!r} is in another file, which is not supported")
        kind = self._element_type(tensor.get("data_type", 0))
        shape = tuple(tensor.get("dims", ()))
        size = _ITEM_BYTES[kind]
        for length in shape:
            if length < 0:
                raise MalformedModel(f"tensor {name!r} has the shape {shape}")
            size *= length
        content = self._content(tensor, kind)
        found = content.size if isinstance(content, Span) else len(content)
        if found != size:
            raise MalformedModel(f"tensor {name!r} has {found} bytes, {size} are needed for its shape {shape}")
        if isinstance(content, Span) and size >= FILE_BYTES_MIN:
            self._in_file.append((*content, kind, shape))
            return f"weights[{len(self._in_file) - 1}]"
        return _inline(kind, shape, self._bytes(content) if isinstance(content, Span) else content)

    def _content(self, tensor: Message, kind: str) -> Span | bytes:
        if "raw_data" in tensor:
            raw: Span = tensor["raw_data"]
            return raw
        field, form = _LISTS[kind]
        values = tensor.get(field, [])
        if not form:
            return values[0] if len(values) == 1 else b"".join(map(self._bytes, values))
        try:
            return b"".join(struct.pack(form, value) for value in values)
        except struct.error as error:
            raise MalformedModel(f"tensor {tensor.get('name', '')!r} has a value out of range: {error}") from None


def _literal(value: Any) -> str:
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float({str(value)!r})"


def _inline(kind: str, shape: tuple[int, ...], content: bytes) -> str:
    return f"constant({kind!r}, {shape!r}, {content!r})"


def translate_folder(folder: Path) -> str:
    """The Python module for a folder with model.onnx and model.json."""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return source_of((folder / MODEL_FILE).read_bytes(), description)


def main() -> None:
    parser = argparse.ArgumentParser(description="Translates model.onnx beside a model.json to Python over numpy.")
    parser.add_argument("--model-json", type=Path, required=True)
    parser.add_argument("--output-py", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output_py.write_text(translate_folder(arguments.model_json.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
