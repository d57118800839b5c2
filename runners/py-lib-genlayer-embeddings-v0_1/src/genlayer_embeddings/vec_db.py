"""The database of the generation of v0.1: a list of vectors, compared by the angle between them (spec sdk/05 §5)."""

from collections.abc import Iterator

import numpy as np
from genlayer.py.storage import allow_storage

from .distance import Vector
from .elements import Elements, VecDBElement


@allow_storage
class VecDB[T, S, V](Elements[T, S, V]):
    """Field type for a contract: ``VecDB[np.float32, typing.Literal[384], Value]``."""

    Id = int
    Element = VecDBElement

    def insert(self, key: Vector, val: V) -> int:
        """Adds an element; its id."""
        return self._place(key, val)

    def knn(self, v: Vector, k: int) -> Iterator[VecDBElement]:
        """The `k` nearest elements, the nearest first; the distance is 1 minus the cosine of the angle."""
        length = np.linalg.norm(v)
        found = []
        for index in self._live() if k > 0 else ():
            key = self._keys[index]
            distance = 1 - np.dot(key, v) / (np.linalg.norm(key) * length)
            found.append(VecDBElement(self, index, distance))
        found.sort(key=lambda element: element.distance)
        yield from found[:k]
