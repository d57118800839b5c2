"""Storage of a contract, decoded.

Only the contract's own Python knows the types of its fields, and it must not run outside the sandbox. So ``state`` is a
read-only run of the contract, with :mod:`localnet.chain.dump_state` behind its last line, which adds a view that walks
over all fields. The database is not touched: the longer code is only served to this one run. Where that is impossible
(no Python contract, or one that fails while it is imported) the slots are shown as they are.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.outcome import InternalError, InvalidContract, UserError, VMError
from pygenvm.executor.primitives.abi import CODE_SLOT, INSTANCE_SLOT, LOCKED_SLOTS_SLOT, ROOT_SLOT, UPGRADERS_SLOT
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import Session, StateView
from pygenvm.localnet.chain.model import ContractInfo, Kind, Transaction, calldata_of_call
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.runs import READ_PERMISSIONS, Runs
from pygenvm.localnet.chain.store import Store

_METHOD = "genvm-local-state"
_SLOT_NAMES = {
    ROOT_SLOT: "root",
    INSTANCE_SLOT: "fields",
    CODE_SLOT: "code",
    LOCKED_SLOTS_SLOT: "locked slots",
    UPGRADERS_SLOT: "upgraders",
}
#: Files of a contract archive that hold its Python: a text contract, and a package (spec executor/09 "Runners").
_PYTHON_FILES = ("file", "contract/__init__.py")


@dataclass(frozen=True, slots=True)
class RawSlot:
    """One written slot. ``size`` is the position after its last non-zero byte, ``data`` its first bytes."""

    slot: bytes
    name: str
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StateDump:
    """``fields`` is in the notation of :mod:`localnet.chain.dump_state`; ``note`` says why there are none."""

    contract: ContractInfo
    balance: int
    fields: dict[str, Any] | None
    note: str
    slot_count: int
    slots: tuple[RawSlot, ...]


async def read_state(runs: Runs, session: Session, state: StateView, contract: ContractInfo) -> StateDump:
    """The storage of a contract in ``state``."""

    def written(store: Store) -> tuple[int, int, tuple[RawSlot, ...]]:
        address = contract.address
        return state.balance(address), store.slot_count(address), tuple(raw_slots(store, state, address))

    balance, slot_count, slots = await session.ask_long(written)
    fields, note = await _fields(runs, state, contract.address)
    return StateDump(contract, balance, fields, note, slot_count, slots)


async def _fields(runs: Runs, state: StateView, address: Address) -> tuple[dict[str, Any] | None, str]:
    overlay = Overlay(state)
    async with state.reading:
        code = _with_dump(overlay.code(address))
        if code is None:
            return None, "not a Python contract"
        overlay.write_code(address, code)
    sender = accounts.named()[accounts.DEFAULT_SENDER]
    arguments = [limits.STATE_VALUES, limits.STATE_TEXT_BYTES, limits.STATE_ALL_TEXT_BYTES, limits.STATE_DEPTH]
    data = calldata_of_call(_METHOD, arguments)
    transaction = Transaction(Kind.VIEW, sender, sender, address, 0, data)
    receipt = await runs.read(state, overlay, transaction, permissions=READ_PERMISSIONS)
    match receipt.outcome:
        case UserError(message=message) | VMError(message=message) | InternalError(message=message):
            lines = receipt.stderr.text().strip().splitlines()
            said = f" ({lines[-1][:200]})" if lines else ""
            return None, f"the contract fails when its storage is read: {message}{said}"
    try:
        text: str = receipt.value
        fields: dict[str, Any] = parse_json(
            text, max_chars=limits.STATE_JSON_CHARACTERS, max_depth=limits.STATE_JSON_DEPTH
        )
    except (TypeError, ValueError) as error:
        return None, f"the contract shows its storage wrongly: {error}"
    return fields, ""


def _with_dump(code: bytes) -> bytes | None:
    """Contract code that also dumps; None for what is not Python."""
    try:
        archive = parse_contract(code)
    except InvalidContract:
        return None
    source = Path(__file__).with_name("dump_state.py").read_text("utf-8")
    # Its own namespace: whatever the contract calls its things, the dump sees the real ones.
    appended = f"\n\n__import__('builtins').exec({source!r}, {{'__name__': '_genvm_local_dump'}})\n".encode()
    if code.startswith(b"#"):
        return code + appended
    if archive.files.get("file") == code:
        return None  # WebAssembly, or text of another language
    python = next((name for name in _PYTHON_FILES if name in archive.files), None)
    if python is None:
        return None
    files = {name: bytes(content) for name, content in archive.files.items()}
    files[python] += appended
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for name, content in files.items():
            target.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def raw_slots(store: Store, state: StateView, address: Address) -> list[RawSlot]:
    """What is in the written slots of a contract, as they are in ``state``."""
    overlay = Overlay(state)
    slots = []
    for slot, last_page in store.slots(address, limits.STATE_RAW_SLOTS):
        size = last_page * PAGE_BYTES + len(state.pages(address, slot, last_page, last_page).get(last_page, b""))
        data = overlay.read(address, slot, 0, min(size, limits.STATE_RAW_BYTES))
        slots.append(RawSlot(slot, _SLOT_NAMES.get(slot, ""), size, data))
    return slots
