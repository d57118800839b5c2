"""Versions and their limits by message datetime (spec executor/07 "Contract version")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.outcome import VMErrorRaised
from pygenvm.executor.runner.version import Limit, Version, check_version, version_limit
from tests.support.properties import examples


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
    limit = version_limit(seconds)
    assert (str(limit), limit.every_patch) == (version, False)
    check_version(limit.version, seconds)
    with pytest.raises(VMErrorRaised) as error:
        check_version(limit.version.with_patch(limit.version.patch + 1), seconds)
    assert error.value.error.message == "version_too_big"


@pytest.mark.parametrize("patch", [0, 16, 17, 18, 65535])
def test_every_v0_2_is_accepted_after_2025_10_10(patch: int) -> None:
    check_version(Version(0, 2, patch), 1760054400)
    with pytest.raises(VMErrorRaised):
        check_version(Version(0, 2, patch), 1760054399)


@pytest.mark.parametrize(
    ("version", "seconds", "cause"),
    [
        (
            Version(0, 3, 0),
            1760054400,
            "the contract asks for v0.3.0; for a message of 2025-10-10T00:00:00Z the highest version is v0.2.N",
        ),
        (
            Version(0, 2, 16),
            1732603362,
            "the contract asks for v0.2.16; for a message of 2024-11-26T06:42:42Z the highest version is v0.1.0",
        ),
        (
            Version(1, 0, 0),
            1 << 62,
            "the contract asks for v1.0.0; for a message of 4611686018427387904 seconds since 1970 the highest version"
            " is v0.2.N",
        ),
    ],
)
def test_the_cause_names_both_versions(version: Version, seconds: int, cause: str) -> None:
    with pytest.raises(VMErrorRaised) as error:
        check_version(version, seconds)
    assert error.value.error.cause == cause


def test_negative_times_are_far_future() -> None:
    assert version_limit(-1) == version_limit(1 << 62) == Limit(Version(0, 2, 16), every_patch=True)


@given(st.tuples(*[st.integers(0, 65535)] * 3), st.integers(-(2**62), 2**62))
@examples(100)
def test_check_is_the_comparison_with_the_limit(parts: tuple[int, int, int], seconds: int) -> None:
    version = Version.parse(str(Version(*parts)))
    try:
        check_version(version, seconds)
    except VMErrorRaised:
        assert version > version_limit(seconds).version
    else:
        assert version <= version_limit(seconds).version or version[:2] == (0, 2)
