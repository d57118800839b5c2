"""A contract that prints in this process, with control characters where a contract can have them.

Not beside the tests that use it: `genvm` as a program of its own imports it, and shall not import pytest.
"""

from __future__ import annotations

import json
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.executors.base import RunReport, RunRequest
from tests.localnet.localnet_fakes import FakeExecutor, Rollback, Run, Trap

ALICE, BOB = accounts.named()["alice"], accounts.named()["bob"]


async def contract(run: Run) -> Any:
    match run.method:
        case "echo":
            return run.args
        case "text":
            return "plain \x1b[31m text"
        case "fail":
            raise Rollback("bad \x1b[31m luck")
        case "trap":
            raise Trap(run.args[0])
        case "pay":
            await run.post(BOB, None, value=3)
            await run.post(run.address, "fail", value=2)
            await run.host.post_event([b"\x01" * 32], calldata.encode({"who": BOB}))
            await run.write(0, b"x")
            return {"big": 2**70}
        case "#get-schema":
            params = {"params": [["a", {"$or": ["address", "null"]}]], "kwparams": {"k": [{"$rep": "int"}]}}
            method = {**params, "readonly": False, "ret": {"$dict": "any"}, "payable": True}
            return json.dumps({"ctor": params, "methods": {"[b]pay": method}})
    return None


class Executor(FakeExecutor):
    """Also prints."""

    async def __call__(self, host: Any, request: RunRequest) -> RunReport:
        await super().__call__(host, request)
        return RunReport(0, None, False, Captured(b"printed \x1b[31m\n"), Captured(b"warned\n"), Captured(), 0.25)
