"""The consensus contract, which is not there: clients encode calls to it and look for its events (spec 02 §1.2, §2).

Clients in Python look functions up by name, so there is one ``addTransaction`` here, that with five arguments, though
the other forms are understood too (:mod:`localnet.rpc.raw.functions`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.errors import RpcError
from pygenvm.settlement.codec.keccak import keccak256

MAIN: Final = Address("0xb7278A61aa25c888815aFC32Ad3cC52fF24fE575")
DATA: Final = Address("0x88B0F18613Db92Bf970FfE264E02496e20a74D16")

_FUNCTIONS: Final = (
    "addTransaction(address _sender, address _recipient, uint256 _numOfInitialValidators, uint256 _maxRotations, "
    "bytes _txData) payable",
    "deploySalted(address _sender, uint256 _numOfInitialValidators, uint256 _maxRotations, bytes _txData, "
    "uint256 _saltNonce, uint256 _validUntil) payable",
    "submitAppeal(bytes32 _txId) payable",
    "finalizeTransaction(bytes32 _txId) nonpayable",
    "finalizeIdlenessTxs(bytes32[] _txIds) nonpayable",
    "cancelTransaction(bytes32 _txId) nonpayable",
)
_EVENTS: Final = (
    "NewTransaction(bytes32 indexed txId, address indexed recipient, address indexed activator)",
    "CreatedTransaction(bytes32 indexed txId, uint256 txSlot)",
    "InternalMessageProcessed(bytes32 indexed txId, address indexed recipient, address indexed activator)",
    "TransactionAccepted(bytes32 indexed txId)",
    "TransactionFinalized(bytes32 indexed txId)",
)
_DECLARATION = re.compile(r"(\w+)\((.*)\) ?(\w*)")


def _declared(kind: str, text: str) -> dict[str, Any]:
    match = _DECLARATION.fullmatch(text)
    assert match is not None
    inputs = []
    for parameter in match[2].split(", "):
        of, *indexed, name = parameter.split()
        inputs.append(
            {"name": name, "type": of, "internalType": of, **({"indexed": bool(indexed)} if kind == "event" else {})}
        )
    if kind == "event":
        return {"type": kind, "name": match[1], "inputs": inputs, "anonymous": False}
    return {"type": kind, "name": match[1], "inputs": inputs, "outputs": [], "stateMutability": match[3]}


ABI: Final = [
    *(_declared("function", text) for text in _FUNCTIONS),
    *(_declared("event", text) for text in _EVENTS),
]

#: Topic of the event by which clients find the id of their transaction.
NEW_TRANSACTION: Final = bytes(keccak256(b"NewTransaction(bytes32,address,address)"))
#: ``getLatestPendingTxCount(address)`` of ConsensusData.
PENDING_COUNT: Final = bytes.fromhex("fe4cfca7")
#: Nothing is executed there; it only has to be bytecode, as clients check that there is some.
BYTECODE: Final = "0x00"


def document(name: str) -> dict[str, Any]:
    """What ``sim_getConsensusContract`` answers.

    :raises RpcError: there is no such contract.
    """
    match name:
        case "ConsensusMain":
            return {"address": MAIN.as_hex, "abi": ABI, "bytecode": BYTECODE}
        case "ConsensusData":
            return {"address": DATA.as_hex, "abi": _DATA_ABI, "bytecode": BYTECODE}
    raise RpcError(-32001, f"there is no consensus contract {name[:80]!r}; ConsensusMain and ConsensusData are known")


_DATA_ABI: Final = [
    {
        "type": "function",
        "name": "getLatestPendingTxCount",
        "inputs": [{"name": "recipient", "type": "address", "internalType": "address"}],
        "outputs": [{"name": "", "type": "uint256", "internalType": "uint256"}],
        "stateMutability": "view",
    }
]
