"""essay_judge.py: a language model decides, and validators allow for its moods."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def judge(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "essay_judge.py", "honey")


def test_the_best_essay_wins(
    direct_vm: DirectVM, judge: DirectContract, direct_alice: Address, direct_bob: Address
) -> None:
    direct_vm.mock_llm("Bees make it", {"score": 8, "reason": "short and true"})
    direct_vm.mock_llm("-----\nHoney", {"score": 3, "reason": "vague"})
    assert judge.best() is None
    with direct_vm.prank(direct_alice):
        assert judge.submit("Bees make it.") == 8
    with direct_vm.prank(direct_bob):
        assert judge.submit("Honey is what it is.") == 3
    assert judge.best() == {"author": direct_alice, "score": 8, "reason": "short and true"}


def test_validators_tolerate_a_point(direct_vm: DirectVM, judge: DirectContract) -> None:
    direct_vm.mock_llm("Grade an essay", {"score": 7, "reason": "good"})
    judge.submit("Bees.")
    for score, agrees in [(6, True), (8, True), (9, False)]:
        direct_vm.mock_llm("Grade an essay", {"score": score, "reason": "another one"})
        assert direct_vm.run_validator() is agrees, score


def test_a_leader_that_invents_a_score_is_found_out(direct_vm: DirectVM, judge: DirectContract) -> None:
    direct_vm.mock_llm("Grade an essay", {"score": 2, "reason": "weak"})
    judge.submit("Bees.")
    assert not direct_vm.run_validator(leader_result={"score": 10, "reason": "trust me"})
    assert not direct_vm.run_validator(leader_error="the model gave no score")


def test_an_answer_without_a_score_reverts(direct_vm: DirectVM, judge: DirectContract) -> None:
    direct_vm.mock_llm("Grade an essay", '{"score": "eleven"}')
    with direct_vm.expect_revert("no score"):
        judge.submit("Bees.")
