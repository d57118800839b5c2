"""Hostile Python contracts through the real command: whatever they do, the host gets a result and the process ends."""

from __future__ import annotations

import signal
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from tests.runners.python.python_contracts import contract, run_script, script, script_host
from tests.runners.python.sandboxed import recursion_bombs
from tests.support.execution import Execution, command, config_file, execute, execute_process
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost, serving

NULL = Return(b"\x00")


def run_process(text: str, *arguments: Any) -> Execution:
    """``main(*arguments)`` of a script with the real command, which must deliver a result and end well."""
    run = execute_process(host=script_host(text, *arguments), built=True)
    assert run.exit_code == 0, run.stderr.decode()
    assert run.payload is not None
    return run


def main(body: str) -> str:
    """A script whose ``main`` is ``body``."""
    return "import sys\n\ndef main():\n" + textwrap.indent(textwrap.dedent(body), "    ")


@pytest.fixture(autouse=True, scope="module")
def _built(built_runners: object) -> None:
    """Every test here needs the runners."""


# --- recursion --------------------------------------------------------------------------------------

OTHER_ENDS = {
    **dict.fromkeys(("marshal_dumps", "marshal_loads", "calldata_encode", "nested_format"), "ValueError"),
    **dict.fromkeys(
        ("parse_parentheses", "parse_minus", "parse_not", "parse_lambda", "parse_formatted"), "MemoryError"
    ),
    **{"literal_eval": "MemoryError", "parse_blocks": "IndentationError", "cloudpickle_dumps": "PicklingError"},
    **{"calldata_decode": "DecodingError"},
}
#: With the limit taken away these use up the memory of the VM, as Python frames are on its heap, or just succeed.
ON_THE_HEAP = {
    *("plain_recursion", "generators", "await_chain", "descriptors", "json_dumps_in_python", "pickle_dumps_in_python"),
    *("cloudpickle_dumps", "deep_copy", "compile_pattern", "exception_groups", "element_tree", "imports"),
}


def test_recursion_is_an_exception() -> None:
    run = run_process(script("sandboxed/recursion_bombs.py"), [], 0)
    names = [bomb.__name__ for bomb in recursion_bombs.BOMBS] + recursion_bombs.SLOTS
    assert run.outcome == Return(calldata.encode({name: OTHER_ENDS.get(name, "RecursionError") for name in names}))


def test_recursion_is_an_exception_without_a_limit_too() -> None:
    names = [bomb.__name__ for bomb in recursion_bombs.BOMBS] + recursion_bombs.SLOTS
    chosen = [name for name in names if name not in ON_THE_HEAP]
    run = run_process(script("sandboxed/recursion_bombs.py"), chosen, 10**9)
    assert run.outcome == Return(calldata.encode({name: OTHER_ENDS.get(name, "RecursionError") for name in chosen}))


# --- memory -----------------------------------------------------------------------------------------

#: Lists that are made for many elements and get none: their memory is taken, and never touched.
TAKE = """
class Wanted:
    def __init__(self, inside=None):
        self.inside = inside
    def __iter__(self):
        return self
    def __length_hint__(self):
        return BLOCK // 4
    def __next__(self):
        global taken
        taken += BLOCK
        list(Wanted())
        raise StopIteration

taken = 0
sys.setrecursionlimit(100_000)
"""


@pytest.mark.parametrize("block", [16 << 20, 64 << 20, (1 << 30) + 4096, (1 << 31) - 8])
def test_memory_ends_with_memory_error(block: int) -> None:
    """Up to the RAM pool's end: near 4 GiB, sizes and addresses must not wrap around."""
    text = TAKE.replace("BLOCK", str(block)) + "\ntry:\n    list(Wanted())\nexcept MemoryError:\n    pass\n"
    body = f"import sys\n{text}\ndef main():\n    return [taken, sum(bytearray(1 << 20))]\n"
    outcome = run_process(body).outcome
    assert isinstance(outcome, Return), outcome
    taken, later = calldata.decode(outcome.calldata)
    # whole blocks of 4 GiB less the interpreter and what the runners' archives cost
    assert (1 << 32) - (1 << 27) - block < taken < 1 << 32
    assert later == 0


def test_memory_that_nobody_gives_back_ends_the_contract() -> None:
    run = run_process("import sys\n" + TAKE.replace("BLOCK", str(64 << 20)) + "\ndef main():\n    list(Wanted())\n")
    assert run.outcome == VMError("exit_code 1")
    assert b"MemoryError" in run.stderr


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("[0] * 10**10", "OverflowError"),
        ("bytes(2**31 - 1) * 2", "OverflowError"),
        ("1 << 2**40", "OverflowError"),
        ("'%2147483647d' % 1", "MemoryError"),
        ("f'{1:2147483646}'", "MemoryError"),
        ("__import__('itertools').product(range(10), repeat=2**30)", "OverflowError"),
        ("__import__('zlib').decompress(b'', bufsize=2**31 - 1)", "MemoryError"),
    ],
)
def test_sizes_beyond_the_address_space(expression: str, error: str) -> None:
    text = main(f"""
        try:
            {expression}
        except Exception as error:
            return type(error).__name__
        """)
    assert run_script(text).outcome == Return(calldata.encode(error))


# --- exits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "outcome"),
    [
        *[(f"raise SystemExit({status})", NULL) for status in ("", "0", "None", "False")],
        *[(f"sys.exit({status})", VMError(f"exit_code {status}")) for status in (1, 2, 124, 125)],
        *[(f"sys.exit({status})", VMError("exit_code 125")) for status in (126, 127, 128, 255, 256, -1, 10**30)],
        *[(f"os._exit({status})", VMError(f"exit_code {status}")) for status in (1, 125)],
        *[(f"os._exit({status})", VMError("exit_code 125")) for status in (126, 255, -1, 2**31 - 1)],
        ("os._exit(0)", NULL),
        ("sys.exit('a text')", VMError("exit_code 1")),
        ("raise SystemExit((1, 2))", VMError("exit_code 1")),
        ("raise KeyboardInterrupt", VMError("exit_code 1")),
        ("raise GeneratorExit", VMError("exit_code 1")),
        ("raise BaseException", VMError("exit_code 1")),
        ("os.abort()", VMError("wasm_trap UnreachableCodeReached")),
        ("signal.raise_signal(signal.SIGKILL)", VMError("wasm_trap UnreachableCodeReached")),
        ("signal.raise_signal(signal.SIGTERM)", VMError("wasm_trap UnreachableCodeReached")),
        ("faulthandler.enable(); faulthandler._sigsegv()", VMError("wasm_trap UnreachableCodeReached")),
        ("sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2); sys.exit(3)", VMError("exit_code 3")),
        ("[os.close(fd) for fd in range(4)]; 1 / 0", VMError("exit_code 1")),
    ],
)
@pytest.mark.parametrize("where", ["import", "method"])
def test_exits(statement: str, outcome: object, where: str) -> None:
    statement = f"import faulthandler, os, signal, sys; {statement}"
    at_import, in_method = (statement, "pass") if where == "import" else ("pass", statement)
    host = InMemoryHost(calldata=calldata.encode({"method": "leave"}))
    host.put_code(
        contract(f"""{at_import}
from genlayer import gl

class Leaver(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def leave(self):
        {in_method}
""")
    )
    run = execute(host=host, built=True)
    assert run.outcome == outcome, run.stderr.decode()


def test_exits_run_what_was_registered_and_show_their_text() -> None:
    run = run_process(main("import atexit\natexit.register(print, 'at the end')\nsys.exit('a text')"))
    assert run.outcome == VMError("exit_code 1")
    assert b"a text\n" in run.stderr
    assert run.stdout == b"at the end\n"


# --- what there is not ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *[(f"import {name}", "ModuleNotFoundError") for name in ("ssl", "sqlite3", "_multiprocessing", "lzma")],
        *[(f"import {name}", "ModuleNotFoundError") for name in ("mmap", "fcntl", "resource", "readline", "termios")],
        ("import os; os.fork()", "AttributeError"),
        ("import os; os.kill(0, 9)", "AttributeError"),
        ("import os; os.system('true')", "AttributeError"),
        ("import os; os.execv('/bin/sh', [])", "AttributeError"),
        ("import subprocess; subprocess.run(['ls'])", "OSError"),
        ("import threading; threading.Thread(target=print).start()", "RuntimeError"),
        ("import multiprocessing; multiprocessing.Process(target=print).start()", "ImportError"),
        ("import multiprocessing; multiprocessing.Lock()", "ImportError"),
        ("import ctypes; ctypes.c_int(1)", "NotImplementedError"),
        ("import ctypes; ctypes.string_at(0)", "NotImplementedError"),
        ("import ctypes; ctypes.pythonapi.Py_GetVersion()", "NotImplementedError"),
        ("import ctypes; ctypes.CDLL('libc.so')", "OSError"),
        ("import urllib.request; urllib.request.urlopen('http://localhost')", "OSError"),
        ("import bz2; bz2.decompress(b'BZh91AY&SY' + bytes(1000))", "OSError"),
        ("import shelve; shelve.open('/x')", "OSError"),
        ("import webbrowser; webbrowser.open('http://localhost') or 1 / 0", "ZeroDivisionError"),
        ("breakpoint()", "BdbQuit"),
        ("import _thread; _thread.start_new_thread(print, ())", "RuntimeError"),
        ("import socket; socket.socket()", "OSError"),
        ("import socket; socket.socket(fileno=3).recv(1)", "OSError"),
        ("import socket; socket.gethostbyname('localhost')", "OSError"),
        ("import asyncio; asyncio.run(asyncio.sleep(0))", "OSError"),
        ("import time; time.sleep(1)", "OSError"),
        ("import select; select.select([0], [], [], 1)", "OSError"),
        ("import signal; signal.alarm(1)", "AttributeError"),
        ("open('/x', 'w')", "OSError"),
        ("open('/contract.py', 'a')", "OSError"),
        ("open('/etc/passwd')", "FileNotFoundError"),
        ("open('/../etc/passwd')", "OSError"),
        ("import os; os.mkdir('/x')", "OSError"),
        ("import os; os.remove('/contract.py')", "OSError"),
        ("import os; os.rename('/contract.py', '/x')", "OSError"),
        ("import os; os.symlink('/x', '/y')", "OSError"),
        ("import os; os.dup2(1, 0)", "AttributeError"),
        ("import os; os.write(3, b'x')", "OSError"),
        ("import os; os.read(1, 1)", "OSError"),
        ("import os; os.pipe()", "AttributeError"),
        ("input()", "EOFError"),
        ("import tempfile; tempfile.TemporaryFile()", "FileNotFoundError"),
    ],
)
def test_what_there_is_not_is_a_clean_error(code: str, error: str) -> None:
    text = """
def main(code, error):
    try:
        exec(code)
    except Exception as raised:
        return [base.__name__ for base in type(raised).__mro__]
    return []
"""
    outcome = run_script(text, code, error).outcome
    assert isinstance(outcome, Return), outcome
    assert error in calldata.decode(outcome.calldata)


# --- no end -----------------------------------------------------------------------------------------

ENDLESS = {
    "loop": "while True: pass",
    "one instruction of C": "10**10**9",
    "a sum": "sum(iter(int, 1))",
    "a pattern": "re.match(r'(a+a+)+$', 'a' * 60 + 'b')",
    "a sort": "sorted(itertools.count())",
    "recursion on the heap": "sys.setrecursionlimit(10**9); (lambda f: f(f))(lambda f: f(f))",
    "a sandbox": "gl.vm.spawn_sandbox(lambda: sum(iter(int, 1)))",
    "a sandbox in a sandbox": "gl.vm.spawn_sandbox(lambda: gl.vm.spawn_sandbox(lambda: sum(iter(int, 1))))",
    "a block of the leader": "gl.vm.run_nondet_unsafe(lambda: sum(iter(int, 1)), lambda leader: True)",
    "output": "while True: print('and so on' * 1000)",
    "errors": "while True: print('and so on' * 1000, file=sys.stderr)",
    "with signals ignored": """signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: print('x', flush=True)""",
    "with exceptions caught": """while True:
            try: raise ValueError
            except BaseException: pass""",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_signal_ends_what_has_no_end(name: str, tmp_path: Path) -> None:
    text = main(f"""
        import itertools, re, signal
        from genlayer import gl
        print('ready', flush=True)
        {ENDLESS[name]}
        """)
    prepared = script_host(text)
    host = InMemoryHost(calldata=prepared.calldata, storage=prepared.storage)
    with serving(host) as node:
        process = subprocess.Popen(
            command(node.address, config=config_file(tmp_path, built=True)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            # Nobody reads what it writes: the pipe may be full.
            assert process.wait(PATIENCE_SECONDS) == 0
        finally:
            process.kill()
            process.communicate()
    assert host.outcome == VMError("timeout")
    # That of a VM may reach its caller before the run ends: an error of a VM (spec executor/05 "Fingerprint").
    assert host.fingerprint is None or "sandbox" in name or name == "a block of the leader"
