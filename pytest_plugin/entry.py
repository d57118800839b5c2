"""What pytest finds of us in every project; ``-p pygenvm.pytest_plugin.plugin`` may have been there before."""

from __future__ import annotations

import pytest

_PLUGIN = "pygenvm.pytest_plugin.plugin"


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.has_plugin(_PLUGIN):
        pluginmanager.import_plugin(_PLUGIN)
