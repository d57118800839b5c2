# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import json

from genlayer import *


class PriceOracle(gl.Contract):
    """Keeps the last price that a public API told; every validator asks the API for itself."""

    url: str
    cents: u64
    updated: str

    def __init__(self, url: str):
        self.url = url

    @gl.public.write
    def update(self) -> int:
        # Storage cannot be read inside of a nondet block: take what it needs before.
        url = self.url

        def fetch() -> int:
            response = gl.nondet.web.get(url)
            if response.status != 200:
                raise gl.vm.UserError(f"the API answers {response.status}")
            price = json.loads(response.body or b"")["price"]
            # Calldata has no fractions, and equal means equal here: round to what matters.
            return round(float(price) * 100)

        self.cents = u64(gl.eq_principle.strict_eq(fetch))
        self.updated = gl.message_raw["datetime"]
        return self.cents

    @gl.public.view
    def get(self) -> dict[str, int | str]:
        return {"cents": self.cents, "updated": self.updated}
