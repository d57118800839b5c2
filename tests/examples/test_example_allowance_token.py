"""allowance_token.py: who may spend what."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def token(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "allowance_token.py", "GEN", supply=1000)


def test_an_allowance_is_used_up(
    direct_vm: DirectVM, token: DirectContract, direct_owner: Address, direct_alice: Address, direct_bob: Address
) -> None:
    token.approve(direct_alice, 300)
    assert [event.fields["amount"] for event in direct_vm.events("Approval")] == [300]
    with direct_vm.prank(direct_alice):
        token.transfer_from(direct_owner, direct_bob, 200)
        (moved,) = direct_vm.events("Transfer")
        assert moved.fields == {"sender": direct_owner, "receiver": direct_bob, "amount": 200}
        with direct_vm.expect_revert("only 100 may be spent"):
            token.transfer_from(direct_owner, direct_bob, 101)
    assert token.allowance(direct_owner, direct_alice) == 100
    assert (token.balance_of(direct_owner), token.balance_of(direct_bob)) == (800, 200)


@pytest.mark.parametrize(("amount", "says"), [(1001, "not enough"), (-1, "not an amount"), (2**256, "not an amount")])
def test_impossible_amounts(
    direct_vm: DirectVM, token: DirectContract, direct_alice: Address, amount: int, says: str
) -> None:
    with direct_vm.expect_revert(says):
        token.transfer(direct_alice, amount)


def test_a_transfer_to_oneself_changes_nothing(
    direct_vm: DirectVM, token: DirectContract, direct_owner: Address
) -> None:
    token.transfer(direct_owner, 400)
    assert direct_vm.storage(token)["balances"] == {direct_owner: 1000}
