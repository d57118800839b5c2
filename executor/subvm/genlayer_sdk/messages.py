"""Messages that carry value: EthSend, PostMessage, DeployContract (spec executor/04 "Sending value")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.host_protocol.codec import deploy_contract_data, eth_send_data, post_message_data
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, address, anything, blob, fields, one_of, u256

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest
    from pygenvm.executor.subvm.types import U256

_ON = one_of("finalized", "accepted")
_ETH_SEND = (("address", address), ("calldata", blob), ("value", u256))
_POST_MESSAGE = (("address", address), ("calldata", anything), ("value", u256), ("on", _ON))
_DEPLOY_CONTRACT = (("calldata", anything), ("code", blob), ("value", u256), ("on", _ON), ("salt_nonce", u256))


def eth_send(vm: Guest, payload: Encoded) -> None:
    """Send raw bytes and value to an EVM address; the bytes are passed on as they are.

    ``forbidden`` in a nondet VM or without permission, ``inbalance`` if the contract has not that much left.
    """
    receiver, data, value = fields(payload, _ETH_SEND)
    _require_may_send(vm, value)
    vm.services.host.eth_send(receiver, data, eth_send_data(value))
    vm.value_sent += value


def post_message(vm: Guest, payload: Encoded) -> None:
    """Send a call and value to another contract, which runs once this run is accepted, or finalized.

    Errors as EthSend.
    """
    receiver, data, value, on = fields(payload, _POST_MESSAGE)
    _require_may_send(vm, value)
    vm.services.host.post_message(receiver, data.to_bytes(), post_message_data(on, value))
    vm.value_sent += value


def deploy_contract(vm: Guest, payload: Encoded) -> None:
    """Deploy ``code`` with value once this run is accepted, or finalized; ``calldata`` is for its constructor.

    Errors as EthSend.
    """
    data, code, value, on, salt = fields(payload, _DEPLOY_CONTRACT)
    _require_may_send(vm, value)
    vm.services.host.deploy_contract(data.to_bytes(), code, deploy_contract_data(on, salt, value))
    vm.value_sent += value


def _require_may_send(vm: Guest, value: U256) -> None:
    """Mode, permission, then balance; the balance is asked for only when something is sent."""
    if not vm.deterministic or not vm.spec.permissions.send_messages:
        raise Refused(GlErrno.FORBIDDEN)
    if value and value + vm.value_sent > vm.services.balance(vm.spec.message.contract_address):
        raise Refused(GlErrno.INBALANCE)
