"""The core of the local network: one chain in one database, for the coroutines of a server.

Values in, receipts out: no names, no JSON, nothing is printed. What authors use is :mod:`localnet.net`. ::

    async with Chain("local.db", on_commit=publish) as chain:
        deployed = await chain.deploy(code, calldata_of_call(None, ["hello"]), sender=account)
        receipt = await chain.view(contract, calldata_of_call("get_storage"), sender=account)

What a command that writes does (:mod:`localnet.chain.chain`):

1. The run sees the committed state through an overlay. Only after a Return its effects are committed, at once. Anything
   else that a command of the user ends with leaves the database as it was, and is not recorded.
2. The value of a message leaves its sender with that commit and waits in the queue of the database.
3. Messages are delivered one by one in order of posting, each as a transaction of its own; those released on
   acceptance and those released on finalisation alike, because here both happen at the commit. New messages go to the
   end. A command that is interrupted leaves the rest in the queue; the next one that writes delivers it first.
4. A message that fails is recorded with its error. If it carried value, that comes back to the sender as a ``#error``
   call (spec sdk/04 §10); if that fails too, the value is put back without a call.
5. After :data:`localnet.limits.DELIVERIES` messages the rest is recorded as undelivered, and its value put back.

``origin`` is the account whose command started it all, ``sender`` the contract that posted it. Commands that write come
one after the other, views at any time, also from other processes (:mod:`localnet.chain.database`).

From the bottom up: :mod:`localnet.chain.accounts` and :mod:`localnet.chain.model` (data),
:mod:`localnet.chain.store` (SQLite), :mod:`localnet.chain.database` (who may use it when),
:mod:`localnet.chain.overlay` (effects of a running transaction), :mod:`localnet.chain.run_host` (the host that an
executor talks to), :mod:`localnet.chain.runs`, :mod:`localnet.chain.transactions`, :mod:`localnet.chain.state` (decoded
storage) and :mod:`localnet.chain.chain`. :mod:`localnet.chain.network` is a network that lives as long as a server.
"""

from __future__ import annotations

from pygenvm.localnet.chain.chain import Chain
from pygenvm.localnet.chain.model import Execution, Receipt, Verdict, calldata_of_call

__all__ = ["Chain", "Execution", "Receipt", "Verdict", "calldata_of_call"]
