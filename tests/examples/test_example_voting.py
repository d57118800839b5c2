"""voting.py: members, deadlines, and records with maps in them."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def voting(direct_vm: DirectVM, direct_alice: Address, direct_bob: Address, direct_charlie: Address) -> DirectContract:
    contract = direct_vm.deploy(EXAMPLES / "voting.py", [direct_alice, direct_bob, direct_charlie])
    direct_vm.sender = direct_alice
    assert contract.propose("more bees", 7) == 0
    return contract


def test_more_than_half_of_the_members_decide(direct_vm: DirectVM, voting: DirectContract, direct_bob: Address) -> None:
    voting.vote(0, True)
    assert voting.result(0) == {"text": "more bees", "yes": 1, "no": 0, "open": True, "accepted": False}
    with direct_vm.prank(direct_bob):
        voting.vote(0, True)
    assert voting.result(0)["accepted"]


def test_one_vote_each_and_in_time(
    direct_vm: DirectVM, voting: DirectContract, direct_bob: Address, direct_owner: Address
) -> None:
    voting.vote(0, False)
    with direct_vm.expect_revert("you have voted"):
        voting.vote(0, True)
    with direct_vm.prank(direct_owner), direct_vm.expect_revert("only members"):
        voting.vote(0, True)
    direct_vm.warp("2026-01-08T00:00:00Z")
    with direct_vm.prank(direct_bob), direct_vm.expect_revert("closed"):
        voting.vote(0, True)
    assert voting.result(0) == {"text": "more bees", "yes": 0, "no": 1, "open": False, "accepted": False}
