"""What a transaction left behind, decoded: events, messages, storage."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.localnet import values
from pygenvm.localnet.chain.model import Event, Posted, PostedKind
from pygenvm.pytest_plugin.record import Record, with_records

#: More named fields than this are not searched for the ones that are indexed.
_FIELDS_SEARCHED = 16


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event. ``fields`` has all of them, indexed ones included (spec sdk/04 §9)."""

    contract: Address
    topics: tuple[bytes, ...]
    fields: dict[str, Any]

    def is_called(self, name: str) -> bool:
        """Whether it is of the event class ``name``, or has the signature ``name`` if that has parentheses."""
        if not self.topics:
            return False
        if "(" in name:
            return self.topics[0] == Keccak256(name.encode()).digest()
        # The indexed fields are in the signature, and only their number is known.
        names = sorted(self.fields)[:_FIELDS_SEARCHED]
        indexed = itertools.combinations(names, len(self.topics) - 1)
        return any(self.is_called(f"{name}({','.join(chosen)})") for chosen in indexed)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of a contract; ``method`` is None for a plain transfer and for deployments."""

    kind: PostedKind
    sender: Address
    receiver: Address
    value: int
    on: str
    method: str | None
    args: list[Any]
    kwargs: dict[str, Any]
    data: bytes
    """Calldata as it is; for ``eth_send`` that is all there is."""
    code: bytes
    salt: int


def decode_event(contract: Address, event: Event) -> EmittedEvent:
    return EmittedEvent(contract, event.topics, with_records(calldata.decode(event.blob)))


def decode_message(sender: Address, posted: Posted) -> SentMessage:
    call: Any = {} if posted.kind is PostedKind.ETH_SEND else calldata.decode(posted.calldata)
    call = call if isinstance(call, dict) else {}
    return SentMessage(
        posted.kind,
        sender,
        posted.receiver,
        posted.value,
        posted.on,
        call.get("method"),
        call.get("args", []),
        call.get("kwargs", {}),
        posted.calldata,
        posted.code,
        posted.salt,
    )


def decode_storage(shown: Any) -> Any:
    """The notation of :mod:`localnet.chain.dump_state` as Python values; what it cannot show stays a dict."""
    match shown:
        case {"$float": str(text)}:
            return float(text)
        case {"$datetime": str(text)}:
            return datetime.fromisoformat(text)
        case {"$map": list(pairs)}:
            return {_hashable(decode_storage(key)): decode_storage(item) for key, item in pairs}
        case {"$addr": _} | {"$bytes": _} | {"$int": _}:
            return values.from_json(shown)
        case {"$truncated": _} | {"$unknown": _}:
            return shown
        case dict():
            return Record(
                {key[1:] if key.startswith("$$") else key: decode_storage(item) for key, item in shown.items()}
            )
        case list():
            return [decode_storage(item) for item in shown]
    return shown


def _hashable(key: Any) -> Any:
    return tuple(sorted(key.items())) if isinstance(key, dict) else tuple(key) if isinstance(key, list) else key
