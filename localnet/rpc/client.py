"""A client for a server of this kind (``genvm local serve``), mostly for our own extensions.

For everything else there are the ecosystem's own clients (docs/localnet-rpc.md). It is synchronous and needs nothing
but the standard library::

    from pygenvm.localnet.rpc.client import Client

    client = Client("http://127.0.0.1:4000")
    id = client.deploy(code, ["hello"], sender="0x…")          # in the name of any account, no key is needed
    transaction = client.wait(id)
    contract = transaction["data"]["contract_address"]
    client.read(contract, "get_storage")
    client.increase_time(3600)
    Path("state.db").write_bytes(client.export())
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from pygenvm.executor.primitives import calldata

_ZERO: Final = "0x" + 40 * "0"
_SECONDS: Final = 600.0


class RpcFailure(Exception):
    """The server has answered with an error."""

    def __init__(self, method: str, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", error)))
        self.method = method
        self.code = error.get("code")
        self.data = error.get("data")


class Unreachable(Exception):
    """No server answers at the URL, or something else does."""


class Client:
    """Speaks to the server at ``url``, for example ``http://127.0.0.1:4000``; a path after that is its own."""

    def __init__(self, url: str, *, timeout: float = _SECONDS) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"{url[:100]!r} is no URL of a server; write it like http://127.0.0.1:4000")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path if parts.path not in ("", "/") else "/api"
        self._parts = parts
        self._timeout = timeout
        self._numbers = itertools.count(1)

    def call(self, method: str, *params: Any) -> Any:
        """Any method of the server.

        :raises RpcFailure: it answers with an error. :raises Unreachable: it does not answer.
        """
        request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": list(params)}
        document = self._post(json.dumps(request).encode())
        if "error" in document:
            raise RpcFailure(method, document["error"])
        return document["result"]

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout)

    def _post(self, body: bytes) -> dict[str, Any]:
        # Proxies of the environment are not for a network on this machine.
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            text = connection.getresponse().read()
            document = json.loads(text)
        except (OSError, http.client.HTTPException) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise Unreachable(f"no server answers at {self.url}: {why}; `genvm local serve` starts one") from error
        except ValueError:
            raise Unreachable(f"what answers at {self.url} is no JSON-RPC server") from None
        if not isinstance(document, dict) or not ("result" in document or "error" in document):
            raise Unreachable(f"what answers at {self.url} is no JSON-RPC server")
        return document

    # --- transactions -----------------------------------------------------------------------------

    def deploy(
        self,
        code: bytes,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        sender: str,
        value: int = 0,
        **more: Any,
    ) -> str:
        """Deploys a contract in the name of any account; the id of the transaction.

        :param more: other members of a submission: ``name``, ``salt``, ``mode``, ``validators``, ``sim_config``.
        """
        submission = {"kind": "deploy", "sender": sender, "value": str(value), "code": "0x" + code.hex()}
        return self.submit({**submission, "calldata": _call(None, args, kwargs), **more})

    def write(
        self,
        contract: str,
        method: str | None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        sender: str,
        value: int = 0,
        **more: Any,
    ) -> str:
        """Calls a method in a transaction in the name of any account; the id of the transaction."""
        submission = {"kind": "call", "sender": sender, "recipient": contract, "value": str(value)}
        return self.submit({**submission, "calldata": _call(method, args, kwargs), **more})

    def submit(self, submission: Mapping[str, Any]) -> str:
        """See ``genvm_submit``."""
        id: str = self.call("genvm_submit", dict(submission))
        return id

    def wait(self, id: str, *, status: str | None = None, timeout: float = 60.0) -> dict[str, Any]:
        """The transaction once it is decided, or has a status.

        :raises RpcFailure: not within so many seconds.
        """
        found: dict[str, Any] = self.call("genvm_waitForTransaction", id, status, timeout)
        return found

    def read(
        self,
        contract: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        sender: str = _ZERO,
    ) -> Any:
        """Calls a method without effect; what it returns.

        :raises RpcFailure: the contract fails.
        """
        from pygenvm.localnet.rpc.raw import rlp

        data = rlp.encode([bytes.fromhex(_call(method, args, kwargs)[2:]), b""])
        request = {"type": "read", "to": contract, "from": sender, "data": "0x" + data.hex()}
        return calldata.decode(bytes.fromhex(self.call("gen_call", request)))

    def appeal(self, id: str) -> bool:
        """False: it cannot be appealed now."""
        return bool(self.call("genvm_appealTransaction", id))

    def finalize(self, id: str) -> bool:
        """Ends the finality window of a transaction."""
        return bool(self.call("genvm_finalizeTransaction", id))

    def transactions(self) -> Iterator[dict[str, Any]]:
        """All of them, the newest first."""
        before = None
        while found := self.call("genvm_getTransactions", 50, before):
            yield from found
            before = found[-1]["seq"]

    # --- the network ------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """See ``genvm_getStatus``."""
        found: dict[str, Any] = self.call("genvm_getStatus")
        return found

    def state(self, contract: str) -> dict[str, Any]:
        """The storage of a contract, decoded."""
        found: dict[str, Any] = self.call("genvm_getState", contract)
        return found

    def fund(self, address: str, amount: int) -> str:
        """Gives an account value out of nothing."""
        found: str = self.call("sim_fundAccount", address, str(amount))
        return found

    def snapshot(self) -> int:
        """Its number, for :meth:`restore`."""
        return int(self.call("sim_createSnapshot"))

    def restore(self, number: int) -> bool:
        """False: there is no such snapshot."""
        return bool(self.call("sim_restoreSnapshot", number))

    def increase_time(self, seconds: float) -> dict[str, Any]:
        """Puts the clock of the network forward."""
        found: dict[str, Any] = self.call("sim_increaseTime", seconds)
        return found

    def set_time(self, moment: str | None) -> dict[str, Any]:
        """Sets the clock of the network; None: the wall clock again."""
        found: dict[str, Any] = self.call("sim_setTime", moment)
        return found

    def export(self) -> bytes:
        """The whole network as a file, for :meth:`load` and ``genvm local serve --fork``."""
        return base64.b64decode(self.call("genvm_exportState"))

    def load(self, file: bytes) -> None:
        """Goes on with the state of an exported file."""
        self.call("genvm_importState", base64.b64encode(file).decode("ascii"))


def _call(method: str | None, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> str:
    call: dict[str, Any] = {} if method is None else {"method": method}
    if args:
        call["args"] = list(args)
    if kwargs:
        call["kwargs"] = dict(kwargs)
    return "0x" + calldata.encode(call).hex()
