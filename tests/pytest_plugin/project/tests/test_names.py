"""The name service, with a VM that the tests make themselves."""

import datetime
import time
from pathlib import Path

import pytest
from gltest.direct import (
    ContractRollback,
    MockNotFoundError,
    VMContext,
    create_address,
    deploy_contract,
    load_contract_class,
)
from gltest.direct.loader import create_test_addresses

CONTRACT = Path(__file__).parent.parent / "contracts" / "name_service.py"


@pytest.fixture
def vm():
    vm = VMContext()
    vm.sender = create_address("registrar")
    vm.warp("2026-01-15T00:00:00Z")
    with vm.activate():
        yield vm


def test_200_registrations(vm):
    names = deploy_contract(CONTRACT, vm, fee=5)
    owners = create_test_addresses(20)
    begun = time.monotonic()
    vm.value = 5
    for number in range(200):
        vm.sender = owners[number % 20]
        assert names.register(f"name-{number}", f"https://example.com/{number}") == number + 1
    print(f"200 registrations: {time.monotonic() - begun:.2f} s")
    vm.value = 0
    assert names.total == 200
    assert len(names.records) == 200
    assert names.resolve("name-199") == "https://example.com/199"
    assert names.records["name-42"].target == "https://example.com/42"


def test_names_are_taken_and_expire(vm):
    names = deploy_contract(CONTRACT, vm)
    alice, bob = create_address("alice"), create_address("bob")
    vm.sender = alice
    names.register("bees", "honey")
    with vm.prank(bob):
        with vm.expect_revert("[TAKEN] bees"):
            names.register("bees", "wax")
        with vm.expect_revert("[FORBIDDEN]"):
            names.point("bees", "wax")
    names.transfer("bees", "0x" + bytes(bob.as_bytes if hasattr(bob, "as_bytes") else bob).hex())
    with vm.prank(bob):
        names.point("bees", "wax")
    assert names.resolve("bees") == "wax"
    record = names.lookup("bees")
    assert record["target"] == "wax"
    expires = datetime.datetime.fromtimestamp(record["expires"], datetime.UTC)
    assert expires == datetime.datetime(2027, 1, 15, tzinfo=datetime.UTC)
    vm.warp("2027-01-15T00:00:01Z")
    assert names.resolve("bees") == ""
    names.register("bees", "mead")
    assert names.resolve("bees") == "mead"


@pytest.mark.parametrize("name", ["a", "UPPER", "has space", "x" * 33, ""])
def test_bad_names(vm, name):
    names = deploy_contract(CONTRACT, vm)
    with pytest.raises(Exception, match=r"\[INVALID\] names have"):
        names.register(name, "x")


def test_fee(vm):
    names = deploy_contract(CONTRACT, vm, 10)
    vm.value = 9
    with vm.expect_revert("[FEE]"):
        names.register("bees", "x")
    vm.value = 10
    assert names.register("bees", "x") == 1


def test_the_class_can_be_loaded(vm):
    assert load_contract_class(CONTRACT, vm) is not None
    with pytest.raises(FileNotFoundError, match="Contract not found"):
        load_contract_class(CONTRACT.with_name("nothing.py"), vm)
    assert issubclass(ContractRollback, Exception)
    assert issubclass(MockNotFoundError, Exception)


def test_expect_revert_says_what_it_missed(vm):
    names = deploy_contract(CONTRACT, vm)
    with pytest.raises(AssertionError, match="Expected revert with message: x, but call succeeded"):
        with vm.expect_revert("x"):
            names.register("bees", "x")
    with pytest.raises(AssertionError, match="Expected revert with message 'x', got"):
        with vm.expect_revert("x"):
            names.register("bees", "y")
