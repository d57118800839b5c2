"""Calls of every example contract, and the services that they ask.

host = example_host("counter.py")
args, steps = EXAMPLE_RUNS["counter.py"]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pygenvm.executor.module_protocol.codec import GET_STATS, Ok
from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.contract_file import read_contract
from tests.support.execution import LATE
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost
from tests.support.module_server import Call, Reply
from tests.support.paths import EXAMPLES

OTHER = Address(bytes([7]) * 20)
TOKEN = Address(bytes([0x70]) * 20)
#: Where the factory's first child lives: the example of spec executor/09, salt 1 and chain 0.
CHILD = Address("0xf539Cb83f077Cd01BDd1a4E002866dCC0D15D633")
BALANCE_OF = bytes.fromhex("70a08231") + CONTRACT.as_bytes.rjust(32, b"\0")


@dataclass(frozen=True)
class Step:
    """One call; ``ends`` is the kind of its outcome. ``blocks``: as the leader first, then as a validator of it."""

    method: str
    args: tuple[Any, ...] = ()
    ends: type = Return
    blocks: bool = False
    sender: Address = SENDER
    value: int = 0
    datetime: str = LATE


def source(name: str) -> bytes:
    return read_contract(EXAMPLES / name)


#: Contract, arguments of its constructor, and the calls after it.
EXAMPLE_RUNS: dict[str, tuple[tuple[Any, ...], tuple[Step, ...]]] = {
    "allowance_token.py": (
        ("ALW", 100),
        (
            Step("approve", (OTHER, 10)),
            Step("transfer_from", (SENDER, OTHER, 4), sender=OTHER),
            Step("transfer_from", (SENDER, OTHER, 7), UserError, sender=OTHER),
            Step("balance_of", (OTHER,)),
        ),
    ),
    "auction.py": (
        ("2026-11-01T00:00:00+00:00", "2026-11-30T00:00:00+00:00"),
        (
            Step("offer", value=5),
            Step("offer", value=9, sender=OTHER),
            Step("collect", ends=UserError),
            Step("collect", datetime="2026-12-01T00:00:00Z"),
        ),
    ),
    "counter.py": ((5,), (Step("add", (7,)), Step("multiply", (3,)), Step("get"))),
    "escrow.py": (
        (OTHER, TOKEN, 100),
        (Step("pay", ends=UserError, value=99), Step("pay", value=100), Step("release"), Step("get")),
    ),
    "essay_judge.py": (("honey",), (Step("submit", ("Bees make it.",), blocks=True), Step("best"))),
    "evm_vault.py": (
        (TOKEN,),
        (Step("tokens"), Step("send_tokens", (OTHER, 20)), Step("send_tokens", (OTHER, 501), UserError)),
    ),
    "factory.py": (
        (source("storage.py"),),
        (Step("create", ("mine",)), Step("rewrite", ("yours",)), Step("read", (SENDER,)), Step("child_of", (SENDER,))),
    ),
    "failures.py": (
        (),
        (
            Step("user_error", ends=UserError),
            Step("user_error_immediate", ends=UserError),
            Step("exit_with", (3,), VMError),
            Step("python_error", ends=VMError),
            Step("overspend", ends=VMError),
        ),
    ),
    "faq.py": ((), (Step("add", ("Why?", "Because.")), Step("ask", ("Why?",)), Step("count"))),
    "formula.py": ((), (Step("describe", ("twice as much",), blocks=True), Step("compute", (21,)))),
    "journal.py": ((), (Step("write", ("bees", "sweet")), Step("signal", (7,)), Step("seal"))),
    "nested.py": ((), (Step("join", ("eve",)), Step("add_task", ("t", 3)), Step("finish_task", (0,)), Step("get"))),
    "price_oracle.py": (("https://prices.example/gen",), (Step("update", blocks=True), Step("get"))),
    "quiz": ((), (Step("question", (SENDER,)), Step("answer", ("42",)), Step("score", (SENDER,)))),
    "storage.py": (("hello",), (Step("update_storage", ("world",)), Step("get_storage"))),
    "token.py": ((100,), (Step("transfer", (OTHER, 5)), Step("transfer", (OTHER, 1000), UserError))),
    "upgradable.py": (
        (),
        (
            Step("upgrade", (source("storage.py"),), VMError, sender=OTHER),
            Step("increment"),
            Step("upgrade", (source("counter.py"),)),
            Step("get"),
        ),
    ),
    "user_map.py": ((), (Step("set_note", ("n",)), Step("get_all"), Step("remove_note"))),
    "voting.py": (
        ([SENDER, OTHER],),
        (Step("propose", ("more honey", 3)), Step("vote", (0, True)), Step("result", (0,))),
    ),
}


def example_host(name: str) -> InMemoryHost:
    """A node with the contract, before its constructor has run."""
    host = InMemoryHost(
        balances={CONTRACT: 1000}, eth_calls={(TOKEN, BALANCE_OF): (500).to_bytes(32, "big")}, calldata=b""
    )
    host.put_code(source(name))
    host.put_code(source("storage.py"), CHILD)
    return host


async def answers(call: Call) -> Reply:
    """Both services at once."""
    match call.request.name:
        case "Request":
            return Ok({"response": {"status": 200, "headers": {}, "body": b'{"price": 12.34}'}})
        case "Prompt" if call.request.payload["payload"]["response_format"] == "json":
            return Ok({"data": {"score": 7, "reason": "short and true"}, "consumed_gen": 3})
        case "Prompt":
            return Ok({"data": "result = 2 * x", "consumed_gen": 2})
    assert call.request.name == GET_STATS
    return Ok(None)
