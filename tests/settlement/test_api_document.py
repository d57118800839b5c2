"""The service does what ``schemas/settlement-api.yaml`` says, and the document says all that the service does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks

from pygenvm.schemas import load_yaml
from tests.settlement.engines import A_CHAIN
from tests.settlement.service import Live, live
from tests.support.properties import examples

load_all_checks()

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@contextmanager
def serving(folder: Path) -> Iterator[Live]:
    """In a thread of its own: whoever asks here does not wait as a coroutine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = live(folder)

    def done(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        yield done(context.__aenter__())
    finally:
        done(context.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="module")
def document() -> Any:
    return schemathesis.openapi.from_dict(load_yaml("settlement-api"))


#: Its operations are subtests, whose examples are made when they run: as tests they would be made at each collection.
operations = schemathesis.pytest.from_fixture("document")


# A stream has no end.
@operations.exclude(path_regex="/events$").parametrize()
@examples(
    15,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_has(case: Any, url: str) -> None:
    if "chain" in case.path_parameters and case.path_parameters["chain"][-1:] in "02468ace":
        # Of all others there is nothing to be told.
        case.path_parameters["chain"] = "0x" + A_CHAIN.hex()
    response = case.call(base_url=url, timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert response.status_code < 500, response.text


def test_the_document_is_served(url: str) -> None:
    assert requests.get(f"{url}/openapi.json", timeout=30).json() == load_yaml("settlement-api")
