"""What people read: results of commands on a terminal.

Whatever a contract chose (its output, its values, its error texts) is printed with control characters made visible, so
that it cannot drive the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import one_line, visible
from pygenvm.localnet import votes
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import (
    AccountInfo,
    Decision,
    Execution,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Settlement,
    Status,
    Told,
    Vote,
    Word,
)
from pygenvm.localnet.chain.state import StateDump
from pygenvm.localnet.documents import Names, call_document, event_document
from pygenvm.localnet.failure import Style, error_text, explain_failure, full_traceback, lines
from pygenvm.localnet.plain import value_text
from pygenvm.localnet.schema import parameters_text, type_text
from pygenvm.localnet.values import to_json

_OUTPUT_LINES = 60
_VALUE_CHARACTERS = 2_000
_LINE_CHARACTERS = 100

_FAILURE_STYLE = {
    Style.PLACE: "bold",
    Style.MARK: "red",
    Style.ERROR: "bold red",
    Style.NOTE: "dim",
    Style.CAUSE: "bold",
    Style.FIX: "green",
}
_STATUS_STYLE = {
    Status.OK: "green",
    Status.FAILED: "red",
    Status.UNDELIVERED: "yellow",
    Status.UNDETERMINED: "yellow",
    Status.PENDING: "cyan",
    Status.RUNNING: "cyan",
    Status.CANCELED: "yellow",
}
_VOTE_STYLE = {
    votes.AGREES: ("agrees", "green"),
    votes.DISAGREES: ("disagrees", "red"),
    str(Word.OTHER): ("another", "yellow"),
    str(Word.WITHHELD): ("withholds", "red"),
}

_DECISION_STYLE = {
    Decision.AGREE: ("accepted", "green"),
    Decision.DISAGREE: ("rejected", "red"),
    Decision.NONE: ("no quorum", "yellow"),
}
_TOKEN = 10**18


class Printer:
    """Prints to ``out``, and to ``err`` what is no result."""

    def __init__(self, out: Console, err: Console, names: Names, *, full: bool = False) -> None:
        """:param full: tracebacks with the calls inside the SDK."""
        self._out = out
        self._err = err
        self._names = names
        self._full = full

    # --- results ----------------------------------------------------------------------------------

    def execution(self, execution: Execution) -> None:
        """Of ``deploy`` and ``call``."""
        for receipt in execution.resumed:
            self._line("resumed", self._summary(receipt))
        receipt = execution.receipt
        if receipt.status is Status.UNDETERMINED:
            self._undetermined(receipt)
            return
        if not receipt.ok:
            self.failure(receipt)
            self._votes(self._err, receipt)
            return
        self._streams(receipt)
        transaction = receipt.transaction
        verb = "Deployed" if transaction.kind is Kind.DEPLOY else "Called"
        head = Text(f"{verb} ", "bold green").append(self._party(transaction.contract), "bold")
        self._out.print(head, soft_wrap=True)
        if transaction.kind is not Kind.DEPLOY:
            self._line("method", Text(_call(transaction.calldata)))
        if isinstance(receipt.outcome, Return) and not (transaction.kind is Kind.DEPLOY and receipt.value is None):
            self._line("returned", Text(shown(to_json(receipt.value)), "bold"))
        self._line("from", Text(self._party(transaction.sender)))
        if transaction.value:
            self._line("value", Text(f"{transaction.value}"))
        self._effects(receipt)
        self._votes(self._out, receipt)
        self._line("transaction", Text(f"#{receipt.number}, {receipt.seconds:.2f} s", "dim"))
        if execution.delivered:
            self._out.print(Text("Delivered messages", "bold"))
            for delivered in execution.delivered:
                self._out.print(self._summary(delivered), soft_wrap=True)
                self._effects(delivered, indent="    ")
                self._votes(self._out, delivered, indent="    ")
                if delivered.source:
                    for style, text in lines(explain_failure(delivered)):
                        _print_failure(self._out, style, text, indent="      ")

    def view(self, receipt: Receipt) -> None:
        """Of ``view``: the bare value on ``out``, a text without quotes."""
        if not receipt.ok:
            self.failure(receipt)
            return
        self._streams(receipt)
        self._out.print(Text(value_text(receipt.value)), soft_wrap=True)

    def failure(self, receipt: Receipt) -> None:
        """A run that did not return: its output, the error, where, what it means and what to do."""
        failure = explain_failure(receipt)
        self._stream("stdout", receipt.stdout.text())
        self._stream("stderr", full_traceback(receipt) if self._full else failure.output)
        head = [(Style.ERROR, failure.title), (Style.NOTE, "Nothing was changed.")]
        for style, text in lines(failure, head):
            _print_failure(self._err, style, text)

    def _undetermined(self, receipt: Receipt) -> None:
        """A transaction that most nodes did not agree with."""
        self._streams(receipt)
        title = f"Undetermined: {votes.undetermined_summary(receipt)}"
        for style, text in ((Style.ERROR, title), (Style.NOTE, "Nothing was changed.")):
            _print_failure(self._err, style, text)
        self._votes(self._err, receipt)
        known = votes.explain_undetermined(receipt)
        for style, text in ((Style.CAUSE, f"cause: {known.meaning}"), (Style.FIX, f"fix: {known.advice}")):
            _print_failure(self._err, style, text)

    def schema(self, schema: dict[str, Any]) -> None:
        """Of ``schema``."""
        rows = [("method", "parameters", "returns", ""), ("(deploy)", parameters_text(schema.get("ctor", {})), "", "")]
        for name, method in schema.get("methods", {}).items():
            marks = "view" if method.get("readonly") else "payable" if method.get("payable") else ""
            rows.append((visible(str(name)), parameters_text(method), type_text(method.get("ret", "any")), marks))
        _table(self._out, rows)

    def state(self, dump: StateDump, *, raw: bool) -> None:
        """Of ``state``."""
        self._out.print(Text(self._party(dump.contract.address), "bold"), soft_wrap=True)
        self._line("balance", Text(f"{dump.balance}"))
        self._line("storage", Text(_count(dump.slot_count, "slot")))
        if dump.fields is not None and not raw:
            for name, value in dump.fields.items():
                first, *more = _tree(value, "    ")
                head = Text("  ").append(visible(name), "cyan").append(visible(f" = {first}".rstrip()))
                self._out.print(head, soft_wrap=True)
                for entry in more:
                    self._out.print(Text(visible(entry)), soft_wrap=True)
            return
        if dump.note:
            self._out.print(Text(f"not decoded: {visible(dump.note)}", "yellow"), soft_wrap=True)
        for slot in dump.slots:
            rest = " …" if slot.size > len(slot.data) else ""
            line = Text(f"  0x{slot.slot.hex()}", "cyan").append(f" {slot.name}".rstrip(), "dim")
            self._out.print(line.append(f" {slot.size} bytes", "dim"), soft_wrap=True)
            self._out.print(Text(f"    {slot.data.hex()}{rest}"), soft_wrap=True)

    def accounts(self, infos: list[AccountInfo]) -> None:
        """Of ``accounts``."""
        rows = [("name", "address", "balance", "nonce", "")]
        for info in infos:
            kind = "contract" if info.is_contract else ""
            rows.append((one_line(info.name), info.address.as_hex, f"{info.balance}", f"{info.nonce}", kind))
        _table(self._out, rows)

    def log(self, receipts: list[Receipt]) -> None:
        """Of ``log``."""
        if not receipts:
            self._out.print(Text("No transactions yet.", "dim"))
        for receipt in receipts:
            self._out.print(self._summary(receipt), soft_wrap=True)
            self._effects(receipt, indent="    ")

    # --- parts ------------------------------------------------------------------------------------

    def _summary(self, receipt: Receipt) -> Text:
        transaction = receipt.transaction
        number = "  -- " if receipt.number is None else f"  #{receipt.number} "
        line = Text(number, "bold").append(f"{receipt.status} ", _STATUS_STYLE[receipt.status])
        line.append(f"{transaction.kind} ").append(self._short(transaction.sender)).append(" → ", "dim")
        line.append(self._short(transaction.contract, transaction.name if transaction.kind is Kind.DEPLOY else None))
        if transaction.kind is not Kind.DEPLOY:
            line.append(f" {_call(transaction.calldata)}")
        if transaction.value:
            line.append(f" value {transaction.value}")
        if isinstance(receipt.outcome, Return):
            line.append(f" = {shown(to_json(receipt.value))}")
        elif receipt.outcome is not None:
            line.append(f" {error_text(receipt.outcome)}", "red")
        if transaction.parent is not None:
            line.append(f" (from #{transaction.parent})", "dim")
        return line

    def _effects(self, receipt: Receipt, *, indent: str = "  ") -> None:
        for event in receipt.events:
            document = event_document(event)
            topics = ", ".join(topic[:10] + "…" for topic in document["topics"])
            self._line("event", Text(f"{shown(document['data'])} (topics {topics})"), indent)
        for posted in receipt.messages:
            self._line("message", Text(self._posted(posted)), indent)
        for change in receipt.balances:
            text = f"{self._short(change.address)} {change.before} → {change.after} ({change.after - change.before:+d})"
            self._line("balance", Text(text), indent)
        if receipt.slots_written:
            self._line(
                "storage", Text(f"{receipt.bytes_written} bytes in {_count(receipt.slots_written, 'slot')}"), indent
            )

    def _votes(self, console: Console, receipt: Receipt, *, indent: str = "  ") -> None:
        """Who agreed, if validators were asked."""
        if receipt.settlement is not None:
            self._settlement(console, receipt.settlement, indent)
        if receipt.round is None:
            return
        console.print(Text(f"{indent}{'validators':<12}", "dim").append(votes.summary(receipt.round)), soft_wrap=True)
        self._vote(console, receipt.round.leader.name, None, receipt, indent)
        for vote in receipt.round.votes:
            self._vote(console, vote.node.name, vote, receipt, indent)

    def _settlement(self, console: Console, settlement: Settlement, indent: str) -> None:
        """What operators with stake decided in each round, and what they have now."""
        for number, round_ in enumerate(settlement.rounds, 1):
            word, style = _DECISION_STYLE[round_.decision]
            verb = f"appeal {round_.appeal}, proposed" if round_.appeal else "proposed"
            head = Text(f"{indent}{f'round {number}':<12}", "dim").append(f"{verb} by {round_.leader.name}: ")
            head.append(word, style).append(f", {votes.settled_summary(round_)}")
            console.print(head, soft_wrap=True)
            for node, vote in votes.settled_votes(round_):
                self._vote(console, node.name, vote, round_.found, indent)
            console.print(f"{indent}  receipt       0x{round_.receipt.hash().hex()}", soft_wrap=True)
            console.print(f"{indent}  intent        0x{round_.intent_id.hex()}", soft_wrap=True)
        console.print(Text(f"{indent}operators", "dim"), soft_wrap=True)
        rows: list[tuple[str, ...]] = [(indent + "  name", "address", "balance", "stake", "credit")]
        for node, account in settlement.operators:
            amounts = (account.balance, account.stake, account.credit)
            rows.append((f"{indent}  {node.name}", node.address, *(_tokens(amount) for amount in amounts)))
        _table(console, rows)

    def _vote(self, console: Console, name: str, vote: Vote | Told | None, found: Receipt, indent: str) -> None:
        said, why = (votes.AGREES, "") if vote is None else (votes.word(vote), votes.reason(vote, found))
        word, style = _VOTE_STYLE.get(said, ("no verdict", "yellow"))
        line = Text(f"{indent}  {name:<14}").append(f"{word:<12}" if why else word, style)
        console.print(line.append(one_line(why)), soft_wrap=True)

    def _posted(self, posted: Posted) -> str:
        value = f" value {posted.value}" if posted.value else ""
        to = self._short(posted.receiver)
        match posted.kind:
            case PostedKind.DEPLOY:
                return f"deploys {len(posted.code)} bytes of code at {posted.receiver!s}{value}"
            case PostedKind.ETH_SEND:
                return f"eth_send to {to}{value} {len(posted.calldata)} bytes"
        return f"to {to} {_call(posted.calldata)}{value}, on {posted.on}"

    def _party(self, address: Address) -> str:
        name = accounts.names().get(address) or self._names.get(address, "")
        return f"{one_line(name)} {address.as_hex}".strip()

    def _short(self, address: Address, name: str | None = None) -> str:
        """The name of an account; name and start of address of a contract, as the command line takes it.

        :param name: that of a deployment; if it failed, the address is that of another contract by now.
        """
        if address in accounts.names():
            return accounts.names()[address]
        name = self._names.get(address, "") if name is None else name
        return f"{one_line(name)} {address.as_hex[:10]}" if name else address.as_hex

    def _line(self, label: str, text: Text, indent: str = "  ") -> None:
        self._out.print(Text(f"{indent}{label:<12}", "dim").append_text(text), soft_wrap=True)

    def _streams(self, receipt: Receipt) -> None:
        self._stream("stdout", receipt.stdout.text())
        self._stream("stderr", receipt.stderr.text())

    def _stream(self, label: str, text: str) -> None:
        lines = visible(text.replace("\r\n", "\n")).rstrip().splitlines()
        if not lines:
            return
        self._err.print(Text(f"{label}:", "dim"))
        if len(lines) > _OUTPUT_LINES:
            left_out = len(lines) - _OUTPUT_LINES
            lines = [*lines[:5], f"… {left_out} lines left out, --json has them …", *lines[5 + left_out :]]
        for line in lines:
            self._err.print(Text("  " + line), soft_wrap=True)


def _print_failure(console: Console, style: Style, text: str, indent: str = "") -> None:
    line = Text(indent).append(text, _FAILURE_STYLE.get(style, ""))
    # A terminal gets whole words, a file whole lines.
    console.print(line, soft_wrap=style not in (Style.CAUSE, Style.FIX) or not console.is_terminal)


def shown(document: Any) -> str:
    """A value in JSON notation, on one line and of limited length."""
    text = visible(_json(document))
    if len(text) > _VALUE_CHARACTERS:
        return f"{text[:_VALUE_CHARACTERS]}… ({len(text)} characters)"
    return text


def _tokens(amount: int) -> str:
    """In tokens of 10^18 units, with as many places as there are."""
    whole, rest = divmod(amount, _TOKEN)
    return f"{whole}.{rest:018}".rstrip("0").rstrip(".")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(document: Any, *, indent: int | None = None) -> str:
    return json.dumps(document, ensure_ascii=False, indent=indent)


def _call(data: bytes) -> str:
    document = call_document(data)
    method = document.get("method", "")
    name = one_line(str(method)) if method else "(no method)"
    if method == SpecialMethod.ERRORED_MESSAGE or not (method or "args" in document or "kwargs" in document):
        return name
    # Whoever makes calldata need not keep to the usual form.
    args, kwargs = document.get("args", []), document.get("kwargs", {})
    arguments = [shown(item) for item in args] if isinstance(args, list) else [f"*{shown(args)}"]
    if isinstance(kwargs, dict):
        arguments += [f"{one_line(str(key))}={shown(item)}" for key, item in kwargs.items()]
    else:
        arguments.append(f"**{shown(kwargs)}")
    return f"{name}({', '.join(arguments)})"


def _table(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their content, the first row in bold; long rows are left to the terminal."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ".join(cells).rstrip(), "" if number else "bold"), soft_wrap=True)


def _tree(value: Any, indent: str) -> list[str]:
    """A decoded value: on one line if it is short, otherwise a line per entry."""
    line = _json(value)
    if len(line) + len(indent) <= _LINE_CHARACTERS:
        return [line]
    match value:
        case {"$map": [*entries]} if len(value) == 1:
            pairs = [(_json(key), item) for key, item in entries]
        case dict() if not any(key in value for key in ("$truncated", "$bytes")):
            pairs = [(key, item) for key, item in value.items()]
        case list():
            pairs = [("-", item) for item in value]
        case _:
            return [line]
    lines = [""]
    for key, item in pairs:
        first, *rest = _tree(item, indent + "  ")
        lines += [f"{indent}{key}{'' if key == '-' else ':'} {first}".rstrip(), *rest]
    return lines
