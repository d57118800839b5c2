"""The fixtures and cheat codes that docs/testing.md describes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import pytest_genvm.plugin
from executor.address import Address
from pytest_genvm import ContractReverted, DirectContract, DirectVM, ModuleFailure, UnansweredRequest

LEDGER = Path(__file__).with_name("ledger_contract.py")
DOCUMENT = Path(__file__).parents[2] / "docs" / "testing.md"


@pytest.fixture
def ledger(direct_deploy: Callable[..., DirectContract]) -> DirectContract:
    return direct_deploy(LEDGER, "rent", days=2)


def test_who_calls(
    direct_vm: DirectVM,
    ledger: DirectContract,
    direct_alice: Address,
    direct_bob: Address,
    direct_charlie: Address,
    direct_owner: Address,
    direct_accounts: list[Address],
) -> None:
    assert ledger.called_by() == [direct_owner, direct_owner]
    with direct_vm.prank(direct_alice):
        assert ledger.called_by() == [direct_alice, direct_alice]
        with direct_vm.prank(direct_bob.as_hex):
            assert ledger.called_by()[0] == direct_bob
        assert ledger.called_by()[0] == direct_alice
    direct_vm.start_prank(direct_charlie)
    direct_vm.startPrank("alice")
    assert ledger.called_by()[0] == direct_alice
    direct_vm.stopPrank()
    assert ledger.called_by()[0] == direct_charlie
    direct_vm.stop_prank()
    with pytest.raises(RuntimeError, match="stop_prank without start_prank"):
        direct_vm.stop_prank()
    direct_vm.sender = bytes(range(20))
    direct_vm.origin = "bob"
    assert ledger.called_by() == [Address(bytes(range(20))), Address(direct_accounts[1].as_bytes)]
    direct_vm.origin = None
    assert direct_vm.sender == ledger.called_by()[1]
    assert len(set(direct_accounts)) == 10
    assert {direct_alice, direct_bob, direct_charlie, direct_owner} < set(direct_accounts)


def test_value_and_balances(direct_vm: DirectVM, ledger: DirectContract, direct_alice: Address) -> None:
    with direct_vm.expect_revert("nothing was sent"):
        ledger.pay()
    direct_vm.value = 7
    with direct_vm.prank(direct_alice):
        assert ledger.pay() == 7
    direct_vm.value = 0
    assert ledger.paid_by(direct_alice) == ledger.balance == direct_vm.balance(ledger) == 7
    direct_vm.deal(ledger, 100)
    direct_vm.deal("alice", 3)
    ledger.pay_out(direct_alice, 5)
    (message,) = direct_vm.messages
    assert (message.receiver, message.value, message.method, message.on) == (direct_alice, 5, None, "finalized")
    assert (ledger.balance, direct_vm.balance(direct_alice)) == (95, 8)
    with direct_vm.expect_revert("exit_code"):
        direct_vm.transfer(ledger, 1)


def test_fields_and_methods(direct_vm: DirectVM, ledger: DirectContract, direct_owner: Address) -> None:
    assert (ledger.title, ledger.owner, ledger.paid) == ("rent", direct_owner, {})
    assert ledger.deadline == direct_vm.now + timedelta(days=2)
    direct_vm.value = 4
    ledger.pay()
    assert ledger.paid == direct_vm.storage(ledger)["paid"] == {direct_owner: 4}
    with pytest.raises(AttributeError, match=r"no field 'payed'; it has called_by, .*, rename, owner, title"):
        ledger.payed()
    assert not hasattr(ledger, "__len__")
    assert {"pay", "rename"} <= set(dir(ledger))
    assert direct_vm.contract_at(ledger.address.as_hex) == ledger


def test_reverts(direct_vm: DirectVM, ledger: DirectContract, direct_bob: Address) -> None:
    with direct_vm.prank(direct_bob):
        with direct_vm.expect_revert("only the owner") as reverted:
            ledger.rename("mine")
        assert reverted.error is not None
        assert reverted.error.message == "exit_code 1"
        with pytest.raises(ContractReverted, match="Exception: only the owner renames"):
            ledger.rename("mine")
    assert ledger.title == "rent"
    with pytest.raises(pytest.fail.Exception, match="did not revert"), direct_vm.expect_revert():
        ledger.rename("by the owner")
    with pytest.raises(pytest.fail.Exception, match="expected a revert with 'late'"), direct_vm.expect_revert("late"):
        ledger.pay()


def test_time(direct_vm: DirectVM, ledger: DirectContract) -> None:
    direct_vm.value = 1
    direct_vm.warp("2026-01-02T23:59:59Z")
    ledger.pay()
    direct_vm.warp(datetime(2026, 1, 3, 0, 0, 1))
    assert direct_vm.now == datetime(2026, 1, 3, 0, 0, 1, tzinfo=UTC)
    with direct_vm.expect_revert("too late"):
        ledger.pay()


def test_snapshots(direct_vm: DirectVM, ledger: DirectContract) -> None:
    first = direct_vm.snapshot()
    direct_vm.warp("2027-01-01")
    ledger.rename("second")
    second = direct_vm.snapshot()
    ledger.rename("third")
    direct_vm.revert(second)
    assert ledger.title == "second"
    direct_vm.revert(first)
    assert ledger.title == "rent"
    assert direct_vm.now.year == 2026
    direct_vm.revert(first)
    with pytest.raises(ValueError, match="there is no snapshot 1"):
        direct_vm.revert(second)


def test_mocks_and_validator(direct_vm: DirectVM, ledger: DirectContract) -> None:
    direct_vm.mock_web(r"example\.com/a", {"status": 200, "body": "about bees"})
    direct_vm.mock_llm(r"A title for: about bees", "Bees ")
    assert ledger.name_after("https://example.com/a") == ledger.title == "Bees"
    assert [sorted(request)[:2] for request in direct_vm.requests][:1] == [["body", "headers"]]
    assert direct_vm.run_validator()
    assert not direct_vm.run_validator(leader_result="Wasps")
    assert not direct_vm.run_validator(leader_error="no title")
    direct_vm.mock_llm(r"A title for: about bees", "Hornets")
    assert not direct_vm.run_validator()
    direct_vm.mock_llm(r"A title for: about bees", "")
    assert direct_vm.run_validator(leader_error="no title")
    with direct_vm.expect_revert("no title"):
        ledger.name_after("https://example.com/a")
    assert direct_vm.run_validator()
    direct_vm.clear_mocks()
    assert direct_vm.requests == []
    with pytest.raises(UnansweredRequest, match=r"https://example\.com/a"):
        ledger.name_after("https://example.com/a")
    direct_vm.mock_web("example", ModuleFailure("WEBPAGE_LOAD_FAILED"))
    with direct_vm.expect_revert("WEBPAGE_LOAD_FAILED"):
        ledger.name_after("https://example.com/a")
    ledger.rename("no nondet block in it")
    with pytest.raises(RuntimeError, match="nothing to validate"):
        direct_vm.run_validator()


def test_events(direct_vm: DirectVM, ledger: DirectContract, direct_owner: Address) -> None:
    direct_vm.value = 4
    ledger.pay()
    (event,) = direct_vm.events("Paid")
    assert event.fields == {"payer": direct_owner, "amount": 4}
    assert direct_vm.events("Paid(payer)") == [event]
    assert direct_vm.events("Stolen") == []


def test_document_names_every_fixture_and_cheat_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:direct_vm\.)?([a-z_A-Z]+)", text))
    fixtures = {name for name in vars(pytest_genvm.plugin) if name.startswith("direct_") or name == "local_net"}
    codes = {name for name in vars(DirectVM) if not name.startswith("_")} | {"value", "strict_mocks", "net"}
    assert fixtures | codes <= named


def test_example_in_the_document(built_runners: object, tmp_path: Path) -> None:
    """It is the text of a test file, for the contract beside this one."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_ledger.py").write_text(example, encoding="utf-8")
    (tmp_path / "ledger.py").write_bytes(LEDGER.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:faulthandler", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
