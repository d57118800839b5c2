"""Runs SDK cases in an interpreter that has the SDK on its path, with the native module replaced.

A group is a module of functions named ``case_*`` that assert; ``run_group`` reports ``{case: "ok" or traceback}``.
Only the standard library that the sandbox has is used, and no file is written, so that a group runs there as well.
"""

import builtins
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import sys
import traceback
import types
import warnings

CONTRACT = bytes([1]) + bytes(19)
SENDER = bytes([2]) + bytes(19)
MESSAGE_FD = 0
NO_ANSWER = 0xFFFFFFFF
FIRST_ANSWER_FD = 1000


class Left(BaseException):
    """The process has given its result."""


class Host:
    """Stands for the VM: storage by slot, a log of the traffic, answers to requests."""

    def __init__(self, storage=None):
        self.slots = {} if storage is None else storage
        self.log = []
        self.answers = []
        self.result = None
        self.balance = 0
        self.read_refused = False
        self._fds = {}

    def memory(self, slot):
        return self.slots.setdefault(bytes(slot)[:32], bytearray())

    def storage_read(self, slot, off, buf, /):
        if self.read_refused:
            raise SystemError("6: forbidden")
        self.log.append(("read", bytes(slot).hex(), off, len(buf)))
        buf[:] = bytes(self.memory(slot)[off : off + len(buf)]).ljust(len(buf), b"\0")

    def storage_write(self, slot, off, what, /):
        data = bytes(what)
        self.log.append(("write", bytes(slot).hex(), off, data.hex()))
        memory = self.memory(slot)
        if len(memory) < off + len(data):
            memory.extend(bytes(off + len(data) - len(memory)))
        memory[off : off + len(data)] = data

    def get_balance(self, address, /):
        self.log.append(("get_balance", bytes(address).hex()))
        return self.balance

    def get_self_balance(self):
        self.log.append(("get_self_balance",))
        return self.balance

    def gl_call(self, request, /):
        data = bytes(request)
        self.log.append(("gl_call", data.hex()))
        value = importlib.import_module("genlayer.py.calldata").decode(data)
        if isinstance(value, dict) and set(value) & {"Return", "Rollback"}:
            self.result = value
            raise Left
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return NO_ANSWER
        fd = FIRST_ANSWER_FD + len(self._fds)
        self._fds[fd] = answer
        return fd

    def requests(self):
        return [entry[1] for entry in self.log if entry[0] == "gl_call"]

    def storage(self):
        """Slot to content, both in hex, slots without content left out."""
        return {slot.hex(): bytes(memory).hex() for slot, memory in self.slots.items() if memory}

    def module(self):
        module = types.ModuleType("_genlayer_wasi")
        for name in ("storage_read", "storage_write", "get_balance", "get_self_balance", "gl_call"):
            setattr(module, name, getattr(self, name))
        return module


class _RawBytes(io.BytesIO):
    def readall(self):
        return self.read()


_real_open, _real_read = builtins.open, os.read
_message = io.BytesIO()
_host = Host()


def _read(descriptor, length):
    return _message.read(length) if descriptor == MESSAGE_FD else _real_read(descriptor, length)


def _open(file, *args, **kwargs):
    if isinstance(file, int) and file in _host._fds:
        return _RawBytes(_host._fds[file])
    return _real_open(file, *args, **kwargs)


builtins.open = _open
os.read = _read


class _ContractFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Gives the module ``contract`` a text as its source."""

    source = None

    def find_spec(self, name, path=None, target=None):
        if name == "contract" and self.source is not None:
            return importlib.machinery.ModuleSpec(name, self, origin="/contract.py")
        return None

    def get_source(self, fullname):
        return self.source


_finder = _ContractFinder()
sys.meta_path.insert(0, _finder)


def fresh(host=None, *, raw=None, **message):
    """Forget the SDK, so that the next import starts as in a new process; returns the host that it will see."""
    global _host, _message
    for name in [n for n in sys.modules if n == "contract" or n == "genlayer" or n.startswith("genlayer.")]:
        del sys.modules[name]
    _host = Host() if host is None else host
    sys.modules["_genlayer_wasi"] = _host.module()
    if raw is None:
        address = importlib.import_module("genlayer.py.address").Address
        fields = {
            "contract_address": address(CONTRACT),
            "sender_address": address(SENDER),
            "origin_address": address(SENDER),
            "stack": [],
            "value": 0,
            "datetime": "2024-11-26T06:42:42.424242Z",
            "is_init": False,
            "chain_id": 0,
            "entry_kind": 0,
            "entry_data": b"",
            "entry_stage_data": None,
            **message,
        }
        raw = importlib.import_module("genlayer.py.calldata").encode(fields)
    _message = io.BytesIO(raw)
    return _host


class Outcome:
    """How a process ended: ``result`` is its last request, ``error`` the exception that left it."""

    def __init__(self, host, error):
        self.host = host
        self.result = host.result
        self.error = error

    @property
    def value(self):
        if self.error is not None:
            raise self.error
        return self.result["Return"]

    def text(self):
        """Class and text of the uncaught exception, and its notes."""
        assert self.error is not None, f"ended with {self.result}"
        notes = getattr(self.error, "__notes__", [])
        return "\n".join([f"{type(self.error).__name__}: {self.error}", *notes])


def start(source, call, *, host=None, **message):
    """Run the boot module on a contract text with ``call`` as calldata (a value, or bytes as they are)."""
    host = fresh(host, **message)
    if not isinstance(call, bytes):
        call = importlib.import_module("genlayer.py.calldata").encode(call)
    fresh(host, **{"entry_data": call, **message})
    _finder.source = source
    error = None
    boot = importlib.import_module("genlayer._internal.boot")
    # in the sandbox its own would find the contract that runs the cases
    boot._ContractFinder = _finder
    finders = sys.meta_path[:]
    try:
        boot.main()
    except Left:
        pass
    except (Exception, SystemExit) as exc:
        error = exc
    finally:
        _finder.source = None
        sys.path.remove("/")
        sys.meta_path[:] = finders
    return Outcome(host, error)


def dump(view):
    """Content of the in-memory storage behind a view."""
    return {
        slot.hex(): bytes(memory).hex() for slot, (_, memory) in view._storage_slot.manager._slots.items() if memory
    }


def hexs(text):
    """Hex without the separators used for reading."""
    return "".join(ch for ch in text if ch not in " |\n")


def equal(got, expected):
    assert got == expected, f"\n     got: {got!r}\nexpected: {expected!r}"


def raises(kind, text, fn, *args, **kwargs):
    """Assert that ``fn`` raises exactly ``kind`` with this text; returns the notes."""
    try:
        fn(*args, **kwargs)
    except BaseException as exc:
        equal((type(exc).__name__, str(exc)), (kind.__name__, text))
        return getattr(exc, "__notes__", [])
    raise AssertionError(f"{kind.__name__} was not raised")


def run_group(namespace):
    """Run all cases of a module; JSON of ``{name: "ok" or traceback}``."""
    results = {}
    warnings.simplefilter("always")
    for name, case in list(namespace.items()):
        if not name.startswith("case_"):
            continue
        fresh()
        try:
            case()
            results[name] = "ok"
        except BaseException:
            results[name] = traceback.format_exc()
    return json.dumps(results)
