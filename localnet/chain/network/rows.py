"""How members of transactions are kept in the database: rounds as calldata, the rest as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet.chain.model import Event, Posted, PostedKind, outcome_from_bytes, outcome_to_bytes
from pygenvm.localnet.chain.network.types import (
    Appeals,
    Digest,
    Model,
    NodeMode,
    NodeReceipt,
    RawFields,
    Round,
    RoundLabel,
    RoundResult,
    StatusChange,
    TxMode,
    TxStatus,
    Validator,
    VirtualValidator,
    VoteWord,
)


def to_text(time: datetime) -> str:
    """ISO 8601 with offset."""
    return time.astimezone(UTC).isoformat()


def to_time(text: str) -> datetime:
    """Reads :func:`to_text`."""
    return datetime.fromisoformat(text)


def to_json(value: Any) -> str:
    """JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=4096)
def known_address(raw: bytes) -> Address:
    """The same object again for the same bytes: how an address is written takes a hash, which it keeps."""
    return Address(raw)


# --- models and validators ------------------------------------------------------------------------


def model_to_json(model: Model) -> dict[str, Any]:
    """All members."""
    return {
        "provider": model.provider,
        "model": model.model,
        "config": dict(model.config),
        "plugin": model.plugin,
        "plugin_config": dict(model.plugin_config),
    }


def model_from_json(document: Mapping[str, Any]) -> Model:
    """Reads :func:`model_to_json`."""
    return Model(
        document["provider"], document["model"], document["config"], document["plugin"], document["plugin_config"]
    )


def virtual_from_json(documents: Sequence[Mapping[str, Any]]) -> tuple[VirtualValidator, ...]:
    """Reads what :func:`dataclasses.asdict` gave."""
    return tuple(VirtualValidator(**document) for document in documents)


# --- details of a transaction ---------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class Details:
    """What is kept of a transaction besides the columns that are searched."""

    mode: TxMode
    validators: int
    rotations: int
    created_at: datetime
    pinned: datetime | None = None
    """What contracts are told instead of the time of the clock."""
    virtual: tuple[VirtualValidator, ...] = ()
    raw: RawFields = dataclasses.field(default_factory=RawFields)
    name: str = ""
    is_error: bool = False
    """A ``#error`` call, which brings value back."""
    minted: bool = False
    credited: bool = False
    result: RoundResult = RoundResult.IDLE
    rotation_count: int = 0
    appeals: Appeals = dataclasses.field(default_factory=Appeals)
    leader_appeals: int = 0
    status_changes: tuple[StatusChange, ...] = ()
    decided_at: datetime | None = None
    finalized_at: datetime | None = None
    nonce_before: int | None = None
    """Of the contract, before this transaction took effect."""
    skipped: int = 0
    """Nonces of its sender between the one that was its turn and its own: they may still come."""
    digest: Digest | None = None
    """None: nobody has made one, as in files that were made before there were any."""

    def encode(self) -> str:
        """As JSON."""
        appeals = dataclasses.asdict(self.appeals)
        appeals["appealed_at"] = self.appeals.appealed_at and to_text(self.appeals.appealed_at)
        raw = dataclasses.asdict(self.raw)
        raw["to"] = str(self.raw.to) if self.raw.to else None
        raw["data"] = self.raw.data.hex()
        return to_json(
            {
                "mode": self.mode,
                "validators": self.validators,
                "rotations": self.rotations,
                "created_at": to_text(self.created_at),
                "pinned": self.pinned and to_text(self.pinned),
                "virtual": [dataclasses.asdict(virtual) for virtual in self.virtual],
                "raw": raw,
                "name": self.name,
                "is_error": self.is_error,
                "minted": self.minted,
                "credited": self.credited,
                "result": int(self.result),
                "rotation_count": self.rotation_count,
                "appeals": appeals,
                "leader_appeals": self.leader_appeals,
                "status_changes": [[change.status, to_text(change.at)] for change in self.status_changes],
                "decided_at": self.decided_at and to_text(self.decided_at),
                "finalized_at": self.finalized_at and to_text(self.finalized_at),
                "nonce_before": self.nonce_before,
                "skipped": self.skipped,
                "digest": None if self.digest is None else _digest_to_json(self.digest),
            }
        )

    @classmethod
    def decode(cls, text: str) -> Details:
        """Reads :meth:`encode`."""
        document = json.loads(text)
        appeals = document.pop("appeals")
        raw = document.pop("raw")
        return cls(
            mode=TxMode(document.pop("mode")),
            created_at=to_time(document.pop("created_at")),
            virtual=virtual_from_json(document.pop("virtual")),
            raw=RawFields(
                **{
                    **raw,
                    "to": known_address(bytes.fromhex(raw["to"].removeprefix("0x"))) if raw["to"] else None,
                    "data": bytes.fromhex(raw["data"]),
                }
            ),
            result=RoundResult(document.pop("result")),
            appeals=Appeals(**{**appeals, "appealed_at": _optional_time(appeals["appealed_at"])}),
            status_changes=_changes(document.pop("status_changes")),
            pinned=_optional_time(document.pop("pinned")),
            decided_at=_optional_time(document.pop("decided_at")),
            finalized_at=_optional_time(document.pop("finalized_at")),
            digest=_digest_from_json(document.pop("digest", None)),
            **document,
        )


def _digest_to_json(digest: Digest) -> list[Any]:
    history = [[change.status, to_text(change.at)] for change in digest.history]
    return [digest.rounds, digest.votes, digest.failed, history]


def _digest_from_json(document: Sequence[Any] | None) -> Digest | None:
    if document is None:
        return None
    rounds, votes, failed, history = document
    return Digest(int(rounds), tuple(map(VoteWord, votes)), bool(failed), _changes(history))


def _optional_time(text: str | None) -> datetime | None:
    return to_time(text) if text else None


def _changes(pairs: Sequence[Sequence[str]]) -> tuple[StatusChange, ...]:
    return tuple(StatusChange(TxStatus(status), to_time(at)) for status, at in pairs)


# --- rounds ---------------------------------------------------------------------------------------


def round_to_bytes(round_: Round) -> bytes:
    """All members but the number."""
    return calldata.encode(
        {
            "label": str(round_.label),
            "leader": None if round_.leader is None else _node(round_.leader),
            "validators": [_node(node) for node in round_.validators],
            "result": int(round_.result),
            "status_changes": [[str(change.status), to_text(change.at)] for change in round_.status_changes],
            "intent_id": round_.intent_id,
        }
    )


def round_from_bytes(number: int, data: bytes) -> Round:
    """Reads :func:`round_to_bytes`."""
    document: dict[str, Any] = calldata.decode(data)
    leader = document["leader"]
    return Round(
        number,
        RoundLabel(document["label"]),
        None if leader is None else _node_from(leader),
        tuple(_node_from(node) for node in document["validators"]),
        RoundResult(document["result"]),
        _changes(document["status_changes"]),
        document["intent_id"],
    )


def _node(node: NodeReceipt) -> dict[str, Any]:
    validator = node.validator
    return {
        "validator": [
            validator.number,
            validator.address,
            validator.stake,
            to_json(model_to_json(validator.model)),
            to_text(validator.created_at),
        ],
        "mode": str(node.mode),
        "vote": None if node.vote is None else str(node.vote),
        "outcome": None if node.outcome is None else outcome_to_bytes(node.outcome),
        "calldata": node.calldata,
        "nondet_results": list(node.nondet_results),
        "messages": [
            [str(post.kind), post.receiver, post.value, post.calldata, post.on, post.code, post.salt]
            for post in node.messages
        ],
        "events": [[list(event.topics), event.blob] for event in node.events],
        "slots_written": node.slots_written,
        "bytes_written": node.bytes_written,
        **{name: _captured(getattr(node, name)) for name in ("stdout", "stderr", "log")},
        "microseconds": int(node.seconds * 1e6),
        "disagreement": node.disagreement,
        "reason": node.reason,
        "datetime": node.datetime,
    }


def _node_from(document: dict[str, Any]) -> NodeReceipt:
    number, address, stake, model, created_at = document["validator"]
    return NodeReceipt(
        Validator(
            number, known_address(address.as_bytes), stake, model_from_json(json.loads(model)), to_time(created_at)
        ),
        NodeMode(document["mode"]),
        None if document["vote"] is None else VoteWord(document["vote"]),
        None if document["outcome"] is None else outcome_from_bytes(document["outcome"]),
        document["calldata"],
        tuple(document["nondet_results"]),
        tuple(
            Posted(PostedKind(kind), receiver, value, data, on, code, salt)
            for kind, receiver, value, data, on, code, salt in document["messages"]
        ),
        tuple(Event(tuple(topics), blob) for topics, blob in document["events"]),
        slots_written=document["slots_written"],
        bytes_written=document["bytes_written"],
        stdout=Captured(*document["stdout"]),
        stderr=Captured(*document["stderr"]),
        log=Captured(*document["log"]),
        seconds=document["microseconds"] / 1e6,
        disagreement=document["disagreement"],
        reason=document["reason"],
        datetime=document["datetime"],
    )


def _captured(stream: Captured) -> list[Any]:
    return [stream.head, stream.tail, stream.dropped]
