"""A network with executors of a pool, and validators with models of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain import accounts, calldata_of_call
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.types import (
    Model,
    NetworkOptions,
    NetworkTransaction,
    NodeReceipt,
    RoundLabel,
    RoundResult,
    Submission,
    TxKind,
    TxStatus,
    VirtualValidator,
    VoteWord,
)
from pygenvm.localnet.errors import BadValue
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.localnet.modules import modules_of_author
from pygenvm.localnet.modules.validators import ValidatorModels, mocks_of_config
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")

ALICE = accounts.named()["alice"]
URL = "https://api.example.com/price"
LOOP = b"""# v0.2.16
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Loop(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def spin(self) -> None:
        while True:
            pass

    @gl.public.write
    def stop(self) -> int:
        print("stopping")
        return 1
"""
JUDGE = b"""# v0.2.16
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Judge(gl.Contract):
    said: str

    def __init__(self):
        self.said = ""

    @gl.public.write
    def ask(self) -> str:
        def answer():
            return gl.nondet.exec_prompt("Say a colour, please")

        self.said = gl.eq_principle.prompt_comparative(answer, principle="the same colour")
        return self.said
"""


@pytest.fixture(scope="module")
def models() -> ValidatorModels:
    return ValidatorModels()


@pytest.fixture(scope="module")
def pool(models: ValidatorModels, built_runners: Any) -> Iterator[Executor]:
    with modules_of_author(validators=models) as options, many_runs(options, idle=5) as executor:
        yield executor


@contextmanager
def _opened(folder: Path, pool: Executor, models: ValidatorModels, **options: Any) -> Iterator[Network]:
    chosen = {"finality_window": 60.0, "durable": False, **options}
    yield Network(folder / "net.db", executor=pool, models=models, options=NetworkOptions(**chosen))


async def _deploy(network: Network, code: bytes, *args: Any) -> Address:
    data = calldata_of_call(None, list(args))
    id = await network.submit(Submission(TxKind.DEPLOY, ALICE, code=code, calldata=data))
    transaction = await network.wait(id, timeout=60)
    assert _led(transaction).succeeded, (_led(transaction).outcome, _led(transaction).stderr.text())
    return transaction.recipient


def _led(transaction: NetworkTransaction) -> NodeReceipt:
    """What the leader has found."""
    assert transaction.leader is not None
    return transaction.leader


async def _call(network: Network, contract: Address, method: str, *args: Any, **more: Any) -> NetworkTransaction:
    data = calldata_of_call(method, list(args))
    id = await network.submit(Submission(TxKind.CALL, ALICE, contract, calldata=data, **more))
    return await network.wait(id, timeout=60)


def _price(price: int) -> dict[str, Any]:
    page = {"method": "GET", "status": 200, "body": f'{{"price": {price}}}'}
    return {"mock_web_response": {"nondet_web_request": {URL: page}}}


def test_storage_is_written_read_and_decoded(tmp_path: Path, pool: Executor, models: ValidatorModels) -> None:
    async def main(network: Network) -> None:
        async with network:
            contract = await _deploy(network, (EXAMPLES / "storage.py").read_bytes(), "hello")
            transaction = await _call(network, contract, "update_storage", "bye")
            assert transaction.status is TxStatus.ACCEPTED
            assert list(transaction.rounds[0].votes.values()) == [VoteWord.AGREE] * 5
            assert (await network.read(contract, calldata_of_call("get_storage"))).value == "bye"
            assert "update_storage" in (await network.schema(contract))["methods"]
            assert (await network.state(contract)).fields is not None
            assert (await network.schema_of_code(LOOP))["methods"].keys() == {"spin", "stop"}

    with _opened(tmp_path, pool, models) as network:
        asyncio.run(main(network))


def test_a_contract_that_loops_holds_up_nobody_else(tmp_path: Path, pool: Executor, models: ValidatorModels) -> None:
    async def main(network: Network) -> None:
        async with network:
            loop = await _deploy(network, LOOP)
            other = await _deploy(network, (EXAMPLES / "storage.py").read_bytes(), "hello")
            spinning = asyncio.create_task(_call(network, loop, "spin"))
            started = time.monotonic()
            assert (await _call(network, other, "update_storage", "bye")).status is TxStatus.ACCEPTED
            assert not spinning.done()
            assert time.monotonic() - started < 4
            assert (await spinning).status is TxStatus.LEADER_TIMEOUT
            transaction = await _call(network, loop, "stop")
            assert _led(transaction).outcome == Return(calldata.encode(1))
            trace = await network.trace(transaction.id, 0)
            assert trace is not None
            assert [node.stdout for node in trace.nodes] == ["stopping\n"] * 5
            assert all("executor" in node.log for node in trace.nodes)

    with _opened(tmp_path, pool, models, timeout=4.0) as network:
        asyncio.run(main(network))


def test_each_validator_asks_its_own_mocks(tmp_path: Path, pool: Executor, models: ValidatorModels) -> None:
    async def main(network: Network) -> None:
        async with network:
            contract = await _deploy(network, (EXAMPLES / "price_oracle.py").read_bytes(), URL)
            virtual = tuple(VirtualValidator(plugin_config=_price(price)) for price in (42, 42, 42, 42, 13))
            split = await _call(network, contract, "update", virtual=virtual)
            assert split.status is TxStatus.ACCEPTED
            assert _led(split).outcome == Return(calldata.encode(4200))
            last = split.rounds[-1]
            assert list(last.votes.values()).count(VoteWord.AGREE) == 4
            if len(split.rounds) == 1:
                (odd,) = [node for node in last.validators if node.vote is not VoteWord.AGREE]
                assert odd.vote is VoteWord.DISAGREE
                assert "nondet block 0" in odd.reason
            own = [await network.create_validator(1, Model("p", "m", {}, "x", _price(price))) for price in (1, 2, 3)]
            for validator in await network.validators():
                if validator not in own:
                    await network.delete_validator(validator.address)
            nobody = await _call(network, contract, "update")
            assert nobody.status is TxStatus.UNDETERMINED
            assert nobody.rounds[0].result is RoundResult.MAJORITY_DISAGREE
            assert nobody.rounds[-1].label is RoundLabel.UNDETERMINED

    with _opened(tmp_path, pool, models) as network:
        asyncio.run(main(network))


def test_mocks_of_prompts_and_principles(tmp_path: Path, pool: Executor, models: ValidatorModels) -> None:
    async def main(network: Network) -> None:
        async with network:
            contract = await _deploy(network, JUDGE)
            said = {"response": {"a colour": "red"}, "eq_principle_prompt_comparative": {"the same colour": True}}
            virtual = (VirtualValidator(plugin_config={"mock_response": said}),) * 3
            agreed = await _call(network, contract, "ask", virtual=virtual)
            assert _led(agreed).outcome == Return(calldata.encode("red"))
            assert list(agreed.rounds[0].votes.values()) == [VoteWord.AGREE] * 3
            # What is installed is for everybody.
            assert await network.install_mocks({"a colour": "blue", "EqComparative": True}, {}, strict=True) == (2, 0)
            installed = await _call(network, contract, "ask")
            assert _led(installed).outcome == Return(calldata.encode("blue"))
            assert installed.status is TxStatus.ACCEPTED
            await network.install_mocks({}, {})
            with pytest.raises(BadValue):
                await network.install_mocks({}, {"x": {"file": "/etc/passwd"}})
            with pytest.raises(BadValue):
                await network.install_mocks({"(": 1}, {})

    with _opened(tmp_path, pool, models) as network:
        asyncio.run(main(network))


@pytest.mark.parametrize("config", [{"mock_response": 5}, {"mock_response": {"response": ["x"]}}])
def test_mocks_of_another_form_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        mocks_of_config(config)


def test_the_models_of_the_service_are_known() -> None:
    models = ValidatorModels()
    with modules_of_author(validators=models):
        known = {(model.provider, model.model): there for model, there, _ in models.known()}
    assert known["default", "default"]
    assert ("openai", "gpt-4o") in known
    described = Model("mine", "small", {}, "openai-compatible", {"api_url": "http://127.0.0.1:1"})
    assert models.available(described) == (True, True)
    assert models.available(Model("nobody", "x")) == (False, False)
