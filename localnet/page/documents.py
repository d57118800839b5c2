"""What the page is told of a network, as JSON. Amounts are texts: browsers have no such integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import one_line
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import (
    AccountInfo,
    ContractInfo,
    Kind,
    Receipt,
    Status,
    Transaction,
)
from pygenvm.localnet.chain.network.types import (
    NetworkTransaction,
    NodeReceipt,
    Provider,
    Round,
    StatusChange,
    Summary,
    TimeState,
    TxKind,
    TxStatus,
    Validator,
    summary_of,
)
from pygenvm.localnet.documents import Document, event_document, receipt_head
from pygenvm.localnet.sources import Source
from pygenvm.localnet.values import to_json

Names: TypeAlias = Mapping[Address, str]

#: Characters of a method, and of its arguments, in a line.
_ARGUMENTS: Final = 60
_KINDS: Final = {
    TxKind.TRANSFER: Kind.TRANSFER,
    TxKind.DEPLOY: Kind.DEPLOY,
    TxKind.CALL: Kind.CALL,
    TxKind.UPGRADE: Kind.DEPLOY,
}
#: What goes on while a transaction has a status.
_STAGES: Final = {
    TxStatus.PENDING: "waiting",
    TxStatus.PROPOSING: "leader",
    TxStatus.COMMITTING: "validators",
    TxStatus.REVEALING: "settling",
}
_WHY: Final = {
    TxStatus.UNDETERMINED: "Validators did not agree with any leader.",
    TxStatus.LEADER_TIMEOUT: "The leader did not finish in time.",
    TxStatus.VALIDATORS_TIMEOUT: "Most validators did not finish in time.",
    TxStatus.CANCELED: "It was canceled before anybody executed it.",
}


def names_of(contracts: Sequence[ContractInfo]) -> Names:
    """Address to name, of accounts and contracts."""
    return {info.address: info.name for info in contracts} | accounts.names()


def overview(
    *,
    chain_id: int,
    block: int,
    time: TimeState,
    finality_window: float,
    infos: Sequence[AccountInfo],
    contracts: Sequence[ContractInfo],
    received: Mapping[Address, int],
    validators: Sequence[Validator],
    providers: Sequence[Provider],
    snapshots: Mapping[int, datetime],
    database: str,
) -> Document:
    """Everything but transactions."""
    return {
        "now": _milliseconds(time.now),
        "chain_id": chain_id,
        "block": block,
        "datetime": time.now.astimezone(UTC).isoformat(timespec="seconds"),
        "offset_seconds": round(time.offset_seconds),
        "finality_window": finality_window,
        "database": database,
        "accounts": [
            {
                "address": info.address.as_hex,
                "name": info.name,
                "balance": str(info.balance),
                "nonce": info.nonce,
                "is_contract": info.is_contract,
            }
            for info in infos
        ],
        "contracts": [
            {"address": info.address.as_hex, "name": info.name, "transactions": received.get(info.address, 0)}
            for info in reversed(contracts)
        ],
        "validators": [
            {
                "address": one.address.as_hex,
                "stake": str(one.stake),
                "provider": one.model.provider,
                "model": one.model.model,
            }
            for one in validators
        ],
        "providers": [
            {"provider": one.model.provider, "model": one.model.model} for one in providers if one.is_model_available
        ],
        "snapshots": [{"id": number, "created_at": _milliseconds(made)} for number, made in snapshots.items()],
    }


def summary(transaction: Summary, names: Names) -> Document:
    """A line of the list."""
    method, arguments = _call(transaction)
    return {
        "id": "0x" + transaction.id.hex(),
        "kind": transaction.kind.name.lower(),
        "status": str(transaction.status),
        "contract": _party(transaction.recipient, names),
        "from": _party(transaction.sender, names),
        "method": method,
        "arguments": arguments,
        "value": str(transaction.value),
        "created_at": _milliseconds(transaction.created_at),
        "votes": dict(Counter(map(str, transaction.digest.votes))),
        "rounds": transaction.digest.rounds,
        "failed": transaction.digest.failed,
        "appealed": transaction.appealed,
        "stages": _stages(transaction),
        "parent": None if transaction.triggered_by is None else "0x" + transaction.triggered_by.hex(),
    }


def detail(
    transaction: NetworkTransaction, names: Names, source: Source | None, changes: tuple[Any, Any] | None
) -> Document:
    """Everything that is known of a transaction.

    :param source: of the contract, which failures are told with.
    :param changes: the decoded storage of the contract before and after it, where that is known.
    """
    leader = transaction.leader
    last = transaction.last_round
    short = summary_of(transaction)
    return {
        **summary(short, names),
        **_result(transaction, leader, names, source),
        "children": ["0x" + child.hex() for child in transaction.triggered],
        "history": [{"status": str(change.status), "at": _milliseconds(change.at)} for change in _in_order(short)],
        "rounds_detail": [_round(round_, names) for round_ in transaction.rounds],
        "changes": None if changes is None else {"before": changes[0], "after": changes[1]},
        "events": [] if leader is None else [event_document(event) for event in leader.events],
        "stdout": "" if leader is None else leader.stdout.text(),
        "stderr": "" if leader is None else leader.stderr.text(),
        "log": "" if leader is None else leader.log.text(),
        "settlement": None
        if last is None or last.intent_id is None
        else {"intent": "0x" + last.intent_id.hex(), "decision": last.result.name.replace("_", " ").lower()},
    }


def receipt_of(transaction: NetworkTransaction, node: NodeReceipt, source: Source | None) -> Receipt:
    """What a node found, in the form that failures are explained of."""
    kind = _KINDS[transaction.kind]
    call = Transaction(
        kind,
        transaction.sender,
        transaction.origin,
        transaction.recipient,
        transaction.value,
        transaction.calldata,
        code=transaction.code,
        name=source.name if source else "",
    )
    return Receipt(
        call,
        Status.OK if node.succeeded else Status.FAILED,
        node.outcome,
        transaction.id,
        transaction.created_at.isoformat(),
        stdout=node.stdout,
        stderr=node.stderr,
        seconds=node.seconds,
        source=source,
    )


def _result(
    transaction: NetworkTransaction, leader: NodeReceipt | None, names: Names, source: Source | None
) -> Document:
    if transaction.status in _WHY:
        return {"error": {"message": _WHY[transaction.status]}}
    if leader is None or leader.outcome is None:
        return {}
    head = receipt_head(receipt_of(transaction, leader, source), names)
    return {"result": head["result"]} if head["ok"] else {"error": head["error"]}


def _round(round_: Round, names: Names) -> Document:
    leader = round_.leader
    return {
        "label": str(round_.label),
        "leader": None if leader is None else _node(leader, names),
        "validators": [_node(node, names) for node in round_.validators],
        "intent": None if round_.intent_id is None else "0x" + round_.intent_id.hex(),
    }


def _node(node: NodeReceipt, names: Names) -> Document:
    return {
        **_party(node.validator.address, names),
        "provider": node.validator.model.provider,
        "model": node.validator.model.model,
        "vote": None if node.vote is None else str(node.vote),
        "why": node.reason,
        "seconds": round(node.seconds, 3),
        "outcome": _outcome(node),
        "stdout": node.stdout.text(),
        "stderr": node.stderr.text(),
    }


def _outcome(node: NodeReceipt) -> Any:
    if node.outcome is None:
        return "executed nothing"
    if isinstance(node.outcome, Return):
        try:
            return to_json(calldata.decode(node.outcome.calldata))
        except ValueError:
            return {"$bytes": "0x" + node.outcome.calldata.hex()}
    return f"{type(node.outcome).__name__}: {one_line(node.outcome.message)}"


def _call(transaction: Summary) -> tuple[str, str]:
    """Method and arguments of a call in the usual form."""
    if transaction.calldata is None:
        return "…", f"{transaction.calldata_bytes} bytes"
    try:
        call = calldata.decode(transaction.calldata)
    except ValueError:
        return "", ""
    if not isinstance(call, dict):
        return "", ""
    args, kwargs = call.get("args", []), call.get("kwargs", {})
    shown: list[str] = []
    if isinstance(args, list) and isinstance(kwargs, dict):
        shown = [*map(_short, args[:8]), *(f"{name}={_short(value)}" for name, value in list(kwargs.items())[:8])]
    method = call.get("method", "")
    line = one_line(", ".join(shown))
    return _cut(one_line(method)) if isinstance(method, str) else "", _cut(line)


def _cut(line: str) -> str:
    return line if len(line) <= _ARGUMENTS else line[:_ARGUMENTS] + "…"


def _short(value: Any) -> str:
    text = value.as_hex if isinstance(value, Address) else repr(value)
    return text if len(text) <= 24 else text[:20] + "…"


def _in_order(transaction: Summary) -> list[StatusChange]:
    """The changes of its status as they came: those of a round stand together there."""
    return sorted(transaction.history, key=lambda change: change.at)


def _stages(transaction: Summary) -> dict[str, int]:
    """Milliseconds by stage, until it was decided."""
    spent: Counter[str] = Counter()
    began, status = transaction.created_at, TxStatus.PENDING
    for change in _in_order(transaction):
        if (stage := _STAGES.get(status)) is not None:
            spent[stage] += max(0, _milliseconds(change.at) - _milliseconds(began))
        began, status = change.at, change.status
    return dict(spent)


def _party(address: Address, names: Names) -> Document:
    return {"address": address.as_hex, "name": names.get(address, "")}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
