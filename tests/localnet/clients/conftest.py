"""A server that all tests of one client share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.serving import Server, serving

PROGRAMS = Path(__file__).parent / "programs"
CONTRACT = PROGRAMS / "project" / "contracts" / "storage.py"


@pytest.fixture(scope="module")
def server(built_runners: BuiltRunners, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("network"), "--finality-window", "0.5") as server:
        yield server
