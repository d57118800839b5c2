"""LLM and web services for the contracts of an author's machine (``genvm local``, docs/modules.md).

A command listens for its executors (:mod:`localnet.modules.broker`), which costs next to nothing: only when a contract
asks for the first time is there somebody to answer. That is a mock file (:mod:`localnet.modules.mocked`), or a service
of its own process, which is started if none runs, outlives the command and ends when nobody has needed it for a while
(:mod:`localnet.modules.processes` finds and starts it, :mod:`localnet.modules.process` is it). What it is configured
with stands in :mod:`localnet.modules.settings`.
"""

from __future__ import annotations

from pygenvm.localnet.modules.opened import Choices, modules_of_author, services_of_author

__all__ = ["Choices", "modules_of_author", "services_of_author"]
