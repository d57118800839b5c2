"""The database of the current generation (spec sdk/05 §4)."""

import typing

import dumps
import genlayer_embeddings as gle
import numpy as np
from genlayer.py.storage import allow_storage
from genlayer.py.types import u32

EMPTY = "00" * 12
BASE = "cdccccccccccf43f"
KEYS = "372d46c3ada9f897c74d349bbfe0e450c798167c9f580f8daf85def57e96c3ea"
VALUES = "27a15e7450d9f04e9c3d8d2d856a8e9c78dfa0081ea2c128fdc93ce2df35ebd6"
NODES = "1507255f93a0efdefa01a98b80bd8628230fb580293e2919470d11660bb23037"
CHILDREN_OF_FIRST = "f248bb1e2cc7891b787bd767d28b6c161f88d0b0cc8728d5b8ae1bc5b38e3162"

Pairs = gle.VecDB[np.float32, typing.Literal[2], str, gle.EuclideanDistanceSquared]


def vector(*numbers):
    return np.array(numbers, np.float32)


def pairs():
    stored = dumps.Stored(Pairs)
    stored.db.insert(vector(1, 2), "a")
    stored.db.insert(vector(3, 4), "b")
    return stored


def node(element, children, parent):
    return b"".join(number.to_bytes(4, "little") for number in (element, 0, children, parent)).hex()


def case_layout():
    stored = dumps.Stored(Pairs)
    assert stored.desc.size == 53
    assert stored.offsets() == {
        "_keys": 0,
        "_values": 4,
        "_free_idx": 8,
        "_nodes": 20,
        "_free_nodes": 24,
        "_root_idx": 36,
        "_base": 40,
        "_max_level": 48,
        "_dist_func": 52,
        "_initialized": 52,
    }


def case_dump():
    stored = pairs()
    assert stored.dump() == f"0200000002000000{EMPTY}02000000{EMPTY}00000000{BASE}0000000001"
    assert stored.dump(KEYS) == "0000803f000000400000404000008040"
    assert stored.dump(VALUES) == "0100000001000000"
    assert stored.dump(NODES) == node(0, 1, 0xFFFF_FFFF) + node(1, 0, 0)
    assert stored.dump(CHILDREN_OF_FIRST) == "01000000"


def case_nearest():
    db = dumps.Stored(gle.VecDB[np.float32, typing.Literal[5], str, gle.EuclideanDistanceSquared]).db
    assert db.insert(vector(1, 2, 3, 4, 5), "123") == 0
    assert db.insert(vector(5, 4, 3, 2, 1), "321") == 1
    nearest, second = db.knn(vector(0, 1, 1, 1, 2), 2)
    shown = "VecDB.Element(id=0, key=array([1., 2., 3., 4., 5.], dtype=float32), value='123', distance=24.0)"
    assert repr(nearest) == shown, repr(nearest)
    assert (second.id, second.value, float(second.distance)) == (1, "321", 40.0)
    assert repr(db.get_by_id(1)).endswith("value='321', distance=None)")


def case_ties_and_limits():
    db = dumps.Stored(Pairs).db
    for text in "abcd":
        db.insert(vector(1, 1), text)
    assert [element.value for element in db.knn(vector(0, 0), 9)] == ["a", "d", "c", "b"]
    assert [element.value for element in db.knn(vector(0, 0), 2)] == ["a", "d"]
    assert list(db.knn(vector(0, 0), 0)) == list(db.knn(vector(0, 0), -1)) == []
    db.insert(vector(np.nan, 1), "nan")
    db.insert(vector(np.inf, 1), "inf")
    assert len(list(db.knn(vector(0, 0), 9))) == 4
    assert len(db) == 6


def case_never_used():
    stored = dumps.Stored(Pairs)
    assert (len(stored.db), list(stored.db), list(stored.db.knn(vector(1, 2), 3))) == (0, [], [])
    assert stored.db.get_by_id_or_none(0) is None
    assert stored.dump() == "", "reading writes nothing"


def case_elements():
    db = pairs().db
    assert [(element.id, element.value, element.distance) for element in db] == [(0, "a", None), (1, "b", None)]
    first = db.get_by_id(0)
    first.value = "new"
    assert db.get_by_id(0).value == "new"
    assert first.key.tolist() == [1, 2]
    assert isinstance(first, gle.VecDB.Element)
    assert isinstance(first, gle.VecDBElement)
    assert gle.VecDB.Id is int
    first.remove()
    assert dumps.raises(KeyError, lambda: db.get_by_id(0)) == "'no element with id 0'"
    for index in (0, 2, -1, 2**40):
        assert db.get_by_id_or_none(index) is None
    assert [element.id for element in db] == [1]
    dumps.raises(KeyError, first.remove)


def case_wrong_keys():
    stored = dumps.Stored(Pairs)
    for key in (np.array([1, 2], np.float64), vector(1, 2, 3), vector(1, 2).reshape(1, 2)):
        dumps.raises(AssertionError, lambda key=key: stored.db.insert(key, "x"))
    assert len(stored.db) == 0


def case_remove_child():
    stored = pairs()
    stored.db.insert(vector(5, 6), "c")
    stored.db.get_by_id(1).remove()
    assert stored.dump(NODES)[: 3 * 32] == node(0, 1, 0xFFFF_FFFF) + node(1, 0, 0) + node(2, 0, 0)
    assert stored.dump(CHILDREN_OF_FIRST) == "0200000002000000"
    assert [list(stored.db._free_nodes), list(stored.db._free_idx)] == [[1], [1]]
    assert stored.db.insert(vector(7, 8), "d") == 1
    assert stored.dump(NODES)[: 3 * 32] == node(0, 2, 0xFFFF_FFFF) + node(1, 0, 0) + node(2, 0, 0)
    assert stored.dump(CHILDREN_OF_FIRST) == "0200000001000000"
    assert stored.dump(KEYS)[16:32] == "0000e04000000041"


def case_remove_root():
    stored = pairs()
    stored.db.insert(vector(5, 6), "c")
    stored.db.get_by_id(0).remove()
    assert stored.db._root_idx == 1
    assert stored.dump(NODES)[: 3 * 32] == node(0, 2, 0xFFFF_FFFF) + node(1, 1, 0xFFFF_FFFF) + node(2, 0, 1)
    assert [element.value for element in stored.db.knn(vector(5, 6), 9)] == ["c", "b"]
    # The node that was the root gets an element again, without the children it had.
    assert stored.db.insert(vector(0, 0), "d") == 0
    assert [element.value for element in stored.db.knn(vector(0, 0), 9)] == ["d", "b", "c"]
    for element in list(stored.db):
        element.remove()
    assert stored.db._root_idx == 0xFFFF_FFFF
    assert (len(stored.db), list(stored.db.knn(vector(0, 0), 9))) == (0, [])
    assert stored.db.insert(vector(1, 1), "again") == 0
    assert [element.value for element in stored.db.knn(vector(0, 0), 9)] == ["again"]


@allow_storage
class Weighted:
    factor: u32

    def __call__(self, left, right):
        return float(np.abs(left - right).sum()) * self.factor


def case_own_distance():
    stored = dumps.Stored(gle.VecDB[np.float32, typing.Literal[2], str, Weighted])
    assert stored.desc.size == 57
    stored.db._dist_func.factor = u32(3)
    stored.db.insert(vector(1, 2), "a")
    assert [element.distance for element in stored.db.knn(vector(0, 0), 1)] == [9.0]


def case_distance_in_rows():
    distance = gle.EuclideanDistanceSquared()
    left, right = np.arange(12, dtype=np.float32).reshape(3, 4), vector(1, 1, 1, 1)
    assert distance.batch(left, right).tolist() == [float(distance(row, right)) for row in left]


def case_random_operations():
    """Against a dictionary."""
    seed = 1
    stored = dumps.Stored(Pairs)
    kept = {}
    for step in range(200):
        seed = seed * 1103515245 + 12345 & 0x7FFF_FFFF
        if kept and seed % 3 == 0:
            index = sorted(kept)[seed // 3 % len(kept)]
            stored.db.get_by_id(index).remove()
            del kept[index]
        else:
            index = stored.db.insert(vector(step, seed % 7), str(step))
            assert index == min(set(range(len(kept) + 1)) - set(kept))
            kept[index] = str(step)
        assert len(stored.db) == len(kept)
        found = {element.id: element.value for element in stored.db.knn(vector(0, 0), 1000)}
        assert found == {element.id: element.value for element in stored.db} == kept
