"""The fixtures. Everything else is imported when one of them is used: pytest loads this module in every project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pygenvm.executor.primitives.address import Address
    from pygenvm.localnet.net import LocalNet
    from pygenvm.pytest_plugin.contract import DirectContract
    from pygenvm.pytest_plugin.direct import Clock, DirectVM
    from pygenvm.pytest_plugin.mocks import Mocks
    from pygenvm.pytest_plugin.workbench import Workbench


@pytest.fixture(scope="session")
def genvm_workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """What all tests share. The runners are built first if they are not there yet, which takes minutes."""
    from pygenvm.pytest_plugin.workbench import open_workbench
    from pygenvm.runners.registry import ensure_built

    ensure_built(progress=False)
    with open_workbench(tmp_path_factory.mktemp("genvm")) as workbench:
        yield workbench


@pytest.fixture
def genvm_clock() -> Clock:
    """The time of this test."""
    from pygenvm.pytest_plugin.direct import Clock

    return Clock()


@pytest.fixture
def genvm_mocks(genvm_workbench: Workbench, tmp_path: Path) -> Iterator[Mocks]:
    """The mocks of this test, as ``direct_vm.mock_web`` and ``mock_llm`` fill them."""
    with genvm_workbench.mocks(str(tmp_path)) as mocks:
        yield mocks


@pytest.fixture
def local_net(genvm_workbench: Workbench, genvm_mocks: Mocks, genvm_clock: Clock, tmp_path: Path) -> LocalNet:
    """A new local network with the whole typed interface (:class:`localnet.net.LocalNet`)."""
    from pygenvm.localnet.net import LocalNet

    return LocalNet(
        tmp_path / "local.db",
        executor=genvm_workbench.executor,
        clock=genvm_clock,
        node_address=str(tmp_path),
        eth_call=genvm_mocks.eth_call,
    )


@pytest.fixture
def direct_vm(
    local_net: LocalNet,
    genvm_mocks: Mocks,
    genvm_clock: Clock,
    genvm_workbench: Workbench,
    direct_owner: Address,
    request: pytest.FixtureRequest,
) -> Iterator[DirectVM]:
    """Cheat codes over ``local_net`` (:class:`pytest_plugin.direct.DirectVM`)."""
    from pygenvm.pytest_plugin.direct import DirectVM

    vm = DirectVM(local_net, genvm_mocks, genvm_clock, genvm_workbench, direct_owner, request.path.parent)
    yield vm
    unused = genvm_mocks.unused() if vm.strict_mocks else []
    if unused:
        pytest.fail(f"mocks that nothing asked for: {', '.join(map(repr, unused))}")


@pytest.fixture
def direct_deploy(direct_vm: DirectVM) -> Callable[..., DirectContract]:
    """``direct_deploy(path, *args, **kwargs)`` deploys a file or folder; arguments go to ``__init__``."""
    return direct_vm.deploy


@pytest.fixture(scope="session")
def direct_accounts() -> list[Address]:
    """Ten accounts with the same balance each: alice, bob and charlie, six more, and the owner."""
    from pygenvm.localnet.chain import accounts

    return list(accounts.named().values())


@pytest.fixture(scope="session")
def direct_alice(direct_accounts: list[Any]) -> Address:
    """An account."""
    return _account(direct_accounts, 0)


@pytest.fixture(scope="session")
def direct_bob(direct_accounts: list[Any]) -> Address:
    """Another account."""
    return _account(direct_accounts, 1)


@pytest.fixture(scope="session")
def direct_charlie(direct_accounts: list[Any]) -> Address:
    """A third account."""
    return _account(direct_accounts, 2)


@pytest.fixture(scope="session")
def direct_owner(direct_accounts: list[Any]) -> Address:
    """The account that sends everything until a test says otherwise."""
    return _account(direct_accounts, -1)


def _account(accounts: list[Any], index: int) -> Address:
    account: Address = accounts[index]
    return account
