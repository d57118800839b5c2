"""quiz/: a contract of several files is deployed as a folder."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectVM
from tests.support.paths import EXAMPLES


def test_a_round(direct_vm: DirectVM, direct_alice: Address) -> None:
    quiz = direct_vm.deploy(EXAMPLES / "quiz")
    with direct_vm.prank(direct_alice):
        assert quiz.question(direct_alice) == "What is 6 times 7?"
        assert quiz.answer(" 42 ")
        assert quiz.question(direct_alice) == "Which planet is nearest to the sun?"
        assert not quiz.answer("Venus")
        with direct_vm.expect_revert("no more questions"):
            quiz.answer("Mercury")
    assert quiz.score(direct_alice) == 1


@pytest.mark.parametrize("name", ["answered", "points"])
def test_everybody_starts_with_the_first_question(direct_vm: DirectVM, direct_owner: Address, name: str) -> None:
    quiz = direct_vm.deploy(EXAMPLES / "quiz")
    quiz.answer("42")
    assert direct_vm.storage(quiz)[name] == {direct_owner: 1}
