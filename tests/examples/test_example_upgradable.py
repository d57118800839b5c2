"""upgradable.py: new code over old storage."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES

SECOND = (EXAMPLES / "upgradable.py").read_text().replace("return 1", "return 2").replace("+ 1)", "+ 10)").encode()


@pytest.fixture
def contract(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "upgradable.py")


def test_an_upgrade_keeps_the_storage(direct_vm: DirectVM, contract: DirectContract) -> None:
    contract.increment()
    contract.upgrade(SECOND)
    assert contract.version() == 2
    assert contract.increment() == 11


def test_others_meet_a_locked_slot(direct_vm: DirectVM, contract: DirectContract, direct_alice: Address) -> None:
    with direct_vm.prank(direct_alice), direct_vm.expect_revert("6: forbidden"):
        contract.upgrade(SECOND)
    assert contract.version() == 1
