"""The fixtures. Everything else is imported when one of them is used: pytest loads this module in every project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pygenvm.localnet.net import LocalNet
    from pygenvm.pytest_plugin.addresses import DirectAddress
    from pygenvm.pytest_plugin.contract import DirectContract
    from pygenvm.pytest_plugin.direct import DirectVM


@pytest.fixture
def direct_vm(request: pytest.FixtureRequest) -> Iterator[DirectVM]:
    """Cheat codes over a new local network (:class:`pytest_plugin.direct.DirectVM`)."""
    from pygenvm.pytest_plugin.direct import DirectVM
    from pygenvm.pytest_plugin.times import time_of

    marker = request.node.get_closest_marker("genvm_time")
    start = time_of(str(marker.args[0])) if marker else None
    vm = DirectVM(test_folder=request.path.parent, start=start)
    with vm.activate():
        yield vm
    vm._close()


@pytest.fixture
def direct_deploy(direct_vm: DirectVM) -> Callable[..., DirectContract]:
    """``direct_deploy(path, *args, **kwargs)`` deploys a file or folder; arguments go to ``__init__``."""
    return direct_vm.deploy


@pytest.fixture
def local_net(direct_vm: DirectVM) -> LocalNet:
    """The local network of this test with its whole typed interface (:class:`localnet.net.LocalNet`)."""
    return direct_vm.net


@pytest.fixture(scope="session")
def direct_accounts() -> list[DirectAddress]:
    """Ten accounts without a name of their own."""
    from pygenvm.pytest_plugin.addresses import create_test_addresses

    return create_test_addresses()


@pytest.fixture(scope="session")
def direct_alice() -> DirectAddress:
    """An account."""
    return _account("alice")


@pytest.fixture(scope="session")
def direct_bob() -> DirectAddress:
    """Another account."""
    return _account("bob")


@pytest.fixture(scope="session")
def direct_charlie() -> DirectAddress:
    """A third account."""
    return _account("charlie")


@pytest.fixture(scope="session")
def direct_owner() -> DirectAddress:
    """The account that sends everything until a test says otherwise."""
    from pygenvm.pytest_plugin.addresses import OWNER

    return _account(OWNER)


def _account(name: str) -> DirectAddress:
    from pygenvm.pytest_plugin.addresses import create_address

    return create_address(name)
