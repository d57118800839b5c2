"""What most commands of ``genvm local`` import, for a process from which those are forked that carry them out."""

from __future__ import annotations

# Which asyncio loads for its first thread.
from concurrent.futures import ThreadPoolExecutor  # noqa: F401

# In the order of the layers; the others come with them.
import pygenvm.executor.pool.client
import pygenvm.executor.runner.contract_file
import pygenvm.executor.shortage
import pygenvm.executor.terminal_text
import pygenvm.localnet.cli
import pygenvm.localnet.documents
import pygenvm.localnet.executors.pooled
import pygenvm.localnet.modules
import pygenvm.localnet.modules.processes
import pygenvm.localnet.modules.settings
import pygenvm.localnet.net
import pygenvm.localnet.render
import pygenvm.modules.webdriver.folder
import pygenvm.runners.numeric.on_demand  # noqa: F401
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import in_thread
from pygenvm.localnet.chain.store import Store


def load() -> None:
    """What is made once, or imported by the way."""
    accounts.names()
    Store.of_snapshot(Store(None).snapshot()).close()


async def begin() -> None:
    """In a process that will carry out a command: the threads that every command needs."""
    await in_thread(lambda: None)
