"""The consensus contract, of which clients ask where it is and how it is called."""

from __future__ import annotations

from typing import Any

from pygenvm.localnet.rpc import consensus_contract
from pygenvm.localnet.rpc.registry import OBJECT, Methods, Node
from pygenvm.localnet.rpc.values import TEXT, Param

METHODS = Methods()


@METHODS.add("sim_getConsensusContract", Param("contract_name", TEXT), result=OBJECT)
async def get_consensus_contract(node: Node, name: str) -> dict[str, Any]:
    """Address and ABI of ConsensusMain or ConsensusData."""
    return consensus_contract.document(name)
