"""Random requests of contracts and random answers of hosts, in this process and through the real command.

`python -m tests.hostile.campaign SECONDS` does the same for longer.
"""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import campaign
from tests.hostile.hostile_random import RUNS, blameless_run, greedy_run, lying_run, wild_run
from tests.hostile.hostile_runs import EXECUTOR_BYTES
from tests.support.properties import examples
from tests.support.quick import few

SEEDS = st.integers(0, (1 << 64) - 1)


@given(SEEDS)
@examples(150)
def test_what_contracts_do_inside_their_memory_is_never_an_internal_error(seed: int) -> None:
    blameless_run(random.Random(seed))


@given(SEEDS)
@examples(100)
def test_wild_numbers_end_in_a_result(seed: int) -> None:
    wild_run(random.Random(seed))


@pytest.mark.parametrize("seed", few(range(30), *range(10)))
def test_random_programs_for_lying_hosts_through_the_command(seed: int) -> None:
    lying_run(random.Random(seed))


@pytest.mark.parametrize("seed", few([0, 2, 7, 14, 17, 19], 0))
def test_random_contracts_that_want_memory_through_the_command(seed: int) -> None:
    greedy_run(random.Random(seed))


@pytest.mark.parametrize(("most", "status", "failures"), [(EXECUTOR_BYTES, 0, 0), (1 << 20, 1, 1)])
def test_the_campaign_bounds_the_memory_of_executors(
    most: int,
    status: int,
    failures: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(campaign, "RUNS", {"greedy": RUNS["greedy"]})
    monkeypatch.setattr(campaign, "EXECUTOR_BYTES", most)
    assert campaign.main(0.01, 4) == status
    *_, peak, total = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"peak resident memory of an executor: \d+ of {most >> 20} MiB \(greedy, seed 4 0\)", peak)
    assert total == f"1 runs, {failures} failures"
