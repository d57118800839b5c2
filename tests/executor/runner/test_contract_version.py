"""Versions and their limits by message datetime (spec executor/07 "Contract version")."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygenvm.executor.outcome import VMErrorRaised
from pygenvm.executor.runner.version import Version, check_version, highest_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v0.1.0", (0, 1, 0)),
        ("0.1.10", (0, 1, 10)),
        (" \t v65535.65535.65535 \r\n", (65535, 65535, 65535)),
        ("\u3000v1.2.3\u00a0", (1, 2, 3)),
        ("v0.0.0", (0, 0, 0)),
        ("v000000.0000001.0000000010", (0, 1, 10)),
    ],
)
def test_parse(text: str, version: tuple[int, int, int]) -> None:
    assert Version.parse(text) == version


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "v1", "v1.2", "v1.2.3.4", "1..2", "vv1.2.3", "v 1.2.3", "V1.2.3", "v1.2.65536", "v1.2.000065536"),
        *("v1.2.3-rc1", "v1.2.+3", "v1.2.-3", "v1.2.٣", "v1. 2.3", "\x1cv1.2.3", "v1.2.3\0", "v1.2." + "9" * 5000),
    ],
)
def test_not_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        Version.parse(text)


def test_versions_compare_as_number_triples() -> None:
    assert Version.parse("v0.1.10") > Version.parse("v0.1.9") > (0, 1, 5)
    assert str(Version(0, 1, 10)) == "v0.1.10"


@pytest.mark.parametrize(
    ("seconds", "version"),
    [
        (0, "v0.1.0"),
        (1722502799, "v0.1.0"),
        (1722502800, "v0.1.0"),
        (1732603362, "v0.1.0"),  # the default datetime
        (1751360399, "v0.1.0"),
        (1751360400, "v0.1.3"),
        (1752148618, "v0.1.3"),
        (1752148619, "v0.1.10"),
        (1752148620, "v0.1.10"),
        (1760054399, "v0.1.10"),
    ],
)
def test_table_of_the_spec(seconds: int, version: str) -> None:
    highest = highest_version(seconds)
    assert str(highest) == version
    check_version(highest, seconds)
    with pytest.raises(VMErrorRaised) as error:
        check_version(highest._replace(patch=highest.patch + 1), seconds)
    assert error.value.error.message == "version_too_big"


def test_todays_headers_are_accepted_after_2025_10_10() -> None:
    check_version(Version(0, 2, 0), 1760054400)


def test_negative_times_are_far_future() -> None:
    assert highest_version(-1) == highest_version(1 << 62)
    assert highest_version(-1) > highest_version(0)


@given(st.tuples(*[st.integers(0, 65535)] * 3), st.integers(-(2**62), 2**62))
@settings(max_examples=100, deadline=None)
def test_check_is_the_comparison_with_the_limit(parts: tuple[int, int, int], seconds: int) -> None:
    version = Version.parse(str(Version(*parts)))
    try:
        check_version(version, seconds)
    except VMErrorRaised:
        assert version > highest_version(seconds)
    else:
        assert version <= highest_version(seconds)
