"""What most commands of ``genvm local`` import, for a process from which those are forked that carry them out."""

from __future__ import annotations

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
