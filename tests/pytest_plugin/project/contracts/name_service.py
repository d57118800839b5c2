# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Names that belong to whoever registers them, for a year."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from genlayer import *


@allow_storage
@dataclass
class Record:
    owner: Address
    target: str
    expires: u64


class NameService(gl.Contract):
    fee: u256
    records: TreeMap[str, Record]
    names_of: TreeMap[Address, DynArray[str]]
    total: u32

    def __init__(self, fee: int = 0):
        self.fee = u256(fee)
        self.total = u32(0)

    def _now(self) -> int:
        return int(datetime.now(UTC).timestamp())

    def _owned(self, name: str) -> Record:
        record = self.records.get(name)
        if record is None or record.expires < self._now():
            raise gl.vm.UserError(f"[NOT_FOUND] {name}")
        if record.owner != gl.message.sender_address:
            raise gl.vm.UserError("[FORBIDDEN] not the owner")
        return record

    @gl.public.write.payable
    def register(self, name: str, target: str) -> int:
        if not re.fullmatch(r"[a-z0-9-]{3,32}", name):
            raise gl.vm.UserError("[INVALID] names have 3 to 32 letters, digits and hyphens")
        if gl.message.value < self.fee:
            raise gl.vm.UserError("[FEE] too little")
        record = self.records.get(name)
        if record is not None and record.expires >= self._now():
            raise gl.vm.UserError(f"[TAKEN] {name}")
        expires = int((datetime.now(UTC) + timedelta(days=365)).timestamp())
        self.records[name] = Record(gl.message.sender_address, target, u64(expires))
        self.names_of.get_or_insert_default(gl.message.sender_address).append(name)
        self.total = u32(self.total + 1)
        return self.total

    @gl.public.write
    def point(self, name: str, target: str) -> None:
        self._owned(name).target = target

    @gl.public.write
    def transfer(self, name: str, to: str) -> None:
        self._owned(name).owner = Address(to)

    @gl.public.view
    def resolve(self, name: str) -> str:
        record = self.records.get(name)
        if record is None or record.expires < self._now():
            return ""
        return record.target

    @gl.public.view
    def lookup(self, name: str) -> dict:
        record = self.records[name]
        return {"owner": record.owner.as_hex, "target": record.target, "expires": record.expires}
