"""price_oracle.py: a web page that every validator reads for itself."""

from __future__ import annotations

import pytest

from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES

URL = "https://prices.example/api/gen"


@pytest.fixture
def oracle(direct_vm: DirectVM) -> DirectContract:
    direct_vm.warp("2026-03-01T12:00:00Z")
    return direct_vm.deploy(EXAMPLES / "price_oracle.py", URL)


def test_stores_what_the_api_says(direct_vm: DirectVM, oracle: DirectContract) -> None:
    direct_vm.mock_web(r"prices\.example", {"status": 200, "body": {"price": 12.34}})
    assert oracle.update() == 1234
    assert oracle.get() == {"cents": 1234, "updated": "2026-03-01T12:00:00Z"}
    assert [(request["method"], request["url"]) for request in direct_vm.requests] == [("GET", URL)]


def test_a_validator_agrees_with_the_same_price_only(direct_vm: DirectVM, oracle: DirectContract) -> None:
    direct_vm.mock_web(r"prices\.example", '{"price": 12.34}')
    oracle.update()
    assert direct_vm.run_validator()
    direct_vm.mock_web(r"prices\.example", '{"price": 12.341}')
    assert direct_vm.run_validator(), "the same in cents"
    direct_vm.mock_web(r"prices\.example", '{"price": 99}')
    assert not direct_vm.run_validator()


def test_the_failure_of_the_api_is_a_result_too(direct_vm: DirectVM, oracle: DirectContract) -> None:
    direct_vm.mock_web(r"prices\.example", {"status": 503})
    with direct_vm.expect_revert("the API answers 503"):
        oracle.update()
    assert direct_vm.run_validator()
    assert oracle.get()["cents"] == 0
