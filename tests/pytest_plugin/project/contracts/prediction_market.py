# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Bets on a question that the web answers and a language model reads."""

import json
from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Bet:
    owner: Address
    outcome: str
    amount: u256
    claimed: bool


class PredictionMarket(gl.Contract):
    question: str
    source: str
    resolution: str
    bets: TreeMap[str, Bet]
    pools: TreeMap[str, u256]

    def __init__(self, question: str, source: str):
        self.question = question
        self.source = source
        self.resolution = ""

    @gl.public.write.payable
    def bet(self, outcome: str) -> None:
        if self.resolution:
            raise gl.vm.UserError("EXPECTED: the market is closed")
        if outcome not in ("yes", "no"):
            raise gl.vm.UserError("EXPECTED: bet on yes or no")
        if gl.message.value == 0:
            raise gl.vm.UserError("EXPECTED: nothing was bet")
        key = gl.message.sender_address.as_hex
        if key in self.bets:
            raise gl.vm.UserError("EXPECTED: one bet each")
        self.bets[key] = Bet(gl.message.sender_address, outcome, gl.message.value, False)
        self.pools[outcome] = u256(self.pools.get(outcome, u256(0)) + gl.message.value)

    @gl.public.write
    def resolve(self) -> str:
        if self.resolution:
            raise gl.vm.UserError("EXPECTED: the market is closed")
        source, question = self.source, self.question

        def leader() -> dict:
            response = gl.nondet.web.get(source)
            if response.status >= 500:
                raise gl.vm.UserError(f"TRANSIENT: {source} answers {response.status}")
            if response.status != 200:
                raise gl.vm.UserError(f"EXTERNAL: {source} answers {response.status}")
            page = (response.body or b"").decode("utf-8", "replace")
            answer = gl.nondet.exec_prompt(f"Question: {question}\nPage: {page}", response_format="json")
            if not isinstance(answer, dict):
                raise gl.vm.UserError("LLM: no JSON object")
            outcome = str(answer.get("outcome", "")).lower()
            if outcome not in ("yes", "no", "open"):
                raise gl.vm.UserError(f"LLM: no outcome: {json.dumps(answer, sort_keys=True)}")
            return {"outcome": outcome, "why": str(answer.get("why", ""))}

        def validator(result: gl.vm.Result) -> bool:
            if not isinstance(result, gl.vm.Return):
                try:
                    leader()
                except gl.vm.UserError as error:
                    own, theirs = error.message, result.message
                    return own == theirs if theirs.startswith("EXTERNAL") else own.startswith("TRANSIENT")
                return False
            return leader()["outcome"] == result.calldata["outcome"]

        outcome = gl.vm.run_nondet_unsafe(leader, validator)["outcome"]
        if outcome == "open":
            return outcome
        self.resolution = outcome
        return outcome

    @gl.public.write
    def claim(self) -> int:
        bet = self.bets.get(gl.message.sender_address.as_hex)
        if bet is None or bet.outcome != self.resolution:
            raise gl.vm.UserError("EXPECTED: nothing to claim")
        if bet.claimed:
            raise gl.vm.UserError("EXPECTED: already claimed")
        bet.claimed = True
        total = sum(pool for _, pool in self.pools.items())
        share = total * bet.amount // self.pools[bet.outcome]
        gl.get_contract_at(bet.owner).emit_transfer(value=u256(share))
        return share

    @gl.public.view
    def odds(self) -> str:
        return json.dumps({outcome: str(pool) for outcome, pool in self.pools.items()}, sort_keys=True)
