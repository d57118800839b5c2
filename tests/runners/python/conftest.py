"""Fixtures for tests of Python in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygenvm.executor.config import cache_root
from pygenvm.runners.cpython import native
from pygenvm.runners.registry import BuiltRunners, default_jobs
from pygenvm.runners.workshop import Workshop


@pytest.fixture(scope="session")
def native_python(built_runners: BuiltRunners) -> Path:
    """The build's own Python: the version of the sandbox, for this machine, without extension modules."""
    workshop = Workshop(cache_root(), cache_root() / "sources", default_jobs())
    with workshop.locked(False):
        return native.python(workshop.result(native.step()))
