# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Tokens with one owner each; every sale pays a royalty to the artist."""

from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Token:
    artist: Address
    owner: Address
    uri: str
    price: u256


class Gallery(gl.Contract):
    royalty_bps: u16
    tokens: DynArray[Token]
    owned: TreeMap[Address, u256]
    earnings: TreeMap[Address, u256]

    def __init__(self, royalty_bps: int):
        assert 0 <= royalty_bps <= 10_000, "royalty out of range"
        self.royalty_bps = u16(royalty_bps)

    def _token(self, id: int) -> Token:
        if id >= len(self.tokens):
            raise KeyError(f"token {id}")
        return self.tokens[id]

    def _earn(self, who: Address, amount: int) -> None:
        self.earnings[who] = u256(self.earnings.get(who, u256(0)) + amount)

    def _count(self, who: Address, change: int) -> None:
        self.owned[who] = u256(self.owned.get(who, u256(0)) + change)

    @gl.public.write
    def mint(self, uri: str) -> int:
        artist = gl.message.sender_address
        self.tokens.append(Token(artist, artist, uri, u256(0)))
        self._count(artist, 1)
        return len(self.tokens) - 1

    @gl.public.write
    def offer(self, id: int, price: int) -> None:
        token = self._token(id)
        if token.owner != gl.message.sender_address:
            raise PermissionError("not yours")
        token.price = u256(price)

    @gl.public.write.payable
    def buy(self, id: int) -> None:
        token = self._token(id)
        if token.price == 0:
            raise gl.vm.UserError("not for sale")
        if gl.message.value != token.price:
            raise gl.vm.UserError(f"the price is {token.price}")
        royalty = token.price * self.royalty_bps // 10_000 if token.owner != token.artist else 0
        self._earn(token.artist, royalty)
        self._earn(token.owner, token.price - royalty)
        self._count(token.owner, -1)
        token.owner = gl.message.sender_address
        token.price = u256(0)
        self._count(token.owner, 1)

    @gl.public.write
    def withdraw(self) -> int:
        who = gl.message.sender_address
        amount = self.earnings.get(who, u256(0))
        if not amount:
            raise gl.vm.UserError("nothing earned")
        self.earnings[who] = u256(0)
        gl.get_contract_at(who).emit_transfer(value=amount)
        return amount

    @gl.public.view
    def owner_of(self, id: int) -> Address:
        return self._token(id).owner

    @gl.public.view
    def balance_of(self, who: Address) -> int:
        return self.owned.get(who, u256(0))
