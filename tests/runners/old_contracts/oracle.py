# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *
from genlayer.std import advanced
from dataclasses import dataclass

import json


@allow_storage
@dataclass
class Price:
    symbol: str
    cents: u64


class Oracle(gl.Contract):
    prices: TreeMap[str, Price]

    def __init__(self):
        pass

    @gl.public.write
    def update(self, symbol: str, url: str) -> int:
        def leader() -> int:
            page = gl.get_webpage(url)
            if "closed" in page:
                raise Rollback("the market is closed")
            return json.loads(page)["cents"]

        def validator(leaders: advanced.ContractReturn[int] | Rollback | advanced.ContractError) -> bool:
            own, leaders_value = gl.advanced.validator_handle_rollbacks_and_errors_default(leader, leaders)
            return abs(own - leaders_value) * 100 <= own

        cents = gl.advanced.run_nondet(leader, validator).get()
        self.prices[symbol] = Price(symbol, u64(cents))
        return cents

    @gl.public.view
    def get(self, symbol: str) -> int:
        return self.prices[symbol].cents
