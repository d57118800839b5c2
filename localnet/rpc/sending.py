"""From a signed transaction to what is asked of the network (spec localnet-rpc/02 §1)."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.types import ZERO_ADDRESS, RawFields, Submission, TxKind, TxMode
from pygenvm.localnet.rpc.errors import FAILED, INVALID_PARAMS, RpcError, invalid
from pygenvm.localnet.rpc.raw.envelope import SignedTransaction, decode_transaction
from pygenvm.localnet.rpc.raw.functions import (
    AddTransaction,
    CancelTransaction,
    FinalizeTransactions,
    SubmitAppeal,
    TopUpFees,
    decode_function,
)
from pygenvm.localnet.rpc.raw.payload import Deploy, Flag, decode_payload
from pygenvm.localnet.rpc.registry import Node
from pygenvm.localnet.rpc.values import SimConfig

_MODES: Final = {
    Flag.NORMAL: TxMode.NORMAL,
    Flag.LEADER_ONLY: TxMode.LEADER_ONLY,
    Flag.LEADER_SELF_VALIDATOR: TxMode.LEADER_SELF_VALIDATOR,
}
#: What clients ask for in both words is bounded by the network; these only have to be numbers that it can hold.
_COUNT_MAX: Final = 10_000


async def send(node: Node, raw: bytes, config: SimConfig) -> bytes:
    """Carries out a signed transaction; the id by which clients ask for it.

    That is the hash of the bytes, and of what is about another transaction, such as an appeal, the id of that one.

    :raises RawError: malformed.
    :raises RpcError: signed for another network, or by somebody else.
    """
    # Large ones are hashed twice.
    in_thread = len(raw) > limits.INLINE_BYTES
    transaction = await asyncio.to_thread(decode_transaction, raw) if in_thread else decode_transaction(raw)
    if transaction.chain_id is not None and transaction.chain_id not in node.chain_ids:
        known = ", ".join(map(str, sorted(node.chain_ids)))
        raise RpcError(INVALID_PARAMS, f"the transaction is signed for chain {transaction.chain_id}, not for {known}")
    function = decode_function(transaction.data)
    if isinstance(function, AddTransaction):
        return await node.submit(_added(transaction, function, config))
    if function is None:
        return await node.submit(_transfer(transaction, config))
    done = node.done.get(transaction.hash)
    if done is None:
        done = await _carry_out(node, transaction, function)
        node.remember(transaction.hash, done)
    return done


async def _carry_out(
    node: Node,
    transaction: SignedTransaction,
    function: SubmitAppeal | FinalizeTransactions | CancelTransaction | TopUpFees,
) -> bytes:
    match function:
        case SubmitAppeal(tx_id):
            await node.network.appeal(tx_id)
            return tx_id
        case FinalizeTransactions(tx_ids):
            if not tx_ids:
                raise invalid("no transaction to finalize")
            for tx_id in tx_ids:
                await node.network.finalize(tx_id)
            return tx_ids[0]
        case CancelTransaction(tx_id):
            if (await node.network.transaction(tx_id)).sender != transaction.sender:
                raise invalid("only the sender of a transaction can cancel it")
            await node.network.cancel(tx_id)
            return tx_id
        case TopUpFees(tx_id):
            return (await node.network.transaction(tx_id)).id


def _added(transaction: SignedTransaction, added: AddTransaction, config: SimConfig) -> Submission:
    if added.sender != transaction.sender:
        raise invalid(f"the transaction is of {added.sender!s}, but {transaction.sender!s} has signed it")
    if added.valid_until and added.valid_until < time.time():
        raise RpcError(FAILED, f"the transaction was valid until {added.valid_until} (seconds since 1970) only")
    deploys = added.recipient == ZERO_ADDRESS
    payload = decode_payload(added.payload, deploys=deploys)
    return Submission(
        TxKind.DEPLOY if deploys else TxKind.CALL,
        transaction.sender,
        added.recipient,
        value=transaction.value,
        calldata=payload.calldata,
        code=payload.code if isinstance(payload, Deploy) else b"",
        id=transaction.hash,
        nonce=transaction.nonce,
        mode=_MODES[payload.flag],
        validators=_count("the number of initial validators", added.initial_validators),
        rotations=_count("the number of rotations", added.max_rotations),
        salt=added.salt if deploys else 0,
        datetime=config.datetime,
        virtual=config.virtual,
        raw=_fields(transaction),
    )


def _transfer(transaction: SignedTransaction, config: SimConfig) -> Submission:
    if transaction.to is None:
        raise invalid("contracts for the EVM cannot be deployed here; intelligent ones go through addTransaction")
    return Submission(
        TxKind.TRANSFER,
        transaction.sender,
        _recipient(transaction.to),
        value=transaction.value,
        id=transaction.hash,
        nonce=transaction.nonce,
        datetime=config.datetime,
        virtual=config.virtual,
        raw=_fields(transaction),
    )


def _recipient(to: Address) -> Address:
    if to == ZERO_ADDRESS:
        raise invalid("value that is sent to the zero address is lost; name a recipient")
    return to


def _count(what: str, number: int) -> int:
    if number > _COUNT_MAX:
        raise invalid(f"{what} is at most {_COUNT_MAX}")
    return number


def _fields(transaction: SignedTransaction) -> RawFields:
    return RawFields(
        r=transaction.r,
        s=transaction.s,
        v=transaction.v,
        gas=transaction.gas,
        gas_price=transaction.gas_price,
        envelope=transaction.type,
        chain_id=transaction.chain_id,
        to=transaction.to,
        data=transaction.data,
    )
