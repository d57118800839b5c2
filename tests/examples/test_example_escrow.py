"""escrow.py: value that waits for a decision."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def escrow(direct_vm: DirectVM, direct_alice: Address, direct_bob: Address, direct_charlie: Address) -> DirectContract:
    """Alice buys from Bob, Charlie decides."""
    direct_vm.sender = direct_alice
    contract = direct_vm.deploy(EXAMPLES / "escrow.py", direct_bob, direct_charlie, 100)
    direct_vm.value = 100
    contract.pay()
    direct_vm.value = 0
    return contract


def test_the_buyer_releases(direct_vm: DirectVM, escrow: DirectContract, direct_bob: Address) -> None:
    assert escrow.get() == {"state": "paid", "holds": 100}
    before = direct_vm.balance(direct_bob)
    escrow.release()
    assert direct_vm.balance(direct_bob) == before + 100
    assert escrow.get() == {"state": "released", "holds": 0}
    with direct_vm.expect_revert("the escrow is released"):
        escrow.release()


def test_the_arbiter_gives_it_back(
    direct_vm: DirectVM, escrow: DirectContract, direct_alice: Address, direct_charlie: Address
) -> None:
    before = direct_vm.balance(direct_alice)
    with direct_vm.prank(direct_charlie):
        escrow.refund()
    assert direct_vm.balance(direct_alice) == before + 100


def test_nobody_decides_in_their_own_favour(direct_vm: DirectVM, escrow: DirectContract, direct_bob: Address) -> None:
    with direct_vm.expect_revert("not for you"):
        escrow.refund()
    with direct_vm.prank(direct_bob), direct_vm.expect_revert("not for you"):
        escrow.release()
    assert escrow.balance == 100


def test_only_the_exact_price_is_taken(direct_vm: DirectVM, direct_bob: Address) -> None:
    contract = direct_vm.deploy(EXAMPLES / "escrow.py", direct_bob, direct_bob, 100)
    direct_vm.value = 99
    with direct_vm.expect_revert("the price is 100, not 99"):
        contract.pay()
    assert contract.balance == 0


def test_a_refused_payment_comes_back_and_can_be_withdrawn(
    direct_vm: DirectVM, direct_alice: Address, direct_bob: Address
) -> None:
    seller = direct_vm.deploy(EXAMPLES / "storage.py", "takes no value")
    contract = direct_vm.deploy(EXAMPLES / "escrow.py", seller, direct_alice, 100)
    direct_vm.value = 100
    contract.pay()
    direct_vm.value = 0
    contract.release()
    assert contract.get() == {"state": "released", "holds": 100}
    assert contract.returned_by(seller) == 100
    with direct_vm.expect_revert("nothing of yours"):
        contract.withdraw(direct_bob)

    before = direct_vm.balance(direct_bob)
    direct_vm.origin = direct_alice
    with direct_vm.prank(seller):
        contract.withdraw(direct_bob)
        assert direct_vm.balance(direct_bob) == before + 100
        assert contract.returned_by(seller) == contract.balance == 0
        with direct_vm.expect_revert("nothing of yours"):
            contract.withdraw(direct_bob)


def test_what_came_back_is_never_more_than_what_was_sent(
    direct_vm: DirectVM, escrow: DirectContract, direct_charlie: Address
) -> None:
    """Anybody may say that a message failed: it gives them only what they bring."""
    direct_vm.value = 7
    with direct_vm.prank(direct_charlie):
        direct_vm.call(escrow, "#error")
        direct_vm.value = 0
        direct_vm.call(escrow, "#error")
        escrow.withdraw(direct_charlie)
    assert escrow.get() == {"state": "paid", "holds": 100}
