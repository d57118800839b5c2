"""Linear memories of guests: the engine has them from here, and gives them back with the store.

Memory is dear the first time that somebody touches it: each page is a fault, which takes longer than a short call does
with its content. So one that a VM has left is made again what it was, and the next VM that begins in the same way has
it. The system knows what was written to (:mod:`executor.pagemap`): these pages are copied from a memory in which no VM
ever runs. Nobody can tell such a memory from a new one.

In which way a VM begins is the content that its module brings, if that is mapped (:class:`Content`), the image that is
laid over it (:mod:`executor.subvm.image`), and the size. Other data of a module is copied by the engine into zeros.

The engine calls what is here while it makes, grows or frees a memory. Nothing may be raised then: a refusal is an error
of the engine's, and its text says that the machine is at fault.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from ctypes import c_size_t, sizeof
from itertools import count
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pygenvm.executor import limits, pagemap
from pygenvm.executor.machine import (
    EXIT_ESCAPED,
    addresses_are_limited,
    allow,
    clear,
    give_addresses_back,
    keep_small,
    map_over,
    memory_at,
    reserve_addresses,
    take_back,
)
from pygenvm.executor.subvm.wasmtime_c import (
    FreeMemory,
    GetMemory,
    GrowMemory,
    LinearMemoryStruct,
    MemoryCreator,
    address_of,
    new_error,
)

if TYPE_CHECKING:
    from pygenvm.executor.subvm.image import Overlay

_T = TypeVar("_T")

#: Of WebAssembly.
PAGE_BYTES = 65_536
#: What a 32-bit number addresses.
_ADDRESSED_BYTES = 1 << 32
_WORD_BYTES = sizeof(c_size_t)
#: All that this process has in memory: the engine asks often, and whatever is not allocated for that cannot fail.
_words = (c_size_t * (1 << 50)).from_address(0)


class Content:
    """What instances of one module begin with, in a file that nobody changes. All numbers are multiples
    of :data:`PAGE_BYTES`."""

    def __init__(self, begin: int, size: int, descriptor: int, offset: int) -> None:
        """``begin`` is a place in the memory, and ``offset`` that of its byte in the file of ``descriptor``, which is
        taken over."""
        self._begin = begin
        self._size = size
        self._descriptor = descriptor
        self._offset = offset
        _when_gone(self, os.close, descriptor)

    def map_into(self, address: int) -> None:
        """Into the memory at ``address``. :raises OSError: the machine refuses."""
        map_over(address + self._begin, self._size, self._descriptor, self._offset)


class _Memory:
    """Addresses for a memory of any size, and for what keeps others apart from it."""

    __slots__ = (
        *("__weakref__", "_usable", "address", "is_mapped", "is_only_content", "is_sound", "kind", "reserved"),
        *("restored", "size"),
    )

    def __init__(self, kind: _Kind, reserved: int) -> None:
        """:raises OSError: the machine refuses."""
        self.kind = kind
        self.reserved = reserved
        self.address = reserve_addresses(reserved)
        #: As the guest knows it.
        self.size = 0
        self._usable = 0
        #: Whether nothing is written to it, once its content is mapped, before an overlay is laid over it.
        self.is_only_content = False
        #: Whether pages that nobody has written to are of the overlay's file.
        self.is_mapped = False
        #: Otherwise nobody knows what is in it.
        self.is_sound = True
        #: Bytes that were written to, and are what they were.
        self.restored = 0

    def begin(self, content: Content | None, size: int) -> None:
        """:raises OSError: the machine refuses."""
        self.grow(size)
        # Of a large page all would count as written to.
        keep_small(self.address, size)
        if content is not None:
            content.map_into(self.address)

    def grow(self, size: int) -> None:
        """:raises OSError: the machine refuses."""
        if size > self._usable:
            allow(self.address + self._usable, size - self._usable)
            self._usable = size
        self.size = size

    def shrink(self, size: int) -> None:
        """What is behind that is zeros again. :raises OSError: the machine refuses."""
        if size < self._usable:
            take_back(self.address + size, self._usable - size)
            self._usable = size
        self.size = size

    def free(self) -> None:
        give_addresses_back(self.address, self.reserved)


class _Kind:
    """Memories of VMs that begin in the same way."""

    def __init__(self, content: Content | None, size: int, overlay: Overlay | None, plain: _Kind | None) -> None:
        """``plain`` is the kind of those to which only the overlay was added."""
        self.content = content
        #: In bytes, before a guest has grown it.
        self.size = size
        #: Does not keep it, which has a process's memory: whoever forgets it forgets these memories too.
        self.overlay = None if overlay is None else weakref.ref(overlay)
        self.plain = plain
        #: When one was used last: the order of all kinds.
        self.used = 0
        #: What VMs have left, as they have left it.
        self._left: list[_Memory] = []
        #: Like new.
        self._ready: list[_Memory] = []
        #: In which no VM runs; made when it is needed.
        self._pristine: _Memory | None = None
        self._is_forgotten = False
        #: Forgets it together with the overlay.
        self.end: weakref.finalize[..., Overlay] | None = None

    def take(self) -> _Memory | None:
        """A memory that is like new, if there is one."""
        while True:
            memory = _pop(self._ready)
            if memory is not None or not self.restore_one():
                return memory

    def give(self, memory: _Memory) -> None:
        """A VM has left it."""
        is_enough = len(self._left) + len(self._ready) >= limits.MEMORIES_SPARE
        # Each has more than 4 GiB of addresses.
        if is_enough or not memory.is_sound or addresses_are_limited() or not self._has_room():
            memory.free()
            return
        try:
            memory.shrink(self.size)
        except (OSError, MemoryError):
            memory.free()
            return
        self._left.append(memory)
        if self._is_forgotten:
            self.free()

    def _has_room(self) -> bool:
        """Whether all that VMs have left, none of which pays for it any more, is not too much with another one."""
        left = sum(kind.size * len(kind._left) for kind in [*_kinds.values()])
        return left + self.size <= limits.MEMORIES_LEFT_BYTES

    def restore_one(self) -> bool:
        """Make one ready that was left; False if there is none."""
        memory = _pop(self._left)
        if memory is None:
            return False
        try:
            restored = self._restore(memory)
        except Exception:
            # What finds no memory may be anything, as the engine's calls.
            restored = False
        if restored:
            self._ready.append(memory)
            if self._is_forgotten:
                self.free()
        else:
            memory.free()
        return True

    def _restore(self, memory: _Memory) -> bool:
        """False if that is not possible, or a new one costs less."""
        if not pagemap.is_reliable():
            return False
        runs = [*pagemap.runs_written(memory.address, self.size)]
        memory.restored = sum(end - begin for begin, end in runs)
        others = sum(one.restored for kind in [*_kinds.values()] for one in kind._ready)
        room = min(limits.MEMORY_RESTORED_BYTES, limits.MEMORIES_RESTORED_BYTES - others)
        if memory.restored > room:
            return False
        if self.content is None:
            for begin, end in runs:
                clear(memory.address + begin, end - begin)
            return True
        # Another thread may forget it meanwhile.
        pristine = self._pristine = self._pristine or self._new_pristine(self.content)
        if pristine is None:
            return False
        before, now = memory_at(pristine.address, self.size), memory_at(memory.address, self.size)
        for begin, end in runs:
            now[begin:end] = before[begin:end]
        return True

    def _new_pristine(self, content: Content) -> _Memory | None:
        """None if nobody knows the overlay any more."""
        overlay = None if self.overlay is None else self.overlay()
        if overlay is None and self.overlay is not None:
            return None
        memory = _Memory(self, self.size)
        _when_gone(memory, give_addresses_back, memory.address, memory.reserved)
        memory.begin(content, self.size)
        if overlay is not None:
            overlay.lay_over(memory.address, self.size)
        return memory

    def without_overlay(self) -> None:
        """Hand over what VMs have left to the kind of those that began without one."""
        assert self.plain is not None
        for memories in (self._left, self._ready):
            while (memory := _pop(memories)) is not None:
                if memory.is_mapped:
                    memory.free()
                else:
                    memory.kind = self.plain
                    self.plain.give(memory)

    def forget(self) -> None:
        """Keep nothing any more."""
        self._is_forgotten = True
        self._pristine = None
        if self.end is not None:
            self.end.detach()
        self.free()

    def free(self) -> None:
        """Give back what no VM has."""
        for memories in (self._left, self._ready):
            while (memory := _pop(memories)) is not None:
                memory.free()


def _when_gone(owner: _T, work: Callable[..., object], *arguments: object) -> weakref.finalize[..., _T]:
    """Do it with the last reference to ``owner``, unless that is the end of the process."""
    end = weakref.finalize(owner, work, *arguments)
    end.atexit = False  # type: ignore[misc]
    return end


def _pop(memories: list[_Memory]) -> _Memory | None:
    # Other threads take some too.
    try:
        return memories.pop()
    except IndexError:
        return None


_Key: TypeAlias = tuple[Content | None, int, "weakref.ref[Overlay] | None"]
_kinds: dict[_Key, _Kind] = {}
_uses = count(1)
#: Those that VMs have, by their addresses.
_used: dict[int, _Memory] = {}


def _kind_of(content: Content | None, size: int, overlay: Overlay | None = None, plain: _Kind | None = None) -> _Kind:
    key = _key(content, size, overlay)
    kind = _kinds.get(key)
    if kind is None:
        # Other threads may do the same, and forks come at any time: so no lock, and one step.
        new = _Kind(content, size, overlay, plain)
        kind = _kinds.setdefault(key, new)
        if overlay is not None and kind is new:
            kind.end = _when_gone(overlay, _forget, key)
    kind.used = next(_uses)
    while len(_kinds) > limits.MEMORY_KINDS:
        _forget(min(_kinds.copy().items(), key=lambda item: item[1].used)[0])
    return kind


def _key(content: Content | None, size: int, overlay: Overlay | None) -> _Key:
    return content, size, None if overlay is None else weakref.ref(overlay)


def _forget(key: _Key) -> None:
    kind = _kinds.pop(key, None)
    if kind is not None:
        kind.forget()


# --- what VMs do ------------------------------------------------------------------------------------


class _Expected(threading.local):
    """What the memory begins with that this thread asks the engine for next."""

    content: Content | None = None
    overlay: Overlay | None = None


_expected = _Expected()


@contextlib.contextmanager
def beginning_with(content: Content | None, overlay: Overlay | None) -> Iterator[None]:
    """The memory that the engine makes for this thread in this context begins with ``content``.

    If it has content, it may have ``overlay`` already, which must then be laid over it by :func:`lay_over`. It is of
    one instance: what that instantiates when it is started has memories of its own.
    """
    _expected.content, _expected.overlay = content, overlay
    try:
        yield
    finally:
        _expected.content = _expected.overlay = None


def lay_over(overlay: Overlay, address: int) -> None:
    """Over the memory at ``address``, which has the right size, and in which no guest has run.

    :raises InstallationFault: the machine refuses.
    """
    memory = _used[address]
    plain = memory.kind
    if plain.overlay is not None:
        assert plain.overlay() is overlay
        return
    memory.is_sound = False
    # What it has grown by is of no VM but of all that begin with this overlay.
    keep_small(address, memory.size)
    is_mapped = overlay.lay_over(address, memory.size)
    if memory.is_only_content:
        memory.is_mapped, memory.is_sound = is_mapped, True
        memory.kind = _kind_of(plain.content, memory.size, overlay, plain)
    else:
        # What was under the overlay nobody could make again. Where that was copied, it goes with all else.
        memory.is_sound = not is_mapped


def restore() -> None:
    """Make ready what VMs have left, while nobody waits."""
    for kind in [*_kinds.values()]:
        while kind.restore_one():
            pass


def forget_overlays() -> None:
    """Make ready what VMs have left, and all of it for whatever contract comes next."""
    for key, kind in [*_kinds.items()]:
        if kind.overlay is not None:
            kind.without_overlay()
            _forget(key)
    restore()


def forget() -> None:
    """Give back what no VM has."""
    for key in [*_kinds]:
        _forget(key)


# --- what the engine does ---------------------------------------------------------------------------


def _new_memory(_env: int, _type: int, minimum: int, _maximum: int, reserved: int, guard: int, made: int) -> int:
    try:
        content, overlay = _expected.content, _expected.overlay
        _expected.content = _expected.overlay = None
        if content is None:
            # The engine is going to copy data into it, which belongs under the overlay.
            overlay = None
        try:
            memory = _begun(content, overlay, minimum, reserved + guard)
        except (OSError, MemoryError):
            # Perhaps what nobody uses is too much.
            forget()
            memory = _begun(content, overlay, minimum, reserved + guard)
        _used[memory.address] = memory
        struct = LinearMemoryStruct.from_address(made)
        struct.env = memory.address
        struct.get_memory, struct.grow_memory, struct.finalizer = _FUNCTIONS
    except BaseException as error:
        return _refusal(error, reserved)
    return 0


def _begun(content: Content | None, overlay: Overlay | None, size: int, reserved: int) -> _Memory:
    if overlay is not None:
        kind = _kinds.get(_key(content, overlay.image.memory_bytes, overlay))
        memory = None if kind is None else kind.take()
        if kind is not None and memory is not None:
            kind.used = next(_uses)
            memory.size = size
            return memory
    kind = _kind_of(content, size)
    memory = kind.take()
    if memory is None:
        memory = _Memory(kind, reserved)
        try:
            memory.begin(content, size)
        except BaseException:
            memory.free()
            raise
    memory.is_only_content = overlay is not None
    return memory


def _get_memory(address: int, size: int, capacity: int) -> int:
    try:
        memory = _used[address]
        _words[size // _WORD_BYTES] = memory.size
        _words[capacity // _WORD_BYTES] = _ADDRESSED_BYTES
    except BaseException:
        # There is no way to say no.
        os._exit(EXIT_ESCAPED)
    return address


def _grow_memory(address: int, size: int) -> int:
    try:
        _used[address].grow(size)
    except BaseException as error:
        return _refusal(error, size)
    return 0


def _free_memory(address: int) -> None:
    # Otherwise it is lost, and nobody has it any more.
    with contextlib.suppress(BaseException):
        memory = _used.pop(address)
        memory.kind.give(memory)


def _refusal(error: BaseException, size: int) -> int:
    # Whoever finds no memory for what a call of the system needs is told of an argument, or an error of the system.
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    try:
        return new_error(f"the machine refuses a memory of {size} bytes (os error {number})")
    except BaseException:
        return _refusals.pop() if _refusals else os._exit(EXIT_ESCAPED)


#: For where there is no memory to make one.
_refusals = [new_error(f"the machine refuses a memory (os error {errno.ENOMEM})")]
_CALLBACKS = (GetMemory(_get_memory), GrowMemory(_grow_memory), FreeMemory(_free_memory))
_FUNCTIONS = tuple(address_of(callback) for callback in _CALLBACKS)
#: For engines to have their memories from.
CREATOR = MemoryCreator(_new_memory)
