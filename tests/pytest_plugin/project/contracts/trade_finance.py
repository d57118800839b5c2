# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""A letter of credit: many parties, each with its own step."""

import json
from dataclasses import dataclass

from genlayer import *

STEPS = ("issued", "shipped", "inspected", "documents", "paid")


@allow_storage
@dataclass
class Event:
    step: str
    by: str
    note: str


class LetterOfCredit(gl.Contract):
    parties: TreeMap[str, Address]
    amount: u256
    step: str
    history: DynArray[Event]

    def __init__(self, parties: dict[str, str], amount: int):
        for role in ("importer", "exporter", "bank", "carrier", "inspector"):
            if role not in parties:
                raise gl.vm.UserError(f"there is no {role}")
            self.parties[role] = Address(parties[role])
        self.amount = u256(amount)
        self.step = "new"

    def _as(self, role: str) -> None:
        if gl.message.sender_address != self.parties[role]:
            raise gl.vm.UserError(f"this is for the {role}")

    def _advance(self, before: str, after: str, note: str) -> str:
        if self.step != before:
            raise gl.vm.UserError(f"it is {self.step}, not {before}")
        self.step = after
        self.history.append(Event(after, gl.message.sender_address.as_hex, note))
        return after

    @gl.public.write.payable
    def issue(self) -> str:
        self._as("bank")
        if gl.message.value != self.amount:
            raise gl.vm.UserError("the bank deposits the whole amount")
        return self._advance("new", "issued", str(gl.message.value))

    @gl.public.write
    def ship(self, bill_of_lading: str) -> str:
        self._as("carrier")
        return self._advance("issued", "shipped", bill_of_lading)

    @gl.public.write
    def inspect(self, passed: bool, note: str) -> str:
        self._as("inspector")
        if not passed:
            raise gl.vm.UserError(f"inspection failed: {note}")
        return self._advance("shipped", "inspected", note)

    @gl.public.write
    def present(self, documents: list[dict]) -> str:
        self._as("exporter")
        kinds = sorted(document["kind"] for document in documents)
        if kinds != ["bill of lading", "invoice"]:
            raise gl.vm.UserError(f"documents do not conform: {kinds}")
        return self._advance("inspected", "documents", json.dumps(documents, sort_keys=True))

    @gl.public.write
    def pay(self) -> str:
        self._as("bank")
        step = self._advance("documents", "paid", str(self.amount))
        gl.get_contract_at(self.parties["exporter"]).emit_transfer(value=self.amount)
        return step

    @gl.public.view
    def status(self) -> dict:
        return {"step": self.step, "amount": self.amount, "history": len(self.history)}
