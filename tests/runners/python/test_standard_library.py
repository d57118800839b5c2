"""The standard library in the sandbox: every module can be imported, and docs/stdlib.md names what is absent."""

from __future__ import annotations

import bz2
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pygenvm.executor.runner.ustar import read_tar
from pygenvm.runners.registry import BuiltRunners
from tests.runners.python.python_contracts import value_of_script

DOCUMENT = Path(__file__).parents[3] / "docs" / "stdlib.md"

#: What the ecosystem's interpreter has, and contracts on it import.
WANTED = """
bz2 ctypes ctypes.util ctypes.wintypes unittest unittest.mock doctest urllib.request urllib.robotparser http.client
http.server http.cookiejar xml.dom xml.dom.minidom xml.dom.pulldom xml.sax xml.sax.saxutils xml.sax.expatreader
logging.handlers logging.config shelve dbm dbm.dumb code cmd bdb pdb wave netrc pydoc pickletools symtable trace timeit
smtplib ftplib imaplib poplib mailbox socketserver xmlrpc.client xmlrpc.server wsgiref.util getpass rlcompleter
multiprocessing concurrent.futures.process compileall py_compile pyclbr modulefinder tabnanny webbrowser zipapp venv
this
""".split()  # noqa: SIM905  shorter

IMPORTS = """
import importlib, sys

def main(names):
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return failed
"""
NAMES = """
import sys

def main():
    return sorted({*sys.builtin_module_names, *sys.stdlib_module_names})
"""


@pytest.fixture(autouse=True, scope="module")
def _built(built_runners: object) -> None:
    """Every test here needs the runners."""


@pytest.fixture(scope="module")
def shipped(built_runners: BuiltRunners) -> list[str]:
    """Every module that has a file in the archive."""
    names = set()
    for name in read_tar(memoryview(built_runners.archive("cpython").read_bytes())):
        file = PurePosixPath(name)
        if file.suffix == ".py" and file.is_relative_to("py/std") and file.name != "__main__.py":
            parts = file.relative_to("py/std").with_suffix("").parts
            names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def absent() -> set[str]:
    """Modules of the first table of the document."""
    rows = DOCUMENT.read_text(encoding="utf-8").split("## What is there")[0]
    names: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE):
        package = re.search(r"parts of `(\w+)` that need them: (.*)", row)
        if package:
            names |= {f"{package[1]}.{part}" for part in re.findall(r"`([\w.]+)`", package[2])}
            row = row.replace(package[0], "")
        names |= set(re.findall(r"`([\w.]+)`", row)) - {"_pyrepl"}
    return names


@pytest.mark.parametrize("nondet", [False, True])
def test_every_shipped_module_can_be_imported(shipped: list[str], nondet: bool) -> None:
    assert len(shipped) > 450
    assert value_of_script(IMPORTS, shipped, nondet=nondet) == {}


def test_the_wanted_ones_are_there(shipped: list[str]) -> None:
    assert set(WANTED) - set(shipped) == set()


def test_the_document_names_what_is_absent() -> None:
    names = [name for name in value_of_script(NAMES) if not name.startswith("_test")]
    missing = value_of_script(IMPORTS, names)
    told = absent()
    assert set(missing) - told == set()
    assert set(value_of_script(IMPORTS, sorted(told))) == told


# --- what was brought along -------------------------------------------------------------------------

BZ2 = """
import bz2, io

def main(texts, packed):
    made = [bz2.compress(text, level) for text in texts for level in (1, 9)]
    assert [bz2.decompress(data) for data in packed] == [text for text in texts for _ in (1, 9)]
    with bz2.open(io.BytesIO(packed[0])) as file:
        assert file.read() == texts[0]
    try:
        bz2.decompress(packed[0][:-4])
    except ValueError as error:
        return [made, str(error)]
"""


def test_bz2_gives_the_bytes_of_everybody() -> None:
    texts = [b"", b"a" * 300_000, bytes(range(256)) * 500, "Grüße, 世界".encode() * 1000]
    packed = [bz2.compress(text, level) for text in texts for level in (1, 9)]
    made, error = value_of_script(BZ2, texts, packed)
    assert made == packed
    assert error == "Compressed data ended before the end-of-stream marker was reached"


CTYPES = """
import ctypes, ctypes.util

class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]

def tried(call, *arguments):
    try:
        return repr(call(*arguments))
    except Exception as error:
        return type(error).__name__

def main():
    return [
        [ctypes.sizeof(kind) for kind in (ctypes.c_int8, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char * 7)],
        ctypes.POINTER(Point) is ctypes.POINTER(Point),
        tried(ctypes.c_int, 5), tried(Point), tried(ctypes.CDLL, "libc.so.6"), tried(ctypes.create_string_buffer, 5),
        tried(ctypes.string_at, 0), tried(lambda: ctypes.pythonapi.Py_IncRef), tried(ctypes.CFUNCTYPE(None), print),
    ]
"""


def test_ctypes_can_be_imported_and_not_used() -> None:
    refused = "NotImplementedError"
    assert value_of_script(CTYPES) == [[1, 8, 4, 7], True, *[refused] * 2, "OSError", *[refused] * 4]


EVERYDAY = """
import cmd, code, doctest, http.client, io, logging.config, logging.handlers, unittest, urllib.request, wave
import xml.dom.minidom, xml.sax

class Names(xml.sax.ContentHandler):
    def __init__(self):
        self.names = []
    def startElement(self, name, attributes):
        self.names.append(name)

class Case(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, 2)

def main():
    names = Names()
    xml.sax.parseString("<a><b/></a>", names)
    ran = unittest.TextTestRunner(io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    try:
        urllib.request.urlopen("http://example.com")
    except OSError as error:
        refused = type(error).__name__
    logging.config.dictConfig({"version": 1, "handlers": {"none": {"class": "logging.NullHandler"}}})
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"ab")
    console = code.InteractiveInterpreter({})
    return [
        names.names, xml.dom.minidom.parseString("<a>t</a>").documentElement.toxml(), ran.testsRun, len(ran.failures),
        refused, len(sound.getvalue()), console.runsource("x = 1"), console.locals["x"],
    ]
"""


def test_modules_work_as_far_as_there_is_nothing_outside() -> None:
    expected: list[Any] = [["a", "b"], "<a>t</a>", 1, 0, "URLError", 46, False, 1]
    assert value_of_script(EVERYDAY) == expected
