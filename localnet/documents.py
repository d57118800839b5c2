"""What ``--json`` prints: the results of commands as JSON documents. The keys are stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import votes
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import (
    AccountInfo,
    ContractInfo,
    Event,
    Execution,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Status,
)
from pygenvm.localnet.chain.state import StateDump
from pygenvm.localnet.failure import explain_failure
from pygenvm.localnet.values import to_json

Document: TypeAlias = dict[str, Any]
#: Names of contracts.
Names: TypeAlias = Mapping[Address, str]

_NOT_EXECUTED: Final = {
    Status.PENDING: "nobody has executed it yet",
    Status.RUNNING: "it is being executed",
    Status.CANCELED: "it was canceled before anybody executed it",
}


def execution_document(execution: Execution, names: Names) -> Document:
    """Of ``deploy`` and ``call``."""
    return {
        **receipt_head(execution.receipt, names),
        "transaction": receipt_document(execution.receipt, names),
        "delivered": [receipt_document(receipt, names) for receipt in execution.delivered],
        "resumed": [receipt_document(receipt, names) for receipt in execution.resumed],
    }


def view_document(receipt: Receipt, names: Names) -> Document:
    """Of ``view``."""
    return {**receipt_head(receipt, names), **_output(receipt)}


def receipt_head(receipt: Receipt, names: Names) -> Document:
    """What every command that runs a contract begins with."""
    head: Document = {"ok": receipt.ok, "contract": _party(receipt.transaction.contract, names)}
    if receipt.ok:
        return {**head, "result": to_json(receipt.value)}
    return {**head, "error": _failure(receipt)}


def receipt_document(receipt: Receipt, names: Names) -> Document:
    """One transaction."""
    transaction = receipt.transaction
    # Where a deployment failed, the address may be that of another contract by now.
    to = {transaction.contract: transaction.name} if transaction.kind is Kind.DEPLOY else names
    return {
        "number": receipt.number,
        "id": "0x" + receipt.tx_id.hex(),
        "parent": transaction.parent,
        "kind": str(transaction.kind),
        "status": str(receipt.status),
        "from": _party(transaction.sender, names),
        "origin": _party(transaction.origin, names),
        "to": _party(transaction.contract, to),
        "value": transaction.value,
        **call_document(transaction.calldata),
        "datetime": receipt.datetime,
        "outcome": None if receipt.outcome is None else _outcome(receipt.outcome),
        "events": [event_document(event) for event in receipt.events],
        "messages": [_posted(posted, names) for posted in receipt.messages],
        "balances": [
            {**_party(change.address, names), "before": change.before, "after": change.after}
            for change in receipt.balances
        ],
        "storage": {"slots": receipt.slots_written, "bytes": receipt.bytes_written},
        "nondet_results": ["0x" + result.hex() for result in receipt.nondet_results],
        **({"validators": votes.round_document(receipt)} if receipt.round else {}),
        **({"settlement": votes.settlement_document(receipt.settlement)} if receipt.settlement else {}),
        **_output(receipt),
    }


def call_document(data: bytes) -> Document:
    """Calldata of a call, taken apart as far as it has the usual form (spec sdk/03 §2)."""
    document: Document = {"calldata": "0x" + data.hex()}
    try:
        call = calldata.decode(data)
    except ValueError:
        return document
    if isinstance(call, dict):
        document |= {key: to_json(call[key]) for key in ("method", "args", "kwargs") if key in call}
    return document


def event_document(event: Event) -> Document:
    """An event, with its blob decoded."""
    return {"topics": ["0x" + topic.hex() for topic in event.topics], "data": to_json(calldata.decode(event.blob))}


def schema_document(schema: Document) -> Document:
    """Of ``schema``."""
    return {"ok": True, "schema": schema}


def state_document(dump: StateDump) -> Document:
    """Of ``state``."""
    return {
        "ok": True,
        "contract": {"address": dump.contract.address.as_hex, "name": dump.contract.name},
        "balance": dump.balance,
        "fields": dump.fields,
        "note": dump.note,
        "slot_count": dump.slot_count,
        "slots": [
            {"slot": "0x" + slot.slot.hex(), "name": slot.name, "size": slot.size, "data": "0x" + slot.data.hex()}
            for slot in dump.slots
        ],
    }


def accounts_document(infos: list[AccountInfo]) -> Document:
    """Of ``accounts``."""
    return {
        "ok": True,
        "accounts": [
            {
                "address": info.address.as_hex,
                "name": info.name,
                "balance": info.balance,
                "nonce": info.nonce,
                "is_contract": info.is_contract,
            }
            for info in infos
        ],
    }


def log_document(receipts: list[Receipt], names: Names) -> Document:
    """Of ``log``."""
    return {"ok": True, "transactions": [receipt_document(receipt, names) for receipt in receipts]}


def error_document(kind: str, message: str, advice: str = "") -> Document:
    """Of any command that could not do its work."""
    return {"ok": False, "error": {"kind": kind, "message": message, **({"advice": advice} if advice else {})}}


def failure_document(receipt: Receipt, names: Names) -> Document:
    """Of ``schema``, when the contract fails instead of giving one."""
    return {**receipt_head(receipt, names), **_output(receipt)}


def contract_names(contracts: list[ContractInfo]) -> Names:
    """Address to name."""
    return {info.address: info.name for info in contracts}


def _party(address: Address, names: Names) -> Document:
    return {"address": address.as_hex, "name": accounts.names().get(address) or names.get(address, "")}


def _posted(posted: Posted, names: Names) -> Document:
    document: Document = {
        "kind": str(posted.kind),
        "to": _party(posted.receiver, names),
        "value": posted.value,
        "on": posted.on,
    }
    if posted.kind is PostedKind.ETH_SEND:
        return {**document, "calldata": "0x" + posted.calldata.hex()}
    if posted.kind is PostedKind.DEPLOY:
        document |= {"salt": posted.salt, "code_bytes": len(posted.code)}
    return {**document, **call_document(posted.calldata)}


def _output(receipt: Receipt) -> Document:
    return {"stdout": receipt.stdout.text(), "stderr": receipt.stderr.text(), "seconds": round(receipt.seconds, 3)}


def _outcome(outcome: Outcome) -> Document:
    match outcome:
        case Return():
            return {"kind": "return", "value": to_json(calldata.decode(outcome.calldata))}
        case UserError():
            kind = "user_error"
        case VMError():
            kind = "vm_error"
        case InternalError():
            kind = "internal_error"
    return {"kind": kind, "message": outcome.message}


def _failure(receipt: Receipt) -> Document:
    if receipt.outcome is None:
        return {"kind": str(receipt.status), "message": _NOT_EXECUTED.get(receipt.status, "not delivered")}
    if receipt.status is Status.UNDETERMINED:
        message = votes.undetermined_summary(receipt)
        if not message:  # the database does not have the votes
            return {"kind": str(receipt.status), "message": ""}
        known = votes.explain_undetermined(receipt)
        return {"kind": str(receipt.status), "message": message, "meaning": known.meaning, "advice": known.advice}
    failure = explain_failure(receipt)
    causes = [{"meaning": cause.text, "advice": cause.fix, "rule": cause.rule} for cause in failure.causes]
    return {
        **_outcome(receipt.outcome),
        **(causes[0] if causes else {}),
        "other_causes": causes[1:],
        "exception": failure.exception,
        "traceback": [
            {"file": place.file, "line": place.line, "function": place.function, "source": place.source}
            for place in failure.places
        ],
    }
