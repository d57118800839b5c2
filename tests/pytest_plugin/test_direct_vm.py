"""The fixtures and cheat codes that docs/testing.md describes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.contract_file import ContractNotFound
from pygenvm.localnet.errors import BadValue, InsufficientBalance
from pygenvm.pytest_plugin import ContractReverted, DirectContract, DirectVM, ModuleFailure, UnansweredRequest
from pygenvm.pytest_plugin import fixtures as fixtures_module
from tests.support.paths import DOCS, EXAMPLES

LEDGER = Path(__file__).with_name("ledger_contract.py")
DOCUMENT = DOCS / "testing.md"


@pytest.fixture
def ledger(direct_deploy: Callable[..., DirectContract]) -> DirectContract:
    return direct_deploy(LEDGER, "rent", days=2)


def test_views_of_several_threads(ledger: DirectContract) -> None:
    """The same view at the same time has the same id."""
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: ledger.called_by(), range(12)))
    assert seen == seen[:1] * 12


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
    with pytest.raises(RuntimeError, match="No active prank to stop"):
        direct_vm.stop_prank()
    direct_vm.sender = bytes(range(20))
    direct_vm.origin = "bob"
    assert ledger.called_by() == [Address(bytes(range(20))), direct_bob]
    direct_vm.origin = None
    assert direct_vm.sender == direct_vm.origin == ledger.called_by()[1]
    assert len({*direct_accounts, direct_alice, direct_bob, direct_charlie, direct_owner}) == 14


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
        assert isinstance(reverted.error, ContractReverted)
        assert reverted.error.message == "exit_code 1"
        with pytest.raises(ContractReverted, match=r"^only the owner renames") as failed:
            ledger.rename("mine")
        line = next(n for n, text in enumerate(LEDGER.read_text().splitlines(), 1) if "only the owner renames" in text)
        assert any(detail.endswith(f"ledger_contract.py:{line}, in rename") for detail in failed.value.details)
    assert ledger.title == "rent"
    with pytest.raises(AssertionError, match="Expected revert, but call succeeded"), direct_vm.expect_revert():
        ledger.rename("by the owner")
    with (
        pytest.raises(AssertionError, match="Expected revert with message 'late', got"),
        direct_vm.expect_revert("late"),
    ):
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
    with pytest.raises(ValueError, match="Snapshot 1 not found"):
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
    direct_vm.mock_web("example", "about bees")
    direct_vm.mock_llm("A title", "")
    assert not direct_vm.run_validator()


def test_events(direct_vm: DirectVM, ledger: DirectContract, direct_owner: Address) -> None:
    direct_vm.value = 4
    ledger.pay()
    (event,) = direct_vm.events("Paid")
    assert event.fields == {"payer": direct_owner, "amount": 4}
    assert direct_vm.events("Paid(payer)") == [event]
    assert direct_vm.events("Stolen") == []


def test_a_refused_call_leaves_the_last_transaction_alone(direct_vm: DirectVM) -> None:
    """Its validator starts from the state that it had, not from that of the call which never ran."""
    direct_vm.mock_web("example", "about bees")
    direct_vm.mock_llm("A title", "Bees")
    without_contract = direct_vm.net.snapshot()
    ledger = direct_vm.deploy(LEDGER, "rent")
    ledger.name_after("https://example.com/a")
    last = direct_vm.last
    direct_vm.net.restore(without_contract)
    for value, refusal in ((2 * 10**24, InsufficientBalance), (2**256, BadValue)):
        direct_vm.value = value
        with pytest.raises(refusal):
            ledger.rename("x")
        assert (direct_vm.last, direct_vm.run_validator()) == (last, True)
        with pytest.raises(refusal):
            direct_vm.deploy(LEDGER, "x")
        assert (direct_vm.last, direct_vm.run_validator()) == (last, True)


def test_mocks_of_evm_contracts_that_do_not_work(direct_vm: DirectVM) -> None:
    token = Address(bytes(20))
    vault = direct_vm.deploy(EXAMPLES / "evm_vault.py", token)
    wrong: Any
    for wrong in ("500", None, 0.5, [1]):
        with pytest.raises(TypeError, match=f"an EVM response cannot be a {type(wrong).__name__}"):
            direct_vm.mock_evm(token, "balanceOf(address)", wrong)
    with pytest.raises(UnansweredRequest, match=r"0x70a08231 of the EVM contract 0x0{40}\nno mock answers it; .* none"):
        vault.tokens()
    direct_vm.mock_evm(token, "balanceOf(address)", lambda arguments: "500")
    with pytest.raises(UnansweredRequest, match="an EVM response cannot be a str"):
        vault.tokens()
    direct_vm.mock_evm(token, "balanceOf(address)", lambda arguments: 1 // 0)
    with pytest.raises(UnansweredRequest, match="ZeroDivisionError"):
        vault.tokens()
    direct_vm.mock_evm(token, "balanceOf(address)", lambda arguments: 500)
    assert vault.tokens() == 500


def test_what_cannot_be_assigned(direct_vm: DirectVM, ledger: DirectContract) -> None:
    with pytest.raises(AttributeError, match=r"'title' of <contract ledger_contract 0x.*> cannot be assigned: .* call"):
        ledger.title = "mine"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"direct_vm\.deal"):
        ledger.balance = 4  # type: ignore[misc]
    with pytest.raises(AttributeError, match="call a method"):
        ledger.address = Address(bytes(20))  # type: ignore[misc, assignment]
    assert ledger.title == "rent"
    with pytest.raises(AttributeError, match="no attribute 'valeu', did you mean 'value'"):
        direct_vm.valeu = 4  # type: ignore[attr-defined]
    with pytest.raises(
        AttributeError, match="no attribute 'gas'; only sender, origin, value, strict_mocks, check_pickling can"
    ):
        direct_vm.gas = 4  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="warp is a method, call it"):
        direct_vm.warp = "2027-01-01"  # type: ignore[method-assign, assignment]
    with pytest.raises(AttributeError, match="now is for reading"):
        direct_vm.now = datetime.now(UTC)  # type: ignore[misc]
    direct_vm.strict_mocks = True


def test_accounts_that_there_are_not(direct_vm: DirectVM) -> None:
    for wrong in ("0x12", "0x" + "g" * 40, b"", bytes(21)):
        with pytest.raises(ValueError, match="not an address: "):
            direct_vm.start_prank(wrong)
    with pytest.raises(RuntimeError, match="No active prank to stop"):
        direct_vm.stop_prank()


def test_paths_are_found_from_both_folders(
    direct_deploy: Callable[..., DirectContract], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert direct_deploy("ledger_contract.py", "beside the test").title == "beside the test"
    Path("mine.py").write_bytes(LEDGER.read_bytes())
    assert direct_deploy("mine.py", "in the working directory").title == "in the working directory"
    with pytest.raises(ContractNotFound) as error:
        direct_deploy("missing.py")
    folders = tmp_path, tmp_path / "contracts", tmp_path / "intelligent-contracts", LEDGER.parent
    places = " and no ".join(f"{folder}/missing.py" for folder in folders)
    assert str(error.value) == f"Contract not found: there is no {places}"
    with pytest.raises(FileNotFoundError, match=r"there is no /missing\.py$"):
        direct_deploy("/missing.py")


def test_methods_that_there_are_not(direct_vm: DirectVM, ledger: DirectContract) -> None:
    with pytest.raises(ContractReverted) as error:
        direct_vm.call(ledger, "payed")
    assert "There is no public method `payed` in ledger_contract 0x" in str(error.value)
    assert "it has called_by, name_after, paid_by, pay" in str(error.value)
    assert not any(line in str(error.value) for line in error.value.details)
    with pytest.raises(ContractReverted, match=r"^`rename` is a write method, ") as error:
        direct_vm.view(ledger, "rename", "x")
    assert "direct_vm.call" in error.value.details[-1]


def test_document_names_every_fixture_and_cheat_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:direct_vm\.)?([a-z_A-Z]+)", text))
    fixtures = {name for name in vars(fixtures_module) if name.startswith("direct_") or name == "local_net"}
    codes = {name for name in vars(DirectVM) if not name.startswith("_")} | {"value", "strict_mocks", "net"}
    assert fixtures | codes <= named


def test_examples_in_the_document(built_runners: object, tmp_path: Path) -> None:
    """They are the text of test files, for the contract beside this one."""
    for number, example in enumerate(
        re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    ):
        (tmp_path / f"test_{number}.py").write_text(example, encoding="utf-8")
    (tmp_path / "ledger.py").write_bytes(LEDGER.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:faulthandler", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr
