"""Every example contract, recorded by the real command, run again, and tampered with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import GET_STATS, Ok
from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.record.reading import read_record
from pygenvm.executor.runner.contract_file import read_contract
from tests.support.execution import LATE, config_file, execute_process
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost
from tests.support.module_server import Call, Reply, serving_module
from tests.support.paths import EXAMPLES
from tests.support.records import objects, replayed, write

OTHER = Address(bytes([7]) * 20)
TOKEN = Address(bytes([0x70]) * 20)
#: Where the factory's first child lives: the example of spec executor/09, salt 1 and chain 0.
CHILD = Address("0xf539Cb83f077Cd01BDd1a4E002866dCC0D15D633")
BALANCE_OF = bytes.fromhex("70a08231") + CONTRACT.as_bytes.rjust(32, b"\0")
SAME = "requests, result and fingerprint are the same"


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
RUNS: dict[str, tuple[tuple[Any, ...], tuple[Step, ...]]] = {
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


def test_every_example_has_runs() -> None:
    """Calls that are there already stay as they are; a new contract gets some."""
    assert RUNS.keys() == {path.name for path in EXAMPLES.iterdir() if not path.name.startswith((".", "_"))}


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


@pytest.fixture(scope="module")
def config(built_runners: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving_module(answers) as server:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        yield config_file(tmp_path_factory.mktemp("examples"), built=True, modules=modules)


@dataclass
class Recorder:
    """Runs that share a host, each with a record of its own, each run again at once."""

    host: InMemoryHost
    config: Path
    folder: Path
    number: int = 0

    def run(self, call: Any, ends: type = Return, **message: Any) -> Path:
        self.number += 1
        path = self.folder / f"{self.number}.record"
        self.host.calldata = calldata.encode(call)
        self.host.requests.clear()
        run = execute_process(None, "--record", str(path), host=self.host, config=self.config, message=message)
        assert run.exit_code == 0, run.stderr.decode()
        assert isinstance(run.outcome, ends), (call, run.outcome, run.stderr.decode())
        verdict = replayed(path, self.config)
        assert verdict.same, (call, verdict)
        assert verdict.text == SAME
        assert verdict.exchanges >= len(self.host.requests)
        assert read_record(path).ended == "result"
        return path


@pytest.mark.parametrize("name", RUNS)
def test_examples_do_the_same_again(name: str, config: Path, tmp_path: Path) -> None:
    host = InMemoryHost(
        balances={CONTRACT: 1000}, eth_calls={(TOKEN, BALANCE_OF): (500).to_bytes(32, "big")}, calldata=b""
    )
    host.put_code(source(name))
    host.put_code(source("storage.py"), CHILD)
    recorder = Recorder(host, config, tmp_path)
    args, steps = RUNS[name]
    path = recorder.run({"args": args}, is_init=True)
    for step in steps:
        call = {"method": step.method, "args": step.args}
        message = {"sender": step.sender, "value": step.value, "datetime": step.datetime}
        path = recorder.run(call, step.ends, **message)
        if step.blocks:
            posted = [fields["result"] for fields in host.fields_of(HostMethod.POST_NONDET_RESULT)]
            assert posted
            host.leader_results = posted
            recorder.run(call, step.ends, **message)
            assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
            host.leader_results = [b"\x01the leader was wrong"] * len(posted)
            recorder.run(call, UserError, **message)
            assert host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == [{"call_no": 0}]
            host.leader_results = None
    _check_tampering(path, config)


def _check_tampering(path: Path, config: Path) -> None:
    """Another result than the recorded one, and another answer of the host: the place is told each time."""
    parts = objects(path)
    events = range(1, len(parts) - 1)
    result = next(at for at in events if parts[at][2] == "consume_result")
    calldata_ = next(at for at in events if parts[at][2] == "get_calldata")
    for at, changed in (
        (result, [*parts[result][:3], [_flipped(parts[result][3][0])], *parts[result][4:]]),
        (calldata_, [*parts[calldata_][:5], b"\xff" + parts[calldata_][5]]),
    ):
        tampered = path.with_suffix(".tampered")
        write(tampered, [*parts[:at], changed, *parts[at + 1 :]])
        verdict = replayed(tampered, config)
        assert not verdict.same
        assert re.match(r"main, event \d+: ", verdict.text), verdict


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])
