"""The long-lived network: :mod:`localnet.chain.network.network` is its surface."""

from __future__ import annotations

from pygenvm.localnet.chain.network.network import Network

__all__ = ["Network"]
