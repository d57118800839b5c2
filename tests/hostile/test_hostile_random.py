"""Random requests of contracts and random answers of hosts, in this process and through the real command.

`python -m tests.hostile.campaign SECONDS` does the same for longer.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.hostile_random import blameless_run, lying_run, wild_run

SEEDS = st.integers(0, (1 << 64) - 1)


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_what_contracts_do_inside_their_memory_is_never_an_internal_error(seed: int) -> None:
    blameless_run(random.Random(seed))


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_wild_numbers_end_in_a_result(seed: int) -> None:
    wild_run(random.Random(seed))


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_for_lying_hosts_through_the_command(seed: int) -> None:
    lying_run(random.Random(seed))
