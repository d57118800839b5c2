"""TreeMap: AVL tree in a slab of nodes (spec sdk/02 §6). The bytes it leaves behind are part of a contract's state."""

__all__ = ("TreeMap", "TreeMapDesc")

import struct
import typing
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView

from ..types import Address
from ._internal.core import ROOT_SLOT_ID, InmemManager, Slot, TypeDesc, copy_with, join_actions, writes_of
from ._internal.desc_base_types import AddrDesc, IntDesc, StrDesc, number, u32_at
from ._internal.detach import detach
from .vec import DynArrayDesc

# In place: root (1-based number of a node, 0 for none), length of the slab, length of the free list.
_SLAB_LEN_OFF = 4
_FREE_LEN_OFF = 8
_MAP_SIZE = 12

# Behind key and value of a node: left, right (1-based, 0 for none), height(right) - height(left).
_LINKS = struct.Struct("<IIb")
_RIGHT_OFF = 4
_BALANCE_OFF = 8
# by balance; the last one is that of -1
_BALANCES = (b"\0", b"\1", b"\xff")

_LENGTHS = struct.Struct("<II")
_unpack_links, _unpack_lengths = _LINKS.unpack_from, _LENGTHS.unpack

# A node with a larger value is read in two requests, around the value.
_WHOLE_NODE_VALUE_MAX = 256

_NO_LINKS = bytes(_LINKS.size)
_MISSING = object()


# Links of one node, as read: a list, since an object with attributes costs as much as two requests. On the way to a key
# there stands whether that is less than the node's, in place of the node's.
type _Node = list[typing.Any]
_NO, _KEY, _LEFT, _RIGHT, _BALANCE = range(5)
_LESS = _KEY

# Kinds of keys that the interpreter of the sandbox searches for in C, numbered as there.
_UNSIGNED, _SIGNED, _ADDRESS, _TEXT = range(4)


def _kind(key: TypeDesc) -> int | None:
    if isinstance(key, IntDesc):
        return _SIGNED if key.signed else _UNSIGNED
    return _ADDRESS if isinstance(key, AddrDesc) else _TEXT if isinstance(key, StrDesc) else None


class _NodeDesc(TypeDesc):
    """Only the size and the copy actions of a node are needed."""

    __slots__ = ("at_once", "key_size", "links_off", "sizes")

    at_once: bool
    key_size: int
    links_off: int
    sizes: tuple[int, int, int, bool]

    def __init__(self, key: TypeDesc, value: TypeDesc) -> None:
        self.key_size = key.size
        self.links_off = key.size + value.size
        self.at_once = value.size <= _WHOLE_NODE_VALUE_MAX
        actions = join_actions((key.copy_actions, value.copy_actions, (_LINKS.size,)))
        TypeDesc.__init__(self, self.links_off + _LINKS.size, actions, (key, value))
        self.sizes = (self.size, self.key_size, self.links_off, self.at_once)

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        raise NotImplementedError

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        raise NotImplementedError


class TreeMap[K, V](MutableMapping[K, V]):
    """View of a sorted map. Keys need ``<`` only.

    ``TreeMap()`` and ``TreeMap[K, V]()`` are empty and in memory. What is put into one stays as it is until the map is
    assigned to a field, which gives the types and gets a copy; an empty one clears the field.
    """

    __slots__ = ("__orig_class__", "__type_desc__", "_off", "_slab", "_storage_slot")

    __type_desc__: "TreeMapDesc"
    _storage_slot: Slot
    _off: int
    _slab: Slot

    def __init__(self) -> None:
        _UntypedDesc().bind(self, InmemManager().get_store_slot(ROOT_SLOT_ID), 0)

    # -- nodes

    def _root(self) -> int:
        return u32_at(self._storage_slot, self._off)

    def _base(self, no: int) -> int:
        return (no - 1) * self.__type_desc__.node.size

    def _links(self, no: int) -> int:
        """Offset of the links of node ``no``."""
        node = self.__type_desc__.node
        return (no - 1) * node.size + node.links_off

    def _load(self, no: int) -> _Node:
        key, node = self.__type_desc__.key, self.__type_desc__.node
        slab, base, links_off = self._slab, (no - 1) * node.size, node.links_off
        if node.at_once:
            raw = slab.read(base, node.size)
            left, right, balance = _unpack_links(raw, links_off)
            raw = raw[: node.key_size]
        else:
            raw = slab.read(base, node.key_size)
            left, right, balance = _unpack_links(slab.read(base + links_off, _LINKS.size))
        return [no, key.from_place(raw, slab, base), left, right, balance]

    def _load_links(self, no: int) -> _Node:
        return [no, None, *_unpack_links(self._slab.read(self._links(no), _LINKS.size))]

    def _store_links(self, node: _Node) -> None:
        self._slab.write(self._links(node[_NO]), _LINKS.pack(*node[_LEFT:]))

    def _store_balance(self, node: _Node) -> None:
        self._slab.write(self._links(node[_NO]) + _BALANCE_OFF, _BALANCES[node[_BALANCE]])

    def _relink(self, parent: _Node | None, old: int, new: int) -> None:
        """Put node ``new`` (0 for none) where ``parent`` (None for the map itself) has ``old``."""
        raw = new.to_bytes(4, "little")
        if parent is None:
            self._storage_slot.write(self._off, raw)
            return
        links = self._links(parent[_NO])
        if parent[_LEFT] == old:
            parent[_LEFT] = new
            self._slab.write(links, raw)
        else:
            parent[_RIGHT] = new
            self._slab.write(links + _RIGHT_OFF, raw)

    def _free_list(self) -> Slot:
        return self._storage_slot.indirect(self._off + _FREE_LEN_OFF)

    def _lengths(self) -> tuple[int, int]:
        lengths: tuple[int, int] = _unpack_lengths(self._storage_slot.read(self._off + _SLAB_LEN_OFF, 8))
        return lengths

    def _allocate(self) -> int:
        """Number of a node to use, its old bytes not cleared."""
        slab_len, free_len = self._lengths()
        if free_len:
            index = u32_at(self._free_list(), (free_len - 1) * 4)
            self._storage_slot.write(self._off + _FREE_LEN_OFF, (free_len - 1).to_bytes(4, "little"))
            return index + 1
        self._storage_slot.write(self._off + _SLAB_LEN_OFF, (slab_len + 1).to_bytes(4, "little"))
        return slab_len + 1

    def _free(self, no: int) -> None:
        slab_len, free_len = self._lengths()
        if no == slab_len:
            self._storage_slot.write(self._off + _SLAB_LEN_OFF, (slab_len - 1).to_bytes(4, "little"))
        else:
            self._storage_slot.write(self._off + _FREE_LEN_OFF, (free_len + 1).to_bytes(4, "little"))
            self._free_list().write(free_len * 4, (no - 1).to_bytes(4, "little"))

    def _seek(self, key: typing.Any, path: list[_Node]) -> int:
        """Number of the node with ``key``, or 0. ``path`` gets the visited nodes, root first."""
        no = self._root()
        kind, slab = self.__type_desc__.kind, self._slab
        find = None if kind is None else getattr(slab, "find_node", None)
        if find is not None:
            sought = key if kind != _ADDRESS else key._as_bytes if type(key) is Address else None
            end: int | None = find(slab, no, sought, kind, self.__type_desc__.node.sizes, path)
            if end is not None:
                return end
        while no:
            node = self._load(no)
            path.append(node)
            found, node[_LESS] = node[_KEY], False
            if key < found:
                node[_LESS] = True
                no = node[_LEFT]
            elif found < key:
                no = node[_RIGHT]
            else:
                return no
        return 0

    def _rotate(self, top: _Node, cur: _Node) -> _Node:
        """Rotate ``cur``, the higher child, above ``top``; return the node that is the highest now."""
        left_heavy = top[_LEFT] == cur[_NO]
        if cur[_BALANCE] > 0 if left_heavy else cur[_BALANCE] < 0:
            best = self._load_links(cur[_RIGHT] if left_heavy else cur[_LEFT])
            low, high = (cur, top) if left_heavy else (top, cur)
            low[_RIGHT], high[_LEFT] = best[_LEFT], best[_RIGHT]
            best[_LEFT], best[_RIGHT] = low[_NO], high[_NO]
            low[_BALANCE] = -1 if best[_BALANCE] > 0 else 0
            high[_BALANCE] = 1 if best[_BALANCE] < 0 else 0
            best[_BALANCE] = 0
            self._store_links(best)
        else:
            if left_heavy:
                top[_LEFT], cur[_RIGHT] = cur[_RIGHT], top[_NO]
            else:
                top[_RIGHT], cur[_LEFT] = cur[_LEFT], top[_NO]
            # a balanced child occurs only when something was deleted
            tilt = 0 if cur[_BALANCE] else (-1 if left_heavy else 1)
            top[_BALANCE], cur[_BALANCE] = tilt, -tilt
            best = cur
        self._store_links(top)
        self._store_links(cur)
        return best

    def _insert(self, key: typing.Any, path: list[_Node]) -> int:
        """Allocate a node for a missing key and link it under the end of ``path``; write its key, return its number."""
        no = self._allocate()
        parent = path[-1] if path else None
        if parent is None:
            self._storage_slot.write(self._off, no.to_bytes(4, "little"))
        else:
            links = self._links(parent[_NO])
            if parent[_LESS]:
                parent[_LEFT] = no
                self._slab.write(links, no.to_bytes(4, "little"))
            else:
                parent[_RIGHT] = no
                self._slab.write(links + _RIGHT_OFF, no.to_bytes(4, "little"))
        self.__type_desc__.key.set(self._slab, self._base(no), key)
        return no

    def _inserted(self, no: int, path: list[_Node]) -> None:
        """Clear the links of the new node and restore the balance above it."""
        self._slab.write(self._links(no), _NO_LINKS)
        child = no
        for i in reversed(range(len(path))):
            node = path[i]
            balance = node[_BALANCE] + (-1 if node[_LEFT] == child else 1)
            if -1 <= balance <= 1:
                node[_BALANCE] = balance
                self._store_balance(node)
                if balance == 0:
                    return
                child = node[_NO]
            else:
                # the new node itself is never the child here: its parent had no other child
                best = self._rotate(node, path[i + 1])
                self._relink(path[i - 1] if i else None, node[_NO], best[_NO])
                return

    def _remove(self, no: int, path: list[_Node]) -> None:
        """Unlink the node at the end of ``path``."""
        self._free(no)
        node = path.pop()
        parent = path[-1] if path else None
        below = [*path, node][1:]
        from_left = [above[_LEFT] == next_[_NO] for above, next_ in zip(path, below, strict=True)]
        if node[_LEFT] and node[_RIGHT]:
            chain: list[_Node] = []
            successor = self._load_links(node[_RIGHT])
            while successor[_LEFT]:
                chain.append(successor)
                successor = self._load_links(successor[_LEFT])
            successor[_LEFT] = node[_LEFT]
            successor[_BALANCE] = node[_BALANCE]
            if chain:
                self._relink(chain[-1], successor[_NO], successor[_RIGHT])
                successor[_RIGHT] = node[_RIGHT]
            self._store_links(successor)
            self._relink(parent, no, successor[_NO])
            path += [successor, *chain]
            from_left += [False] + [True] * len(chain)
        else:
            child = node[_LEFT] or node[_RIGHT]
            self._relink(parent, no, child)
            if child:
                self._slab.write(self._links(child) + _BALANCE_OFF, b"\0")
        for i in reversed(range(len(path))):
            node = path[i]
            balance = node[_BALANCE] + (1 if from_left[i] else -1)
            if -1 <= balance <= 1:
                node[_BALANCE] = balance
                self._store_balance(node)
                if balance != 0:
                    return
                continue
            sibling = self._load_links(node[_LEFT] if balance < 0 else node[_RIGHT])
            was_balanced = sibling[_BALANCE] == 0
            best = self._rotate(node, sibling)
            self._relink(path[i - 1] if i else None, node[_NO], best[_NO])
            if was_balanced:
                return

    def _value(self, no: int) -> V:
        desc = self.__type_desc__
        value: V = desc.value.get(self._slab, self._base(no) + desc.node.key_size)
        return value

    def _walk(self) -> Iterator[_Node]:
        """Nodes in ascending order. After a write between two steps it continues behind the last key."""
        seen = writes_of(self._slab)
        stack: list[_Node] = []
        no = self._root()
        while True:
            while no:
                node = self._load(no)
                stack.append(node)
                no = node[_LEFT]
            if not stack:
                return
            last = stack.pop()
            yield last
            writes = writes_of(self._slab)
            if writes is not None and writes == seen:
                no = last[_RIGHT]
                continue
            seen = writes
            stack.clear()
            no = self._root()
            while no:
                node = self._load(no)
                if last[_KEY] < node[_KEY]:
                    stack.append(node)
                    no = node[_LEFT]
                else:
                    no = node[_RIGHT]

    # -- mapping

    def __len__(self) -> int:
        slab_len, free_len = self._lengths()
        return slab_len - free_len

    def __getitem__(self, key: K, /) -> V:
        no = self._seek(key, [])
        if not no:
            raise KeyError
        return self._value(no)

    def __setitem__(self, key: K, value: V, /) -> None:
        path: list[_Node] = []
        no = self._seek(key, path)
        new = not no
        if new:
            no = self._insert(key, path)
        desc = self.__type_desc__
        desc.value.set(self._slab, self._base(no) + desc.node.key_size, value)
        if new:
            self._inserted(no, path)

    def __delitem__(self, key: K, /) -> None:
        path: list[_Node] = []
        no = self._seek(key, path)
        if not no:
            raise KeyError("key not found")
        self._remove(no, path)

    def __contains__(self, key: object, /) -> bool:
        return self._seek(key, []) != 0

    def __iter__(self) -> Iterator[K]:
        for node in self._walk():
            yield node[_KEY]

    def items(self) -> "_Items[K, V]":
        return _Items(self)

    def values(self) -> "_Values[V]":
        return _Values(self)

    @typing.overload
    def pop(self, key: K) -> V: ...

    @typing.overload
    def pop[D](self, key: K, default: V | D) -> V | D: ...

    def pop(self, key: K, default: typing.Any = _MISSING) -> typing.Any:
        """Remove a key and return its value; a record or container is returned as a copy in memory."""
        path: list[_Node] = []
        no = self._seek(key, path)
        if not no:
            if default is _MISSING:
                raise KeyError
            return default
        value = detach(self._value(no))
        self._remove(no, path)
        return value

    def popitem(self) -> tuple[K, V]:
        """Remove the smallest key."""
        for key in self:
            return key, self.pop(key)
        raise KeyError

    def clear(self) -> None:
        self._storage_slot.write(self._off, bytes(_MAP_SIZE))

    def get_or_insert_default(self, key: K) -> V:
        """Value of ``key``; a missing key is inserted and its value not written, so that old bytes may show."""
        path: list[_Node] = []
        no = self._seek(key, path)
        if not no and isinstance(self.__type_desc__, _UntypedDesc):
            self[key] = self._default()
            no = self._seek(key, [])
        elif not no:
            no = self._insert(key, path)
            self._inserted(no, path)
        return self._value(no)

    def _default(self) -> V:
        """Value of an untyped map that nothing was written to; only ``TreeMap[K, V]()`` knows what that is."""
        alias = getattr(self, "__orig_class__", None)
        if alias is None:
            raise TypeError("the type of `TreeMap()` is not known until it is assigned; write `TreeMap[K, V]()`")
        from ._internal.generate import _storage_build

        desc = _storage_build(typing.get_args(alias)[1], {})
        assert isinstance(desc, TypeDesc)
        value: V = desc.get(InmemManager().get_store_slot(ROOT_SLOT_ID), 0)
        return value

    def compute_if_absent(self, key: K, supplier: Callable[[], V]) -> V:
        """Value of ``key``; a missing key is inserted with the value that ``supplier`` returns."""
        no = self._seek(key, [])
        if not no:
            self[key] = supplier()
            no = self._seek(key, [])
        return self._value(no)

    def __repr__(self) -> str:
        return f"{{{','.join(f'{key!r}:{value!r}' for key, value in self.items())}}}"


class _Items[K, V](ItemsView[K, V]):
    """Walks the tree once instead of searching for every key."""

    __slots__ = ()

    _mapping: TreeMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        for node in self._mapping._walk():
            yield node[_KEY], self._mapping._value(node[_NO])


class _Values[V](ValuesView[V]):
    __slots__ = ()

    _mapping: TreeMap[typing.Any, V]

    def __iter__(self) -> Iterator[V]:
        for node in self._mapping._walk():
            yield self._mapping._value(node[_NO])


class TreeMapDesc(TypeDesc):
    __slots__ = ("key", "kind", "node", "value")

    below = (_SLAB_LEN_OFF,)

    key: TypeDesc
    value: TypeDesc
    node: _NodeDesc
    kind: int | None

    def __init__(self, key: TypeDesc, value: TypeDesc) -> None:
        self.key = key
        self.value = value
        self.node = _NodeDesc(key, value)
        self.kind = _kind(key)
        slab, free = DynArrayDesc(self.node), DynArrayDesc(IntDesc(4, signed=False))
        TypeDesc.__init__(self, _MAP_SIZE, [4, slab, free], (key, value))

    def bind(self, view: TreeMap[typing.Any, typing.Any], slot: Slot, off: int) -> None:
        """Make ``view`` show the map at (slot, off)."""
        view.__type_desc__ = self
        view._storage_slot = slot
        view._off = off
        view._slab = slot.indirect(off + _SLAB_LEN_OFF)

    def get(self, slot: Slot, off: int, /) -> TreeMap[typing.Any, typing.Any]:
        view: TreeMap[typing.Any, typing.Any] = object.__new__(TreeMap)
        self.bind(view, slot, off)
        return view

    def set(self, slot: Slot, off: int, val: TreeMap[typing.Any, typing.Any], /) -> None:
        desc: TypeDesc | None = getattr(val, "__type_desc__", None)
        if isinstance(desc, _UntypedDesc):
            if not val:
                self.get(slot, off).clear()
                return
            val = self._typed(val)
        elif desc != self:
            raise AssertionError(f"Is right the same storage type? `TreeMap` <- `{type(val).__name__}`")
        if val._storage_slot != slot or val._off != off:
            copy_with(self.copy_actions, val._storage_slot, val._off, slot, off)

    def _typed(self, untyped: TreeMap[typing.Any, typing.Any]) -> TreeMap[typing.Any, typing.Any]:
        """Map of this type in memory with the nodes of ``untyped``, so that it has the bytes of the same insertions."""
        typed = self.get(InmemManager().get_store_slot(ROOT_SLOT_ID), 0)
        typed._storage_slot.write(0, untyped._storage_slot.read(0, _MAP_SIZE))
        slab_len, free_len = untyped._lengths()
        typed._free_list().write(0, untyped._free_list().read(0, free_len * 4))
        for no in range(1, slab_len + 1):
            node = untyped._load(no)
            self.key.set(typed._slab, typed._base(no), node[_KEY])
            self.value.set(typed._slab, typed._base(no) + self.node.key_size, untyped._value(no))
            typed._store_links(node)
        return typed


class _ObjectDesc(TypeDesc):
    """Any value, kept as an object; in place is its number."""

    __slots__ = ("_objects",)

    _objects: list[typing.Any]

    def __init__(self) -> None:
        TypeDesc.__init__(self, 4, [self])
        self._objects = [None]  # number 0 is for what was never written

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        return self._objects[u32_at(slot, off)]

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> typing.Any:
        return self._objects[number(raw, False)]

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        kept = _copied(val)
        number = u32_at(slot, off)
        if number:
            self._objects[number] = kept
        else:
            slot.write(off, len(self._objects).to_bytes(4, "little"))
            self._objects.append(kept)

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        self.set(to, to_off, self.get(frm, frm_off))
        return self.size


def _copied(value: typing.Any) -> typing.Any:
    """Assignment is by value: lists and views are copied."""
    return [_copied(item) for item in value] if isinstance(value, list) else detach(value)


class _UntypedDesc(TreeMapDesc):
    """Of a map that was not assigned yet."""

    __slots__ = ()

    def __init__(self) -> None:
        TreeMapDesc.__init__(self, _ObjectDesc(), _ObjectDesc())
