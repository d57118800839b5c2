"""The model all-MiniLM-L6-v2 as an ONNX graph over its released weights (spec sdk/05 §2 "Model").

BERT with six layers. Outputs: `last_hidden_state`, and `924`, a dense layer with tanh over the first token. The order
of operations is that of an export by PyTorch; it decides the last bits of results (docs/floats.md). The weights are the
released bytes: matrices that are needed transposed are transposed by the graph, which for numpy is another view.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pygenvm.runners.errors import BuildError
from pygenvm.runners.models.onnx_encoding import encode
from pygenvm.runners.models.safetensors import Tensor

FOLDER = Path(__file__).parent

LAYERS, HEADS, HEAD_SIZE = 6, 12, 32
TOKENS_MAX = 512
EPSILON = 1e-12
#: What is added to the scores of tokens that the mask leaves out.
MASKED = -10000.0

NAME = "all-MiniLM-L6-v2"
MODEL_JSON = json.dumps(
    {
        "name": NAME,
        "rename-outputs": {"last-hidden-state": "unpooled", "924": "embedding"},
        "tokens_truncate": TOKENS_MAX,
    }
)

_FLOAT, _INT64 = 1, 7
_ELEMENTS = {"F32": _FLOAT, "I64": _INT64}
_OPSET, _IR_VERSION = 11, 6
_INT, _INTS = 2, 7
_BATCH, _SEQUENCE = "batch", "sequence"


def model(weights: Mapping[str, Tensor]) -> bytes:
    """The bytes of model.onnx.

    :raises BuildError: the weights are those of another model.
    """
    graph = _Graph(weights)
    try:
        hidden = _encoder(graph)
    except KeyError as error:
        raise BuildError(f"the weights of {NAME} have no {error}") from error
    pooled = _pooler(graph, hidden)
    fields = {
        "name": NAME,
        "node": graph.nodes,
        "initializer": graph.initializers,
        "input": [
            _value_info(name, _INT64, _BATCH, _SEQUENCE) for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        "output": [
            _value_info(hidden, _FLOAT, _BATCH, _SEQUENCE, HEADS * HEAD_SIZE),
            _value_info(pooled, _FLOAT, _BATCH, HEADS * HEAD_SIZE),
        ],
    }
    return encode(
        "ModelProto",
        {"ir_version": _IR_VERSION, "producer_name": "pygenvm", "graph": fields, "opset_import": [{"version": _OPSET}]},
    )


class _Graph:
    """Nodes and tensors; each method adds one and gives the name of its value."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._names: set[str] = set()
        self.nodes: list[dict[str, Any]] = []
        self.initializers: list[dict[str, Any]] = []

    def node(self, operator: str, *inputs: str, named: str = "", **attributes: int | list[int]) -> str:
        output = named or f"{operator}_{len(self.nodes)}"
        described = [
            {"name": name, "type": _INTS, "ints": value}
            if isinstance(value, list)
            else {"name": name, "type": _INT, "i": value}
            for name, value in sorted(attributes.items())
        ]
        self.nodes.append({"op_type": operator, "input": list(inputs), "output": [output], "attribute": described})
        return output

    def weight(self, name: str) -> str:
        tensor = self._weights[name]
        return self._tensor(name, _ELEMENTS[tensor.dtype], list(tensor.shape), tensor.data)

    def number(self, value: float) -> str:
        return self._tensor(f"number {value!r}", _FLOAT, [], struct.pack("<f", value))

    def integers(self, *values: int) -> str:
        return self._tensor(f"integers {values}", _INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))

    def integer(self, value: int) -> str:
        return self._tensor(f"integer {value}", _INT64, [], struct.pack("<q", value))

    def _tensor(self, name: str, element: int, shape: list[int], data: bytes | memoryview) -> str:
        if name not in self._names:
            self._names.add(name)
            self.initializers.append({"dims": shape, "data_type": element, "name": name, "raw_data": data})
        return name


def _encoder(graph: _Graph) -> str:
    hidden = _embeddings(graph)
    mask = graph.node("Unsqueeze", graph.node("Unsqueeze", "attention_mask", axes=[1]), axes=[2])
    kept = graph.node("Sub", graph.number(1.0), graph.node("Cast", mask, to=_FLOAT))
    mask = graph.node("Mul", kept, graph.number(MASKED))
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        last = number == LAYERS - 1
        attended = graph.node("Add", _attention(graph, hidden, mask, f"{layer}.attention"), hidden)
        attended = _layer_norm(graph, attended, f"{layer}.attention.output.LayerNorm")
        inner = _gelu(graph, _dense(graph, attended, f"{layer}.intermediate.dense"))
        hidden = graph.node("Add", _dense(graph, inner, f"{layer}.output.dense"), attended)
        hidden = _layer_norm(graph, hidden, f"{layer}.output.LayerNorm", "last_hidden_state" if last else "")
    return hidden


def _embeddings(graph: _Graph) -> str:
    """Of word, type and position, added in this order."""
    length = graph.node("Gather", graph.node("Shape", "input_ids"), graph.integer(1), axis=0)
    length = graph.node("Unsqueeze", length, axes=[0])
    position_ids = graph.weight("embeddings.position_ids")
    positions = graph.node("Slice", position_ids, graph.integers(0), length, graph.integers(1), graph.integers(1))
    words = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    types = graph.node("Gather", graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
    places = graph.node("Gather", graph.weight("embeddings.position_embeddings.weight"), positions)
    total = graph.node("Add", graph.node("Add", words, types), places)
    return _layer_norm(graph, total, "embeddings.LayerNorm")


def _attention(graph: _Graph, hidden: str, mask: str, name: str) -> str:
    query = _heads(graph, _dense(graph, hidden, f"{name}.self.query"), [0, 2, 1, 3])
    key = _heads(graph, _dense(graph, hidden, f"{name}.self.key"), [0, 2, 3, 1])
    value = _heads(graph, _dense(graph, hidden, f"{name}.self.value"), [0, 2, 1, 3])
    scores = graph.node("Div", graph.node("MatMul", query, key), graph.number(math.sqrt(HEAD_SIZE)))
    shares = graph.node("Softmax", graph.node("Add", scores, mask), axis=3)
    mixed = graph.node("Transpose", graph.node("MatMul", shares, value), perm=[0, 2, 1, 3])
    mixed = graph.node("Reshape", mixed, graph.integers(0, 0, HEADS * HEAD_SIZE))
    return _dense(graph, mixed, f"{name}.output.dense")


def _heads(graph: _Graph, value: str, order: list[int]) -> str:
    return graph.node("Transpose", graph.node("Reshape", value, graph.integers(0, 0, HEADS, HEAD_SIZE)), perm=order)


def _dense(graph: _Graph, value: str, name: str) -> str:
    matrix = graph.node("Transpose", graph.weight(f"{name}.weight"), perm=[1, 0])
    return graph.node("Add", graph.weight(f"{name}.bias"), graph.node("MatMul", value, matrix))


def _layer_norm(graph: _Graph, value: str, name: str, named: str = "") -> str:
    distance = graph.node("Sub", value, graph.node("ReduceMean", value, axes=[-1]))
    variance = graph.node("ReduceMean", graph.node("Pow", distance, graph.number(2.0)), axes=[-1])
    deviation = graph.node("Sqrt", graph.node("Add", variance, graph.number(EPSILON)))
    scaled = graph.node("Mul", graph.node("Div", distance, deviation), graph.weight(f"{name}.weight"))
    return graph.node("Add", scaled, graph.weight(f"{name}.bias"), named=named)


def _gelu(graph: _Graph, value: str) -> str:
    error = graph.node("Erf", graph.node("Div", value, graph.number(math.sqrt(2.0))))
    return graph.node("Mul", graph.node("Mul", value, graph.node("Add", error, graph.number(1.0))), graph.number(0.5))


def _pooler(graph: _Graph, hidden: str) -> str:
    first = graph.node("Gather", hidden, graph.integer(0), axis=1)
    dense = graph.node("Gemm", first, graph.weight("pooler.dense.weight"), graph.weight("pooler.dense.bias"), transB=1)
    return graph.node("Tanh", dense, named="924")


def _value_info(name: str, element: int, *shape: str | int) -> dict[str, Any]:
    dims = [{"dim_param": length} if isinstance(length, str) else {"dim_value": length} for length in shape]
    return {"name": name, "type": {"tensor_type": {"elem_type": element, "shape": {"dim": dims}}}}
