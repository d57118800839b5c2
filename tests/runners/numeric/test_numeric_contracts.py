"""Contracts that use NumPy: which interpreter they get, storage, random numbers, and what does not fit."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pygenvm import schemas
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.runners.numeric import pins
from pygenvm.runners.registry import BuiltRunners
from tests.runners.python.python_contracts import HEADER, run_script, value_of_script
from tests.support.archives import contract_zip
from tests.support.execution import execute
from tests.support.hosts import InMemoryHost
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("numeric_runners")

NUMPY, PIL = "import numpy\n", "import PIL\n"
MODES = pytest.mark.parametrize("nondet", [False, True])


def test_pinned_hashes_are_those_of_the_build(numeric_runners: BuiltRunners) -> None:
    """Where this fails, something that goes into these archives has changed: run `genvm runners pin`."""
    assert pins.differences(numeric_runners.latest) == ""
    assert numeric_runners.latest.items() >= pins.pinned().items()


@MODES
@pytest.mark.parametrize(("imports", "found"), [("", False), (NUMPY, True), (PIL, True), ("# numpy\n", True)])
def test_only_who_mentions_numpy_has_it(imports: str, found: bool, nondet: bool) -> None:
    script = "import importlib.util, sys\ndef main():\n    return importlib.util.find_spec('numpy') is not None"
    assert value_of_script(script, nondet=nondet, imports=imports) is found


def test_a_folder_of_modules_is_looked_through() -> None:
    """The word is in one of its modules, not in the one that is started."""
    header = {"Depends": f"py-genlayer-multi:{list(schemas.load('runner-aliases')['py-genlayer-multi'])[-1]}"}
    main = b"from genlayer import *\nfrom .sums import total\nclass Sums(gl.Contract):\n    @gl.public.view\n"
    main += b"    def total(self) -> int:\n        return total()\n"
    sums = b"import numpy as np\ndef total():\n    return int(np.arange(10).sum())\n"
    code = contract_zip(header, {"contract/__init__.py": main, "contract/sums.py": sums}, "v0.2.16")
    run = execute(code, host=InMemoryHost(calldata=calldata.encode({"method": "total"})), built=True)
    assert run.outcome == Return(calldata.encode(45)), run.stderr.decode()


# --- storage (spec sdk/02 §7) ---

_STORAGE = """\
{imports}
from typing import Literal

class Numbers(gl.Contract):
    a: np.float32
    b: np.ndarray[tuple[Literal[2], Literal[2]], np.dtype[np.int16]]
    c: DynArray[np.int64]
    d: TreeMap[str, np.uint8]

    def __init__(self):
        self.a = np.float32(1.5)
        self.b = np.array([[1, 2], [3, -4]], np.int16)
        self.c.append(np.int64(-2))
        self.d["x"] = np.uint8(255)

    @gl.public.view
    def look(self) -> list:
        copy = self.b
        copy[0, 0] = 9
        return [
            str(self.a.dtype), float(self.a) == 1.5, self.b.tolist(), str(self.b.dtype), [int(x) for x in self.c],
            int(self.d["x"]),
        ]

    @gl.public.write
    def wrong(self, what: str) -> str:
        values = {{"dtype": np.zeros((2, 2)), "length": np.zeros(3, np.int16), "shape": np.arange(4, dtype=np.int16)}}
        try:
            self.b = values[what]
        except Exception as error:
            return f"{{type(error).__name__}} {{error}}"
        return str(self.b.tolist())
"""
_BEFORE, _AFTER = "import numpy as np\nfrom genlayer import *", "from genlayer import *\nimport numpy as np"


def stored(imports: str) -> InMemoryHost:
    """A node with the deployed contract."""
    host = InMemoryHost(calldata=calldata.encode({}))
    host.put_code((HEADER + _STORAGE.format(imports=imports)).encode())
    run = execute(host=host, built=True, message={"is_init": True})
    assert run.outcome == Return(calldata.encode(None)), run.stderr.decode()
    return host


def asked(host: InMemoryHost, method: str, *arguments: Any) -> Any:
    host.calldata = calldata.encode({"method": method, "args": list(arguments)})
    run = execute(host=host, built=True)
    assert isinstance(run.outcome, Return), run.stderr.decode()
    return calldata.decode(run.outcome.calldata)


@pytest.mark.parametrize("imports", [_BEFORE, _AFTER])
def test_fields_of_numpy_types(imports: str) -> None:
    host = stored(imports)
    assert any(bytes.fromhex("0000c03f 0100 0200 0300 fcff") in content for content in host.storage.values())
    assert asked(host, "look") == ["float32", True, [[1, 2], [3, -4]], "int16", [-2], 255]
    assert asked(host, "wrong", "dtype").startswith("AssertionError")
    assert "invalid len" in asked(host, "wrong", "length")
    assert asked(host, "wrong", "shape") == "[[0, 1], [2, 3]]"


# --- random numbers ---

_RANDOM = """\
import numpy as np
import numpy.random

def main(seed):
    if seed:
        np.random.seed(7)
        return repr(np.random.rand(2).tolist())
    return [np.random.bytes(8), np.random.default_rng().bytes(8), np.random.RandomState().bytes(8)]
"""


def test_random_numbers_are_the_same_for_everybody_in_deterministic_mode() -> None:
    first, second = (value_of_script(_RANDOM, False, imports=NUMPY) for _ in range(2))
    assert first == second
    assert len(set(first)) == 3


def test_random_numbers_of_a_block_are_random() -> None:
    """The global state is not that of the build."""
    found = [text for _ in range(2) for text in value_of_script(_RANDOM, False, nondet=True, imports=NUMPY)]
    assert len(set(found)) == 6
    assert not set(found) & set(value_of_script(_RANDOM, False, imports=NUMPY))


def test_a_seed_gives_the_published_numbers() -> None:
    """The legacy stream is frozen by NumPy's policy (NEP 19)."""
    for nondet in (False, True):
        text = value_of_script(_RANDOM, True, nondet=nondet, imports=NUMPY)
        assert text == "[0.07630828937395717, 0.7799187922401146]"


# --- what does not fit ---

_EXPECTED = {
    "np.empty(2**31, np.int8)": "ValueError",
    "np.empty((2**15, 2**15))": "ValueError",
    "[np.empty(2**30, np.int8) for _ in range(5)]": "MemoryError",
    "[np.empty(2**31 - 1, np.int8) for _ in range(2)]": "MemoryError",
    "np.zeros((2**20, 2**20, 2**20))": "ValueError",
    "np.frombuffer(b'123', np.int16)": "ValueError",
    "np.load(io.BytesIO(b'\\\\x93NUMPY' + bytes(9)))": "ValueError",
    "np.load(io.BytesIO(pickled()))": "ValueError",
    "np.array([1, {}]) + 1": "TypeError",
    "np.array([object()]).astype(float)": "TypeError",
    "linalg.inv(np.zeros((3, 3)))": "LinAlgError",
    "linalg.cholesky(-np.eye(2))": "LinAlgError",
    "linalg.svd(np.full((3, 3), np.nan))": "LinAlgError",
    "np.random.default_rng(1).choice(0)": "ValueError",
    "np.fromfile('nothing')": "FileNotFoundError",
    "np.memmap('x')": "ModuleNotFoundError",
    "copy.copy(np.float64(2)).item()": "2.0",
    "pickle.loads(pickle.dumps(np.arange(3))).tolist()": "[0, 1, 2]",
    "np.array([2**70, 'x', None], object)[0] == 2**70": "True",
    "np.arange(3).dtype.str": "'<i4'",
    "int(np.arange(2**16)[-1] ** 2)": "-131071",
    "float(np.float64(1) / 0)": "inf",
    "np.frexp(np.array([np.inf, -np.inf, np.nan], np.float32))[1].tolist()": "[0, 0, 0]",
    "np.frexp(np.array([np.inf, 6, 3e-320]))[1].tolist()": "[0, 3, -1061]",
    "np.frexp(np.array([np.inf, 6, 0.1], np.longdouble))[1].tolist()": "[0, 3, -3]",
}
_BAD = """\
import copy, io, pickle, warnings
import numpy as np
from numpy import linalg

def pickled():
    file = io.BytesIO()
    np.save(file, np.array([None, 1], object), allow_pickle=True)
    return file.getvalue()

def one(text):
    try:
        return repr(eval(text))
    except Exception as error:
        return type(error).__name__

def main(texts):
    return [one(text) for text in texts]
"""


@MODES
def test_bad_input_is_an_exception(nondet: bool) -> None:
    found = value_of_script(_BAD, list(_EXPECTED), nondet=nondet, imports=NUMPY)
    assert dict(zip(_EXPECTED, found, strict=True)) == _EXPECTED


def test_cpp_code_without_memory_ends_the_contract_as_an_uncaught_error_does() -> None:
    """There are no C++ exceptions: what cannot be caught must not be an abort."""
    script = (
        "import numpy as np\n"
        "def main():\n"
        "    array, held = np.arange(2**21), []\n"
        "    try:\n"
        "        while True:\n"
        "            held.append(np.empty(2**24, np.int8))\n"
        "    except MemoryError:\n"
        "        return len(np.unique(array, sorted=False))\n"
    )
    run = run_script(script, imports=NUMPY)
    assert isinstance(run.outcome, VMError), run.outcome
    assert run.outcome.message == "exit_code 1"
    assert b"MemoryError" in run.stderr


_DEEP = """\
import copy, pickle
import numpy as np

class Adds:
    def __add__(self, other):
        return np.add(np.array([self], object), other)

class Converts:
    def __array__(self, dtype=None, copy=None):
        return np.asarray(self)

class Compares:
    def __lt__(self, other):
        return np.sort(np.array([self, other], object))[0] is self

def nested():
    value = []
    for _ in range(100_000):
        value = [value]
    return value

def within():
    array = np.empty(1, object)
    array[0] = array
    return array

def dtype():
    kind = np.dtype("i1")
    for _ in range(3000):
        kind = np.dtype([("a", kind)])
    return str(kind)

CALLS = {
    "adds": lambda: Adds() + 1,
    "converts": lambda: np.asarray(Converts()),
    "compares": lambda: Compares() < Compares(),
    "nested": lambda: np.array(nested(), object).shape,
    "dtype": dtype,
    "repr": lambda: repr(within()),
    "deepcopy": lambda: copy.deepcopy(within())[0].shape,
    "pickle": lambda: len(pickle.dumps(within())) > 0,
    "equal": lambda: bool((within() == within())[0]),
}

def main(name):
    try:
        return str(CALLS[name]())[:40]
    except Exception as error:
        return type(error).__name__
"""


@MODES
@pytest.mark.parametrize("name", ["adds", "converts", "compares", "nested", "dtype", "repr", "deepcopy", "pickle"])
def test_what_calls_itself_without_end_is_an_exception(name: str, nondet: bool) -> None:
    """Or has a value; the sandbox lives in any case."""
    found = value_of_script(_DEEP, name, nondet=nondet, imports=NUMPY)
    expected = {"nested": "(1, 1,", "repr": "array([array(...", "pickle": "True"}.get(name, "RecursionError")
    assert found.startswith(expected), found


@MODES
def test_what_numpy_follows_without_counting_ends_with_the_stack(nondet: bool) -> None:
    """Elsewhere it ends the process."""
    run = run_script(_DEEP, "equal", nondet=nondet, imports=NUMPY)
    assert isinstance(run.outcome, VMError)
    assert run.outcome.message == "wasm_trap StackOverflow"


def test_nothing_of_the_build_machine_is_in_an_archive(numeric_runners: BuiltRunners) -> None:
    for runner in pins.pinned():
        content = numeric_runners.archive(runner).read_bytes()
        for path in (numeric_runners.root, ROOT):
            assert os.fsencode(path) not in content
