"""auction.py: time, and value that goes back."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES

OPENS, CLOSES = "2026-05-01T00:00:00+00:00", "2026-05-02T00:00:00+00:00"


@pytest.fixture
def auction(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "auction.py", OPENS, CLOSES)


def offer(direct_vm: DirectVM, auction: DirectContract, bidder: Address, value: int) -> None:
    direct_vm.value = value
    with direct_vm.prank(bidder):
        auction.offer()
    direct_vm.value = 0


def test_the_highest_bid_pays_the_seller(
    direct_vm: DirectVM, auction: DirectContract, direct_owner: Address, direct_alice: Address, direct_bob: Address
) -> None:
    direct_vm.warp(OPENS)
    alice, seller = direct_vm.balance(direct_alice), direct_vm.balance(direct_owner)
    offer(direct_vm, auction, direct_alice, 10)
    offer(direct_vm, auction, direct_bob, 25)
    assert direct_vm.balance(direct_alice) == alice, "outbid, paid back"
    assert auction.leader() == direct_bob
    direct_vm.warp(CLOSES)
    auction.collect()
    assert direct_vm.balance(direct_owner) == seller + 25


def test_only_between_the_two_moments(direct_vm: DirectVM, auction: DirectContract, direct_alice: Address) -> None:
    for moment in ["2026-04-30T23:59:59Z", CLOSES]:
        direct_vm.warp(moment)
        with direct_vm.expect_revert("not open"):
            offer(direct_vm, auction, direct_alice, 10)
        direct_vm.value = 0
    direct_vm.warp("2026-05-01T23:59:59Z")
    with direct_vm.expect_revert("not over"):
        auction.collect()


def test_a_branch_of_history(direct_vm: DirectVM, auction: DirectContract, direct_alice: Address) -> None:
    direct_vm.warp(OPENS)
    before = direct_vm.snapshot()
    offer(direct_vm, auction, direct_alice, 10)
    direct_vm.warp(CLOSES)
    auction.collect()
    direct_vm.revert(before)
    assert auction.leader() is None
    offer(direct_vm, auction, direct_alice, 1)


def test_a_bidder_that_takes_no_value_withdraws_it(
    direct_vm: DirectVM, auction: DirectContract, direct_alice: Address, direct_bob: Address
) -> None:
    direct_vm.warp(OPENS)
    bidder = direct_vm.deploy(EXAMPLES / "storage.py", "takes no value")
    direct_vm.deal(bidder, 10)
    direct_vm.origin = direct_alice
    offer(direct_vm, auction, bidder.address, 10)
    offer(direct_vm, auction, direct_alice, 25)
    assert (auction.leader(), auction.balance) == (direct_alice, 35)
    assert auction.returned_by(bidder) == 10
    with direct_vm.expect_revert("nothing of yours"):
        auction.withdraw(direct_bob)

    before = direct_vm.balance(direct_bob)
    with direct_vm.prank(bidder):
        auction.withdraw(direct_bob)
    assert direct_vm.balance(direct_bob) == before + 10
    assert (auction.returned_by(bidder), auction.balance) == (0, 25)
