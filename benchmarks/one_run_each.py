"""A plugin of pytest: an executor out of a pool for each run, where tests reuse executors otherwise."""

from __future__ import annotations

from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.pytest_plugin import workbench

vars(workbench)["series_of_runs"] = many_runs
