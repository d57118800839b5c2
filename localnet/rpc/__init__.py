"""The network of :mod:`localnet.chain.network` as a service that the ecosystem's own clients speak to.

From the bottom up: :mod:`localnet.rpc.raw` (signed transactions), :mod:`localnet.rpc.errors`,
:mod:`localnet.rpc.envelope` (JSON-RPC 2.0, no sockets), :mod:`localnet.rpc.values` (parameters),
:mod:`localnet.rpc.objects` (blocks, transactions and receipts as clients know them), :mod:`localnet.rpc.methods` (one
file for each family of methods), :mod:`localnet.rpc.discover` (their description), :mod:`localnet.rpc.origins` (who may
ask), :mod:`localnet.rpc.streams` (what happens, as it happens), :mod:`localnet.rpc.app` (HTTP),
:mod:`localnet.rpc.serve` (the process). :mod:`localnet.rpc.client` is the other side, for our own extensions.

docs/localnet-rpc.md tells what each client needs to know.
"""
