"""The database of the generation of v0.1 (spec sdk/05 §5)."""

import typing

import dumps
import genlayer_embeddings as gle
import numpy as np

Pairs = gle.VecDB[np.float32, typing.Literal[2], str]


def vector(*numbers):
    return np.array(numbers, np.float32)


def pairs():
    stored = dumps.Stored(Pairs)
    stored.db.insert(vector(1, 2), "a")
    stored.db.insert(vector(3, 4), "b")
    return stored


def case_layout():
    stored = dumps.Stored(Pairs)
    assert stored.desc.size == 20
    assert stored.offsets() == {"_keys": 0, "_values": 4, "_free_idx": 8}


def case_dump():
    stored = pairs()
    assert stored.dump() == "0200000002000000"
    assert stored.indirect(0) == "0000803f000000400000404000008040"
    assert stored.indirect(4) == "0100000001000000"


def case_nearest():
    db = pairs().db
    db.insert(vector(-1, -2), "opposite")
    found = list(db.knn(vector(2, 4), 9))
    assert [element.value for element in found] == ["a", "b", "opposite"]
    assert [round(float(element.distance), 4) for element in found] == [0.0, 0.0161, 2.0]
    assert len(list(db.knn(vector(2, 4), 1))) == 1
    assert list(db.knn(vector(2, 4), 0)) == []


def case_removed():
    stored = pairs()
    stored.db.get_by_id(0).remove()
    assert stored.dump().startswith("0200000002000000" + "01000000" + "01000000")
    assert [element.id for element in stored.db] == [1]
    assert [element.id for element in stored.db.knn(vector(1, 2), 9)] == [1]
    assert dumps.raises(KeyError, lambda: stored.db.get_by_id(0)) == "'no element with id 0'"
    assert stored.db.get_by_id_or_none(7) is None
    assert stored.db.insert(vector(5, 6), "c") == 0
    assert (len(stored.db), stored.db.get_by_id(0).value) == (2, "c")


def case_shown():
    shown = "VecDB.Element(id=0, key=array([1., 2.], dtype=float32), value='a', distance=None)"
    assert repr(pairs().db.get_by_id(0)) == shown


def case_model_object():
    model = gle.Model("all-MiniLM-L6-v2", dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), np.int64))
    ids = [[101, 102]]
    inputs = {"input_ids": ids, "attention_mask": [[1, 1]], "token_type_ids": [[0, 0]]}
    outputs = model(inputs)
    assert outputs["embedding"].shape == (1, 384)
    (name, embedding), *others = model(inputs, ["embedding"]).items()
    assert (name, others) == ("embedding", [])
    assert (embedding == outputs["embedding"]).all()
