"""Fixtures as projects have them."""

import sys

import pytest
from gltest.direct import create_address


@pytest.fixture(autouse=True)
def fresh_modules():
    """What projects with several contracts do about the one contract per process of the SDK."""
    yield
    for name in [name for name in sys.modules if name.startswith("_contract_")]:
        del sys.modules[name]


@pytest.fixture
def parties():
    return {role: create_address(role) for role in ("importer", "exporter", "bank", "carrier", "inspector")}
