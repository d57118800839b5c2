"""faq.py: search by meaning in storage."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def faq(direct_vm: DirectVM) -> DirectContract:
    contract = direct_vm.deploy(EXAMPLES / "faq.py")
    contract.add("How do I get my money back?", "Write to us within 14 days.")
    contract.add("Where is my parcel?", "Look at the carrier's page.")
    return contract


def test_the_nearest_question_is_answered(direct_vm: DirectVM, faq: DirectContract) -> None:
    assert faq.count() == 2
    assert faq.ask("Can I have a refund?") == "Write to us within 14 days."
    with direct_vm.expect_revert("nobody has answered that yet"):
        faq.ask("Do you sell shoes?")


def test_entries_go_and_come(direct_vm: DirectVM, faq: DirectContract, direct_alice: Address) -> None:
    faq.remove(0)
    with direct_vm.expect_revert("nobody"):
        faq.ask("Can I have a refund?")
    assert faq.add("Do you sell shoes?", "Only boots.") == 0
    assert faq.ask("Are there shoes?") == "Only boots."
    with direct_vm.prank(direct_alice), direct_vm.expect_revert("only the owner"):
        faq.remove(0)
