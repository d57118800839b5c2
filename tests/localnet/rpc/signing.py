"""Transactions as clients make them: by eth-account and eth-abi, which share nothing with the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp as rlp_oracle
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_utils.crypto import keccak

from pygenvm.executor.primitives.address import Address
from tests.localnet.rpc.vectors import CONSENSUS_MAIN, GAS, KEY

ADD_5 = "addTransaction(address,address,uint256,uint256,bytes)"
ADD_6 = "addTransaction(address,address,uint256,uint256,bytes,uint256)"
ZERO = "0x" + 40 * "0"


def call_data(signature: str, *values: Any) -> bytes:
    """Selector and arguments."""
    types = _split(signature[signature.index("(") + 1 : -1])
    return keccak(text=signature)[:4] + abi_encode(types, values)


def _split(text: str) -> list[str]:
    found, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def payload(*items: bytes) -> bytes:
    return bytes(rlp_oracle.encode(list(items)))


def deploy_data(sender: str, code: bytes, calldata: bytes, *, flag: bytes = b"", signature: str = ADD_5) -> bytes:
    return _add(signature, sender, ZERO, payload(code, calldata, flag))


def call_contract_data(
    sender: str, contract: str, calldata: bytes, *, flag: bytes = b"", signature: str = ADD_5
) -> bytes:
    return _add(signature, sender, contract, payload(calldata, flag))


def _add(signature: str, sender: str, recipient: str, inner: bytes) -> bytes:
    more = [0] if signature == ADD_6 else []
    return call_data(signature, sender, recipient, 5, 3, inner, *more)


def sign(
    data: bytes,
    *,
    nonce: int = 0,
    value: int = 0,
    to: Address | str | None = CONSENSUS_MAIN,
    chain_id: int | None = 61999,
    kind: int = 0,
    key: bytes = KEY,
    access_list: Sequence[Any] = (),
) -> bytes:
    """Raw bytes of a legacy transaction (without a chain id: as before EIP-155), or of type 1 or 2."""
    fields: dict[str, Any] = {"nonce": nonce, "value": value, "gas": GAS, "data": data}
    if to is not None:
        fields["to"] = str(to)
    if chain_id is not None:
        fields["chainId"] = chain_id
    if kind:
        fields |= {"type": kind, "accessList": list(access_list)}
    fields |= {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0} if kind == 2 else {"gasPrice": 0}
    return bytes(Account.sign_transaction(fields, key).raw_transaction)


def address_of(key: bytes) -> str:
    return str(Account.from_key(key).address)
