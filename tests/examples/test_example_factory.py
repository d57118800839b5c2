"""factory.py: contracts that deploy and call contracts."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def factory(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "factory.py", (EXAMPLES / "storage.py").read_bytes())


def test_a_child_lives_at_the_promised_address(
    direct_vm: DirectVM, factory: DirectContract, direct_alice: Address
) -> None:
    with direct_vm.prank(direct_alice):
        address = factory.create("mine")
    assert factory.child_of(direct_alice) == address
    child = direct_vm.contract_at(address)
    assert child.get_storage() == factory.read(direct_alice) == "mine"


def test_the_factory_writes_through_a_message(
    direct_vm: DirectVM, factory: DirectContract, direct_owner: Address
) -> None:
    factory.create("first")
    factory.rewrite("second")
    (message,) = direct_vm.messages
    assert (message.method, message.args, message.on) == ("update_storage", ["second"], "accepted")
    assert [receipt.ok for receipt in direct_vm.last.delivered] == [True]
    assert factory.read(direct_owner) == "second"


def test_one_child_per_user(direct_vm: DirectVM, factory: DirectContract, direct_alice: Address) -> None:
    factory.create("mine")
    with direct_vm.expect_revert("you have a child already"):
        factory.create("another")
    with direct_vm.expect_revert("create a child first"):
        factory.read(direct_alice)
    assert factory.child_of(direct_alice) is None
