"""What tools ask to know whom they speak to."""

from __future__ import annotations

from typing import Any

from pygenvm.localnet.rpc.registry import BOOL, LIST, OBJECT, TEXT, Methods, Node

METHODS = Methods()


@METHODS.add("ping", result=TEXT)
async def ping(node: Node) -> str:
    """Answers OK."""
    return "OK"


@METHODS.add("web3_clientVersion", result=TEXT)
async def client_version(node: Node) -> str:
    """Name and version of this server."""
    return f"pygenvm/{node.version or 'unknown'}"


@METHODS.add("net_version", result=TEXT)
async def net_version(node: Node) -> str:
    """The chain id as a decimal text."""
    return str(node.network.chain_id)


@METHODS.add("net_listening", result=BOOL)
async def net_listening(node: Node) -> bool:
    """Whether the node listens for others."""
    return True


@METHODS.add("net_peerCount", result=TEXT)
async def net_peer_count(node: Node) -> str:
    """There are no others."""
    return "0x0"


@METHODS.add("eth_syncing", result=BOOL)
async def eth_syncing(node: Node) -> bool:
    """It is never behind."""
    return False


@METHODS.add("eth_accounts", result=LIST)
async def eth_accounts(node: Node) -> list[str]:
    """No keys are kept here: clients sign."""
    return []


@METHODS.add("rpc.discover", result=OBJECT)
async def discover(node: Node) -> dict[str, Any]:
    """This description: all methods, as an OpenRPC document."""
    from pygenvm.localnet.rpc.discover import openrpc
    from pygenvm.localnet.rpc.methods import METHODS as ALL

    return openrpc(ALL, node.version)
