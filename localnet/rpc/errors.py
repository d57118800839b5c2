"""Errors of JSON-RPC, and which of the network's they stand for (spec localnet-rpc/01 §1)."""

from __future__ import annotations

from typing import Any, Final

from pygenvm.localnet.chain.network import errors
from pygenvm.localnet.errors import BadRequest, NotFound
from pygenvm.localnet.rpc.raw import RawError
from pygenvm.localnet.schema import NoSchema

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
FAILED: Final = -32000
NOT_FOUND: Final = -32001
NO_VALIDATORS: Final = -32002
BUSY: Final = -32006
TOO_MUCH_PENDING: Final = -32030

#: The first that fits.
_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (RawError, INVALID_PARAMS),
    (errors.TooLarge, INVALID_PARAMS),
    (errors.BadFile, INVALID_PARAMS),
    (errors.QueueFull, TOO_MUCH_PENDING),
    (errors.NoValidators, NO_VALIDATORS),
    (errors.Refused, FAILED),
    (NotFound, NOT_FOUND),
    (NoSchema, FAILED),
    (BadRequest, INVALID_PARAMS),
)


class RpcError(Exception):
    """An answer that is an error. Clients in Python show the text alone, so it says everything that people need."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        document = {"code": self.code, "message": self.message}
        return document if self.data is None else {**document, "data": self.data}


def invalid(text: str) -> RpcError:
    """Parameters that cannot be used."""
    return RpcError(INVALID_PARAMS, text)


def rpc_error(error: Exception) -> RpcError:
    """What is answered after any exception."""
    if isinstance(error, RpcError):
        return error
    for kind, code in _CODES:
        if isinstance(error, kind):
            return RpcError(code, str(error), _data(error))
    if isinstance(error, UnicodeEncodeError):
        # All that is encoded here comes from the request: JSON may hold it, and UTF-8 may not.
        return invalid("a text has half of a surrogate pair in it")
    return RpcError(INTERNAL_ERROR, f"internal error of the network: {type(error).__name__}: {error}"[:1000])


def _data(error: Exception) -> Any:
    match error:
        case errors.TransactionNotFound():
            return {"hash": "0x" + error.id.hex()}
        case errors.ContractNotFound():
            return {"contract_address": error.address}
        case errors.Refused() if error.data:
            return dict(error.data)
        case NoSchema() if error.receipt is not None:
            return {"stderr": error.receipt.stderr.text()[-5000:]}
    return None
