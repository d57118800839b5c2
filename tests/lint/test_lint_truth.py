"""What the linter calls an error is one: the sandbox refuses these contracts, and takes those that are let pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pygenvm.executor.outcome import Outcome, Return, UserError, VMError
from pygenvm.executor.primitives.calldata import encode
from pygenvm.localnet import LocalNet
from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.localnet.schema import NoSchema
from tests.lint.lint_cases import CASES, FOUND
from tests.lint.lint_support import contract

pytestmark = pytest.mark.usefixtures("built_runners")

#: Rules whose faults already show when the contract is loaded, or asked for its schema.
AT_ONCE = (
    *("GL201", "GL202", "GL203", "GL204", "GL207", "GL208"),
    *("GL301", "GL303", "GL304", "GL305", "GL306", "GL307", "GL308", "GL315"),
    *("GL319", "GL403", "GL404", "GL405", "GL406", "GL407", "GL409", "GL410", "GL411", "GL413"),
    *("GL703", "GL801"),
)
#: Rules whose faults show when a method is called: each of the bad contract fails, each of the good one does not.
WHEN_CALLED = (
    *("GL317", "GL318", "GL408", "GL412", "GL415", "GL416", "GL501", "GL504", "GL505", "GL602", "GL603"),
    *("GL705", "GL803", "GL804"),
)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNet]:
    with many_runs() as executor:
        yield LocalNet(tmp_path_factory.mktemp("lint") / "local.db", executor=executor)


@pytest.mark.parametrize("code", AT_ONCE)
def test_refused(net: LocalNet, code: str) -> None:
    with pytest.raises(NoSchema):
        net.schema_of_code(CASES[code][0].encode())


@pytest.mark.parametrize("name", [name for name in FOUND if name[:5] in AT_ONCE and "in memory" not in name])
def test_refused_too(net: LocalNet, name: str) -> None:
    with pytest.raises(NoSchema):
        net.schema_of_code(FOUND[name].encode())


@pytest.mark.parametrize("code", [*AT_ONCE, "GL205", "GL302", "GL309", "GL310", "GL313"])
def test_taken(net: LocalNet, code: str) -> None:
    net.schema_of_code(CASES[code][1].encode())


def outcomes(net: LocalNet, text: str) -> dict[str, type[Outcome]]:
    """How the methods of a contract end that need no arguments."""
    contract = net.deploy(text.encode()).receipt.transaction.contract
    schema = net.schema_of_code(text.encode())["methods"]
    found = {}
    for name, method in schema.items():
        if not method["params"] and not method["kwparams"]:
            receipt = net.view(contract, name) if method["readonly"] else net.call(contract, name).receipt
            assert receipt.outcome is not None
            found[name] = type(receipt.outcome)
    return found


@pytest.mark.parametrize("code", [*WHEN_CALLED, "GL308 in memory"])
def test_fails_when_it_is_called(net: LocalNet, code: str) -> None:
    text = FOUND[code] if code in FOUND else CASES[code][0]
    assert set(outcomes(net, text).values()) == {VMError}


@pytest.mark.parametrize("code", [code for code in WHEN_CALLED if code != "GL501"])  # which needs a language model
def test_does_not_fail_when_it_is_called(net: LocalNet, code: str) -> None:
    assert set(outcomes(net, CASES[code][1]).values()) <= {Return, UserError}


def test_changes_are_lost(net: LocalNet) -> None:
    """GL316, and that its fix is one."""
    text = contract(
        "a: TreeMap[str, DynArray[u8]]\nb: TreeMap[str, DynArray[u8]]\nc: TreeMap[str, DynArray[u8]]\n"
        "@gl.public.write\ndef f(self) -> None:\n    self.a.setdefault('k', []).append(u8(1))\n"
        "    x = self.b.get('k', [])\n    x.append(u8(1))\n    self.c.get_or_insert_default('k').append(u8(1))\n"
        "@gl.public.view\ndef g(self) -> list[int]: return [len(m.get('k', [])) for m in (self.a, self.b, self.c)]"
    )
    deployed = net.deploy(text.encode()).receipt.transaction.contract
    net.call(deployed, "f")
    assert net.view(deployed, "g").outcome == Return(encode([0, 0, 1]))
