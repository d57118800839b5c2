"""The long-lived network: transactions in all their states, consensus, finality, appeals, snapshots.

    with many_runs(idle=5) as executor:
        async with Network("local.db", executor=executor) as network:
            id = await network.submit(Submission(TxKind.DEPLOY, sender, code=code))
            transaction = await network.wait(id)

From the bottom up: :mod:`localnet.chain.network.types` and :mod:`localnet.chain.network.errors` (data),
:mod:`localnet.chain.network.rows`, :mod:`localnet.chain.network.history`, :mod:`localnet.chain.network.records` and
:mod:`localnet.chain.network.store` (the database), :mod:`localnet.chain.network.view` (what contracts run on),
:mod:`localnet.chain.network.rounds` (consensus), :mod:`localnet.chain.network.settlements`,
:mod:`localnet.chain.network.core`, :mod:`localnet.chain.network.queues` and :mod:`localnet.chain.network.network`.
"""

from __future__ import annotations

from pygenvm.localnet.chain.network.network import Network

__all__ = ["Network"]
