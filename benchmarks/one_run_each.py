"""A plugin of pytest: an executor out of a pool for each run, where tests reuse executors otherwise."""

from __future__ import annotations

import pygenvm.pytest_plugin.workbench
from pygenvm.localnet.executors.pooled import many_runs

pygenvm.pytest_plugin.workbench.series_of_runs = many_runs
