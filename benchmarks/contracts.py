"""The contracts that are measured."""

from __future__ import annotations

import json
from functools import cache

import wasmtime

from pygenvm.executor.config import cache_root
from pygenvm.runners.registry import read_latest

VERSION = "v0.2.16"

_HELLO = """
class Hello(gl.Contract):
    @gl.public.view
    def hello(self) -> str:
        return "Hello, world!"
"""

_HELLO_METHOD = """
    @gl.public.view
    def hello(self) -> str:
        return "Hello, world!"
"""

_STORAGE = """
class Storage(gl.Contract):
    text: str

    @gl.public.write
    def update(self, new: str) -> None:
        self.text = new
"""

#: As _STORAGE; each look at the clock is a host call, by which an observer sees where the contract is.
_MARKED = """
import time


class Storage(gl.Contract):
    text: str

    @gl.public.write
    def update(self, new: str) -> None:
        time.time()
        self.text = new
        time.time()
"""

#: A contract with this at module level asks for its message at its import, so it has no image.
_ASKS = """
import os
os.fstat(0)
"""

#: Each method does something ``n`` times.
_OPERATIONS = """
class Written(gl.Event):
    def __init__(self, number: u256, /): ...


class Operations(gl.Contract):
    number: u256
    text: str
    numbers: TreeMap[u256, u256]
    people: TreeMap[Address, u256]
    items: DynArray[u256]

    @gl.public.write
    def nothing(self, n: int) -> None:
        for _ in range(n):
            pass

    @gl.public.write
    def read_int(self, n: int) -> None:
        for _ in range(n):
            self.number

    @gl.public.write
    def write_int(self, n: int) -> None:
        for i in range(n):
            self.number = u256(i)

    @gl.public.write
    def write_text(self, n: int) -> None:
        for _ in range(n):
            self.text = "another text"

    @gl.public.write
    def append(self, n: int) -> None:
        for i in range(n):
            self.items.append(u256(i))

    @gl.public.write
    def insert_int(self, n: int) -> None:
        for i in range(n):
            self.numbers[u256(i)] = u256(i)

    @gl.public.write
    def insert_address(self, n: int) -> None:
        for i in range(n):
            self.people[Address(i.to_bytes(20, "big"))] = u256(i)

    @gl.public.write
    def event(self, n: int) -> None:
        for i in range(n):
            Written(u256(i)).emit()
"""

_FLOATS = """
import json


def loop(n):
    x, total = 1.5, 0.0
    for i in range(n):
        x = x * 1.0000003 + 0.25
        total += x / (1.0 + i) - 0.5
    return repr(total)


def as_json(n):
    values = [(i + 0.5) / 7.0 for i in range(1000)]
    for _ in range(n):
        values = json.loads(json.dumps(values))
    return repr(sum(values))
"""

_MATRICES = """
import numpy as np


def matrices(n):
    numbers = np.random.default_rng(1).standard_normal((2, 256, 256), dtype=np.float32)
    for _ in range(n):
        product = numbers[0] @ numbers[1]
    return repr(float(product.sum()))
"""

#: The same work in a deterministic and in a non-deterministic sub-VM, both started from the main one.
_BOTH_MODES = """

class Work(gl.Contract):
    @gl.public.view
    def det(self, work: str, n: int) -> str:
        function = globals()[work]
        return gl.vm.unpack_result(gl.vm.spawn_sandbox(lambda: function(n)))

    @gl.public.view
    def nondet(self, work: str, n: int) -> str:
        function = globals()[work]
        return gl.vm.run_nondet_unsafe(lambda: function(n), lambda _: True)
"""

_NUMPY = "import numpy as np\n\n"

#: As _FLOATS, with products of matrices.

_READS = """
(module
  (import "genlayer_sdk" "storage_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "{slot}")
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const {reads}))
    (loop $next
      (if (local.get $left) (then
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 64) (i32.const {length})) (then unreachable))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next))))))
"""


@cache
def runner_hash(runner: str) -> str:
    """Hash of the current archive of a built-in runner. ``genvm runners build`` makes them."""
    latest = read_latest(cache_root() / "registry")
    if runner not in latest:
        raise SystemExit(f"the runner {runner} is not built; run: genvm runners build")
    return latest[runner]


def _depends(runner: str) -> dict[str, str]:
    return {"Depends": f"{runner}:{runner_hash(runner)}"}


def _python(body: str, action: object) -> bytes:
    return f"# {VERSION}\n# {json.dumps(action)}\n\nfrom genlayer import *\n\n{body}".encode()


def hello() -> bytes:
    return _python(_HELLO, _depends("py-genlayer"))


def hello_without_snapshot() -> bytes:
    """:func:`hello` on the interpreter that starts up in every VM; its header does what py-genlayer does."""
    actions = [
        {"MapFile": {"file": "file", "to": "/contract.py"}},
        {"SetArgs": ["py", "-u", "-B", "/py/libs/_genlayer_runner.py"]},
        *(_depends(runner) for runner in ("py-lib-cloudpickle", "py-lib-genlayer-std", "cpython")),
    ]
    return _python(_HELLO, {"Seq": actions})


def hello_with_numpy() -> bytes:
    return _python(_NUMPY + _HELLO, _depends("py-genlayer"))


def storage() -> bytes:
    return _python(_STORAGE, _depends("py-genlayer"))


def marked_storage() -> bytes:
    return _python(_MARKED, _depends("py-genlayer"))


def without_image(code: bytes) -> bytes:
    """The same contract, which is imported in every call."""
    return code + _ASKS.encode()


def long() -> bytes:
    """300 lines: functions, methods and imports."""
    functions = [
        f"def helper_{n}(first: int, second: str = 'x') -> str:\n    total = 0\n    for i in range(first):\n"
        f"        total += i * {n}\n    text = second * {n + 1}\n    return f'{{text}}: {{total}}'\n"
        for n in range(20)
    ]
    methods = [
        f"    @gl.public.{'view' if n % 2 else 'write'}\n    def method_{n}(self, a: u256, b: str) -> str:\n"
        f"        if a > u256({n}):\n            return helper_{n % 20}(int(a) % 7, b)\n"
        f"        return json.dumps({{'a': int(a), 'b': re.sub('x', 'y', b)}})\n"
        for n in range(26)
    ]
    head = "import hashlib\nimport json\nimport re\n\n"
    fields = "class Long(gl.Contract):\n    total: u256\n    names: TreeMap[Address, str]\n    notes: DynArray[str]\n\n"
    return _python(
        head + "\n".join(functions) + "\n" + fields + "\n".join(methods) + _HELLO_METHOD, _depends("py-genlayer")
    )


def dataclasses() -> bytes:
    """Eight dataclasses with 16 collections, and 41 methods."""
    kinds = [
        f"@allow_storage\n@dataclass\nclass Record{n}:\n    owner: Address\n    amount: u256\n    name: str\n"
        f"    items: DynArray[u256]\n    by_name: TreeMap[str, u256]\n    flag: bool\n"
        for n in range(8)
    ]
    fields = "".join(f"    record_{n}: Record{n}\n    all_{n}: DynArray[Record{n}]\n" for n in range(8))
    methods = [
        f"    @gl.public.write\n    def method_{n}(self, a: u256, b: str) -> None:\n"
        f"        self.record_{n % 8}.amount = a\n        self.record_{n % 8}.name = b\n"
        for n in range(40)
    ]
    head = "from dataclasses import dataclass\n\n" + "\n\n".join(kinds) + "\n\nclass Many(gl.Contract):\n"
    return _python(head + fields + "\n" + "\n".join(methods) + _HELLO_METHOD, _depends("py-genlayer"))


def protobuf() -> bytes:
    """Imports a large library."""
    actions = {"Seq": [_depends("py-lib-protobuf"), _depends("py-genlayer")]}
    body = "import google.protobuf.descriptor_pb2\nimport google.protobuf.json_format\n" + _HELLO
    return _python(body, actions)


def operations() -> bytes:
    return _python(_OPERATIONS, _depends("py-genlayer"))


def floats() -> bytes:
    return _python(_FLOATS + _BOTH_MODES, _depends("py-genlayer"))


def matrices() -> bytes:
    return _python(_MATRICES + _BOTH_MODES, _depends("py-genlayer"))


def reads(slot: bytes, count: int, length: int) -> bytes:
    """A wasm contract that reads the first ``length`` bytes of ``slot`` ``count`` times."""
    text = _READS.format(slot="".join(f"\\{byte:02x}" for byte in slot), reads=count, length=length)
    return bytes(wasmtime.wat2wasm(text))
