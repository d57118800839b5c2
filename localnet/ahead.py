"""What most commands of ``genvm local`` import, for a process from which those are forked that carry them out."""

from __future__ import annotations

# Event loops load it, and their first thread the last one; and what hashes transactions.
from concurrent.futures import ThreadPoolExecutor  # noqa: F401

# In the order of the layers; the others come with them.
import pygenvm.executor.pool.client
import pygenvm.executor.runner.contract_file
import pygenvm.executor.shortage
import pygenvm.executor.terminal_text
import pygenvm.localnet.chain.consensus
import pygenvm.localnet.chain.state
import pygenvm.localnet.cli
import pygenvm.localnet.command_line
import pygenvm.localnet.documents
import pygenvm.localnet.executors.commands
import pygenvm.localnet.executors.pooled
import pygenvm.localnet.modules
import pygenvm.localnet.modules.processes
import pygenvm.localnet.modules.settings
import pygenvm.localnet.net
import pygenvm.localnet.plain
import pygenvm.localnet.render
import pygenvm.modules.webdriver.folder
import pygenvm.runners.numeric.on_demand  # noqa: F401
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.runs import new_digest
from pygenvm.localnet.chain.store import Store, is_own


def load() -> None:
    """What is made once, or imported by the way."""
    accounts.names()
    is_own([])
    new_digest()
    Store.of_snapshot(Store(None).snapshot()).close()
