"""The database of the current generation: vectors in a cover tree (spec sdk/05 §4).

Levels never rise above 0, so the tree is a star: the first node, and all others as its children. The state of
contracts in the field has that shape.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from genlayer.py.storage import DynArray, TreeMap, allow_storage
from genlayer.py.types import u32

from .distance import Vector
from .elements import Elements, VecDBElement, take_smallest

NOTHING = u32(0xFFFF_FFFF)
BASE = 1.3


@allow_storage
class CoverTreeNode:
    element_id: u32
    level: u32
    children: DynArray[u32]
    parent: u32


@allow_storage
class VecDB[T, S, V, D](Elements[T, S, V]):
    """Field type for a contract: ``VecDB[np.float32, typing.Literal[384], Value, EuclideanDistanceSquared]``."""

    _nodes: DynArray[CoverTreeNode]
    _free_nodes: TreeMap[u32, None]
    _root_idx: u32
    _base: float
    _max_level: u32
    _dist_func: D
    _initialized: bool

    Id = int
    Element = VecDBElement

    def insert(self, key: Vector, val: V) -> int:
        """Adds an element; its id."""
        if not self._initialized:
            self._root_idx = NOTHING
            self._base = BASE
            self._max_level = u32(0)
            self._initialized = True
        index = self._place(key, val)
        root = self._root_idx
        number = self._new_node(index, root)
        if root == NOTHING:
            self._root_idx = number
        else:
            self._nodes[root].children.append(number)
        return index

    def knn(self, v: Vector, k: int) -> Iterator[VecDBElement]:
        """The `k` nearest elements, the nearest first; those without a finite distance are left out."""
        if k <= 0:
            return
        found = []
        for number in self._numbers():
            index = self._nodes[number].element_id
            distance = self._dist_func(self._keys[index], v)  # type: ignore[operator]
            if np.isfinite(distance):
                found.append(VecDBElement(self, int(index), distance))
        found.sort(key=lambda element: element.distance)
        yield from found[:k]

    def _numbers(self) -> Iterator[u32]:
        """Of all nodes: the root, then children from the last to the first."""
        waiting = [self._root_idx] if self._initialized and self._root_idx != NOTHING else []
        while waiting:
            number = waiting.pop()
            yield number
            waiting += self._nodes[number].children

    def _new_node(self, index: int, parent: u32) -> u32:
        free = take_smallest(self._free_nodes)
        if free is None:
            node = self._nodes.append_new_get()
            number = len(self._nodes) - 1
        else:
            node, number = self._nodes[free], free
            if node.children:
                node.children.clear()
        node.element_id = u32(index)
        node.level = u32(0)
        node.parent = parent
        return u32(number)

    def _remove(self, index: int) -> None:
        number = next((number for number in self._numbers() if self._nodes[number].element_id == index), None)
        if number is None:
            raise KeyError(f"no element with id {index}")
        node = self._nodes[number]
        if node.parent == NOTHING:
            self._replace_root(list(node.children))
        else:
            siblings = self._nodes[node.parent].children
            siblings.remove(number)
            self._adopt(node.parent, list(node.children))
        self._free_nodes[number] = None
        super()._remove(index)

    def _replace_root(self, children: list[u32]) -> None:
        """The child with the highest level takes the root's place, the first of several."""
        if not children:
            self._root_idx = NOTHING
            self._max_level = u32(0)
            return
        root = max(children, key=lambda number: self._nodes[number].level)
        self._root_idx = root
        self._nodes[root].parent = NOTHING
        self._adopt(root, [number for number in children if number != root])

    def _adopt(self, parent: u32, children: list[u32]) -> None:
        for number in children:
            self._nodes[number].parent = parent
            self._nodes[parent].children.append(number)
