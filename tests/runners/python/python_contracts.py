"""Python contracts for tests: one that runs any script, and a way to write others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from tests.support.execution import Execution, execute
from tests.support.hosts import InMemoryHost

HEADER = '# v0.2.16\n# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }\n'

#: Calls ``main`` of a script, here or in a non-deterministic block, as its leader.
_RUNS_SCRIPTS = """\
from genlayer import *

class Runner(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def run(self, script: str, arguments: list, nondet: bool):
        def work():
            space = {"__name__": "script"}
            exec(compile(script, "<script>", "exec"), space)
            return space["main"](*arguments)

        return gl.vm.run_nondet_unsafe(work, lambda leaders_result: True) if nondet else work()
"""


def contract(body: str) -> bytes:
    """Text of a contract whose module is ``body``."""
    return f"{HEADER}\n{body}".encode()


def script(name: str) -> str:
    """Text of a file in this folder or below it."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def script_host(text: str, *arguments: Any, nondet: bool = False, imports: str = "") -> InMemoryHost:
    """A node whose contract calls ``main(*arguments)`` of a script; the arguments are calldata values.

    :param imports: lines at the top of the contract, which mention what it needs.
    """
    call = {"method": "run", "args": [text, list(arguments), nondet]}
    host = InMemoryHost(calldata=calldata.encode(call))
    host.put_code(contract(imports + _RUNS_SCRIPTS))
    return host


def run_script(text: str, *arguments: Any, nondet: bool = False, imports: str = "") -> Execution:
    """Runs :func:`script_host` in this process."""
    return execute(host=script_host(text, *arguments, nondet=nondet, imports=imports), built=True)


def value_of_script(text: str, *arguments: Any, nondet: bool = False, imports: str = "") -> Any:
    """What ``main(*arguments)`` of a script returns in the sandbox."""
    run = run_script(text, *arguments, nondet=nondet, imports=imports)
    outcome = run.outcome
    assert isinstance(outcome, Return), (outcome, run.stderr.decode())
    return calldata.decode(outcome.calldata)
