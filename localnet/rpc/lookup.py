"""What several families of methods look up."""

from __future__ import annotations

from pygenvm.localnet.chain.network.types import Block, NetworkTransaction, TxKind
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.errors import INTERNAL_ERROR, RpcError
from pygenvm.localnet.rpc.registry import Node


async def block_of(node: Node, transaction: NetworkTransaction) -> Block:
    """The block that a transaction came in with."""
    block = await node.network.block(transaction.block)
    if block is None:
        raise RpcError(INTERNAL_ERROR, f"block {transaction.block} is missing")
    return block


async def document_of(node: Node, transaction: NetworkTransaction, *, with_state: bool = False) -> objects.Document:
    """A transaction as clients know it; with the storage of its contract, if there is one."""
    contract, state = transaction.recipient, None
    has_state = with_state and transaction.kind is not TxKind.TRANSFER
    if has_state and await node.network.contract(contract) is not None:
        state = objects.state_of(await node.network.slots(contract))
    return objects.transaction_object(transaction, await block_of(node, transaction), contract_state=state)
