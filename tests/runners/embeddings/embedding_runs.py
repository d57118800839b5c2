"""Contracts that embed, with the headers that published ones have."""

from __future__ import annotations

import json
from typing import Any

from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.primitives import calldata
from tests.support.execution import execute
from tests.support.hosts import InMemoryHost

PY_GENLAYER = "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6"
PY_GENLAYER_MULTI = "py-genlayer-multi:06zyvrlivjga0d5jlpdbprksc0pa6jmllxvp8s20hq1l512vh5yk"
CURRENT = "py-lib-genlayer-embeddings:0bmbm3cyfwxsyh454z53vxqjf47wz2q7smcqp1q4g4a6k2kidnyk"
OLD = "py-lib-genlayer-embeddings:09h0i209wrzh4xzq86f79c60x0ifs7xcjwl53ysrnw06i54ddxyi"

_CALLS = """
class Calls(gl.Contract):
    @gl.public.view
    def run(self):
        return gl.vm.run_nondet_unsafe(main, lambda result: True) if {nondet} else main()
"""


def contract(text: str, library: str = CURRENT, py_genlayer: str = PY_GENLAYER) -> bytes:
    """A contract of one file; numpy comes before the SDK."""
    header = {"Seq": [{"Depends": library}, {"Depends": py_genlayer}]}
    return f"# v0.2.16\n# {json.dumps(header)}\nimport numpy as np\nfrom genlayer import *\n{text}".encode()


def call(host: InMemoryHost, method: str, *arguments: Any, is_init: bool = False) -> Outcome:
    """Calls the contract that the host has."""
    host.calldata = calldata.encode({"args": list(arguments)} | ({} if is_init else {"method": method}))
    host.result = None
    run = execute(host=host, built=True, message={"is_init": is_init})
    if not isinstance(run.outcome, Return):
        # shown by pytest if the test fails
        print(run.stderr.decode())
    return run.outcome


def value_of(host: InMemoryHost, method: str, *arguments: Any) -> Any:
    """What a method returns."""
    outcome = call(host, method, *arguments)
    assert isinstance(outcome, Return), outcome
    return calldata.decode(outcome.calldata)


def result_of(text: str, library: str = CURRENT, *, nondet: bool = False, py_genlayer: str = PY_GENLAYER) -> Any:
    """What ``main()`` returns, in a deterministic VM or in another."""
    host = InMemoryHost()
    host.put_code(contract(text + _CALLS.format(nondet=nondet), library, py_genlayer))
    return value_of(host, "run")
