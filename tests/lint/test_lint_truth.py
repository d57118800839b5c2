"""What the linter calls an error is one: the sandbox refuses these contracts, and takes those that are let pass."""

from __future__ import annotations

import pytest

from pygenvm.localnet import LocalNet
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.schema import NoSchema
from tests.lint.lint_cases import CASES

pytestmark = pytest.mark.usefixtures("built_runners")

#: Rules whose faults already show when the contract is loaded, or asked for its schema.
AT_ONCE = (
    *("GL201", "GL202", "GL203", "GL204", "GL207", "GL208"),
    *("GL301", "GL303", "GL304", "GL305", "GL306", "GL307", "GL308", "GL315"),
    *("GL403", "GL404", "GL405", "GL406", "GL407", "GL409", "GL410", "GL411"),
    *("GL703",),
)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> LocalNet:
    return LocalNet(tmp_path_factory.mktemp("lint") / "local.db", executor=ExecutorProcess())


@pytest.mark.parametrize("code", AT_ONCE)
def test_refused(net: LocalNet, code: str) -> None:
    with pytest.raises(NoSchema):
        net.schema_of_code(CASES[code][0].encode())


@pytest.mark.parametrize("code", [*AT_ONCE, "GL205", "GL302", "GL309", "GL310", "GL313"])
def test_taken(net: LocalNet, code: str) -> None:
    net.schema_of_code(CASES[code][1].encode())
