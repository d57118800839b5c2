"""Runs one contract call in the sandbox, with a host of dictionaries."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.primitives.calldata import decode, encode
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost, serving

TIMEOUT_S = 120
DATETIME = "2025-12-26T06:42:42.424242Z"


def call(
    host: InMemoryHost,
    calldata: Any,
    *,
    is_init: bool = False,
    value: int = 0,
    when: str = DATETIME,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Runs the contract that ``host`` holds; ``calldata`` is a value.

    :param environment: more variables for the executor.
    """
    host.calldata = encode(calldata)
    host.result = None
    host.requests.clear()
    contract, sender = (base64.b64encode(address.as_bytes).decode() for address in (CONTRACT, SENDER))
    message = {
        "contract_address": contract,
        "sender_address": sender,
        "origin_address": sender,
        "chain_id": "0",
        "value": value,
        "is_init": is_init,
        "datetime": when,
    }
    with serving(host) as node:
        command = [sys.executable, "-m", "pygenvm.cli.main", "run", "--message", json.dumps(message)]
        command += ["--host", node.address]
        command += ["--host-data", json.dumps({"node_address": "0x", "tx_id": "0x"}), "--print", "stderr-full"]
        done = subprocess.run(
            command,
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert host.result is not None, done.stdout + done.stderr
    if not isinstance(host.outcome, Return):
        # shown by pytest if the test fails
        print(done.stdout, done.stderr)
    return host.outcome


def value_of(host: InMemoryHost, calldata: Any, **message: Any) -> Any:
    """The returned value of a call."""
    outcome = call(host, calldata, **message)
    assert isinstance(outcome, Return), outcome
    return decode(outcome.calldata)
