"""genlayer-py against a server (spec localnet-rpc/03 §1); prints what it saw as JSON."""

import json
import sys
import time

from genlayer_py import create_account, create_client
from genlayer_py.chains import localnet
from genlayer_py.exceptions import GenLayerError
from genlayer_py.types import TransactionStatus

URL, CODE = sys.argv[1], open(sys.argv[2]).read()
KEY = "0x" + 64 * "1"
seen = {}

account = create_account(KEY)
client = create_client(chain=localnet, endpoint=URL, account=account)
seen["chain_id"] = client.chain_id
before = client.get_balance(account.address)
seen["fund"] = client.fund_account(account.address, 10**18).hex().removeprefix("0x")
seen["funded"] = client.get_balance(account.address) - before

nonce = client.get_current_nonce(account.address)
schema = client.get_contract_schema_for_code(CODE)
seen["schema_methods"] = sorted(schema["methods"])

deployment = client.deploy_contract(code=CODE, account=account, args=["hello"])
receipt = client.wait_for_transaction_receipt(
    transaction_hash=deployment, status=TransactionStatus.FINALIZED, interval=200, retries=100
)
seen["deploy_status"] = receipt["status_name"]
contract = receipt["data"]["contract_address"]
seen["contract"] = contract
seen["deploy_result"] = receipt["consensus_data"]["leader_receipt"][0]["result"]["payload"]["readable"]
seen["votes"] = list(receipt["consensus_data"]["votes"].values())
assert client.get_contract_schema(contract)["methods"].keys() == schema["methods"].keys()


def read():
    return client.read_contract(address=contract, function_name="get_storage", args=[], account=account)


seen["read"] = read()
write = client.write_contract(address=contract, function_name="pay", account=account, value=7, args=["bye"])
receipt = client.wait_for_transaction_receipt(transaction_hash=write, interval=200, retries=100)
seen["write_status"] = receipt["status_name"]
seen["execution"] = receipt["consensus_data"]["leader_receipt"][0]["execution_result"]
seen["read_again"] = read()
seen["contract_balance"] = client.get_balance(contract)

simulated = client.simulate_write_contract(
    address=contract, function_name="update_storage", account=account, args=["simulated"]
)
seen["simulated"] = simulated["execution_result"]
seen["read_after_simulation"] = read()

failing = client.write_contract(address=contract, function_name="fail", account=account, value=0, args=[])
receipt = client.wait_for_transaction_receipt(transaction_hash=failing, interval=200, retries=100)
leader = receipt["consensus_data"]["leader_receipt"][0]
seen["failure"] = [leader["execution_result"], leader["result"]["status"], leader["result"]["payload"]]

leader_only = client.write_contract(
    address=contract, function_name="update_storage", account=account, value=0, args=["alone"], leader_only=True
)
receipt = client.wait_for_transaction_receipt(transaction_hash=leader_only, interval=200, retries=100)
seen["leader_only"] = receipt["status_name"]
seen["nonce_moved"] = client.get_current_nonce(account.address) - nonce

seen["appeal"] = client.appeal_transaction(transaction_id=write) is not None
deadline = time.monotonic() + 30
while client.get_transaction(write)["status_name"] not in ("ACCEPTED", "FINALIZED"):
    assert time.monotonic() < deadline
    time.sleep(0.1)

try:
    client.get_transaction("0x" + 64 * "0")
except GenLayerError as error:
    seen["missing"] = str(error)
try:
    client.read_contract(address="0x" + 40 * "1", function_name="get_storage", args=[], account=account)
except GenLayerError as error:
    seen["no_contract"] = str(error)
if hasattr(client, "debug_trace_transaction"):
    trace = client.debug_trace_transaction(transaction_hash=failing, round=0)
    seen["trace"] = trace["stdout"]
print(json.dumps(seen))
