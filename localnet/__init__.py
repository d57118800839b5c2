"""Local network: an embedded node for authors of contracts (``genvm local``).

In a program::

    from pathlib import Path

    from pygenvm.localnet import LocalNet

    net = LocalNet("local.db")
    contract = net.deploy(Path("storage.py").read_bytes(), ["hello"]).receipt.transaction.contract
    assert net.view(contract, "get_storage").value == "hello"

In coroutines, such as those of a server, which a :class:`LocalNet` would hold up::

    import asyncio
    from pathlib import Path

    from pygenvm.localnet.chain import Chain, accounts, calldata_of_call
    from pygenvm.localnet.executors.pooled import many_runs

    async def main() -> None:
        alice = accounts.named()["alice"]
        code = Path("storage.py").read_bytes()
        with many_runs() as executor:
            async with Chain("local.db", executor=executor) as chain:
                deployed = await chain.deploy(code, calldata_of_call(None, ["hello"]), sender=alice)
                contract = deployed.receipt.transaction.contract
                new, read = calldata_of_call("update_storage", ["bye"]), calldata_of_call("get_storage")
                called, seen = await asyncio.gather(
                    chain.call(contract, new, sender=alice),
                    chain.view(contract, read, sender=alice),
                )
                assert called.receipt.ok
                assert seen.value in ("hello", "bye")

    asyncio.run(main())

Contracts of such programs find LLM and web services where the configuration of their executors says. Those of ``genvm
local`` are there while :func:`localnet.modules.modules_of_author` lasts, which gives the options for executors.

Parts, from the bottom up: :mod:`localnet.limits` and :mod:`localnet.errors`, :mod:`localnet.executors` (how contracts
are run), :mod:`localnet.modules` (what they ask), :mod:`localnet.chain` (the core), :mod:`localnet.values`,
:mod:`localnet.names`, :mod:`localnet.schema` and :mod:`localnet.arguments` (what people write),
:mod:`localnet.sources`, :mod:`localnet.tracebacks`, :mod:`localnet.failure` and :mod:`localnet.votes` (why a contract
fails, or validators do not agree), :mod:`localnet.net` (the façade), :mod:`localnet.documents` and
:mod:`localnet.render` (what people read), :mod:`localnet.cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.localnet.net import LocalNet, read_state

__all__ = ["LocalNet", "read_state"]


def __getattr__(name: str) -> Any:
    # Imported on first use: every start of `genvm` passes through this package.
    if name in __all__:
        from pygenvm.localnet import net

        return getattr(net, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
