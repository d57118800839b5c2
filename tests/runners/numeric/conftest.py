"""The runners with NumPy and Pillow, for all tests of this folder."""

from __future__ import annotations

import pytest

from pygenvm.runners.registry import BuiltRunners, build, default_jobs


@pytest.fixture(scope="session")
def numeric_runners(built_runners: BuiltRunners) -> BuiltRunners:
    """All built-in runners, those with NumPy among them; they are built below the cache if they are not there yet."""
    return build(jobs=default_jobs(), progress=False)
