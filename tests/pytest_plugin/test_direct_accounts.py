"""The accounts of a test are bytes and addresses, and follow from a name."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.errors import InsufficientBalance
from pygenvm.pytest_plugin import DirectAddress, DirectContract, DirectVM, create_address
from tests.pytest_plugin.contracts import ECHO

GEN = 10**18


@pytest.fixture
def echo(direct_vm: DirectVM, direct_alice: DirectAddress) -> DirectContract:
    return direct_vm.deploy_code(ECHO, direct_alice)


def test_they_follow_from_their_names(
    direct_owner: DirectAddress,
    direct_alice: DirectAddress,
    direct_bob: DirectAddress,
    direct_charlie: DirectAddress,
    direct_accounts: list[DirectAddress],
) -> None:
    assert direct_alice == hashlib.sha256(b"alice").digest()[:20]
    assert [direct_owner, direct_bob, direct_charlie] == [
        create_address(name) for name in ("default_sender", "bob", "charlie")
    ]
    assert direct_accounts == [create_address(f"test_address_{number}") for number in range(10)]


def test_they_are_bytes(direct_alice: DirectAddress) -> None:
    raw = hashlib.sha256(b"alice").digest()[:20]
    assert isinstance(direct_alice, bytes)
    assert direct_alice == raw
    assert raw == direct_alice
    assert len(direct_alice) == 20
    assert direct_alice.hex() == raw.hex()
    assert type(bytes(direct_alice)) is bytes
    assert b"\x00" + direct_alice[:4] == b"\x00" + raw[:4]
    assert hashlib.sha256(direct_alice).digest() == hashlib.sha256(raw).digest()
    assert {raw: 1}[direct_alice] == 1


def test_they_are_addresses(direct_alice: DirectAddress, direct_bob: DirectAddress) -> None:
    alice, bob = Address(bytes(direct_alice)), Address(bytes(direct_bob))
    assert isinstance(direct_alice, Address)
    assert Address(direct_alice) == direct_alice
    assert direct_alice == alice
    assert alice == direct_alice
    assert direct_alice != bob
    assert bob != direct_alice
    assert {alice: 1} == {direct_alice: 1}
    keyed: dict[Any, int] = {direct_alice: 1}
    assert keyed[alice] == 1
    assert sorted([direct_bob, alice, bob, direct_alice]) == sorted([alice, alice, bob, bob])
    assert (direct_alice < bob, alice <= direct_alice) == (alice < bob, True)
    for same in (str, repr, "{:s}".format, "{:b64}".format):
        assert same(direct_alice) == same(alice)
    for name in ("as_hex", "as_bytes", "as_b64", "as_int"):
        assert getattr(direct_alice, name) == getattr(alice, name)
    assert calldata.encode([direct_alice, {"x": direct_alice}]) == calldata.encode([alice, {"x": alice}])


def test_copies_are_the_same(direct_alice: DirectAddress) -> None:
    for other in (copy.copy(direct_alice), copy.deepcopy(direct_alice), pickle.loads(pickle.dumps(direct_alice))):
        assert type(other) is DirectAddress
        assert other == direct_alice


def test_as_arguments_they_are_what_the_contract_takes(echo: DirectContract, direct_bob: DirectAddress) -> None:
    hexadecimal = direct_bob.as_hex
    assert echo.typed(direct_bob) == echo.typed(who=Address(direct_bob)) == f"Address {hexadecimal}"
    assert echo.nested([direct_bob], {"x": direct_bob}, direct_bob) == [hexadecimal, hexadecimal, "Address"]
    assert echo.raw(direct_bob) == bytes(direct_bob) + b"!"
    assert echo.text(direct_bob) == hexadecimal + "!"
    assert echo.anything(direct_bob, key=direct_bob) == "Addressbytes"
    assert echo.nested((direct_bob,), {"x": direct_bob}, None)[2] == "NoneType"


def test_results_compare_with_them(echo: DirectContract, direct_alice: DirectAddress, direct_owner: Any) -> None:
    assert echo.who == direct_alice
    assert direct_alice == echo.who
    assert echo.seen == {direct_alice: 7}
    assert echo.seen[direct_alice] == 7
    assert echo.message() == [direct_owner, direct_owner, 0]


def test_any_name_is_an_account(direct_vm: DirectVM, echo: DirectContract) -> None:
    with direct_vm.prank("the person next door"):
        assert direct_vm.sender == create_address("the person next door") == echo.message()[0]
    direct_vm.sender = "alice"
    assert echo.message()[0] == echo.who


@pytest.mark.parametrize(
    "given", [lambda raw: raw, Address, lambda raw: "0x" + raw.hex(), bytearray, lambda raw: DirectAddress(raw)]
)
def test_what_names_an_account(direct_vm: DirectVM, echo: DirectContract, given: Callable[[bytes], Any]) -> None:
    direct_vm.sender = given(bytes(range(20)))
    assert echo.message()[0] == Address(bytes(range(20)))


def test_arguments_that_calldata_cannot_hold(echo: DirectContract) -> None:
    with pytest.raises(TypeError, match="not calldata encodable"):
        echo.anything(1.5)
    with pytest.raises(TypeError, match="key is not string"):
        echo.anything({1: 2})


# --- balances -----------------------------------------------------------------------------------------


def test_everybody_can_pay(direct_vm: DirectVM, echo: DirectContract, direct_accounts: list[DirectAddress]) -> None:
    assert direct_vm.balance(direct_accounts[9]) == direct_vm.balance("alice") == 1_000_000 * GEN
    direct_vm.value = 1000 * GEN
    for account in ("alice", direct_accounts[9], "whoever else"):
        direct_vm.sender = account
        assert echo.pay() == 1000 * GEN
        assert direct_vm.balance(account) == 999_000 * GEN
    assert echo.balance == 3000 * GEN


def test_what_the_test_deals_is_all_there_is(direct_vm: DirectVM, echo: DirectContract) -> None:
    direct_vm.deal("poor", 5)
    direct_vm.sender = "poor"
    direct_vm.value = 6
    with pytest.raises(InsufficientBalance):
        echo.pay()
    direct_vm.value = 5
    echo.pay()
    direct_vm.value = 1
    with pytest.raises(InsufficientBalance):
        echo.pay()
    direct_vm.sender = "alice"
    direct_vm.value = accounts.START_BALANCE + 1
    with direct_vm.expect_revert("less than the value"):
        echo.pay()


def test_an_account_gets_its_start_balance_once(direct_vm: DirectVM, echo: DirectContract) -> None:
    direct_vm.sender = "somebody"
    direct_vm.value = accounts.START_BALANCE
    echo.pay()
    assert direct_vm.balance("somebody") == 0
    with pytest.raises(InsufficientBalance):
        echo.pay()


def test_values_of_256_bits(direct_vm: DirectVM, echo: DirectContract) -> None:
    value = 2**256 - 1 - 24 * accounts.START_BALANCE
    direct_vm.deal("rich", value)
    direct_vm.sender = "rich"
    direct_vm.value = value
    assert echo.pay() == value == echo.balance


# --- origin -------------------------------------------------------------------------------------------


def test_the_origin_follows_the_sender(direct_vm: DirectVM, echo: DirectContract, direct_owner: DirectAddress) -> None:
    assert direct_vm.origin == direct_owner
    direct_vm.sender = "alice"
    assert direct_vm.origin == create_address("alice") == echo.message()[1]
    with direct_vm.prank("bob"):
        assert direct_vm.origin == create_address("bob") == echo.message()[1]
    direct_vm.origin = "charlie"
    assert echo.message()[:2] == [create_address("alice"), create_address("charlie")]


def test_a_contract_may_be_the_sender(direct_vm: DirectVM, echo: DirectContract, direct_owner: DirectAddress) -> None:
    other = direct_vm.deploy_code(ECHO, create_address("x"))
    with direct_vm.prank(other.address):
        assert echo.message()[:2] == [other.address, direct_owner]
