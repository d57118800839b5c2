"""The seven checks of spec localnet-rpc/03 §6 B."""

from gltest import get_contract_factory, get_default_account, get_gl_client
from gltest.assertions import tx_execution_failed, tx_execution_succeeded
from gltest.helpers import load_fixture


def deployed():
    return get_contract_factory(contract_name="Storage").deploy(args=["hello"])


def test_deploy_read_and_write():
    contract = load_fixture(deployed)
    assert contract.get_storage(args=[]).call() == "hello"
    receipt = contract.update_storage(args=["bye"]).transact()
    assert tx_execution_succeeded(receipt)
    assert contract.get_storage(args=[]).call() == "bye"


def test_a_snapshot_restores_storage():
    contract = load_fixture(deployed)
    assert contract.get_storage(args=[]).call() == "hello"


def test_a_failing_write():
    contract = load_fixture(deployed)
    receipt = contract.fail(args=[]).transact()
    assert tx_execution_failed(receipt, match_std_out=r".*about to fail.*")
    assert contract.get_storage(args=[]).call() == "hello"


def test_fund_account():
    client, account = get_gl_client(), get_default_account()
    before = client.get_balance(account.address)
    client.fund_account(account.address, 10**18)
    assert client.get_balance(account.address) == before + 10**18


def test_appeal():
    contract = load_fixture(deployed)
    client = get_gl_client()
    receipt = contract.update_storage(args=["appealed"]).transact()
    transaction = receipt["hash"]
    assert client.appeal_transaction(transaction_id=transaction)
    again = client.wait_for_transaction_receipt(transaction_hash=transaction, interval=200, retries=100)
    assert tx_execution_succeeded(again)
    assert contract.get_storage(args=[]).call() == "appealed"


def test_analyze():
    contract = load_fixture(deployed)
    found = contract.update_storage(args=["analyzed"]).analyze(provider="openai", model="gpt-4o", runs=2)
    assert found.success_rate == 100.0
    assert contract.get_storage(args=[]).call() == "hello"


def test_datetime_of_a_transaction_context():
    contract = load_fixture(deployed)
    context = {"validators": [], "genvm_datetime": "2030-01-01T00:00:00Z"}
    assert contract.moment(args=[]).call(transaction_context=context).startswith("2030-01-01T00:00:00")
    receipt = contract.remember_moment(args=[]).transact(transaction_context=context)
    assert tx_execution_succeeded(receipt)
    assert contract.get_storage(args=[]).call().startswith("2030-01-01T00:00:00")
