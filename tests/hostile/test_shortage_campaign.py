"""Some runs of `python -m tests.hostile.shortage_campaign`: many of these broke a rule once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.hostile_shortage import NOT_POSSIBLE, Machine

pytestmark = pytest.mark.slow

SEEDS = (4, 6, 10, 31, 37, 40, 59, 111, 131, 145, 159, 184, 192, 219, 232, 240, 266, 281, 289, 296)


@pytest.fixture(scope="module")
def short_machine(built_runners: object) -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_machine_lacks_is_never_another_result(short_machine: Machine, seed: int) -> None:
    end = short_machine.run(seed)
    if end.how.startswith(NOT_POSSIBLE):
        pytest.skip(end.how)
