# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

import json
from genlayer import *


class LlmErc20(gl.Contract):
    balances: TreeMap[Address, u256]

    def __init__(self, total_supply: int) -> None:
        self.balances[gl.message.sender_address] = u256(total_supply)

    @gl.public.write
    def transfer(self, amount: int, to_address: str) -> None:
        sender = gl.message.sender_address
        recipient = Address(to_address)
        input = f"""
You keep track of transactions between users and their balance in coins.
The current balance for all users in JSON format is:
{json.dumps(self.get_balances())}
The transaction to compute is: {{
sender: "{sender.as_hex}",
recipient: "{recipient.as_hex}",
amount: {amount},
}}
"""
        task = """For every transaction, validate that the user sending the Coins has sufficient balance.
If any transaction is invalid, it shouldn't be processed.
Update the balances based on the valid transactions only."""
        criteria = """
The balance of the sender should have decreased by the amount sent.
The balance of the receiver should have increased by the amount sent.
The total sum of all balances should remain the same before and after the transaction"""
        final_result = (
            gl.eq_principle_prompt_non_comparative(lambda: input, task=task, criteria=criteria)
            .replace("```json", "")
            .replace("```", "")
        )
        result_json = json.loads(final_result)
        for k, v in result_json["updated_balances"].items():
            self.balances[Address(k)] = v

    @gl.public.view
    def get_balances(self) -> dict[str, int]:
        return {k.as_hex: v for k, v in self.balances.items()}

    @gl.public.view
    def get_balance_of(self, address: str) -> int:
        return self.balances.get(Address(address), 0)
