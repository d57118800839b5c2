"""Images of contracts: which contracts have one, and that nobody can tell who made it."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pygenvm.executor import limits, machine
from pygenvm.executor.config import cache_root
from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.pool.client import ExecutorPool
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.run import images
from pygenvm.executor.run.supervisor import Supervisor
from pygenvm.executor.runner.actions import Source
from pygenvm.executor.subvm import image as subvm_image
from pygenvm.executor.subvm import linear
from pygenvm.executor.subvm.image import Overlay
from pygenvm.executor.subvm.vm import SubVM
from pygenvm.runners.numeric import pins
from pygenvm.runners.registry import BuiltRunners
from tests.executor.pool.pool_support import job, pool
from tests.runners.python.python_contracts import HEADER, contract
from tests.support.archives import contract_zip
from tests.support.execution import Execution, config_file, execute, execute_process
from tests.support.hosts import InMemoryHost
from tests.support.paths import ROOT
from tests.support.running import WatchedHost, running

pytestmark = pytest.mark.usefixtures("built_runners")

_FOLDER = cache_root() / "executor" / "images"


def fresh(module: str, method: str = "return 1", header: str = HEADER) -> bytes:
    """A contract that nobody has seen before: ``module`` at module level, ``method`` is the body of ``f``."""
    lines = ["from genlayer import *", module, "class C(gl.Contract):", "    def __init__(self): pass"]
    lines += ["    @gl.public.write", "    def f(self):", *(f"        {line}" for line in method.split("\n"))]
    return "\n".join((header, f"_fresh = '{uuid.uuid4()}'", *lines, "")).encode()


def host(code: bytes, method: str = "f") -> InMemoryHost:
    made = InMemoryHost(calldata=calldata.encode({"method": method}))
    made.put_code(code)
    return made


class Seen(NamedTuple):
    """All that can be seen of a run from outside."""

    payload: bytes | None
    fingerprint: Any
    traffic: Any
    stdout: bytes
    stderr: bytes

    @classmethod
    def of(cls, run: Execution) -> Seen:
        return cls(run.payload, run.fingerprint, run.host.requests, run.stdout, run.stderr)


def call(code: bytes, method: str = "f") -> Execution:
    """A run like that of a new process: nothing of any contract is in memory."""
    images.made_in.cache_clear()
    return execute(host=host(code, method), built=True)


@contextlib.contextmanager
def no_images() -> Iterator[None]:
    """How it would be if there were none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervisor, "image", lambda self, source: None)
        yield


class Asked(NamedTuple):
    images: list[Overlay | None]

    @property
    def has_image(self) -> bool:
        return self.images[-1] is not None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The images that runs in this process begin with."""
    seen = Asked([])
    real = images.Images.image

    def image(self: images.Images, source: Source) -> Overlay | None:
        seen.images.append(real(self, source))
        return seen.images[-1]

    monkeypatch.setattr(images.Images, "image", image)
    return seen


def file_of(overlay: Overlay) -> Path:
    """Where it is kept."""
    content = overlay.image.to_bytes()
    [path] = [path for path in _FOLDER.glob("*.image") if path.read_bytes()[32:] == content]
    return path


# --- which contracts have one ---

_WITH = {
    "nothing": ("", "return 1"),
    "dir of gl": ("names = dir(gl)", "return 'message' in names"),
    "random, uuid, urandom": (
        "import os, random, uuid\nR = [str(random.random()), os.urandom(5).hex(), str(uuid.uuid4())]",
        "return R + [str(random.random()), os.urandom(5).hex(), str(uuid.uuid4())]",
    ),
    "file numbers": (
        "open('/contract.py').close()\nfor _ in range(3):\n    try: open('/missing')\n    except OSError: pass",
        "files = [open('/contract.py') for _ in range(3)]\nreturn [file.fileno() for file in files]",
    ),
    "20 MB": ("B = bytearray(20 << 20)", "B[-1] = 1\nreturn len(B)"),
    "20 MB, freed": ("B = bytearray(20 << 20)\ndel B", "return len(bytearray(19 << 20))"),
    "floats": ("F = [1.5 * x / 3 for x in range(9)]", "return [str(f) for f in F]"),
    "generator": ("def g():\n    yield 1\n    yield 2\nG = g(); next(G)", "return next(G)"),
    "lru_cache": (
        "import functools\n@functools.lru_cache\ndef h(x): return x + 1\nh(1)",
        "h(1)\nreturn str(h.cache_info())",
    ),
    "atexit": ("import atexit\natexit.register(lambda: None)", "return 1"),
    "sandbox": ("X = 5", "return gl.vm.unpack_result(gl.vm.spawn_sandbox(lambda: X + 1))"),
    "nondet": ("X = 5", "return gl.vm.run_nondet_unsafe(lambda: X + 2, lambda result: True)"),
    "recursion": ("def d(n): return 0 if n == 0 else 1 + d(n - 1)\nD = d(500)", "return d(400)"),
    "import in the method": ("", "import colorsys, html.entities\nreturn colorsys.__name__"),
    "environment": ("import os, sys\nE = [dict(os.environ), sys.argv, list(sys.path)]", "return E"),
    "changed search path": ("import sys\nsys.path.insert(0, '/x')", "return sys.path"),
    "files": ("import os\nN = [sorted(os.listdir('/')), os.path.realpath('/contract.py')]", "return N"),
    "recursion limit": ("import sys\nsys.setrecursionlimit(5000)", "return sys.getrecursionlimit()"),
    "dataclass": (
        "from dataclasses import dataclass\n@allow_storage\n@dataclass\nclass P:\n    a: u256\n    b: str",
        "return str(P(u256(1), 'x'))",
    ),
    "own message": ("gl.message = 'own'", "return gl.message"),
    "collector": ("import gc\ngc.collect()", "return gc.isenabled()"),
    "lock and thread-local": ("import threading\nL = threading.Lock(); T = threading.local(); T.x = 3", "return T.x"),
    "profile": ("import sys\ncalls = []\nsys.setprofile(lambda *what: None)", "return sys.getprofile() is not None"),
    "exception in the method": ("", "raise KeyError('a')"),
    "user error in the method": ("", "raise gl.vm.UserError('no')"),
    "exit in the method": ("", "exit(7)"),
    "hook for exceptions": ("import sys\nsys.excepthook = lambda *what: None", "raise KeyError('a')"),
}
_WITHOUT = {
    "message": ("S = gl.message.sender_address", "return S.as_hex"),
    "message by name": ("from genlayer.gl import message", "return message.sender_address.as_hex"),
    "message, all names": ("from genlayer.gl import *", "return message.sender_address.as_hex"),
    "message, asked whether": ("H = hasattr(gl, 'message')", "return H"),
    "raw message": ("import os\nM = len(os.read(0, 9999))", "return M"),
    "size of the message": ("import os\nN = os.fstat(0).st_size", "return N"),
    "date": ("import datetime\nN = str(datetime.datetime.now())", "return N"),
    "time": ("import time\nN = int(time.time())", "return N"),
    "monotonic time": ("import time\nN = str(time.monotonic())", "return N"),
    "sleep": ("import time\ntime.sleep(0.01)", "return 1"),
    "print": ("print('printed')", "return 1"),
    "exception": ("1 / 0", "return 1"),
    "user error": ("raise gl.vm.UserError('no')", "return 1"),
    "exit": ("import sys\nsys.exit(0)", "return 1"),
    "exit with a number": ("import sys\nsys.exit(3)", "return 1"),
    "abort": ("import os\nos.abort()", "return 1"),
    "no module": ("import sys\ndel sys.modules['contract']", "return 1"),
    "SDK forgotten": (
        "import sys\nfor name in list(sys.modules):\n    if name.split('.')[0] == 'genlayer': del sys.modules[name]",
        "return gl.message.sender_address.as_hex",
    ),
    "balance": ("import _genlayer_wasi\nB = _genlayer_wasi.get_self_balance()", "return B"),
    "storage": ("S = gl.storage.Root.get().upgraders.get()\nL = len(S)", "return L"),
    "trace": ("gl.trace('x')", "return 1"),
    "event": ("gl.advanced.emit_raw_event([], {})", "return 1"),
    "another contract": ("A = gl.get_contract_at(Address(b'a' * 20)).balance", "return A"),
    "sandbox": ("X = gl.vm.spawn_sandbox(lambda: 1)", "return 1"),
    "open file": ("F = open('/contract.py')", "return F.read(9)"),
    "standard input closed": ("import os\nos.close(0)", "return 1"),
    "standard error closed": ("import os\nos.close(2)", "return 1"),
    "file as standard output": (
        "import os\nos.close(1)\nF = os.open('/contract.py', os.O_RDONLY)",
        "return os.read(F, 9)",
    ),
    "file as standard error": ("import os\nos.close(2)\nF = open('/contract.py')", "return F.read(9)"),
    "more memory than an image has": ("B = bytearray(b'x') * (9 << 20)", "return len(B)"),
    "more memory than it is made with": ("B = bytearray(1 << 30)", "return len(B)"),
    "trap": (
        "import sys\nsys.setrecursionlimit(1 << 30)\nt = ()\nfor _ in range(50_000): t = (t,)\nhash(t)",
        "return 1",
    ),
}


@pytest.mark.parametrize("name", _WITH)
def test_contracts_with_an_image(name: str, asked: Asked) -> None:
    code = fresh(*_WITH[name])
    made = call(code)
    assert asked.has_image
    assert Seen.of(call(code)) == Seen.of(made)
    with no_images():
        without = call(code)
    # Memory, and with it fingerprints, is what differs.
    assert made.outcome == without.outcome
    assert made.host.requests[:-1] == without.host.requests[:-1]
    assert (made.stdout, made.stderr) == (without.stdout, without.stderr)


@pytest.mark.parametrize("name", _WITHOUT)
def test_contracts_without_one(name: str, asked: Asked) -> None:
    code = fresh(*_WITHOUT[name])
    first = call(code)
    assert not asked.has_image
    with no_images():
        without = call(code)
    assert Seen.of(first) == Seen.of(call(code)) == Seen.of(without)


def test_what_is_seen_at_import(asked: Asked) -> None:
    """Where an import with an image differs from one without."""
    code = fresh("import sys\nV = 'message' in vars(gl)\nN = sys._getframe().f_back is not None", "return [V, N]")
    seen = call(code)
    assert asked.has_image
    assert seen.outcome == Return(calldata.encode([False, True]))
    with no_images():
        assert call(code).outcome == Return(calldata.encode([True, True]))


def _numpy_is_built() -> bool:
    """It is built when somebody needs it."""
    name = pins.pinned()["cpython-genlayer-numeric"]
    return (cache_root() / "runners" / "cpython-genlayer-numeric" / name[:2] / f"{name[2:]}.tar").exists()


def test_contracts_of_every_kind_have_images(asked: Asked, built_runners: BuiltRunners) -> None:
    """Folders, and those for the SDK v0.1.0, whose message is another."""
    body = b"from genlayer import *\nclass C(gl.Contract):\n    @gl.public.view\n    def f(self): return %b\n"
    latest = {name: f"{name}:{text}" for name, text in built_runners.latest.items()}
    multi = {"contract/__init__.py": b"from .other import *\n" + body % b"X", "contract/other.py": b"X = 5"}
    cases: list[tuple[str, dict[str, bytes], Any]] = [
        ("py-genlayer-multi", multi, 5),
        ("py-genlayer-v0_1_0", {"file": body % b"gl.message.is_init"}, False),
        ("py-genlayer-multi-v0_1_0", {**multi, "contract/__init__.py": body % b"gl.message.is_init"}, False),
    ]
    if _numpy_is_built():
        cases.append(("py-genlayer", {"file": b"import numpy\n" + body % b"int(numpy.arange(5).sum())"}, 10))
    for runner, files, value in cases:
        code = contract_zip({"Depends": latest[runner]}, {**files, "fresh": uuid.uuid4().bytes}, "v0.2.16")
        made = call(code)
        assert made.outcome == Return(calldata.encode(value)), made.stderr.decode()
        assert asked.has_image
        assert Seen.of(call(code)) == Seen.of(made)


def test_calls_begin_with_images(asked: Asked) -> None:
    """Sandboxes and non-deterministic VMs do not."""
    called = "return gl.get_contract_at(gl.message.contract_address).view(state=StorageType.DEFAULT).g()"
    view = "\n    @gl.public.view\n    def g(self): return 7"
    run = call(fresh("from genlayer.py.public_abi import StorageType", called) + view.encode())
    assert run.outcome == Return(calldata.encode(7)), run.stderr.decode()
    assert len(asked.images) == 2
    assert asked.images[0] is not None
    assert asked.images[0] == asked.images[1]
    for alone in ("gl.vm.spawn_sandbox(lambda: 1)", "gl.vm.run_nondet_unsafe(lambda: 1, lambda result: True)"):
        asked.images.clear()
        call(fresh("", f"{alone}\nreturn 2"))
        assert len(asked.images) == 1


def test_a_sandbox_has_not_imported_the_contract(asked: Asked) -> None:
    """Not if its function comes with all that it needs."""
    work = "['contract' in __import__('sys').modules, __import__('os').urandom(9)]"
    code = fresh("import os\nos.urandom(5)", f"return gl.vm.spawn_sandbox(lambda: {work}).calldata")
    run = call(code)
    assert asked.has_image
    with no_images():
        assert call(code).outcome == run.outcome


def test_the_profiler_sees_the_import(asked: Asked, built_runners: BuiltRunners) -> None:
    runner = f"py-genlayer:{built_runners.latest['py-genlayer']}"
    actions = {"Seq": [{"AddEnv": {"name": "GENLAYER_ENABLE_PROFILER", "val": "true"}}, {"Depends": runner}]}
    run = call(contract_zip(actions, {"file": fresh("", "return 1", "")}, "v0.2.16"))
    assert isinstance(run.outcome, Return)
    assert not asked.has_image


def test_a_contract_with_a_module_of_its_own_has_none(asked: Asked, built_runners: BuiltRunners) -> None:
    runner = f"py-genlayer:{built_runners.latest['py-genlayer']}"
    own = b"\0asm\1\0\0\0\0\x09\x04name\0\x02\x01m"
    actions = {"Seq": [{"LinkWasm": "own.wasm"}, {"Depends": runner}]}
    run = call(contract_zip(actions, {"file": fresh("", "return 1", ""), "own.wasm": own}, "v0.2.16"))
    assert isinstance(run.outcome, Return)
    assert asked.images == []


# --- nobody can tell who made it ---

_FAILING = ("import random\nX = random.random()\nB = bytearray(20 << 20)", "raise gl.vm.UserError(str(X))")


def test_made_by_another_process(asked: Asked) -> None:
    code = fresh(*_FAILING)
    other = execute_process(code, built=True, host=host(code))
    here = call(code)
    image = asked.images[-1]
    assert image is not None
    path = file_of(image)
    kept = path.read_bytes()
    path.unlink()
    made = call(code)
    assert isinstance(made.outcome, UserError)
    assert other.payload == here.payload == made.payload
    assert made.fingerprint["module_instances"]
    assert path.read_bytes() == kept


def laid_over_again(code: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Seen], list[int]]:
    """Runs by a process that knows the image, and how many pieces had been mapped after each."""
    counts = [0]

    def count(*arguments: int) -> None:
        counts[-1] += 1
        machine.map_over(*arguments)

    monkeypatch.setattr(subvm_image, "map_over", count)
    runs = []
    images.made_in.cache_clear()
    for _ in range(30):
        counts.append(counts[-1])
        linear.forget()
        runs.append(Seen.of(execute(host=host(code), built=True)))
    return runs, counts[1:]


@pytest.mark.parametrize("imported", ["", "import json, re, dataclasses\nB = bytearray(20 << 20)"])
def test_laid_over_by_copy_and_by_mapping(imported: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the contract writes to what was mapped, and where the memory has grown."""
    module = f"{imported}\nimport random\nX = [random.random()]\nMANY = [[i] for i in range(20_000)]"
    code = fresh(module, "X.append(len(MANY))\nfor m in MANY: m.append(1)\nraise gl.vm.UserError(str(X))")
    runs, mapped = laid_over_again(code, monkeypatch)
    assert mapped[0] == 0 < mapped[-2] < mapped[-1]
    assert all(run == runs[0] for run in runs)
    assert runs[0].fingerprint["module_instances"]


def test_what_cannot_be_mapped_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no more descriptors")

    monkeypatch.setattr(os, "memfd_create", refuse)
    runs, mapped = laid_over_again(fresh(*_FAILING), monkeypatch)
    assert mapped[-1] == 0
    assert all(run == runs[0] for run in runs)


def test_not_all_descriptors_are_for_what_is_mapped(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that images had which are forgotten can be had again."""
    codes = [fresh(f"X = {number}") for number in range(4)]
    images.made_in.cache_clear()
    # Tracebacks of earlier tests may hold some.
    gc.collect()
    monkeypatch.setattr(limits, "IMAGES_JOINED_MAX", len(subvm_image.files_to_map) + 2)

    def mapped(code: bytes) -> bool:
        _in_memory(code)
        overlay = asked.images[-1]
        assert overlay is not None
        overlay._left = 0
        linear.forget()
        _in_memory(code)
        return overlay._joined is not None

    def descriptors() -> int:
        return sum(
            "/memfd:image" in os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
        )

    before = descriptors()
    assert [mapped(code) for code in codes[:3]] == [True, True, False]
    assert descriptors() == before + 2
    asked.images.clear()
    images.made_in.cache_clear()
    gc.collect()
    assert descriptors() == before
    assert mapped(codes[3])


def test_what_is_damaged_is_made_again(asked: Asked) -> None:
    code = fresh(*_FAILING)
    made = Seen.of(call(code))
    image = asked.images[-1]
    assert image is not None
    path = file_of(image)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:]):
        path.write_bytes(damaged)
        assert Seen.of(call(code)) == made
        assert path.read_bytes() == whole


def test_a_store_that_cannot_be_written(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    code = fresh(*_FAILING)

    def write(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("pygenvm.executor.cache_folder.CacheFolder.write", write)
        unwritten = [Seen.of(call(code)) for _ in range(2)]
    assert [Seen.of(call(code)) for _ in range(2)] == unwritten
    assert asked.has_image


_KILLED = """\
import os, signal, sys
from tests.runners.python.test_contract_images import host
from tests.support.execution import execute
code = sys.stdin.buffer.read()
def killed(source, target, rename=os.replace):
    if str(target).endswith(".image"):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = killed
execute(host=host(code), built=True)
"""


def test_killed_while_it_is_stored(asked: Asked) -> None:
    code = fresh(*_FAILING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", _KILLED], input=code, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert Seen.of(call(code)) == Seen.of(call(code))
    assert asked.has_image


def test_two_threads_make_the_same_image(asked: Asked) -> None:
    code = fresh(*_FAILING)
    images.made_in.cache_clear()
    runs: list[Execution] = []
    threads = [threading.Thread(target=lambda: runs.append(execute(host=host(code), built=True))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Seen.of(runs[0]) == Seen.of(runs[1]) == Seen.of(call(code))
    assert asked.has_image


def test_the_import_is_charged_as_without_an_image(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that it grew by, and numbers of files."""
    failing = "for _ in range(9):\n    try: open('/missing')\n    except OSError: pass\nB = bytearray(20 << 20)"
    charged: list[int] = []
    close = SubVM.close

    def closed(vm: SubVM) -> None:
        if vm.spec.message.contract_address.as_bytes != bytes(20):
            vm.budget.settle()
            charged.append(vm.budget._charged)
        close(vm)

    monkeypatch.setattr(SubVM, "close", closed)
    code = fresh(failing)
    call(code)
    assert asked.has_image
    with no_images():
        call(code)
    assert charged[0] == charged[1] > 40 << 20


def test_an_import_that_never_ends_is_interrupted(tmp_path: Path) -> None:
    """It hangs while the image is made, which ends with the run."""
    code = fresh("while True: pass")
    watched = WatchedHost(calldata=calldata.encode({"method": "f"}))
    with running(code=code, host=watched, config=config_file(tmp_path, built=True)) as run:
        run.host.reached(HostMethod.GET_CALLDATA)
        time.sleep(1)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
    assert run.host.outcome == VMError("timeout")


# --- generated contracts ---

_PIECES = (
    "import json, re, hashlib\nJ{n} = json.dumps({{'n': {n}}})\nH{n} = hashlib.sha256(J{n}.encode()).hexdigest()",
    "from dataclasses import dataclass\n@allow_storage\n@dataclass\nclass D{n}:\n    a: u256\n    b: DynArray[str]",
    "import collections\nT{n} = collections.namedtuple('T{n}', 'a b')(1, {n})",
    "import enum\nclass E{n}(enum.Enum):\n    A = {n}\n    B = 2",
    "import random\nR{n} = random.randrange(1 << 40)",
    "import os\nU{n} = os.urandom({n})",
    "X{n} = {{i: str(i) * 3 for i in range({n}0)}}",
    "L{n} = [object() for _ in range({n}00)]",
    "M{n} = bytearray({n} << 18)",
    "def f{n}(x, y=[]):\n    y.append(x)\n    return y\nf{n}({n})",
    "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    Z{n} = str(error)",
    "try:\n    open('/missing{n}')\nexcept OSError as error:\n    O{n} = error.errno",
    "S{n} = open('/contract.py').read()[:{n}]",
    "import colorsys, csv, fractions\nF{n} = fractions.Fraction(1, {n})",
    "class M{n}(type):\n    pass\nclass K{n}(metaclass=M{n}):\n    x: 'int' = {n}",
    "import gc\ngc.collect()",
    "D{n} = sum(0.1 for _ in range({n}))",
)
#: With these there is no image.
_TELLING = (
    "print('piece {n}')",
    "import datetime\nN{n} = datetime.datetime.now()",
    "import time\nV{n} = time.time()",
    "W{n} = gl.message.sender_address",
    "raise gl.vm.UserError('piece {n}')",
    "raise ValueError({n})",
    "Q{n} = len(gl.storage.Root.get().upgraders.get())",
    "P{n} = open('/contract.py')",
)
_METHODS = (
    "return sorted(name for name in globals() if name[1:].isdigit())",
    "raise gl.vm.UserError(str(sorted(globals())))",
    "raise KeyError(len(globals()))",
    "self.total += u256(7)\nraise gl.vm.UserError(str(self.total))",
    "self.notes.append('x' * 50)\nreturn len(self.notes)",
    "import random\nreturn [random.randrange(99), str(globals().get('R3'))]",
    "return gl.vm.unpack_result(gl.vm.spawn_sandbox(lambda: len(globals())))",
    "exit(9)",
)
_CLASS = "class C(gl.Contract):\n    total: u256\n    notes: DynArray[str]\n    def __init__(self): pass\n"


def generated(chance: random.Random) -> bytes:
    pieces = [piece.format(n=chance.randint(1, 9)) for piece in chance.choices(_PIECES, k=chance.randint(0, 8))]
    if chance.random() < 0.2:
        pieces.insert(chance.randint(0, len(pieces)), chance.choice(_TELLING).format(n=chance.randint(1, 9)))
    body = "\n".join(f"        {line}" for line in chance.choice(_METHODS).split("\n"))
    method = f"    @gl.public.write\n    def f(self):\n{body}\n"
    return contract("\n".join((f"# {uuid.uuid4()}", "from genlayer import *", *pieces, _CLASS + method)))


def _in_this_process(code: bytes) -> Execution:
    return call(code)


def _in_memory(code: bytes) -> Execution:
    return execute(host=host(code), built=True)


def _by_mapping(asked: Asked) -> Callable[[bytes], Execution]:
    def run(code: bytes) -> Execution:
        """After a run with which this process has copied enough."""
        last = asked.images[-1]
        if last is not None:
            last._left = 0
        linear.forget()
        _in_memory(code)
        assert last is None or last._joined is not None
        linear.forget()
        return _in_memory(code)

    return run


def _in_a_process(code: bytes) -> Execution:
    return execute_process(code, built=True, host=host(code))


@pytest.fixture(scope="module")
def executors(built_runners: BuiltRunners) -> Iterator[ExecutorPool]:
    with pool(built=True) as made:
        yield made


def _in_a_pool(executors: ExecutorPool) -> Callable[[bytes], Execution]:
    def run(code: bytes) -> Execution:
        watched = WatchedHost(calldata=calldata.encode({"method": "f"}))
        with job(executors, code=code, host=watched) as running:
            running.ended()
            return Execution(watched, running.streams["stdout"], running.streams["stderr"])

    return run


@pytest.mark.parametrize("part", range(10))
def test_generated_contracts(part: int, asked: Asked, executors: ExecutorPool) -> None:
    """Whoever made it, wherever it is laid over: results, traffic and fingerprints are the same."""
    chance = random.Random(part)
    with_image = 0
    for number in range(20):
        code = generated(chance)
        # Those of others may be forgotten.
        asked.images.clear()
        # Who comes first makes the image.
        ways: list[Callable[[bytes], Execution]] = [_in_this_process, _in_memory, _by_mapping(asked), _in_this_process]
        if number % 4 == 0:
            ways.insert(number % 8 // 4 * len(ways), _in_a_process)
        if number % 2 == 0:
            ways.insert(number % 4 // 2 * len(ways), _in_a_pool(executors))
        runs = [way(code) for way in ways]
        seen = {(run.payload, repr(run.fingerprint), repr(run.host.requests)) for run in runs}
        assert len(seen) == 1, code.decode()
        with_image += asked.has_image
    assert with_image > 10
