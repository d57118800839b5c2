"""The node's side of one run: implements :class:`executor.host_protocol.host.Host` over an overlay.

Everything a contract does is collected here and stays provisional; :mod:`localnet.chain.transactions` makes the changes
of a transaction from it after a Return.

* Storage type *default* and *latest_non_final* show the writes of the running transaction, *latest_final* the final
  state: that before the transaction where what is committed is accepted and final at the same time.
* The balance of the running contract includes the value of the message (spec executor/00 "Where documentation and
  reference differ").
* This node is the leader of every nondet block and keeps the results, unless it is given those of a leader: then it is
  a validator, and keeps which block was disagreed with.
* There is no EVM: ``eth_call`` is answered by a function that the user gives, or with no
  bytes; ``eth_send`` moves its value when the transaction commits.
* Fuel is unlimited.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.host_protocol.lent import Lent, Pages
from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.limits import SERIES_PAGES_LENT
from pygenvm.executor.primitives.abi import HostErrorCode, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import Event, Posted, PostedKind
from pygenvm.localnet.chain.overlay import Overlay

#: What an EVM contract answers: address and ABI-encoded call to the ABI-encoded result, or raises HostErrorReply.
EthCall: TypeAlias = Callable[[Address, bytes], bytes]

#: The largest number that a fuel answer should hold (spec executor/02).
UNLIMITED_FUEL = (1 << 53) - 1
_AMOUNT = r"0x(?:0|[1-9a-f][0-9a-f]{0,63})"
_RELEASED_ON = ("accepted", "finalized")


class RunHost:
    """One run of a contract. ``result`` is the content of consume_result, None until it came."""

    def __init__(
        self,
        state: StateView,
        overlay: Overlay,
        contract: Address,
        calldata: bytes,
        *,
        read_only: bool,
        leader_results: Sequence[bytes] | None = None,
        eth_call: EthCall | None = None,
        chain_id: int = accounts.CHAIN_ID,
    ) -> None:
        """
        :param leader_results: code byte and payload for each nondet block; makes this the node of a validator.
        """
        self._state = state
        self._overlay = overlay
        self._contract = contract
        self._calldata = calldata
        self._read_only = read_only
        self._leader_results = leader_results
        self._eth_call = eth_call
        self._chain_id = chain_id
        self._message_bytes = 0
        self._event_bytes = 0
        self._nondet_bytes = 0
        self._new_addresses: set[Address] = set()
        self._value_sent = 0
        #: Deployments without salt take the nonces from here on.
        self.nonce = state.nonce(contract)
        self.messages: list[Posted] = []
        self.events: list[Event] = []
        self.nondet_results: list[bytes] = []
        self.disagreement: int | None = None
        self.result: bytes | None = None

    # --- call and result --------------------------------------------------------------------------

    async def get_calldata(self) -> bytes:
        return self._calldata

    async def consume_result(self, result: bytes) -> None:
        self.result = result

    # --- storage and balances ---------------------------------------------------------------------

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        final = storage_type is StorageType.LATEST_FINAL
        state = Overlay(self._state.final()) if final else self._overlay
        return await self._state.ask(lambda: state.read(address, slot, index, length), length)

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        self._check_writable()
        await self._state.ask(lambda: self._overlay.write(self._contract, slot, index, data), len(data))

    async def get_balance(self, address: Address) -> int:
        return await self._state.ask(lambda: self._overlay.balance(address))

    # --- lent to an executor (executor.spawn.series) ------------------------------------------------

    async def lend(self) -> Lent:
        """Storage and calldata."""
        pages, whole = await self.storage_of(self._contract)
        overlay = self._overlay
        return Lent(
            self._contract.as_bytes,
            self._calldata,
            pages,
            whole,
            {key[1:]: data for key, data in overlay.written_pages().items()},
            overlay.bytes_written,
            self._read_only,
            limits.STORAGE_READ_BYTES,
            limits.STORAGE_PAGES_WRITTEN,
            wants_fingerprint=False,
        )

    async def storage_of(self, address: Address) -> tuple[Pages, bool]:
        """Pages of an address by slot and number, and whether those are all."""
        return await self._state.ask(lambda: self._state.storage_of(address, SERIES_PAGES_LENT))

    async def pages(self, address: Address, slot: bytes, first: int, last: int) -> Mapping[int, bytes]:
        """Those pages of a slot that were ever written.

        :raises ValueError: more than one read can be of.
        """
        size = (last - first) * PAGE_BYTES
        if not 0 <= size <= limits.STORAGE_READ_BYTES:
            raise ValueError(f"pages {first} to {last}")
        return await self._state.ask(lambda: self._state.pages(address, slot, first, last), size)

    async def take_back(self, pages: Pages, bytes_written: int) -> None:
        """What the run has written."""
        if self._read_only:
            return
        self._overlay.adopt(self._contract, pages, bytes_written)

    # --- nondet blocks ----------------------------------------------------------------------------

    async def get_leader_nondet_result(self, call_no: int) -> bytes:
        if self._leader_results is None:
            raise HostErrorReply(HostErrorCode.I_AM_LEADER)
        if call_no >= len(self._leader_results):
            raise HostErrorReply(HostErrorCode.ABSENT)
        return self._leader_results[call_no]

    async def post_nondet_result(self, call_no: int, result: bytes) -> None:
        self._nondet_bytes = _within(self._nondet_bytes + len(result), limits.NONDET_BYTES)
        self.nondet_results.append(result)

    async def notify_nondet_disagreement(self, call_no: int) -> None:
        if self._leader_results is None:
            raise ValueError("a leader cannot disagree with itself")
        self.disagreement = call_no

    async def consume_fuel(self, amount: int) -> None:
        pass

    async def remaining_fuel_as_gen(self) -> int:
        return UNLIMITED_FUEL

    # --- messages and events ----------------------------------------------------------------------

    async def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        members = _members(data, "on", "value")
        await self._post(
            Posted(PostedKind.MESSAGE, receiver, _amount(members["value"]), calldata, on=_released_on(members["on"]))
        )

    async def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        members = _members(data, "on", "salt_nonce", "value")
        salt = _amount(members["salt_nonce"])
        address = accounts.contract_address(self._contract, salt=salt, nonce=self.nonce, chain_id=self._chain_id)
        if address in self._new_addresses or await self._state.ask(lambda: self._state.contract(address) is not None):
            # The same salt twice, as it would be on a chain.
            raise HostErrorReply(HostErrorCode.FORBIDDEN)
        await self._post(
            Posted(
                PostedKind.DEPLOY,
                address,
                _amount(members["value"]),
                calldata,
                on=_released_on(members["on"]),
                code=code,
                salt=salt,
            )
        )
        self._new_addresses.add(address)
        self.nonce += not salt

    async def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        members = _members(data, "value")
        value = _amount(members["value"])
        if address != self._contract:
            _within(self._value_sent + value + await self.get_balance(address), limits.VALUE_MAX)
        await self._post(Posted(PostedKind.ETH_SEND, address, value, calldata))

    async def eth_call(self, address: Address, calldata: bytes) -> bytes:
        return self._eth_call(address, calldata) if self._eth_call else b""

    async def post_event(self, topics: list[bytes], blob: bytes) -> None:
        _within(len(self.events) + 1, limits.EVENTS)
        self._event_bytes = _within(self._event_bytes + len(blob), limits.EVENT_BYTES)
        self.events.append(Event(tuple(topics), blob))

    async def _post(self, posted: Posted) -> None:
        self._check_writable()
        _within(len(self.messages) + 1, limits.MESSAGES)
        self._message_bytes = _within(
            self._message_bytes + len(posted.calldata) + len(posted.code), limits.MESSAGE_BYTES
        )
        # The executor checks this too (errno 7); the books must be right whoever is at the other end.
        _within(self._value_sent + posted.value, await self.get_balance(self._contract))
        self._value_sent += posted.value
        self.messages.append(posted)

    def _check_writable(self) -> None:
        if self._read_only:
            raise HostErrorReply(HostErrorCode.FORBIDDEN)


def _within(amount: int, limit: int) -> int:
    if amount > limit:
        raise HostErrorReply(HostErrorCode.FORBIDDEN)
    return amount


def _members(data: bytes, *names: str) -> dict[str, Any]:
    document = json.loads(data)
    if not isinstance(document, dict) or sorted(document) != sorted(names):
        raise ValueError(f"expected a JSON object of {', '.join(names)}")
    return document


def _amount(text: object) -> int:
    if not isinstance(text, str) or not re.fullmatch(_AMOUNT, text):
        raise ValueError(f"not an amount: {text!r}")
    return int(text, 16)


def _released_on(text: object) -> str:
    if text not in _RELEASED_ON:
        raise ValueError(f"not a release condition: {text!r}")
    return str(text)
