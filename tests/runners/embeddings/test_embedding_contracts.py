"""Contracts with databases of vectors and with models, as published ones are written (spec sdk/05)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.runners.models.onnx_encoding import encode
from tests.runners.embeddings.embedding_runs import CURRENT, OLD, PY_GENLAYER_MULTI, call, contract, result_of, value_of
from tests.support.archives import contract_zip
from tests.support.hosts import InMemoryHost

pytestmark = pytest.mark.usefixtures("every_runner")

_NOTES = """
import genlayer_embeddings as gle
import typing


@allow_storage
class Note:
    text: str


class Notes(gl.Contract):
    db: gle.VecDB[{arguments}]

    def __init__(self):
        pass

    @gl.public.write
    def put(self, x: int, y: int, text: str) -> int:
        note = gl.storage.inmem_allocate(Note)
        note.text = text
        return self.db.insert(np.array([x, y], np.float32), note)

    @gl.public.write
    def drop(self, index: int):
        self.db.get_by_id(index).remove()

    @gl.public.view
    def near(self, x: int, y: int, count: int) -> typing.Any:
        found = self.db.knn(np.array([x, y], np.float32), count)
        return [[element.id, element.value.text, str(round(float(element.distance), 3))] for element in found]

    @gl.public.view
    def count(self) -> int:
        return len(self.db)
"""
_FOUR = "np.float32, typing.Literal[2], Note, gle.EuclideanDistanceSquared"
_THREE = "np.float32, typing.Literal[2], Note"


def deployed(arguments: str, library: str) -> InMemoryHost:
    host = InMemoryHost()
    host.put_code(contract(_NOTES.format(arguments=arguments), library))
    outcome = call(host, "", is_init=True)
    assert isinstance(outcome, Return), outcome
    return host


def slot(host: InMemoryHost, name: str) -> str:
    return bytes(host.slot(bytes.fromhex(name))).hex()


_DATA = "372d46c3ada9f897c74d349bbfe0e450c798167c9f580f8daf85def57e96c3ea"


@pytest.mark.parametrize(
    ("arguments", "library", "head", "distances"),
    [
        (
            *(_FOUR, CURRENT),
            "02000000 02000000 000000000000000000000000 02000000 000000000000000000000000 00000000 cdccccccccccf43f"
            "00000000 01",
            ["0.0", "8.0"],
        ),
        (_THREE, OLD, "02000000 02000000", ["0.0", "0.016"]),
    ],
    ids=["current", "old"],
)
def test_database_in_storage(arguments: str, library: str, head: str, distances: list[str]) -> None:
    host = deployed(arguments, library)
    assert value_of(host, "near", 1, 2, 3) == [], "reading one that was never used writes nothing"
    assert [value_of(host, "put", 1, 2, "a"), value_of(host, "put", 3, 4, "b")] == [0, 1]
    assert slot(host, _DATA).startswith(bytes.fromhex(head).hex())
    assert value_of(host, "near", 1, 2, 3) == [[0, "a", distances[0]], [1, "b", distances[1]]]
    value_of(host, "drop", 0)
    assert value_of(host, "count") == 1
    assert value_of(host, "put", 1, 1, "c") == 0
    assert sorted(text for _, text, _ in value_of(host, "near", 1, 2, 3)) == ["b", "c"]


_SUM = """
def main():
    import genlayer_embeddings as gle

    return str(gle.SentenceTransformer("all-MiniLM-L6-v2")("what is genlayer?").sum())
"""


@pytest.mark.parametrize("library", [CURRENT, OLD], ids=["current", "old"])
@pytest.mark.parametrize("nondet", [False, True], ids=["det", "nondet"])
def test_published_number(library: str, nondet: bool) -> None:
    assert result_of(_SUM, library, nondet=nondet) == "-1.9871297"


# --- models of authors --------------------------------------------------------------------------------

_FLOAT, _TENSOR_ATTRIBUTE = 1, 4


def a_model(operator: str, weight: bytes = struct.pack("<2f", 0.5, 2.0)) -> bytes:
    """y = operator(x, weight)"""
    graph = {
        "node": [{"op_type": operator, "input": ["x", "w"], "output": ["y"]}],
        "initializer": [{"dims": [2], "data_type": _FLOAT, "name": "w", "raw_data": weight}],
        "input": [{"name": "x"}],
        "output": [{"name": "y"}],
    }
    return encode("ModelProto", {"ir_version": 6, "graph": graph, "opset_import": [{"version": 13}]})


_OWN_MODEL = b"""\
import numpy as np
from genlayer import *
import genlayer_embeddings as gle


class Own(gl.Contract):
    @gl.public.view
    def run(self):
        model = gle.get_model("halves", {"x": np.float32})
        return [str(number) for number in model(x=[3, 4])["doubled"]]
"""


def with_model(model: bytes) -> InMemoryHost:
    """A contract archive that brings a model."""
    folder = "/models/halves"
    variable = "GENLAYER_EMBEDDINGS_MODELS"
    actions = {
        "Seq": [
            {"Depends": CURRENT},
            {"MapFile": {"file": "model/", "to": folder}},
            {"AddEnv": {"name": variable, "val": f"{folder}:${{{variable}}}"}},
            {"Depends": PY_GENLAYER_MULTI},
        ]
    }
    description = b'{"name": "halves", "rename-outputs": {"y": "doubled"}}'
    files = {"contract/__init__.py": _OWN_MODEL, "model/model.onnx": model, "model/model.json": description}
    host = InMemoryHost()
    host.put_code(contract_zip(actions, files, "v0.2.16"))
    return host


def outcome_of(model: bytes) -> Any:
    outcome = call(with_model(model), "run")
    return calldata.decode(outcome.calldata) if isinstance(outcome, Return) else outcome


def test_model_of_an_author(capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(a_model("Mul")) == ["1.5", "8.0"]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (a_model("Loop"), "Exception: op_type Loop not supported"),
        (a_model("Mul")[:-30], "MalformedModel: ModelProto is truncated"),
        (a_model("Mul", bytes(7)), "tensor 'w' has 7 bytes, 8 are needed for its shape (2,)"),
        (b"", "MalformedModel: the model has no graph"),
    ],
    ids=["unknown operator", "truncated", "short tensor", "empty"],
)
def test_wrong_models(model: bytes, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(model) == VMError("exit_code 1")
    assert says in capsys.readouterr().out


def test_nan_in_a_model() -> None:
    nan = bytes.fromhex("0100a07f 000080ff")
    assert outcome_of(a_model("Mul", nan)) == ["nan", "-inf"]
