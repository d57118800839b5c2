"""A language model for the contract ``llm_erc20`` of genlayer-py's own tests: one that can add and subtract."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BALANCES = re.compile(r"The current balance for all users in JSON format is:\s*(\{.*?\})")
_TRANSFER = re.compile(r'sender: "(0x\w+)",\s*recipient: "(0x\w+)",\s*amount: (\d+)')


def _answer(prompt: str) -> str:
    """Balances after the transfer, or whether these are the ones that are claimed."""
    balances, transfer = _BALANCES.search(prompt), _TRANSFER.search(prompt)
    assert balances is not None, prompt
    assert transfer is not None, prompt
    updated: dict[str, int] = json.loads(balances[1])
    sender, recipient, amount = transfer[1], transfer[2], int(transfer[3])
    updated[sender] -= amount
    updated[recipient] = updated.get(recipient, 0) + amount
    result = json.dumps({"transaction_success": True, "transaction_error": "", "updated_balances": updated})
    # A validator is shown what the leader's model has said.
    return json.dumps({"result": True}) if json.dumps(updated) in prompt else result


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        request: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = request["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else "".join(part["text"] for part in content)
        message = {"role": "assistant", "content": _answer(prompt)}
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def keeping_balances() -> Iterator[str]:
    """The host of a server that speaks as OpenAI's does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
