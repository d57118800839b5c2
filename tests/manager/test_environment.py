"""Variables that clients set: bounded, and what is hidden of them does not grow with their number."""

from __future__ import annotations

import os

import pytest

from pygenvm.manager import limits
from pygenvm.manager.environment import Environment
from pygenvm.manager.errors import RequestError
from pygenvm.manager.log import ManagerLog
from pygenvm.modules.log import Secrets


def test_the_last_two_values_are_hidden() -> None:
    variables: dict[str, str] = {}
    environment = Environment(secrets := Secrets(), variables)
    for number in range(1000):
        environment.set("KEY", f"secret-{number:04}")
        environment.set("KEY", f"secret-{number:04}")
    assert variables == {"KEY": "secret-0999"}
    assert secrets.mask("secret-0997 secret-0998 secret-0999") == "secret-0997 *** ***"


def test_a_value_of_two_names_stays_hidden() -> None:
    environment = Environment(secrets := Secrets(["the token of all"]), {})
    environment.set("A", "the token of all")
    for value in ("", "x", ""):
        environment.set("A", value)
    assert secrets.mask("the token of all") == "***"


def test_names_are_bounded_in_number() -> None:
    environment = Environment(Secrets(), {})
    for number in range(limits.VARIABLES_MAX):
        environment.set(f"KEY{number}", "")
    with pytest.raises(RequestError, match="invalid env var key: 128 others"):
        environment.set("ANOTHER", "")
    environment.set("KEY5", "x")


def test_a_refused_value_changes_nothing() -> None:
    variables = {"KEY": "before"}
    with pytest.raises(RequestError, match="invalid env var value"):
        Environment(Secrets(), variables).set("KEY", "x" * (limits.VARIABLES_BYTES + 1))
    assert variables == {"KEY": "before"}


def test_no_part_of_a_secret_is_shown_where_a_text_is_cut() -> None:
    records: list[dict[str, object]] = []
    with open(os.devnull, "wb") as nowhere:
        log = ManagerLog(fd=nowhere.fileno())
        log.observe(records.append)
        log.secrets.add("0123456789abcdef")
        log.info("said", text="x" * 490 + "0123456789abcdef")
    assert "01234567" not in str(records)
