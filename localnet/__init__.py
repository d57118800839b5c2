"""Local network: an embedded node for authors of contracts (``genvm local``).

As a library::

    from pygenvm.localnet import LocalNet

    net = LocalNet("local.db")
    contract = net.deploy(Path("storage.py").read_bytes(), ["hello"]).receipt.transaction.contract
    net.view(contract, "get_storage").value        # 'hello'

Parts, from the bottom up: :mod:`localnet.store` (the database), :mod:`localnet.overlay` (effects of a running
transaction), :mod:`localnet.node` (the host that an executor talks to), :mod:`localnet.executor_process`,
:mod:`localnet.net` (transactions and messages), :mod:`localnet.state`, :mod:`localnet.render` and :mod:`localnet.cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.localnet.net import LocalNet
    from pygenvm.localnet.state import read_state

__all__ = ["LocalNet", "read_state"]


def __getattr__(name: str) -> Any:
    # Imported on first use: every start of `genvm` passes through this package.
    if name == "LocalNet":
        from pygenvm.localnet.net import LocalNet

        return LocalNet
    if name == "read_state":
        from pygenvm.localnet.state import read_state

        return read_state
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
