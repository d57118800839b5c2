"""Data of a module that its memories have by a mapping, and data that the engine copies."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pygenvm.executor import limits
from pygenvm.executor.machine import memory_at
from pygenvm.executor.subvm import linear
from pygenvm.executor.subvm.artefacts import ArtefactStore, LoadedModule
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.wasm.content import content_of_data
from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.executor.subvm.wasm.prepare import prepare
from pygenvm.executor.subvm.wasmtime_c import Instance, Linker, Memory, Store
from tests.executor.subvm.wasm.wasm_support import wat

PAGE = linear.PAGE_BYTES


@pytest.fixture(autouse=True)
def little_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_CONTENT_BYTES", 12)


def content(fields: str, memory: str = "(memory 4)") -> tuple[int, bytes] | None:
    return content_of_data(read_module(wat(f"(module {memory} {fields})")))


def test_segments_become_whole_pages() -> None:
    """The later one counts where two overlap."""
    found = content('(data (i32.const 65540) "abcdefgh") (data (i32.const 131072) "x") (data (i32.const 65542) "CD")')
    assert found == (PAGE, (b"\0\0\0\0abCDefgh".ljust(PAGE, b"\0") + b"x").ljust(2 * PAGE, b"\0"))


@pytest.mark.parametrize(
    ("fields", "memory"),
    [
        ("", "(memory 4)"),
        ('(data (i32.const 0) "abc")', "(memory 4)"),
        ('(data (i32.const 0) "abcdefgh") (data "passive!")', "(memory 4)"),
        ('(data (i32.const 0) "abcdefgh")', '(import "m" "m" (memory 4))'),
        ('(data (i32.const 262140) "abcdefgh")', "(memory 4)"),
        ('(data (i32.const -5) "abcdefgh")', "(memory 4)"),
        ('(data (i32.const -0x80000000) "abcdefgh")', "(memory 0x8001)"),
        ('(data (i32.const 0) "abcdefgh") (data (i32.const 0x1100000) "x")', "(memory 512)"),
        ('(data (global.get 0) "abcdefgh")', '(import "m" "g" (global i32)) (memory 4)'),
        ('(data (i32.const 0) "abcdefgh") (func (data.drop 0))', "(memory 4)"),
        ('(data (i32.const 0) "abcdefgh") (func $start) (start $start)', "(memory 4)"),
    ],
)
def test_what_the_engine_copies(fields: str, memory: str) -> None:
    assert content(fields, memory) is None
    code = wat(f"(module {memory} {fields})")
    prepared = prepare(code, deterministic=True)
    assert (prepared.facts.content, prepared.content) == (None, b"")


def test_contracts_have_theirs_copied() -> None:
    code = wat('(module (memory 1) (data (i32.const 0) "abcdefgh"))')
    assert prepare(code, deterministic=True).facts.content == (0, PAGE)
    assert prepare(code, deterministic=True, trusted=False).facts.content is None


def generated(chance: random.Random) -> tuple[bytes, bytes]:
    """A module, and what its memory begins with."""
    memory = bytearray(3 * PAGE)
    segments = []
    for _ in range(chance.randint(1, 6)):
        data = chance.randbytes(chance.randint(1, 2 * PAGE))
        at = chance.randint(0, len(memory) - len(data))
        memory[at : at + len(data)] = data
        text = "".join("\\" + f"{byte:02x}" for byte in data)
        segments.append(f'(data (i32.const {at}) "{text}")')
    return wat(f'(module $m (memory (export "memory") 3) {" ".join(segments)})'), bytes(memory)


def memory_of(loaded: LoadedModule) -> bytes:
    store, linker, instance = Store(engine()), Linker(engine()), None
    instance = Instance(store)
    with linear.beginning_with(loaded.content, None):
        linker.instantiate(store, loaded.module, instance)
    item = instance.export("memory")
    assert item is not None
    memory = Memory(store.context, item.of.memory)
    found = bytes(memory_at(memory.address(), memory.size()))
    memory_at(memory.address(), memory.size())[:] = bytes(255 - byte for byte in found)
    linker.close()
    store.close()
    return found


@pytest.mark.parametrize("seed", range(6))
def test_memories_are_the_same_either_way(seed: int, tmp_path: Path) -> None:
    code, expected = generated(random.Random(seed))
    store = ArtefactStore(tmp_path)
    for trusted in (True, False):
        loaded = store.load(code, deterministic=True, trusted=trusted, origin="here" if trusted else None)
        assert (loaded.content is not None) is trusted
        assert [memory_of(loaded) for _ in range(3)] == [expected] * 3
    for _ in range(2):
        # By its note, and then by its mark.
        again = ArtefactStore(tmp_path)
        loaded = again.load(code, deterministic=True, trusted=True, origin="here")
        assert (again.hits, memory_of(loaded)) == (1, expected)


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    code, expected = generated(random.Random(9))
    file = tmp_path / "file"
    file.touch()
    loaded = ArtefactStore(file / "no folder").load(code, deterministic=True, trusted=True, origin="here")
    assert memory_of(loaded) == expected


def test_an_artefact_without_its_end_is_made_again(tmp_path: Path) -> None:
    code, expected = generated(random.Random(10))
    ArtefactStore(tmp_path).load(code, deterministic=True, trusted=True, origin="here")
    (artefact,) = tmp_path.glob("*.cwasm")
    os.truncate(artefact, artefact.stat().st_size - 1)
    store = ArtefactStore(tmp_path)
    loaded = store.load(code, deterministic=True, trusted=True, origin="here")
    assert (store.compiled, memory_of(loaded)) == (1, expected)
