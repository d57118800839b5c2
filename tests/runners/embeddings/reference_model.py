"""BERT written down once more, with 64-bit floats, over the released weights: a second opinion on our graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np  # type: ignore[import-not-found, unused-ignore]

LAYERS, HEADS = 6, 12

_erf = np.vectorize(math.erf)


class ReferenceModel:
    """Computes the pooler's output for one sentence, all of whose tokens count."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self._weights = {
            name: np.frombuffer(tensor.data, "<f4").reshape(tensor.shape).astype(np.float64)
            for name, tensor in weights.items()
            if tensor.dtype == "F32"
        }

    def __call__(self, tokens: list[int]) -> Any:
        table = "embeddings.{}_embeddings.weight"
        x = self._weights[table.format("word")][tokens]
        x = x + self._weights[table.format("position")][: len(tokens)]
        x = x + self._weights[table.format("token_type")][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}")
        return np.tanh(self._dense(x[0], "pooler.dense"))

    def _layer(self, x: Any, name: str) -> Any:
        query, key, value = (
            self._dense(x, f"{name}.attention.self.{part}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1]))
        mixed = scores / scores.sum(-1, keepdims=True) @ value
        mixed = self._dense(mixed.transpose(1, 0, 2).reshape(x.shape), f"{name}.attention.output.dense")
        x = self._norm(x + mixed, f"{name}.attention.output.LayerNorm")
        inner = self._dense(x, f"{name}.intermediate.dense")
        inner = inner * (1 + _erf(inner / math.sqrt(2))) / 2
        return self._norm(x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _dense(self, x: Any, name: str) -> Any:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
