"""evm_vault.py: contracts of the EVM side, played by mocks."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES

TOKEN = Address("0x" + "70" * 20)


@pytest.fixture
def vault(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "evm_vault.py", TOKEN)


def test_asks_the_token(direct_vm: DirectVM, vault: DirectContract) -> None:
    asked = []

    def balance(arguments: bytes) -> int:
        asked.append(Address(arguments[12:]))
        return 500

    direct_vm.mock_evm(TOKEN, "balanceOf(address)", balance)
    assert vault.tokens() == 500
    assert asked == [vault.address]


def test_posts_an_encoded_call(direct_vm: DirectVM, vault: DirectContract, direct_bob: Address) -> None:
    direct_vm.mock_evm(TOKEN, "balanceOf(address)", 500)
    vault.send_tokens(direct_bob, 20)
    (message,) = direct_vm.messages
    assert (message.kind, message.receiver, message.value) == ("eth_send", TOKEN, 0)
    # transfer(address,uint256), then both arguments in words of 32 bytes.
    assert message.data.hex() == "a9059cbb" + direct_bob.as_bytes.hex().zfill(64) + f"{20:064x}"


def test_only_what_there_is_and_only_the_owner(direct_vm: DirectVM, vault: DirectContract, direct_bob: Address) -> None:
    direct_vm.mock_evm(TOKEN, "balanceOf(address)", 10)
    with direct_vm.expect_revert("the vault has 10, not 20"):
        vault.send_tokens(direct_bob, 20)
    with direct_vm.prank(direct_bob), direct_vm.expect_revert("only the owner"):
        vault.send_tokens(direct_bob, 1)


def test_moves_native_value(direct_vm: DirectVM, vault: DirectContract, direct_bob: Address) -> None:
    direct_vm.transfer(vault, 30)
    before = direct_vm.balance(direct_bob)
    vault.send_value(direct_bob, 10)
    assert (vault.balance, direct_vm.balance(direct_bob)) == (20, before + 10)
