"""The file that goes with a receipt: JSON, read as hostile input.

=============  ====================================================================================================
member         content
=============  ====================================================================================================
``format``     "pygenvm receipt"
``version``    1
``receipt``    the 355 bytes
``proof``      the frame of the C side: root, index, siblings (spec settlement/02 §8)
``intent``     optional: the intent as a message of 300 bytes
``request``    optional: ``nonce`` and ``height`` of the request, which the task id is made of
``operators``  optional: addresses in the order of selection
``reveals``    optional: in the order of reveals, each with ``operator`` and ``output``, and if they are known
               ``embedding``, ``nonce`` and ``commit``
=============  ====================================================================================================

Bytes are hexadecimal with ``0x``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from pygenvm.executor.json_text import parse_json
from pygenvm.settlement.codec import merkle, receipt, wire
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.types.constants import MAX_N
from pygenvm.settlement.types.words import MAX_U64, Address, Hash, checked_unsigned

FORMAT: Final = "pygenvm receipt"
VERSION: Final = 1
CHARS_MAX: Final = 1 << 20
_DEPTH_MAX: Final = 4

_REVEAL_MEMBERS: Final = ("operator", "output", "embedding", "nonce", "commit")


class DocumentError(ValueError):
    """The file is none of these; the text says why."""


@dataclass(frozen=True, slots=True)
class Revealed:
    """What an operator revealed, and what it had committed to; ``None`` for what the file does not have."""

    operator: Address
    output: Hash
    embedding: Hash | None = None
    nonce: Hash | None = None
    commit: Hash | None = None


@dataclass(frozen=True, slots=True)
class Document:
    receipt: Receipt
    root: Hash
    proof: merkle.Proof
    intent: Intent | None = None
    request_nonce: int | None = None
    request_height: int | None = None
    operators: tuple[Address, ...] | None = None
    reveals: tuple[Revealed, ...] | None = None

    def to_json(self) -> str:
        """As :func:`read` takes it, indented."""
        members: dict[str, object] = {
            "format": FORMAT,
            "version": VERSION,
            "receipt": _hex(self.receipt.encode()),
            "proof": _hex(self.proof.frame(self.root)),
        }
        if self.intent is not None:
            members["intent"] = _hex(wire.encode_intent(self.intent))
        if self.request_nonce is not None and self.request_height is not None:
            members["request"] = {"nonce": self.request_nonce, "height": self.request_height}
        if self.operators is not None:
            members["operators"] = [_hex(operator) for operator in self.operators]
        if self.reveals is not None:
            members["reveals"] = [
                {name: _hex(value) for name in _REVEAL_MEMBERS if (value := getattr(one, name)) is not None}
                for one in self.reveals
            ]
        return json.dumps(members, indent=2) + "\n"


def read(text: str) -> Document:
    """``DocumentError`` for anything else than what the module's table says."""
    try:
        return _read(parse_json(text, max_chars=CHARS_MAX, max_depth=_DEPTH_MAX))
    except RecursionError as error:
        raise DocumentError("nested too deep") from error
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(str(error)) from error


def _read(found: Any) -> Document:
    optional = ("intent", "request", "operators", "reveals")
    members = _object(found, "the file", ("format", "version", "receipt", "proof"), optional)
    if (members["format"], members["version"]) != (FORMAT, VERSION):
        raise DocumentError(f"this is not version {VERSION} of a {FORMAT}")
    root, proof = merkle.read_frame(_bytes(members["proof"], "proof"))
    nonce = height = None
    if "request" in members:
        request = _object(members["request"], "request", ("nonce", "height"), ())
        nonce = checked_unsigned(request["nonce"], MAX_U64, "nonce")
        height = checked_unsigned(request["height"], MAX_U64, "height")
    operators = reveals = None
    if "operators" in members:
        operators = tuple(Address(_bytes(one, "operator", 20)) for one in _list(members["operators"], "operators"))
    if "reveals" in members:
        reveals = tuple(_revealed(one) for one in _list(members["reveals"], "reveals"))
    return Document(
        receipt=receipt.decode(_bytes(members["receipt"], "receipt")),
        root=root,
        proof=proof,
        intent=wire.parse_intent(_bytes(members["intent"], "intent")) if "intent" in members else None,
        request_nonce=nonce,
        request_height=height,
        operators=operators,
        reveals=reveals,
    )


def _revealed(found: Any) -> Revealed:
    members = _object(found, "a reveal", _REVEAL_MEMBERS[:2], _REVEAL_MEMBERS[2:])
    operator = Address(_bytes(members.pop("operator"), "operator", 20))
    return Revealed(operator, **{name: Hash(_bytes(value, name, 32)) for name, value in members.items()})


def _object(found: Any, what: str, needed: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DocumentError(f"{what} is no JSON object")
    for name in needed:
        if name not in found:
            raise DocumentError(f"{what} has no {name!r}")
    for name in found:
        if name not in needed and name not in optional:
            raise DocumentError(f"{what} has {name!r:.80}, which this version does not know")
    return dict(found)


def _list(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list) or len(found) > MAX_N:
        raise DocumentError(f"{what} is no list of at most {MAX_N}")
    return found


def _bytes(found: Any, what: str, size: int | None = None) -> bytes:
    if not isinstance(found, str) or not found.startswith("0x"):
        raise DocumentError(f"{what} is no hexadecimal text with 0x")
    try:
        data = bytes.fromhex(found[2:])
    except ValueError as error:
        raise DocumentError(f"{what} is no hexadecimal text with 0x") from error
    if size is not None and len(data) != size:
        raise DocumentError(f"{what} is not {size} bytes")
    return data


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
