"""Value is conserved, and nothing is lost or done twice, whatever comes in whatever order; also when killed."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.errors import Refused
from pygenvm.localnet.chain.network.types import NetworkOptions, Submission, TxKind, TxStatus, Variant
from tests.localnet.localnet_fakes import FakeExecutor
from tests.localnet.network.conftest import ALICE, BOB, CAROL, PROGRAM, Clock, Driver, World, program, run
from tests.localnet.network.killing import kill
from tests.support.properties import examples

ACCOUNTS = (ALICE, BOB, CAROL)
CONTRACTS = 3

_contracts = st.integers(0, CONTRACTS - 1)
_values = st.integers(0, 50)
_on = st.sampled_from(["accepted", "finalized"])
_leaf = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 5)),
    st.tuples(st.just("copy"), _contracts),
    st.tuples(st.just("pay"), st.integers(0, CONTRACTS + 1), _values, _on),
    st.tuples(st.just("send"), st.integers(0, CONTRACTS + 1), _values),
    st.tuples(st.just("deploy"), _values),
    st.just(("fail",)),
    st.just(("ask",)),
)
_steps = st.lists(
    st.one_of(
        _leaf,
        st.tuples(st.just("post"), _contracts, st.lists(_leaf, max_size=2), _values, _on),
    ),
    max_size=4,
)
_actions = st.one_of(
    st.tuples(st.just("call"), st.integers(0, 2), _contracts, _values, _steps),
    st.tuples(st.just("transfer"), st.integers(0, 2), st.integers(0, CONTRACTS + 1), _values),
    st.tuples(st.just("appeal"), st.integers(0, 20)),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("again"), st.integers(0, 3)),
    st.tuples(st.just("triggering"), _contracts, _contracts, st.integers(1, 9)),
    st.tuples(st.just("finalize"), st.integers(0, 20)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.integers(1, 30)),
    st.tuples(st.just("sees"), st.integers(0, 6), st.integers(40, 43)),
    st.tuples(st.just("broken"), st.integers(0, 6), st.sampled_from(["timeout", "odd", ""])),
    st.just(("snapshot",)),
    st.just(("restore",)),
    st.just(("restart",)),
    st.just(("settle",)),
    st.tuples(st.just("fund"), st.integers(0, CONTRACTS + 1), _values),
)


class Play:
    """Actions on a network with three contracts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.clock = Clock()
        self.contracts: list[Address] = []
        self.driver: Driver

    async def open(self) -> None:
        executor = FakeExecutor({PROGRAM: program(self.world)})
        self.errors: list[str] = []
        options = NetworkOptions(finality_window=20.0, durable=False, settle=False, validators=7)
        network = Network(
            self.folder / "net.db", executor=executor, options=options, clock=self.clock, on_error=self.errors.append
        )
        await network.start()
        self.driver = Driver(network, self.world, executor)

    def party(self, number: int) -> Address:
        return [*self.contracts, BOB, Address(b"\x77" * 20)][number]

    def steps(self, steps: Any) -> list[Any]:
        found = []
        for step in steps:
            match step:
                case ("copy", n):
                    found.append(["copy", self.contracts[n]])
                case ("pay", n, value, on):
                    found.append(["pay", self.party(n), value, on])
                case ("send", n, value):
                    found.append(["send", self.party(n), value])
                case ("deploy", value):
                    found.append(["deploy", value, 0])
                case ("post", n, inner, value, on):
                    found.append(["post", self.contracts[n], self.steps(inner), value, on])
                case _:
                    found.append(list(step))
        return found

    async def act(self, action: Any) -> None:
        network = self.driver.network
        recent = await network.recent(30)
        match action:
            case ("call", sender, n, value, steps):
                await self.driver.submit(
                    TxKind.CALL,
                    self.contracts[n],
                    *self.steps(steps),
                    sender=ACCOUNTS[sender],
                    value=value,
                    validators=3,
                )
            case ("triggering", n, other, value):
                message = ["post", self.contracts[other], [["add", 1]], value, "accepted"]
                await self.driver.submit(TxKind.CALL, self.contracts[n], message, value=value)
                await self.driver.settle()
            case ("transfer", sender, n, value):
                await network.submit(Submission(TxKind.TRANSFER, ACCOUNTS[sender], self.party(n), value=value))
            case ("appeal", n):
                await network.appeal(recent[n % len(recent)].id)
            case ("finalize", n):
                await network.finalize(recent[n % len(recent)].id)
            case ("cancel", n):
                await network.cancel(recent[n % len(recent)].id)
            case ("again", n):
                await network.set_status(recent[n % len(recent)].id, TxStatus.PENDING)
            case ("pass", seconds):
                self.clock.pass_(seconds)
                await network.increase_time(0)
            case ("sees", n, what):
                self.world.sees[str((await network.validators())[n].address)] = what
            case ("broken", n, what):
                self.world.broken[str((await network.validators())[n].address)] = what
            case ("snapshot",):
                await network.create_snapshot()
            case ("restore",):
                await network.restore_snapshot(len(await network.snapshots()))
            case ("restart",):
                await network.close()
                await self.open()
            case ("settle",):
                await self.driver.settle()
            case ("fund", n, value):
                await network.fund(self.party(n), value)

    async def play(self, actions: list[Any]) -> None:
        await self.open()
        self.contracts = [await self.driver.deploy(value=100) for _ in range(CONTRACTS)]
        for action in actions:
            with contextlib.suppress(Refused):
                await self.act(action)
            await self.driver.network.check()
        await self.driver.settle()
        await self.driver.network.check()
        await self.end()

    async def end(self) -> None:
        """Lets everything become final; then no value is under way, and both states are the same."""
        network = self.driver.network
        for _ in range(100):
            await self.driver.settle()
            await network.increase_time(30)
            await asyncio.sleep(0.02)
            open_ = [tx for tx in await network.recent(10_000) if not _is_over(tx.status)]
            if not open_:
                break
        assert not open_, [(tx.status, tx.kind, tx.appeals) for tx in open_]
        held = await network.ask(
            lambda store: store._all("SELECT id, escrow FROM network_transactions WHERE escrow <> '0'")
        )
        assert held == []
        await network.check()
        for info in await network.contracts():
            assert await self.driver.get(info.address) == await self.driver.get(info.address, Variant.FINALIZED)
        assert not self.errors, self.errors
        await network.close()


def _is_over(status: TxStatus) -> bool:
    return status in (TxStatus.FINALIZED, TxStatus.CANCELED)


@examples(25, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(_actions, max_size=25))
def test_value_is_conserved(actions: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(Play(Path(folder)).play(actions))


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    assert "acknowledged" in kill(3, tmp_path / "net.db")
