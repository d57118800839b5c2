"""Python contracts as the executor sees them: ends, errnos, versions, recursion (spec executor/05, 09)."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.outcome import InternalError, Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.runners.registry import BuiltRunners
from tests.support.execution import Execution, execute, execute_process
from tests.support.hosts import CONTRACT, InMemoryHost

pytestmark = pytest.mark.usefixtures("built_runners")


@pytest.fixture
def python(built_runners: BuiltRunners) -> Any:
    """Runs a script: the module of a contract that ends before a contract class is looked for, or returns ``value``."""

    def run(script: str, *, version: str = "v0.2.16", **arguments: Any) -> Execution:
        header = f'# {version}\n# {{ "Depends": "py-genlayer:{built_runners.latest["py-genlayer"]}" }}\n\n'
        host = arguments.pop("host", None) or InMemoryHost()
        host.calldata = calldata.encode({})
        return execute((header + script).encode(), built=True, host=host, **arguments)

    return run


def test_every_way_to_exit(python: Any) -> None:
    for script, outcome in (
        ("exit(0)", Return(b"\x00")),
        ("exit(3)", VMError("exit_code 3")),
        ("import sys; sys.exit(200)", VMError("exit_code 125")),
        ("raise SystemExit", Return(b"\x00")),
        ("raise ValueError('x')", VMError("exit_code 1")),
        ("import os; os._exit(7)", VMError("exit_code 7")),
        ("this is no Python", VMError("exit_code 1")),
    ):
        assert python(script).outcome == outcome, script


def test_a_traceback_names_the_line_of_the_contract(python: Any) -> None:
    run = python("def f():\n    raise ValueError('told')\nf()\n")
    stderr = run.stderr.decode()
    assert "ValueError: told" in stderr
    assert "line 5, in f" in stderr
    assert run.stdout == b""


def test_errnos_are_system_errors(python: Any) -> None:
    script = """
import _genlayer_wasi as w
from genlayer.py import calldata

def error(function, *arguments):
    try:
        return function(*arguments)
    except SystemError as error:
        return str(error)

slot = bytes(32)
print(error(w.gl_call, b""))
print(error(w.gl_call, calldata.encode({"Nope": None})))
print(error(w.storage_read, slot, 0xffff_ffff, bytearray(1)))
print(error(w.storage_write, slot, 0, b"x"))
sending = {"address": calldata.Address(bytes(20)), "calldata": b"", "value": 9}
print(error(w.gl_call, calldata.encode({"EthSend": sending})))
print(error(w.get_balance, bytes(20)), error(w.get_self_balance))
print(error(w.gl_call, calldata.encode({"Trace": {"Message": "x"}})))
exit(0)
"""
    run = python(script, host=InMemoryHost(balances={CONTRACT: 8}), permissions="rs")
    assert run.outcome == Return(b"\x00"), run.stderr.decode()
    assert run.stdout.decode().splitlines() == [
        "2: inval",
        "2: inval",
        "2: inval",
        "6: forbidden",
        "7: inbalance",
        "0 8",
        "4294967295",
    ]


def test_the_declared_version_gates_events(python: Any) -> None:
    script = """
import _genlayer_wasi as w
from genlayer.py import calldata
try:
    w.gl_call(calldata.encode({"EmitEvent": {"topics": [], "blob": {}}}))
    exit(0)
except SystemError:
    exit(2)
"""
    assert python(script, version="v0.1.4").outcome == VMError("exit_code 2")
    run = python(script, version="v0.1.5")
    assert run.outcome == Return(b"\x00")
    assert run.host.methods.count(HostMethod.POST_EVENT) == 1


def test_a_version_above_the_limit_of_the_date(python: Any) -> None:
    run = python("exit(0)", version="v0.1.10", message={"datetime": "2025-07-05T00:00:00Z"})
    assert run.outcome == VMError("version_too_big")


def test_python_reaches_its_own_recursion_limits_before_the_stack_ends(python: Any) -> None:
    """Through Python frames, through C, and through the parser."""
    script = """
import sys
sys.setrecursionlimit(10**6)

class Deep:
    def __getattr__(self, name):
        return getattr(self, name + "x")

class Equal:
    def __eq__(self, other):
        return [self] == [other]

def down(n):
    return down(n + 1)

for attempt in (lambda: down(0), lambda: Deep().a, lambda: Equal() == Equal(), lambda: eval("-" * 5000 + "1")):
    try:
        attempt()
    except (RecursionError, MemoryError) as error:
        print(type(error).__name__)
exit(0)
"""
    run = python(script)
    if run.outcome == Return(b"\x00"):
        assert set(run.stdout.decode().split()) <= {"RecursionError", "MemoryError"}
        assert len(run.stdout.split()) == 4
    else:
        pytest.fail(f"{run.outcome} {run.stdout!r} {run.stderr[-500:]!r}")


def test_a_contract_without_a_class_is_an_error_of_the_contract(python: Any) -> None:
    run = python("x = 1\n")
    assert run.outcome == VMError("exit_code 1")
    assert not isinstance(run.outcome, InternalError)


def test_the_fingerprint_of_a_python_contract_is_the_same_every_time(python: Any) -> None:
    script = "import random\nx = [random.random() for _ in range(100)]\nexit(1)"
    first, second = python(script), python(script)
    assert first.payload == second.payload
    assert {"cpython", "softfloat"} <= first.fingerprint["module_instances"].keys()


NESTING = """
from genlayer import *

class Nesting(gl.Contract):
    def __init__(self):
        pass

    @gl.public.view
    def views(self, levels: int) -> int:
        if levels == 0:
            return 0
        return gl.get_contract_at(gl.message.contract_address).view().views(levels - 1) + 1

    @gl.public.view
    def sandboxes(self, levels: int) -> list[int | str]:
        # How deep it got, and what the innermost sandbox ended with.
        def level(left):
            def enter():
                if left == 0:
                    return [0, "all"]
                result = gl.vm.spawn_sandbox(level(left - 1))
                if not isinstance(result, gl.vm.Return):
                    return [1, result.message]
                depth, end = result.calldata
                return [depth + 1, end]
            return enter
        return level(levels)()
"""


@pytest.mark.parametrize("method", ["views", "sandboxes"])
def test_hundreds_of_nested_vms(method: str, built_runners: BuiltRunners) -> None:
    """RAM ends it: every level has its own interpreter, and pays for its runners."""
    header = f'# v0.2.16\n# {{ "Depends": "py-genlayer:{built_runners.latest["py-genlayer"]}" }}\n'

    def run(levels: int) -> Execution:
        host = InMemoryHost(calldata=calldata.encode({"method": method, "args": [levels]}))
        done = execute_process((header + NESTING).encode(), host=host, built=True)
        assert done.exit_code == 0, done.stderr
        return done

    few = 5 if method == "views" else [5, "all"]
    assert run(5).outcome == Return(calldata.encode(few))
    first, second = run(512), run(512)
    assert first.payload == second.payload
    if method == "views":
        assert first.outcome == VMError("OOM")
    else:
        assert isinstance(first.outcome, Return)
        depth, end = calldata.decode(first.outcome.calldata)
        assert 10 < depth < 512
        assert end == "OOM"
