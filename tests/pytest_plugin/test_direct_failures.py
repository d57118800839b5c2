"""A contract that fails raises in the test what it raised in the sandbox."""

from __future__ import annotations

import re

import pytest

from pygenvm.executor.outcome import UserError, VMError
from pygenvm.localnet.errors import InsufficientBalance
from pygenvm.pytest_plugin import ContractReverted, DirectContract, DirectVM
from pygenvm.pytest_plugin.failures import ContractRollback
from tests.pytest_plugin.contracts import FAILING


@pytest.fixture
def failing(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy_code(FAILING)


def test_user_errors(failing: DirectContract) -> None:
    from genlayer import gl

    with pytest.raises(gl.vm.UserError, match="may not") as error:
        failing.fail("user")
    assert isinstance(error.value, ContractReverted)
    assert isinstance(error.value, ContractRollback)
    assert error.value.message == 'no, "you"\nmay not'
    assert error.value.args == (error.value.message,)
    assert str(error.value) == "UserError(message='no, \"you\"\\nmay not')"
    assert error.value.outcome == UserError(error.value.message)
    with pytest.raises(ContractRollback, match=r"at once'\)\Z") as rollback:
        failing.fail("immediate")
    assert isinstance(rollback.value, ContractReverted)
    place, source = rollback.value.details
    assert re.fullmatch(r"contract\.py:\d+", place)
    assert source == "    gl.advanced.user_error_immediate('at once')"


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("value", ValueError, "several\nlines"),
        ("key", KeyError, "'k'"),
        ("bare", LookupError, ""),
        ("assert", AssertionError, "count is wrong"),
        ("chained", RuntimeError, "because of it"),
        ("unicode", UnicodeDecodeError, "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("nondet", KeyError, "'missing'"),
    ],
)
def test_exceptions_of_python(failing: DirectContract, how: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        failing.fail(how)
    assert isinstance(error.value, ContractReverted)
    assert str(error.value) == text
    assert error.value.outcome == VMError("exit_code 1")
    assert error.value.message == "exit_code 1"
    assert error.value.details[0] == "VMError: exit_code 1"
    assert any(re.match(r"contract\.py:\d+, in ", line) for line in error.value.details)
    assert not any(text and text in line for line in error.value.details if not line.startswith((" ", "cause: ")))
    # They would be searched by `pytest.raises(match=…)`.
    assert not hasattr(error.value, "__notes__")


@pytest.mark.parametrize(("how", "text"), [("mine", "of my own"), ("exit", "exit_code 3")])
def test_other_ends(failing: DirectContract, how: str, text: str) -> None:
    with pytest.raises(Exception, match=text) as error:
        failing.fail(how)
    assert type(error.value) is ContractReverted
    assert str(error.value) == text


def test_constructors(direct_vm: DirectVM) -> None:
    with pytest.raises(ValueError, match="not like that"):
        direct_vm.deploy_code(FAILING, fail=True)
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 4 were given"):
        direct_vm.deploy_code(FAILING, 1, 2, 3)


def test_any_failure_is_a_revert(direct_vm: DirectVM, failing: DirectContract) -> None:
    for how in ("user", "value", "assert", "mine", "exit", "nondet"):
        with direct_vm.expect_revert() as result:
            failing.fail(how)
        assert isinstance(result.error, ContractReverted)
    with direct_vm.expect_revert('no, "you"\nmay not'):
        failing.fail("user")
    with direct_vm.expect_revert("Mine: of my own"):
        failing.fail("mine")
    with direct_vm.expect_revert("not calldata encodable"):
        failing.fail(0.5)
    with direct_vm.expect_revert("no public method"):
        failing.unknown()
    direct_vm.deal("poor", 1)
    direct_vm.value = 2
    with direct_vm.prank("poor"), direct_vm.expect_revert() as result:
        failing.count_up()
    assert isinstance(result.error, InsufficientBalance)


def test_reverts_that_do_not_come(direct_vm: DirectVM, failing: DirectContract) -> None:
    with pytest.raises(AssertionError, match=r"^Expected revert, but call succeeded$"), direct_vm.expect_revert():
        failing.count_up()
    with (
        pytest.raises(AssertionError, match=r"^Expected revert with message: x, but call succeeded$"),
        direct_vm.expect_revert("x"),
    ):
        failing.count_up()
    with (
        pytest.raises(AssertionError, match=r"^Expected revert with message 'no such', got 'of my own'$"),
        direct_vm.expect_revert("no such"),
    ):
        failing.fail("mine")


def test_an_assertion_of_the_test_is_no_revert(direct_vm: DirectVM, failing: DirectContract) -> None:
    with pytest.raises(AssertionError, match="of the test"), direct_vm.expect_revert():
        raise AssertionError("of the test")
    assert failing.count == 0


def test_the_code_in_a_traceback_says_nothing(direct_vm: DirectVM, failing: DirectContract) -> None:
    with direct_vm.expect_revert("RuntimeError: because of it") as result:
        failing.fail("chained")
    assert isinstance(result.error, ContractReverted)
    assert "1 // 0" in result.error.stderr
    assert not result.error.says("1 // 0")
    assert result.error.says("ZeroDivisionError")
