"""Runs by executors that carry out several, and all that can be seen of one from outside."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from pygenvm.executor.host_protocol.lent import Lent, Pages
from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest
from tests.support.execution import LATE, message_json
from tests.support.hosts import SENDER, InMemoryHost


class LendingHost(InMemoryHost):
    """A node that lends its storage; ``lent_pages`` of it, the rest has to be asked for."""

    lent_pages = 512
    wants_fingerprint = True

    async def lend(self) -> Lent:
        pages, whole = await self.storage_of(self.contract)
        limits = (1 << 26, 1 << 15)
        return Lent(
            *(self.contract.as_bytes, self.calldata, pages, whole, {}, 0, False), *limits, self.wants_fingerprint
        )

    async def storage_of(self, address: Address) -> tuple[Pages, bool]:
        found = {
            (slot, start // PAGE_BYTES): bytes(content[start : start + PAGE_BYTES])
            for (owner, slot), content in self.storage.items()
            if owner == address
            for start in range(0, len(content), PAGE_BYTES)
        }
        return dict(list(found.items())[: self.lent_pages]), len(found) <= self.lent_pages

    async def pages(self, address: Address, slot: bytes, first: int, last: int) -> Mapping[int, bytes]:
        content = self.storage.get((address, slot), b"")
        pages = {page: bytes(content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]) for page in range(first, last + 1)}
        return {page: data for page, data in pages.items() if data}

    async def take_back(self, pages: Pages, bytes_written: int) -> None:
        for (slot, page), data in pages.items():
            content = self.slot(slot)
            start = page * PAGE_BYTES
            content.extend(bytes(max(0, start + PAGE_BYTES - len(content))))
            content[start : start + PAGE_BYTES] = data.ljust(PAGE_BYTES, b"\0")


class Seen(NamedTuple):
    """All that can be seen of a run, but for times and what the executor found compiled."""

    result: bytes | None
    stdout: str
    stderr: str
    log: list[tuple[str, str, str]]
    status: int
    requests: list[Any]


def run(
    executor: Executor,
    host: InMemoryHost,
    *,
    sender: Address = SENDER,
    value: int = 0,
    is_init: bool = False,
    datetime: str = LATE,
    timeout: float = 60.0,
    permissions: str = "rwscn",
) -> tuple[Seen, RunReport]:
    """One run against ``host``, and how it went."""
    host.result = None
    message = message_json(contract=host.contract, sender=sender, value=value, is_init=is_init, datetime=datetime)

    async def carry_out() -> tuple[Seen, RunReport]:
        with tempfile.TemporaryDirectory(prefix="seen-") as folder:
            record = Path(folder, "record")
            report = await executor(host, request(message, permissions, timeout, record))
            return _seen(host, report, record), report

    return asyncio.run(carry_out())


def request(message: str, permissions: str = "rwscn", timeout: float = 60.0, record: Path | None = None) -> RunRequest:
    """What executors of the local network are asked for."""
    return RunRequest(json.loads(message), "0x0", permissions, timeout, record=record)


def _seen(host: InMemoryHost, report: RunReport, record: Path) -> Seen:
    unpacker = msgpack.Unpacker()
    unpacker.feed(record.read_bytes() if record.exists() else b"")
    # Whoever makes an image looks for runners once more.
    events = [event for event in unpacker if isinstance(event, list) and event[1] not in ("runtime", "runner")]
    lines = [json.loads(line) for line in report.log.text().splitlines()]
    log = [(line["level"], line["target"], line["message"]) for line in lines]
    return Seen(host.result, report.stdout.text(), report.stderr.text(), log, report.exit_status, events)
