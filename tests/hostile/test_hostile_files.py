"""Everything that strangers give us to read: the reader says what is wrong by its own exception, or takes it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.hostile_files import READERS, file_run
from tests.support.properties import examples


@pytest.mark.parametrize("name", READERS)
def test_samples_can_be_read(name: str) -> None:
    reader = READERS[name]
    for sample in reader.samples():
        reader.read(sample)
        if reader.load is not None and reader.dump is not None:
            reader.read(reader.dump(reader.load(sample)))


@pytest.mark.parametrize("name", READERS)
@examples(100)
@given(seed=st.integers(0, (1 << 64) - 1))
def test_bent_ones_are_refused_in_words(name: str, seed: int) -> None:
    file_run(READERS[name], random.Random(seed))
