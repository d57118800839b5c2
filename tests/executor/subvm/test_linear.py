"""Memories that VMs leave to others: nobody can tell them from new ones."""

from __future__ import annotations

import errno
import gc
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from pygenvm.executor import limits, machine, pagemap
from pygenvm.executor.machine import addresses_are_limited, memory_at
from pygenvm.executor.outcome import InstallationFault, VMError
from pygenvm.executor.subvm import linear, wasmtime_c
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.image import Image, Overlay
from pygenvm.executor.subvm.linear import PAGE_BYTES, Content
from pygenvm.executor.subvm.random import DetRandom
from pygenvm.executor.subvm.wasmtime_c import Instance, Linker, Memory, Module, Store, Trap, WasmtimeError
from tests.executor.subvm.wasm.wasm_support import wat
from tests.support.archives import contract_zip, install, runner_tar
from tests.support.execution import execute
from tests.support.quick import few

#: With functions that touch the byte behind what it begins with, and grow by a page.
GUEST = """(module
  (memory (export "memory") {pages} 40)
  (func (export "touch") (i32.store8 (i32.const {end}) (i32.const 1)))
  (func (export "grow") (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))"""
PAGES = 4
SIZE = PAGES * PAGE_BYTES


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    linear.forget()
    yield
    linear.forget()


def module_of(pages: int = PAGES) -> Module:
    return Module.compile(engine(), wat(GUEST.format(pages=pages, end=pages * PAGE_BYTES)))


class Vm:
    """As much of one as has a memory."""

    def __init__(self, module: Module, content: Content | None = None, overlay: Overlay | None = None) -> None:
        self.store, self._linker = Store(engine()), Linker(engine())
        self.instance = Instance(self.store)
        with linear.beginning_with(content, overlay):
            self._linker.instantiate(self.store, module, self.instance)
        item = self.instance.export("memory")
        assert item is not None
        self.memory = Memory(self.store.context, item.of.memory)
        self.address = self.memory.address()
        if overlay is not None:
            self.memory.grow(overlay.image.memory_bytes - self.memory.size())
            linear.lay_over(overlay, self.address)

    def call(self, name: str) -> None:
        function = self.instance.function(name)
        assert function is not None
        function()

    @property
    def content(self) -> memoryview:
        return memory_at(self.address, self.memory.size())

    def close(self) -> None:
        self._linker.close()
        self.store.close()


@contextmanager
def vm(*arguments: Any) -> Iterator[Vm]:
    made = Vm(*arguments)
    try:
        yield made
    finally:
        made.close()


def content_of(data: bytes, begin: int = PAGE_BYTES) -> Content:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(PAGE_BYTES) + data)
        file.flush()
        return Content(begin, len(data), os.dup(file.fileno()), PAGE_BYTES)


def overlay_of(pages: list[tuple[int, bytes]], size: int) -> Overlay:
    runs = tuple((at, memoryview(data)) for at, data in pages)
    return Overlay(Image(size, 3, (), DetRandom().state(), runs))


def assert_out_of_bounds(machine: Vm) -> None:
    with pytest.raises(Trap) as trap:
        machine.call("touch")
    assert trap.value.code == wasmtime_c.MEMORY_OUT_OF_BOUNDS
    trap.value.close()


def test_what_a_vm_has_written_is_gone() -> None:
    module = module_of()
    with vm(module) as first:
        assert first.content == bytes(SIZE)
        first.content[:] = b"\1" * SIZE
        address = first.address
    linear.restore()
    with vm(module) as second:
        assert second.address == address
        assert second.content == bytes(SIZE)


def test_it_is_gone_too_if_nobody_had_time_for_it() -> None:
    module = module_of()
    with vm(module) as first:
        first.content[PAGE_BYTES + 7] = 1
        address = first.address
    with vm(module) as second:
        assert (second.address, bytes(second.content)) == (address, bytes(SIZE))


def test_a_memory_ends_where_it_did() -> None:
    """Where the one before has grown, nobody can write now, and whoever grows finds zeros."""
    module = module_of()
    with vm(module) as first:
        assert_out_of_bounds(first)
        first.call("grow")
        first.call("touch")
        assert first.content[SIZE] == 1
        address = first.address
    with vm(module) as second:
        assert second.address == address
        assert second.memory.size() == SIZE
        assert_out_of_bounds(second)
        second.call("grow")
        assert second.content == bytes(SIZE + PAGE_BYTES)


def test_sizes_are_not_mixed_up() -> None:
    with vm(module_of(8)) as large:
        large.content[5 * PAGE_BYTES] = 1
    with vm(module_of(2)) as small:
        assert_out_of_bounds(small)
        assert small.content == bytes(2 * PAGE_BYTES)
    with vm(module_of(0)) as empty:
        assert_out_of_bounds(empty)
        empty.call("grow")
        assert empty.content == bytes(PAGE_BYTES)


def test_pages_are_small() -> None:
    """A large page would be written to as a whole, and too large to be restored."""
    overlay = overlay_of([(2 * PAGE_BYTES, b"o" * 4096)], SIZE + 2 * PAGE_BYTES)
    with vm(module_of()) as one, vm(module_of(), content_of(b"c" * PAGE_BYTES), overlay) as grown:
        for each in (one, grown):
            flags = [*flags_between(each.address, each.address + each.memory.size())]
            assert flags
            assert all("nh" in of_mapping for of_mapping in flags)


def flags_between(address: int, end: int) -> Iterator[list[str]]:
    """Of each mapping."""
    begin = 0
    with open("/proc/self/smaps", encoding="ascii") as file:
        for line in file:
            name, *values = line.split()
            if not name.endswith(":"):
                begin = int(name.partition("-")[0], 16)
            elif name == "VmFlags:" and address <= begin < end:
                yield values


def test_a_memory_that_is_in_use_is_nobody_elses() -> None:
    module = module_of()
    with vm(module) as first, vm(module) as second:
        first.content[5] = 1
        assert first.address != second.address
        assert second.content[5] == 0


def test_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORIES_RESTORED_BYTES", 5 * 4096)
    module = module_of()
    many = [Vm(module) for _ in range(4)]
    for one in many:
        one.content[0] = one.content[PAGE_BYTES] = 1
        one.close()
    linear.restore()
    assert sum(is_mapped(one.address) for one in many) == 2


def is_mapped(address: int) -> bool:
    return any(begin <= address < end for begin, end, _, _ in pagemap.mappings())


def test_only_some_are_kept() -> None:
    module = module_of()
    many = [Vm(module) for _ in range(limits.MEMORIES_SPARE + 3)]
    for one in many:
        one.close()
    assert sum(is_mapped(one.address) for one in many) == limits.MEMORIES_SPARE


def test_only_some_kinds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were used last. What comes back of others is let go."""
    made = []

    def reserve(size: int) -> int:
        made.append(machine.reserve_addresses(size))
        return made[-1]

    monkeypatch.setattr(linear, "reserve_addresses", reserve)
    module, often = module_of(), module_of(1)
    held = Vm(module)
    for number in range(limits.MEMORY_KINDS + 2):
        with vm(often):
            pass
        with vm(module_of(PAGES + 1 + number)):
            pass
    assert len(linear._kinds) == limits.MEMORY_KINDS
    assert len(made) == 4 + limits.MEMORY_KINDS
    held.close()
    assert not is_mapped(held.address)


def test_what_nobody_has_looked_at_yet_is_not_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """No VM pays for it any more. What guests have grown goes at once."""
    monkeypatch.setattr(limits, "MEMORIES_LEFT_BYTES", 6 * PAGE_BYTES)
    left = [Vm(module_of(pages)) for pages in (1, 3, 3, 2)]
    for one in left:
        one.call("grow")
        one.close()
    assert [is_mapped(one.address) for one in left] == [True, True, False, True]
    assert not any(is_writable(one.address + 3 * PAGE_BYTES) for one in left)
    linear.restore()
    with vm(module_of(6)) as other:
        pass
    assert is_mapped(other.address)


def is_writable(address: int) -> bool:
    return any(begin <= address < end and b"w" in rights for begin, end, rights, _ in pagemap.mappings())


def test_a_kind_that_is_forgotten_while_a_memory_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    with vm(module_of()) as one:
        pass

    def runs(*_: int) -> list[tuple[int, int]]:
        # As another thread may do.
        linear.forget()
        return []

    monkeypatch.setattr(pagemap, "runs_written", runs)
    linear.restore()
    assert not is_mapped(one.address)


def test_images_that_are_used_in_turns_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_KINDS", 2)
    module, content = module_of(), content_of(b"c" * PAGE_BYTES)
    overlays = [overlay_of([(2 * PAGE_BYTES, b"o" * 4096)], SIZE) for _ in range(3)]
    for number in range(30):
        with vm(module, content, overlays[number % 3]):
            pass
    # The kind's, that by which it is forgotten, and that of the overlay's file.
    assert max(weakref.getweakrefcount(overlay) for overlay in overlays) <= 3


@pytest.mark.parametrize("seed", range(30))
def test_whatever_vms_do(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content and images, memories that grow, more and less written than is worth restoring, copied and mapped."""
    chance = random.Random(seed)
    monkeypatch.setattr(limits, "MEMORY_RESTORED_BYTES", chance.choice((3 * 4096, 1 << 20)))
    module = module_of()
    contents = [None, *(content_of(chance.randbytes(PAGE_BYTES * chance.randint(1, 3))) for _ in range(2))]
    overlays: list[Overlay | None] = [None]
    for _ in range(2):
        size = SIZE + PAGE_BYTES * chance.randint(0, 2)
        places = chance.sample(range(0, size, 4096), 5)
        overlay = overlay_of([(at, chance.randbytes(4096)) for at in sorted(places)], size)
        overlay._left = chance.choice((0, 1 << 30))
        overlays.append(overlay)
    before: dict[tuple[Any, Any], bytes] = {}
    reused = set[int]()
    for _ in range(40):
        content = chance.choice(contents)
        overlay_or_none = chance.choice(overlays)
        with vm(module, content, overlay_or_none) as one:
            expected = before.setdefault((content, overlay_or_none), bytes(one.content))
            assert bytes(one.content) == expected
            reused.add(one.address)
            for _ in range(chance.randint(0, 3)):
                one.call("grow")
            assert not any(one.content[len(expected) :])
            for _ in range(chance.randint(0, 9)):
                at = chance.randrange(len(one.content))
                one.content[at] ^= 0xFF
        chance.choice((linear.restore, linear.forget_overlays, lambda: None, lambda: None))()
    assert len(before) > 2
    assert len(reused) < 30


def test_images_are_laid_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module, content = module_of(), content_of(b"c" * PAGE_BYTES)
    overlay = overlay_of([(2 * PAGE_BYTES, b"o" * 4096)], SIZE + PAGE_BYTES)
    with vm(module, content, overlay) as first:
        expected = bytes(first.content)
        assert expected[PAGE_BYTES] == ord("c")
        assert expected[2 * PAGE_BYTES] == ord("o")
        first.content[2 * PAGE_BYTES] = first.content[0] = 1
    linear.restore()
    monkeypatch.setattr(Overlay, "lay_over", lambda *_: pytest.fail("it lies there already"))
    with vm(module, content, overlay) as second:
        assert bytes(second.content) == expected


#: A program with images. Its start function adds to a place in one of the pages that its image has.
PROGRAM = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 20)
  (global (export "__stack_pointer") (mut i32) (i32.const 65536))
  (data (i32.const 131072) "{data}")
  (func $start (i32.store (i32.const 66000) (i32.add (i32.load (i32.const 66000)) (i32.const 7))))
  (func (export "image")
    (i32.store (i32.const 66004) (i32.const 5))
    (i32.store (i32.const 131076) (i32.const 9)))
  (func (export "_start")
    (i32.store (i32.const 80000) (i32.add (i32.load (i32.const 80000)) (i32.const 1)))
    (call $exit (i32.const 3)))
  {start})"""


@pytest.mark.parametrize("start", ["", "(start $start)"])
@pytest.mark.parametrize("much", [False, True])
def test_all_runs_of_a_program_with_images_are_like_the_first(much: bool, start: str, tmp_path: Path) -> None:
    data = "12345678" * (limits.MEMORY_CONTENT_BYTES // 8 if much else 1)
    program = wat(PROGRAM.format(data=data, start=start))
    hashes = install(tmp_path, {"program": runner_tar({"StartWasm": "p.wasm"}, {"p.wasm": program})})
    code = contract_zip({"Depends": f"program:{hashes['program']}"}, {})
    seen = []
    for _ in range(5):
        run = execute(code, registry=tmp_path)
        seen.append((run.outcome, run.fingerprint))
        linear.restore()
    memory = bytearray(20 * PAGE_BYTES)
    memory[131072 : 131072 + len(data)] = data.encode()
    for place, value in ((66000, 7 if start else 0), (66004, 5), (131076, 9), (80000, 1)):
        memory[place : place + 4] = value.to_bytes(4, "little")
    [frame] = seen[0][1]["frames"]
    hashed = {"": {"memories": [blake3(memory).digest()]}}
    assert seen == [(VMError("exit_code 3"), {"frames": [frame], "module_instances": hashed})] * 5


def test_after_rehearsals_memories_are_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    module, content = module_of(), content_of(b"c" * PAGE_BYTES)
    overlay = overlay_of([(2 * PAGE_BYTES, b"o" * 4096)], SIZE + PAGE_BYTES)
    with vm(module, content, overlay) as first:
        address = first.address
    linear.forget_overlays()
    with vm(module, content) as second:
        assert second.address == address
        assert second.content == bytes(PAGE_BYTES) + b"c" * PAGE_BYTES + bytes(2 * PAGE_BYTES)
        assert_out_of_bounds(second)


def test_whoever_forgets_an_image_forgets_its_memories() -> None:
    module, content = module_of(), content_of(b"c" * PAGE_BYTES)
    overlay: Overlay | None = overlay_of([(2 * PAGE_BYTES, b"o" * 4096)], SIZE)
    with vm(module, content, overlay):
        pass
    linear.restore()
    assert len(linear._kinds) == 2
    del overlay
    assert len(linear._kinds) == 1


@pytest.mark.parametrize("few", [True, False])
def test_a_system_that_tells_nothing_or_has_few_addresses(monkeypatch: pytest.MonkeyPatch, few: bool) -> None:
    if few:
        monkeypatch.setattr(linear, "addresses_are_limited", lambda: True)
    else:
        monkeypatch.setattr(pagemap, "is_reliable", lambda: False)
    module = module_of()
    for _ in range(3):
        with vm(module) as one:
            assert one.content == bytes(SIZE)
            one.content[:] = b"\1" * SIZE
        linear.restore()
        assert not is_mapped(one.address)


def test_limited_addresses() -> None:
    program = "from pygenvm.executor.machine import addresses_are_limited as limited; print(limited())"
    command = f"{{}} {shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    for limit, expected in (
        ("ulimit -v 20000000;", "True"),
        ("ulimit -d 20000000;", "True"),
        ("", str(addresses_are_limited())),
    ):
        done = subprocess.run(["bash", "-c", command.format(limit)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_an_image_of_which_only_a_part_lies_there(monkeypatch: pytest.MonkeyPatch) -> None:
    module, content = module_of(), content_of(b"c" * PAGE_BYTES)
    overlay = overlay_of([(2 * PAGE_BYTES, b"o" * 4096), (SIZE, b"o" * 4096)], SIZE + PAGE_BYTES)

    def refuse(address: int, size: int) -> bool:
        memory_at(address, size)[0] = 1
        raise InstallationFault("no")

    with vm(module, content) as one:
        monkeypatch.setattr(overlay, "lay_over", refuse)
        with pytest.raises(InstallationFault):
            linear.lay_over(overlay, one.address)
    assert not is_mapped(one.address)


def test_a_machine_that_refuses_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody uses is given back first."""
    module = module_of()
    with vm(module):
        pass
    refusals = iter((OSError(errno.ENOMEM, "no"), OSError(errno.ENOMEM, "no"), OSError(errno.ENOMEM, "no")))
    reserve = machine.reserve_addresses

    def refuse_once(size: int) -> int:
        if linear._kinds and any(kind._ready or kind._left for kind in linear._kinds.values()):
            raise next(refusals)
        return reserve(size)

    monkeypatch.setattr(linear, "reserve_addresses", refuse_once)
    with vm(module_of(PAGES + 1)) as other:
        assert other.content == bytes(SIZE + PAGE_BYTES)

    def refuse(*_: int) -> int:
        raise OSError(errno.ENOMEM, "no")

    for function in ("reserve_addresses", "allow"):
        monkeypatch.setattr(linear, function, refuse)
        with pytest.raises(WasmtimeError) as error:
            Vm(module_of(PAGES + 2))
        assert error.value.is_of_the_machine


@pytest.mark.parametrize("seed", few(range(4), 0))
def test_whatever_the_machine_refuses(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a memory all the same has the right one, and nothing is lost."""
    chance = random.Random(seed)
    often = 0.0
    # What nobody can reach any more shall not go meanwhile.
    gc.collect()
    linear.forget()
    of_others = {*linear._used}
    reserved_by_others = reserved_addresses()

    def refusing(work: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*arguments: Any) -> Any:
            if chance.random() < often:
                raise chance.choice((OSError(errno.ENOMEM, "no"), MemoryError()))
            return work(*arguments)

        return refuse

    for name in ("reserve_addresses", "allow", "map_over", "take_back", "clear", "memory_at"):
        monkeypatch.setattr(linear, name, refusing(getattr(machine, name)))
    monkeypatch.setattr(pagemap, "runs_written", refusing(pagemap.runs_written))
    module, grown = module_of(), SIZE + PAGE_BYTES
    contents = [content_of(letter * PAGE_BYTES) for letter in (b"a", b"b")]
    overlays = [overlay_of([(at, b"o" * 4096) for at in (0, 9 * 4096, SIZE)], grown) for _ in contents]
    ends = Counter[bool]()
    for _ in range(400):
        number = chance.randrange(2)
        content, overlay = contents[number], chance.choice((None, overlays[number]))
        often = chance.choice((0, 0.03, 0.3))
        store, linker = Store(engine()), Linker(engine())
        instance = Instance(store)
        try:
            with linear.beginning_with(content, overlay):
                linker.instantiate(store, module, instance)
            item = instance.export("memory")
            assert item is not None
            memory = Memory(store.context, item.of.memory)
            expected = bytearray(SIZE)
            expected[PAGE_BYTES : 2 * PAGE_BYTES] = b"ab"[number : number + 1] * PAGE_BYTES
            if overlay is not None:
                memory.grow(PAGE_BYTES)
                linear.lay_over(overlay, memory.address())
                expected += bytes(PAGE_BYTES)
                for at, data in overlay.image.runs:
                    expected[at : at + len(data)] = data
            now = memory_at(memory.address(), memory.size())
            assert now == expected
            for _ in range(9):
                now[chance.randrange(len(now))] ^= 1
            ends[True] += 1
        except (WasmtimeError, OSError, MemoryError):
            ends[False] += 1
        finally:
            linker.close()
            store.close()
        chance.choice((linear.restore, linear.forget_overlays, lambda: None))()
    assert min(ends.values()) > 40
    often = 0
    linear.forget()
    assert linear._used.keys() == of_others
    assert reserved_addresses() == reserved_by_others


def reserved_addresses() -> int:
    """Bytes of them that are for memories, of this test and of others in this process."""
    return sum(end - begin for begin, end, _, _ in pagemap.mappings() if end - begin >= linear._ADDRESSED_BYTES)


def test_growth_that_the_machine_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with vm(module_of()) as one:

        def refuse(*_: int) -> int:
            raise OSError(errno.ENOMEM, "no")

        monkeypatch.setattr(linear, "allow", refuse)
        with pytest.raises(Trap):
            one.call("grow")
        with pytest.raises(WasmtimeError):
            one.memory.grow(PAGE_BYTES)
        assert one.memory.size() == SIZE


def test_threads() -> None:
    module = module_of()
    contents = [None, content_of(b"x" * PAGE_BYTES), content_of(b"y" * PAGE_BYTES)]
    wrong: list[object] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        try:
            for _ in range(150):
                content = chance.choice(contents)
                expected = bytearray(SIZE)
                if content is not None:
                    expected[PAGE_BYTES : 2 * PAGE_BYTES] = (b"x" if content is contents[1] else b"y") * PAGE_BYTES
                with vm(module, content) as one:
                    if one.content != expected:
                        wrong.append((number, content))
                    one.content[chance.randrange(SIZE)] ^= 1
                if chance.random() < 0.2:
                    linear.restore()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_fork_has_its_own() -> None:
    module = module_of()
    with vm(module):
        pass
    linear.restore()
    child = os.fork()
    if not child:
        with vm(module) as one:
            one.content[0] = 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with vm(module) as one:
        assert one.content == bytes(SIZE)
