"""Scripts for LLM and web services in tests.

with serving_module(answering(Ok({"text": "page"}))) as server:
    ...  # an executor asks server.address
assert server.sessions[0].hello == bytes.fromhex("…")
assert server.sessions[0].requests == [Request("Render", {...})]
"""

from __future__ import annotations

from pygenvm.executor.module_protocol.codec import GET_STATS, Ok
from pygenvm.localnet.module_server import PATIENCE_SECONDS, Call, ModuleServer, Reply, Script, Session, serving_module

__all__ = [
    "PATIENCE_SECONDS",
    "Call",
    "ModuleServer",
    "Reply",
    "Script",
    "Session",
    "answering",
    "serving_module",
    "statistics",
]


def statistics(call: Call) -> Ok:
    """Answer to GetStats, counting the requests of the session before it."""
    return Ok({"scripting": {"requests_count": len(call.session.requests) - 1, "requests_time": 0}})


def answering(answer: Reply) -> Script:
    """Every request but GetStats gets the same answer."""

    async def script(call: Call) -> Reply:
        return statistics(call) if call.request.name == GET_STATS else answer

    return script
