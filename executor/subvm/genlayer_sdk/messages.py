"""Messages that carry value: EthSend, PostMessage, DeployContract (spec executor/04 "Sending value")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor.host_protocol.codec import deploy_contract_data, eth_send_data, post_message_data
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, address, anything, blob, fields, one_of, u256

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM

_ON = one_of("finalized", "accepted")
_ETH_SEND = {"address": address, "calldata": blob, "value": u256}
_POST_MESSAGE = {"address": address, "calldata": anything, "value": u256, "on": _ON}
_DEPLOY_CONTRACT = {"calldata": anything, "code": blob, "value": u256, "on": _ON, "salt_nonce": u256}


def eth_send(vm: SubVM, payload: Any) -> None:
    receiver, data, value = fields(payload, _ETH_SEND)
    _check(vm, value)
    vm.services.host.eth_send(receiver, data, eth_send_data(value))
    vm.value_sent += value


def post_message(vm: SubVM, payload: Any) -> None:
    receiver, data, value, on = fields(payload, _POST_MESSAGE)
    _check(vm, value)
    vm.services.host.post_message(receiver, calldata.encode(data), post_message_data(on, value))
    vm.value_sent += value


def deploy_contract(vm: SubVM, payload: Any) -> None:
    data, code, value, on, salt = fields(payload, _DEPLOY_CONTRACT)
    _check(vm, value)
    vm.services.host.deploy_contract(calldata.encode(data), code, deploy_contract_data(on, salt, value))
    vm.value_sent += value


def _check(vm: SubVM, value: int) -> None:
    """Mode, permission, then balance; the balance is asked for only when something is sent."""
    if not vm.deterministic or not vm.spec.permissions.send_messages:
        raise Refused(GlErrno.FORBIDDEN)
    if value and value + vm.value_sent > vm.services.balance(vm.spec.message.contract_address):
        raise Refused(GlErrno.INBALANCE)
