"""formula.py: code that a language model has written runs in a sandbox."""

from __future__ import annotations

import pytest

from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def formula(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "formula.py")


def test_generated_code_computes(direct_vm: DirectVM, formula: DirectContract) -> None:
    assert formula.compute(5) == 5
    direct_vm.mock_llm("What it computes: the square", "result = x ** 2\n")
    assert formula.describe("the square") == "result = x ** 2"
    assert formula.compute(12) == 144


def test_validators_compare_what_the_code_does(direct_vm: DirectVM, formula: DirectContract) -> None:
    direct_vm.mock_llm("the double", "result = x + x")
    formula.describe("the double")
    direct_vm.mock_llm("the double", "y = 2\nresult = y * x")
    assert direct_vm.run_validator()
    direct_vm.mock_llm("the double", "result = x ** 2")
    assert not direct_vm.run_validator()
    assert not direct_vm.run_validator(leader_result="result = 0")


@pytest.mark.parametrize("code", ["result = 0.5", "raise SystemExit(3)", "nonsense("])
def test_useless_code_is_refused(direct_vm: DirectVM, formula: DirectContract, code: str) -> None:
    direct_vm.mock_llm("What it computes", code)
    with direct_vm.expect_revert("does not work"):
        formula.describe("anything")


def test_code_in_the_sandbox_has_no_rights(direct_vm: DirectVM, formula: DirectContract) -> None:
    steal = (
        "from genlayer import *\n"
        "if x > 10:\n"
        "    gl.get_contract_at(gl.message.sender_address).emit_transfer(value=u256(1))\n"
        "result = x"
    )
    direct_vm.mock_llm("What it computes", steal)
    formula.describe("innocent")
    direct_vm.deal(formula, 5)
    assert formula.compute(10) == 10
    with direct_vm.expect_revert("the formula fails: exit_code 1"):
        direct_vm.call(formula, "compute", 11)
    assert formula.balance == 5
