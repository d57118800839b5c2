"""Modules of ours are found and read in another way than Python's own, and nobody can tell."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from pygenvm.cli import own_modules

#: What it prints: which modules Python has loaded, and all that can be seen of them, or the error.
PROGRAM = """
import importlib.machinery, sys
left = []
get_code = importlib.machinery.SourceFileLoader.get_code
importlib.machinery.SourceFileLoader.get_code = lambda self, name: left.append(name) or get_code(self, name)
from pygenvm.cli import own_modules
left.clear()
if sys.argv[1] == "ours":
    own_modules.install()
try:
    import pygenvm.part.thing as thing
except Exception as error:
    print(type(error).__name__, error)
    sys.exit()
for module in (sys.modules["pygenvm.part"], thing):
    spec = module.__spec__
    print(module.__name__, module.__file__, module.__cached__, module.__package__, getattr(module, "__path__", None))
    print(spec.name, spec.origin, spec.cached, spec.submodule_search_locations, spec.has_location, spec.parent)
    print(module.__loader__.get_filename(), module.__loader__.is_package(spec.name), spec.loader.get_source(spec.name))
print("value", thing.value, thing.function.__code__.co_filename)
print("left", *(name for name in left if name.startswith("pygenvm")), file=sys.stderr)
"""
#: The clock of file systems may be slow.
LONG_AGO = 1_700_000_000


class Tree:
    """A package of our name with a module in it, whose bytecode is where Python puts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cli, part = folder / "pygenvm" / "cli", folder / "pygenvm" / "part"
        for package in (folder / "pygenvm", cli, part):
            package.mkdir(parents=True)
            self.compiled(package / "__init__.py", "")
        self.compiled(cli / "own_modules.py", Path(own_modules.__file__).read_text())
        self.thing = part / "thing.py"
        self.write(1)

    def write(self, value: int, seconds: int = LONG_AGO, filler: str = "") -> None:
        self.compiled(self.thing, f"value = {value}{filler}\ndef function(): pass\n", seconds)

    @staticmethod
    def compiled(path: Path, source: str, seconds: int = LONG_AGO) -> None:
        Tree.changed(path, source, seconds)
        py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)

    @staticmethod
    def changed(path: Path, source: str, seconds: int = LONG_AGO) -> None:
        path.write_text(source)
        os.utime(path, (seconds, seconds))

    @property
    def bytecode(self) -> Path:
        return Path(cache_from_source(str(self.thing)))

    def run(self, whose: str, *options: str) -> tuple[str, str]:
        """What is seen of the modules, and which of them have been left to Python."""
        words = [sys.executable, "-P", *options, "-c", PROGRAM, whose]
        done = subprocess.run(
            words, env={"PYTHONPATH": str(self.folder)}, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout, done.stderr


def unchanged(_tree: Tree) -> None:
    pass


def newer(tree: Tree) -> None:
    tree.changed(tree.thing, tree.thing.read_text().replace("1", "2"), LONG_AGO + 1)


def longer(tree: Tree) -> None:
    tree.changed(tree.thing, tree.thing.read_text().replace("1", "12"))


def never_compiled(tree: Tree) -> None:
    tree.bytecode.unlink()


def of_another_python(tree: Tree) -> None:
    tree.bytecode.write_bytes(b"\0\0\r\n" + tree.bytecode.read_bytes()[4:])


def compared_by_hash(tree: Tree) -> None:
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    py_compile.compile(str(tree.thing), doraise=True, invalidation_mode=mode)
    tree.changed(tree.thing, tree.thing.read_text().replace("1", "2"))


def cut_off(tree: Tree) -> None:
    tree.bytecode.write_bytes(tree.bytecode.read_bytes()[:-20])


def only_a_header(tree: Tree) -> None:
    tree.bytecode.write_bytes(tree.bytecode.read_bytes()[:7])


def not_there(tree: Tree) -> None:
    tree.bytecode.unlink()
    tree.thing.unlink()


def very_long(tree: Tree) -> None:
    tree.write(1, filler="\ntext = " + repr("".join(map(chr, range(0x100, 0x8000)))))


def moved(tree: Tree) -> None:
    """With the times of its files: bytecode tells where its source was."""
    bytecode = tree.bytecode.read_bytes()
    tree.bytecode.unlink()
    elsewhere = tree.folder / "elsewhere.py"
    shutil.copy2(tree.thing, elsewhere)
    py_compile.compile(str(elsewhere), str(tree.bytecode), doraise=True)
    assert tree.bytecode.read_bytes() != bytecode


@pytest.mark.parametrize(
    ("prepare", "value", "quick"),
    [
        (unchanged, 1, True),
        (newer, 2, False),
        (longer, 12, False),
        (never_compiled, 1, False),
        (of_another_python, 1, False),
        (compared_by_hash, 2, False),
        (very_long, 1, False),
        (moved, 1, False),
        (cut_off, None, None),
        (only_a_header, None, None),
        (not_there, None, None),
    ],
)
def test_what_is_loaded_is_what_python_loads(
    tmp_path: Path, prepare: Callable[[Tree], None], value: int | None, quick: bool | None
) -> None:
    tree = Tree(tmp_path)
    prepare(tree)
    # Ours first: Python's own way keeps what it has compiled.
    kept = tree.bytecode.read_bytes() if tree.bytecode.exists() else None
    ours, left = tree.run("ours", "-B")
    assert ours == tree.run("python's", "-B")[0]
    assert (tree.bytecode.read_bytes() if tree.bytecode.exists() else None) == kept
    if value is not None:
        assert f"value {value} {tree.thing}\n" in ours
        assert left == ("left\n" if quick else "left pygenvm.part.thing\n")


def test_what_is_compiled_is_kept(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    newer(tree)
    assert tree.run("ours")[1] == "left pygenvm.part.thing\n"
    assert tree.run("ours")[1] == "left\n"


def test_options_of_the_interpreter_hold(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write(1, filler="; assert False")
    assert tree.run("ours")[0] == "AssertionError \n"
    assert "value 1" in tree.run("ours", "-O")[0]
    elsewhere = tmp_path / "elsewhere"
    tree.write(1)
    assert str(elsewhere) in tree.run("ours", "-X", f"pycache_prefix={elsewhere}")[0]
