"""The server does what ``schemas/manager-api.yaml`` says, and the document says all that the server does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from pygenvm.manager.app import make_app
from pygenvm.schemas import load_yaml
from tests.manager.live import LiveManager, live_manager
from tests.support.properties import examples

load_all_checks()

#: What has a meaning for an API that answers 500 to every fault of a request (spec modules/04 §2).
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
]
REFUSALS = ["4xx", "500"]
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "negative_data_rejection": {"expected-statuses": REFUSALS},
            "missing_required_header": {"expected-statuses": REFUSALS},
        }
    }
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveManager]:
    environment = dict(os.environ)
    with live_manager(tmp_path_factory.mktemp("manager")) as live:
        yield live
    # /env has been tried out.
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture(scope="module")
def document() -> Any:
    return schemathesis.openapi.from_dict(load_yaml("manager-api"), config=CONFIG)


#: Its operations are subtests, whose examples are made when they run: as tests they would be made at each collection.
operations = schemathesis.pytest.from_fixture("document")


# The stream of /events has no end; the page's tests read it.
@operations.exclude(path="/events").parametrize()
@examples(
    10,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_has(case: Any, live: LiveManager) -> None:
    if case.path == "/llm/check" and isinstance(case.body, dict):
        for config in case.body["configs"] if isinstance(case.body.get("configs"), list) else []:
            if isinstance(config, dict) and isinstance(config.get("host"), str):
                # Where nobody listens.
                config["host"] = "http://127.0.0.1:9"
    response = case.call(base_url=live.url, timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert "internal error of the manager" not in response.text


def test_the_document_has_every_route(live: LiveManager) -> None:
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in make_app(live.manager).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {
        (method, path)
        for path, item in load_yaml("manager-api")["paths"].items()
        for method in item
        if method != "parameters"
    }
    # The page's own files.
    assert served - described == {("get", "/page/{name}"), ("get", "/pages/{name}")}
    assert described - served == set()


def test_the_document_is_served(live: LiveManager) -> None:
    assert requests.get(f"{live.url}/openapi.json", timeout=30).json() == load_yaml("manager-api")


@pytest.mark.parametrize("name", ["default.yaml", "..%2Fapp.py", "page.py", "%2Fetc%2Fpasswd", "x" * 300 + ".js"])
def test_nothing_but_the_files_of_the_page_is_served(live: LiveManager, name: str) -> None:
    for folder in ("page", "pages"):
        assert requests.get(f"{live.url}/{folder}/{name}", timeout=30).status_code == 404


def test_numbers_and_times_beyond_all_bounds(live: LiveManager) -> None:
    answer = requests.post(f"{live.url}/permits", data=b'{"permits": 1%s}' % (b"0" * 400), timeout=30)
    expected = "invalid permits: permits must be from 0 to 100000, not a number of 1329 bits"
    assert answer.json() == {"error": expected}
    assert requests.get(f"{live.url}/genvm/{'9' * 5000}", timeout=30).status_code == 404
    answer = requests.post(
        f"{live.url}/contract/detect-version",
        data=b"# code",
        headers={"Deployment-Timestamp": "0001-01-01T00:00:00+05:00"},
        timeout=30,
    )
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "Deployment-Timestamp: not a time of the years 1 to 9999: '0001-01-01T00:00:00+05:00'"
    }
