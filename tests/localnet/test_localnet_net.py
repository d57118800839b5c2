"""Transactions: effects, messages, value. Contracts are fakes; the executor's part is tested end to end elsewhere."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain import state as chain_state
from pygenvm.localnet.chain.model import (
    EMPTY_CALL,
    Execution,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Status,
    Transaction,
    Verdict,
)
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.errors import BadRequest, BadValue, InsufficientBalance, NotFound
from pygenvm.localnet.net import LocalNet, read_state
from pygenvm.localnet.schema import NoSchema
from pygenvm.runners.numeric import pins
from tests.localnet.localnet_fakes import FakeExecutor, Rollback, Run, Trap
from tests.support.networks import state_of
from tests.support.properties import examples

ALICE, BOB, CAROL = accounts.named()["alice"], accounts.named()["bob"], accounts.named()["carol"]
TOTAL = accounts.START_BALANCE * len(accounts.NAMES)


async def store_contract(run: Run) -> Any:
    """Keeps one byte string."""
    match run.method:
        case "set":
            await run.write(0, bytes([len(run.args[0])]) + run.args[0])
        case "get":
            return await run.read(1, (await run.read(0, 1))[0])
        case "set_then_fail":
            await run.write(0, b"\xff" * 100)
            await run.host.post_event([bytes(32)], calldata.encode({}))
            raise Rollback("no")
        case "trap":
            raise Trap("exit_code 1")
    return None


async def sender_contract(run: Run) -> Any:
    """Sends what it is told: ``send`` takes a list of [kind, target, method, value]."""
    match run.method:
        case "send":
            for kind, target, method, value in run.args[0] if run.args else []:
                if kind == "message":
                    await run.post(target, method, value=value)
                elif kind == "deploy":
                    await run.deploy(method.encode(), value=value)
                else:
                    await run.eth_send(target, value)
        case "loop":
            await run.post(run.address, "loop", value=run.value)
        case "fail":
            raise Rollback("refused")
        case "#error":
            await run.write(0, run.value.to_bytes(32, "little"))
        case "error_value":
            return int.from_bytes(await run.read(0, 32), "little")
        case "balance":
            return await run.host.get_balance(run.address)
    return None


async def stubborn_contract(run: Run) -> Any:
    """Sends, but refuses to take anything back."""
    if run.method == "#error":
        raise Trap("exit_code 1")
    return await sender_contract(run)


async def failing_constructor(run: Run) -> Any:
    raise Rollback("constructor")


async def schema_contract(run: Run) -> Any:
    if run.method == "#get-schema":
        return json.dumps(
            {
                "ctor": {"params": [["owner", "address"]], "kwparams": {}},
                "methods": {"echo": {"params": [["a", "any"], ["b", "bytes"]], "kwparams": {"c": "address"}}},
            }
        )
    return run.args


CONTRACTS = {
    b"store": store_contract,
    b"sender": sender_contract,
    b"stubborn": stubborn_contract,
    b"failing": failing_constructor,
    b"schema": schema_contract,
}


@pytest.fixture
def net(tmp_path: Path) -> LocalNet:
    return make_net(tmp_path / "local.db")


def make_net(path: Path) -> LocalNet:
    return LocalNet(path, executor=FakeExecutor(CONTRACTS))


def deploy(net: LocalNet, code: str, **options: Any) -> Address:
    execution = net.deploy(code.encode(), name=code, **options)
    assert execution.receipt.ok
    return execution.receipt.transaction.contract


def balances(net: LocalNet) -> dict[Address, int]:
    return {info.address: info.balance for info in net.accounts()}


def snapshot(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def test_arguments_that_no_executor_takes(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(net, "store")
    monkeypatch.setattr("pygenvm.localnet.chain.chain.HOST_REPLY_SLICE_BYTES", 1000)
    for command in (net.call, net.view):
        with pytest.raises(BadValue, match=r"the calldata has 10\d\d bytes, executors take 1000"):
            command("store", "set", [bytes(1000)])
    with pytest.raises(BadValue, match="the calldata has"):
        net.deploy(b"store", [bytes(1000)])


def total_value(path: Path) -> int:
    with closing(Store(path)) as store:
        return store.total_value()


def test_effects_of_a_return_are_kept(net: LocalNet) -> None:
    contract = deploy(net, "store")
    assert net.call(contract, "set", [b"hello"]).receipt.ok
    assert net.view(contract, "get").value == b"hello"
    assert net.call("store", "set", [b""]).receipt.slots_written == 1
    assert net.view(None, "get").value == b""


@pytest.mark.parametrize(("method", "outcome"), [("set_then_fail", UserError("no")), ("trap", VMError("exit_code 1"))])
def test_a_failed_command_leaves_the_state_as_it_was(net: LocalNet, tmp_path: Path, method: str, outcome: Any) -> None:
    contract = deploy(net, "store")
    before = state_of(tmp_path / "local.db")
    execution = net.call(contract, method, value=5)
    assert execution.receipt.status is Status.FAILED
    assert execution.receipt.outcome == outcome
    assert execution.receipt.number is None
    assert execution.receipt.events == ()
    assert state_of(tmp_path / "local.db") == before
    assert net.log() == [*net.log()[:1], execution.receipt]


def test_a_failed_deployment_is_all_there_is(net: LocalNet, tmp_path: Path) -> None:
    failed = net.deploy(b"failing", name="failing").receipt
    assert failed.outcome == UserError("constructor")
    with closing(Store(tmp_path / "other.db")) as other:
        other.set_balance(ALICE, other.balance(ALICE))  # makes the file
    assert state_of(tmp_path / "local.db") == state_of(tmp_path / "other.db")
    assert net.log() == [failed]
    with pytest.raises(NotFound, match=r"^the last deployment, of failing, failed \(constructor\): deploy one"):
        net.view(None, "get")


def test_failed_commands_stand_in_the_log_where_they_happened(net: LocalNet) -> None:
    contract = deploy(net, "store")
    receipts = [net.log()[0]]
    for method in ("trap", "set_then_fail", "get", "trap", "get", "get", "trap"):
        receipts.append(net.call(contract, method, value=1).receipt)
    assert [receipt.number for receipt in receipts] == [1, None, None, 2, None, 3, 4, None]
    for count in range(1, 10):
        assert net.log(count) == receipts[-count:]
    assert len({receipt.tx_id for receipt in receipts}) == len(receipts)


def test_the_last_failures_are_kept(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_FAILURES", 3)
    deploy(net, "store")
    net.deploy(b"failing", name="first")
    net.deploy(b"failing", name="second")
    receipts = [net.call("store", "trap", [number]).receipt for number in range(5)]
    assert net.log()[2:] == receipts[-3:]
    # For as long as it matters to what a command without a contract means.
    assert net.log()[1].transaction.name == "second"
    failed = net.failed_deployment()
    assert failed is not None
    assert failed.transaction.name == "second"


def test_a_failed_deployment_is_the_last_one(net: LocalNet) -> None:
    """Whoever names no contract means the one that could not be deployed, not some other one."""
    older = deploy(net, "store")
    net.deploy(b"failing", name="newer")
    for command in (
        lambda: net.call(None, "get"),
        lambda: net.view(None, "get"),
        lambda: net.schema(None),
        lambda: read_state(net, None),
    ):
        with pytest.raises(
            NotFound, match=rf"of newer, failed \(constructor\).*: to use that, name it, store or {older!s:.10}$"
        ):
            command()
    assert net.log()[-1].transaction.name == "newer"
    for word in (older, "store", older.as_hex[:10]):
        assert net.view(word, "get").ok
    assert net.call("store", "trap").receipt.number is None
    assert net.failed_deployment() is not None
    newest = deploy(net, "store")
    assert net.failed_deployment() is None
    assert net.view(None, "get").transaction.contract == newest


def test_a_contract_that_is_deployed_by_another_is_no_attempt_of_the_user(net: LocalNet) -> None:
    sender = deploy(net, "sender")
    net.call(sender, "send", [[["deploy", None, "failing", 0]]])
    assert net.view(None, "balance").transaction.contract == sender
    net.deploy(b"failing")
    net.call(sender, "send", [[["deploy", None, "store", 0]]])
    with pytest.raises(NotFound, match="the last deployment failed"):
        net.view(None, "get")


def test_going_back_forgets_what_failed(net: LocalNet) -> None:
    deploy(net, "store")
    before = net.snapshot()
    net.deploy(b"failing")
    net.restore(before)
    assert net.view(None, "get").ok
    assert len(net.log()) == 1


def test_a_view_changes_nothing_and_is_not_recorded(net: LocalNet, tmp_path: Path) -> None:
    contract = deploy(net, "store")
    before = snapshot(tmp_path / "local.db")
    assert net.view(contract, "get").ok
    assert net.view(contract, "set", [b"x"]).outcome == VMError("forbidden")
    assert snapshot(tmp_path / "local.db") == before
    assert len(net.log()) == 1


def test_runs_get_the_message_of_the_specification(tmp_path: Path) -> None:
    executor = FakeExecutor(CONTRACTS)
    net = LocalNet(tmp_path / "local.db", executor=executor)
    contract = net.deploy(b"store", value=7, sender="bob").receipt.transaction.contract
    message = dict(executor.requests[-1].message)
    assert message.pop("datetime")
    assert message == {
        "contract_address": contract.as_b64,
        "sender_address": BOB.as_b64,
        "origin_address": BOB.as_b64,
        "chain_id": "61999",
        "value": 7,
        "is_init": True,
    }
    assert executor.requests[-1].permissions == "rwscn"
    net.view(contract, "get")
    assert executor.requests[-1].permissions == "rcn"


def test_addresses_of_contracts(net: LocalNet) -> None:
    first = net.deploy(b"store").receipt.transaction.contract
    assert first == accounts.contract_address(ALICE, salt=0, nonce=0)
    assert net.deploy(b"store").receipt.transaction.contract == accounts.contract_address(ALICE, salt=0, nonce=1)
    salted = net.deploy(b"store", salt=127).receipt.transaction.contract
    assert salted == accounts.contract_address(ALICE, salt=127, nonce=0)
    with pytest.raises(BadRequest, match="already used salt 127"):
        net.deploy(b"store", salt=127)


def test_salted_address_is_the_one_of_the_specification() -> None:
    deployer = Address("0x03FB09251eC05ee9Ca36c98644070B89111D4b3F")
    address = accounts.contract_address(deployer, salt=127, nonce=0, chain_id=255)
    assert address.as_hex == "0x31a38fac42349DC16a84A22FbBACCBb6E238B7F9"


def test_all_value_fits_a_message(net: LocalNet) -> None:
    assert accounts.START_BALANCE == 1_000_000 * 10**18
    assert TOTAL <= limits.VALUE_MAX == 2**256 - 1
    rest = limits.VALUE_MAX - TOTAL
    net.deal(ALICE, accounts.START_BALANCE + rest)
    for too_much in (accounts.START_BALANCE + rest + 1, -1):
        with pytest.raises(BadValue, match=r"from 0 to 2\^256 - 1"):
            net.deal(ALICE, too_much)
    contract = deploy(net, "sender", value=accounts.START_BALANCE + rest)
    assert (net.balance(ALICE), net.balance(contract)) == (0, accounts.START_BALANCE + rest)
    execution = net.call(contract, "send", [[["message", BOB, None, rest]]])
    assert execution.delivered[0].transaction.value == rest == net.balance(BOB) - accounts.START_BALANCE
    assert net.log(1)[0].balances[0].after == net.balance(BOB)


def test_a_balance_without_room_is_in_nobodys_way(net: LocalNet, tmp_path: Path) -> None:
    """In a database that somebody has changed by hand."""
    contract = deploy(net, "sender", value=10)
    set_balance(tmp_path, BOB, limits.VALUE_MAX - 1)
    bob, carol, back = net.call(contract, "send", [[["message", BOB, None, 5], ["message", CAROL, None, 2]]]).delivered
    assert (bob.status, bob.outcome) == (Status.FAILED, VMError("forbidden"))
    assert isinstance(bob.outcome, VMError)
    assert bob.outcome.cause == f"the balance of {BOB!s} would be more than 2^256 - 1"
    assert (carol.status, back.transaction.kind, back.status) == (Status.OK, Kind.ERROR, Status.OK)
    assert (net.balance(contract), net.balance(BOB)) == (8, limits.VALUE_MAX - 1)
    assert net.call(contract, "send", [[["eth", BOB, None, 5]]]).receipt.outcome == VMError("forbidden")
    assert net.call(contract, "send", [[["eth", BOB, None, 1]]]).receipt.ok
    # And who calls is told.
    set_balance(tmp_path, contract, limits.VALUE_MAX)
    assert net.call(contract, "balance", value=1).receipt.outcome == VMError("forbidden")
    assert net.call(contract, "balance").receipt.value == limits.VALUE_MAX


def test_a_message_whose_value_fits_nowhere(net: LocalNet, tmp_path: Path) -> None:
    """Neither where it goes nor where it came from."""
    contract = deploy(net, "sender", value=10)
    with closing(sqlite3.connect(tmp_path / "local.db")) as database, database:
        database.execute(
            "INSERT INTO queue (parent, kind, sender, origin, contract, value, calldata, code, released_on)"
            " VALUES (1, 'call', ?, ?, ?, '5', ?, x'', 'finalized')",
            (contract.as_bytes, ALICE.as_bytes, BOB.as_bytes, EMPTY_CALL),
        )
    set_balance(tmp_path, contract, limits.VALUE_MAX - 2)
    set_balance(tmp_path, BOB, limits.VALUE_MAX)
    execution = net.call(contract, "balance")
    assert [receipt.status for receipt in execution.resumed] == [Status.FAILED, Status.FAILED]
    assert execution.receipt.value == net.balance(contract) == limits.VALUE_MAX
    assert net.call(contract, "balance").resumed == ()


def set_balance(folder: Path, address: Address, balance: int) -> None:
    with closing(Store(folder / "local.db")) as store:
        store.set_balance(address, balance)


def test_value_moves_with_the_call(net: LocalNet) -> None:
    contract = deploy(net, "sender", value=10)
    net.call(contract, None, value=5, sender="bob")
    assert net.view(contract, "balance").value == 15
    assert balances(net)[ALICE] == accounts.START_BALANCE - 10
    assert balances(net)[BOB] == accounts.START_BALANCE - 5


def test_the_running_contract_has_the_value_already(net: LocalNet) -> None:
    contract = deploy(net, "sender")
    assert net.call(contract, "balance", value=3).receipt.value == 3


@pytest.mark.parametrize("value", [-1, limits.VALUE_MAX + 1])
def test_impossible_values(net: LocalNet, value: int) -> None:
    with pytest.raises(BadValue):
        net.deploy(b"store", value=value)


def test_too_little_balance(net: LocalNet, tmp_path: Path) -> None:
    contract = deploy(net, "sender")
    before = snapshot(tmp_path / "local.db")
    with pytest.raises(InsufficientBalance, match="alice has 1000000000000000000000000,"):
        net.call(contract, None, value=accounts.START_BALANCE + 1)
    with pytest.raises(InsufficientBalance):
        net.call(contract, None, value=1, sender="0x" + "11" * 20)
    assert snapshot(tmp_path / "local.db") == before


def test_contracts_are_no_senders(net: LocalNet) -> None:
    contract = deploy(net, "store")
    with pytest.raises(BadValue, match="is a contract"):
        net.call(contract, "get", sender=contract)


def test_latest_final_is_the_state_before_the_transaction(tmp_path: Path) -> None:
    async def reader(run: Run) -> Any:
        if run.method == "run":
            await run.write(0, b"new")
            kinds = (StorageType.LATEST_FINAL, StorageType.LATEST_NON_FINAL, StorageType.DEFAULT)
            return [await run.read(0, 3, kind) for kind in kinds]
        await run.write(0, b"old")
        return None

    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor({b"reader": reader}))
    net.deploy(b"reader")
    assert net.call(None, "run").receipt.value == [b"old", b"new", b"new"]


# --- messages ---------------------------------------------------------------------------------------


def test_messages_are_delivered_in_order_after_the_transaction(tmp_path: Path) -> None:
    executor = FakeExecutor(CONTRACTS)
    net = LocalNet(tmp_path / "local.db", executor=executor)
    sender, other = deploy(net, "sender"), deploy(net, "store")
    executor.order.clear()
    execution = net.call(
        sender, "send", [[["message", other, "one", 0], ["message", sender, "fail", 0], ["message", other, "two", 0]]]
    )
    assert executor.order == [(sender, "send"), (other, "one"), (sender, "fail"), (other, "two")]
    assert [receipt.status for receipt in execution.delivered] == [Status.OK, Status.FAILED, Status.OK]
    numbers = [receipt.number for receipt in (execution.receipt, *execution.delivered)]
    assert numbers == [3, 4, 5, 6]
    assert {receipt.transaction.parent for receipt in execution.delivered} == {3}
    assert {receipt.transaction.sender for receipt in execution.delivered} == {sender}
    assert {receipt.transaction.origin for receipt in execution.delivered} == {ALICE}
    assert execution.receipt.messages[0] == Posted(
        PostedKind.MESSAGE, other, 0, calldata.encode({"method": "one", "args": []}), "finalized"
    )
    assert net.log(3) == list(execution.delivered)


def test_a_failed_message_brings_its_value_back_as_error_call(net: LocalNet, tmp_path: Path) -> None:
    sender, other = deploy(net, "sender", value=100), deploy(net, "stubborn")
    execution = net.call(sender, "send", [[["message", other, "fail", 40]]])
    failed, returned = execution.delivered
    assert failed.outcome == UserError("refused")
    assert returned.transaction.kind is Kind.ERROR
    assert (returned.transaction.sender, returned.transaction.contract) == (other, sender)
    assert (returned.transaction.value, returned.transaction.calldata) == (40, calldata.encode({"method": "#error"}))
    assert net.view(sender, "error_value").value == 40
    assert balances(net)[sender] == 100
    assert balances(net)[other] == 0
    assert total_value(tmp_path / "local.db") == TOTAL


def test_value_is_not_lost_when_the_error_call_fails_too(net: LocalNet, tmp_path: Path) -> None:
    stubborn, sender = deploy(net, "stubborn", value=100), deploy(net, "sender")
    execution = net.call(stubborn, "send", [[["message", sender, "fail", 40]]])
    assert [receipt.status for receipt in execution.delivered] == [Status.FAILED, Status.FAILED]
    assert balances(net)[stubborn] == 100
    assert total_value(tmp_path / "local.db") == TOTAL


def test_a_failed_message_without_value_is_only_recorded(net: LocalNet) -> None:
    sender = deploy(net, "sender")
    assert len(net.call(sender, "send", [[["message", sender, "fail", 0]]]).delivered) == 1


def test_a_message_to_an_account_is_a_transfer_or_fails(net: LocalNet) -> None:
    sender = deploy(net, "sender", value=100)
    execution = net.call(sender, "send", [[["message", BOB, None, 30], ["message", BOB, "method", 20]]])
    transfer, failed, returned = execution.delivered
    assert (transfer.transaction.kind, transfer.status, transfer.outcome) == (Kind.TRANSFER, Status.OK, None)
    assert failed.outcome == VMError("invalid_contract absent_runner_comment")
    assert returned.transaction.value == 20
    assert balances(net)[BOB] == accounts.START_BALANCE + 30
    assert balances(net)[sender] == 70


def test_eth_send_is_a_transfer(net: LocalNet) -> None:
    sender, unknown = deploy(net, "sender", value=100), Address(b"\x11" * 20)
    assert net.call(sender, "send", [[["eth", unknown, "", 30]]]).delivered == ()
    assert balances(net)[unknown] == 30
    assert balances(net)[sender] == 70


def test_contracts_deploy_contracts(net: LocalNet) -> None:
    sender = deploy(net, "sender", value=100)
    execution = net.call(sender, "send", [[["deploy", None, "store", 5], ["deploy", None, "store", 6]]])
    addresses = [accounts.contract_address(sender, salt=0, nonce=nonce) for nonce in (0, 1)]
    assert [receipt.transaction.contract for receipt in execution.delivered] == addresses
    assert [balances(net)[address] for address in addresses] == [5, 6]
    assert net.view(addresses[1], "get").ok
    execution = net.call(sender, "send", [[["deploy", None, "failing", 7]]])
    assert [receipt.status for receipt in execution.delivered] == [Status.FAILED, Status.OK]
    assert execution.delivered[0].transaction.contract == accounts.contract_address(sender, salt=0, nonce=2)
    assert len(net.contracts()) == 3
    assert balances(net)[sender] == 89


def test_the_last_contract_of_the_user_is_the_default(net: LocalNet) -> None:
    sender = deploy(net, "sender")
    net.call(sender, "send", [[["deploy", None, "store", 0]]])
    assert net.view(None, "balance").transaction.contract == sender


def test_sending_more_than_the_balance_is_refused(net: LocalNet) -> None:
    sender = deploy(net, "sender", value=100)
    assert net.call(sender, "send", [[["eth", BOB, "", 60], ["eth", BOB, "", 41]]]).receipt.outcome == VMError(
        "forbidden"
    )
    assert balances(net)[sender] == 100


def test_endless_messages_end_and_keep_their_value(net: LocalNet, tmp_path: Path) -> None:
    sender = deploy(net, "sender")
    execution = net.call(sender, "loop", value=9)
    assert len(execution.delivered) == limits.DELIVERIES + 1
    assert execution.delivered[-1].status is Status.UNDELIVERED
    assert all(receipt.ok for receipt in execution.delivered[:-1])
    assert balances(net)[sender] == 9
    assert total_value(tmp_path / "local.db") == TOTAL
    assert net.call(sender, None).resumed == ()


def test_undelivered_value_goes_back_to_whom_it_belongs(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELIVERIES", 1)
    sender, other = deploy(net, "sender", value=100), deploy(net, "stubborn")
    execution = net.call(sender, "send", [[["message", other, "fail", 40], ["message", other, "x", 2]]])
    assert [receipt.status for receipt in execution.delivered] == [
        Status.FAILED,
        Status.UNDELIVERED,
        Status.UNDELIVERED,
    ]
    assert [receipt.transaction.kind for receipt in execution.delivered] == [Kind.CALL, Kind.CALL, Kind.ERROR]
    assert (balances(net)[sender], balances(net)[other]) == (100, 0)
    assert net.log(3) == list(execution.delivered)


def test_an_interrupted_delivery_goes_on_with_the_next_command(tmp_path: Path) -> None:
    armed = True

    async def interrupting(run: Run) -> Any:
        if run.method == "two" and armed:
            raise KeyboardInterrupt
        return await sender_contract(run)

    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor({b"sender": interrupting}))
    sender = deploy(net, "sender", value=10)
    posts = [["message", sender, "one", 1], ["message", sender, "two", 2]]
    with pytest.raises(KeyboardInterrupt):
        net.call(sender, "send", [posts])
    assert balances(net)[sender] == 8
    assert total_value(tmp_path / "local.db") == TOTAL
    armed = False
    execution = net.call(sender, "three")
    assert [calldata.decode(receipt.transaction.calldata)["method"] for receipt in execution.resumed] == ["two"]
    assert balances(net)[sender] == 10


def test_messages_of_one_transaction_are_limited(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = deploy(net, "sender")
    monkeypatch.setattr(limits, "MESSAGES", 2)
    posts = [["message", BOB, None, 0]]
    assert net.call(sender, "send", [posts * 2]).receipt.ok
    assert net.call(sender, "send", [posts * 3]).receipt.outcome == VMError("forbidden")


def test_writes_of_one_transaction_are_limited(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = deploy(net, "store")
    monkeypatch.setattr(limits, "STORAGE_PAGES_WRITTEN", 0)
    assert net.call(contract, "set", [b"x"]).receipt.outcome == VMError("out_of_storage_gas")


# --- arguments --------------------------------------------------------------------------------------


def test_whoever_prepares_a_run_is_asked_with_the_code(tmp_path: Path) -> None:
    asked: list[bytes] = []
    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor(CONTRACTS), before_run=asked.append)
    contract = net.deploy(b"schema").receipt.transaction.contract
    net.call(contract, "echo")
    net.view(contract, "echo")
    net.schema(contract)
    net.schema_of_code(b"schema")
    net.balance(contract)
    assert asked == [b"schema"] * 5


def test_what_comes_before_a_run_is_done_once_in_the_thread_of_the_caller(tmp_path: Path) -> None:
    """Who may be interrupted while runners are built."""
    done: list[tuple[bytes, int]] = []
    net = LocalNet(
        tmp_path / "local.db",
        executor=FakeExecutor(CONTRACTS),
        before_run=lambda code: lambda: done.append((code, threading.get_ident())),
    )
    contract = net.deploy(b"schema").receipt.transaction.contract
    assert net.call(contract, "echo").receipt.ok
    assert net.view(contract, "echo").ok
    assert done == [(b"schema", threading.get_ident())] * 3
    assert len(net.log()) == 2


def test_nothing_is_run_before_what_comes_first(tmp_path: Path) -> None:
    class Unbuilt(Exception):
        pass

    def fail() -> None:
        raise Unbuilt

    path = tmp_path / "local.db"
    net = LocalNet(path, executor=FakeExecutor(CONTRACTS), before_run=lambda code: fail)
    with pytest.raises(Unbuilt) as caught:
        net.deploy(b"schema")
    assert caught.value.__context__ is None
    assert not path.exists()


def test_hex_strings_follow_the_schema(net: LocalNet) -> None:
    deploy(net, "schema", args=f'["{BOB!s}"]')
    assert net.log(1)[0].value == [BOB]
    assert net.view("schema", "echo", '["0x01", "0x0102"]').value == ["0x01", b"\x01\x02"]
    assert net.view("schema", "echo", ["0x01", "0x0102"]).value == ["0x01", "0x0102"]
    assert net.view("schema", "echo", '[{"$addr": "bob"}]').value == [BOB]
    with pytest.raises(BadValue, match="not an address"):
        net.view("schema", "echo", "[]", '{"c": "0x01"}')


@pytest.mark.parametrize(
    "answer",
    [
        5,
        "5",
        "{",
        "[" * 100_000,
        '{"ctor": 5, "methods": {}}',
        '{"ctor": {"params": [], "kwparams": {}}, "methods": []}',
        '{"ctor": {"params": [5], "kwparams": {}}, "methods": {}}',
        '{"ctor": {"params": [], "kwparams": {}}, "methods": {"a": {"params": {}, "kwparams": {}}}}',
    ],
    ids=["int", "number", "open", "deep", "constructor", "methods", "parameter", "parameters"],
)
def test_what_is_no_schema(tmp_path: Path, answer: Any) -> None:
    async def liar(run: Run) -> Any:
        return answer if run.method == "#get-schema" else run.args

    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor({b"liar": liar}))
    with pytest.raises(NoSchema, match="something else than a schema"):
        net.schema_of_code(b"liar")
    net.deploy(b"liar", '["0x00"]')
    assert net.view(None, "m", '["0x00"]').value == ["0x00"]


def test_hex_strings_without_schema_are_strings(net: LocalNet) -> None:
    contract = deploy(net, "store")
    with pytest.raises(NoSchema):
        net.schema(contract)
    assert net.view(contract, "echo", '["0x01"]').ok


@pytest.mark.parametrize("text", ["{}", "5", "[", "[1.5]", '"x"'])
def test_arguments_that_are_no_array(net: LocalNet, text: str) -> None:
    deploy(net, "store")
    with pytest.raises(BadValue):
        net.call(None, "get", text)


def test_unknown_contracts(net: LocalNet) -> None:
    with pytest.raises(NotFound, match="no contract yet"):
        net.view(None, "get")
    first, second = deploy(net, "store"), deploy(net, "store")
    assert net.view("store", "get").transaction.contract == second
    assert net.view(first.as_hex[:20], "get").transaction.contract == first
    for word in ("stor", "0x", "0xzz", "alice"):
        with pytest.raises(NotFound):
            net.view(word, "get")


# --- validators -------------------------------------------------------------------------------------


def test_an_internal_error_is_no_verdict() -> None:
    def verdict(outcome: Outcome, disagreement: int | None = None) -> tuple[bool, bool]:
        own = Receipt(Transaction(Kind.CALL, ALICE, ALICE, BOB, 0, b""), Status.FAILED, outcome, b"", "")
        found = Verdict(own, disagreement, diverged=False)
        return found.reached, found.agrees

    assert verdict(Return(b"\0")) == (True, True)
    assert verdict(UserError("as the leader")) == (True, True)
    assert verdict(Return(b"\0"), 0) == (True, False)
    assert verdict(InternalError("empty leader result")) == (False, False)
    assert verdict(VMError("absent")) == (False, False)


# --- property ---------------------------------------------------------------------------------------

_post = st.tuples(
    st.sampled_from(["message", "deploy", "eth"]),
    st.integers(0, 4),
    st.sampled_from([None, "send", "fail", "balance"]),
    st.integers(0, 40),
)
_command = st.tuples(
    st.integers(0, 2), st.sampled_from(["send", "fail", None]), st.lists(_post, max_size=4), st.integers(0, 60)
)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(_command, max_size=6), unit=st.sampled_from([1, 2**64 - 1, 2**64, 10**73 + 1]))
def test_value_is_conserved(tmp_path_factory: pytest.TempPathFactory, commands: list[Any], unit: int) -> None:
    path = tmp_path_factory.mktemp("net") / "local.db"
    net = make_net(path)
    net.deal(ALICE, 1000 * unit)
    total = TOTAL - accounts.START_BALANCE + 1000 * unit
    targets = [deploy(net, "sender", value=50 * unit), deploy(net, "stubborn", value=50 * unit), deploy(net, "store")]
    targets += [BOB, Address(b"\x22" * 20)]
    for target, method, posts, value in commands:
        listed = []
        for kind, to, name, amount in posts:
            code = "store" if name != "fail" else "failing"
            listed.append([kind, targets[to], code if kind == "deploy" else name, amount * unit])
        before, existed = balances(net), state_of(path)
        execution = net.call(targets[target], method, [listed] if method == "send" else [], value=value * unit)
        _check_books(execution, before, balances(net))
        assert total_value(path) == total
        assert sum(balances(net).values()) == total
        if not execution.receipt.ok:
            assert state_of(path) == existed


def _check_books(execution: Execution, before: dict[Address, int], after: dict[Address, int]) -> None:
    """The balance changes that receipts report lead from the balances before to those after."""
    known = dict(before)
    for receipt in (execution.receipt, *execution.delivered):
        for change in receipt.balances:
            assert known.get(change.address, 0) == change.before
            known[change.address] = change.after
    assert {key: value for key, value in known.items() if value} == {
        key: value for key, value in after.items() if value
    }


def test_the_database_is_one_file_of_its_own_kind(net: LocalNet, tmp_path: Path) -> None:
    deploy(net, "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local.db", "local.db.lock"]
    with sqlite3.connect(tmp_path / "local.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_receipts_survive_the_database(net: LocalNet) -> None:
    async def noisy(run: Run) -> Any:
        await run.host.post_event([b"\x01" * 32, b"\x02" * 32], calldata.encode({"a": 1}))
        await run.host.post_nondet_result(0, b"\x00\x00")
        await run.deploy(b"store", salt=3)
        return {"x": [1, b"\x00", ALICE]}

    CONTRACTS[b"noisy"] = noisy
    execution = net.deploy(b"noisy", value=4, name="noisy")
    assert net.log(2) == [execution.receipt, *execution.delivered]
    assert isinstance(execution.receipt.outcome, Return)
    assert execution.receipt.messages[0].salt == 3


def test_reading_storage_asks_for_no_larger_interpreter() -> None:
    """Whoever mentions NumPy, in a comment too, runs with it; what is put behind a contract must not do that for it."""
    put_behind = Path(chain_state.__file__).with_name("dump_state.py").read_text("utf-8")
    assert [name for name in pins.NAMES if re.search(rf"\b{name}\b", put_behind)] == []
