"""Code and calldata inside of a transaction or a read: an RLP list, and how it is to be executed (spec 02 §1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from pygenvm.localnet.rpc.raw import rlp
from pygenvm.localnet.rpc.raw.errors import RawError


class Flag(Enum):
    """The last item of the list."""

    NORMAL = 0
    LEADER_ONLY = 1
    LEADER_SELF_VALIDATOR = 2


@dataclass(frozen=True, slots=True)
class Deploy:
    code: bytes
    calldata: bytes
    flag: Flag


@dataclass(frozen=True, slots=True)
class Call:
    calldata: bytes
    flag: Flag


Payload: TypeAlias = Deploy | Call

#: Clients in Python and in JavaScript write false differently.
_FLAGS: Final = {b"": Flag.NORMAL, **{bytes([flag.value]): flag for flag in Flag}}


def decode_payload(data: bytes, *, deploys: bool) -> Payload:
    """Of a transaction.

    :param deploys: the recipient is the zero address.
    :raises RawError: malformed, or for the other kind of recipient.
    """
    items = _strings(rlp.decode_list(data))
    if deploys and len(items) in (2, 3):
        return Deploy(items[0], items[1], _flag(items[2:]))
    if not deploys and len(items) in (1, 2):
        return Call(items[0], _flag(items[1:]))
    if deploys:
        raise RawError(f"a deployment has code, calldata and a flag in its RLP list, not {len(items)} items")
    if len(items) == 3:
        raise RawError("code, calldata and a flag are for the zero address, which makes a new contract")
    raise RawError(f"a call has calldata and a flag in its RLP list, not {len(items)} items")


def decode_read(data: bytes) -> bytes:
    """The calldata of a read: the same list, or the bare string; empty for no data at all.

    :raises RawError: malformed.
    """
    if not data:
        return b""
    item = rlp.decode(data)
    if isinstance(item, bytes):
        return item
    call = decode_payload(data, deploys=False)
    return call.calldata


def _strings(items: list[rlp.Item]) -> list[bytes]:
    found = [item for item in items if isinstance(item, bytes)]
    if len(found) != len(items):
        raise RawError("code, calldata and flag must be strings in RLP, a list is there")
    return found


def _flag(items: list[bytes]) -> Flag:
    flag = items[0] if items else b""
    if flag not in _FLAGS:
        raise RawError(f"the flag is empty, 00, 01 or 02, not {flag[:8].hex()}")
    return _FLAGS[flag]
