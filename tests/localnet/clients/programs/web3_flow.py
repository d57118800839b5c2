"""web3.py against a server (spec localnet-rpc/03 §5); prints what it saw as JSON."""

import json
import sys

from eth_account import Account
from web3 import Web3

URL = sys.argv[1]
account = Account.from_key("0x" + 64 * "2")
other = Account.from_key("0x" + 64 * "3")
w3 = Web3(Web3.HTTPProvider(URL))
seen = {"connected": w3.is_connected(), "chain_id": w3.eth.chain_id, "gas_price": w3.eth.gas_price}
assert w3.eth.block_number >= 0
w3.provider.make_request("sim_fundAccount", [account.address, 10**18])
seen["balance"] = w3.eth.get_balance(account.address)
block = w3.eth.get_block("latest", full_transactions=True)
assert w3.eth.get_block(block["hash"])["number"] == block["number"]
seen["code"] = w3.eth.get_code(other.address).hex()
seen["logs"] = w3.eth.get_logs({})
seen["fees"] = w3.eth.fee_history(1, "latest", [50])["baseFeePerGas"]
seen["syncing"] = w3.eth.syncing
fields = {"from": account.address, "to": other.address, "value": 123, "nonce": w3.eth.get_transaction_count(account.address, "pending")}
fields |= {"chainId": w3.eth.chain_id, "gas": w3.eth.estimate_gas(fields), "maxFeePerGas": 0}
fields["maxPriorityFeePerGas"] = w3.eth.max_priority_fee
del fields["from"]
raw = account.sign_transaction(fields).raw_transaction
hash = w3.eth.send_raw_transaction(raw)
receipt = w3.eth.wait_for_transaction_receipt(hash)
seen["receipt"] = [receipt["status"], receipt["from"] == account.address, receipt["to"] == other.address]
transaction = w3.eth.get_transaction(hash)
seen["transaction"] = [transaction["value"], transaction["nonce"], transaction["hash"] == hash]
seen["same_again"] = w3.eth.send_raw_transaction(raw) == hash
seen["received"] = w3.eth.get_balance(other.address)
print(json.dumps(seen))
