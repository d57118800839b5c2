from genlayer import *

from .reading import price_at
from .records import Quote


class Market(gl.Contract):
    quotes: DynArray[Quote]

    def __init__(self):
        pass

    @gl.public.write
    def quote(self, url: str) -> int:
        cents = gl.eq_principle_strict_eq(lambda: price_at(url))
        memory = gl.storage_inmem_allocate(Quote, url, u64(cents))
        self.quotes.append(memory)
        return cents

    @gl.public.view
    def all(self) -> dict[str, int]:
        return {quote.url: quote.cents for quote in self.quotes}
