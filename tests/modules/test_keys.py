"""Keys of configurations that nobody reads are told of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pygenvm.executor.config import parse_yaml
from pygenvm.modules.cli.serving import default_file
from pygenvm.modules.keys import unknown_keys, unknown_keys_in

SERVICES = ["llm", "web", "webdriver"]
#: The beginning of a key that is commented out, in a sample.
COMMENTED = re.compile(r"^( *)# (?=[a-z_]+: )", re.MULTILINE)


@pytest.mark.parametrize("service", SERVICES)
def test_all_keys_of_the_samples_are_known(service: str) -> None:
    assert list(unknown_keys(service, parse_yaml(default_file(service).read_bytes()))) == []


def test_keys_that_are_commented_out_are_known() -> None:
    text, count = COMMENTED.subn(r"\1", default_file("llm").read_text())
    assert count > 8
    assert list(unknown_keys("llm", parse_yaml(text.encode()))) == []


@pytest.mark.parametrize(
    ("service", "text", "said"),
    [
        ("web", "always_allow_host: []", "x.yaml:1: always_allow_host: there is no such key, it is ignored\n"
         "  did you mean always_allow_hosts?"),
        ("web", "\nwebdriver: {que: 1}", "x.yaml:2: webdriver.que: there is no such key, it is ignored\n"
         "  did you mean queue?"),
        ("webdriver", "zzz: 1", "x.yaml:1: zzz: there is no such key, it is ignored\n"
         "  --print-config shows every key with its meaning"),
        ("llm", "budget:\n  per_day: 1", "x.yaml:2: budget.per_day: there is no such key, it is ignored\n"
         "  did you mean day?"),
        ("llm", "backends:\n  b:\n    models:\n      m: {price: {inputt: 2}}",
         "x.yaml:4: backends.b.models.m.price.inputt: there is no such key, it is ignored\n  did you mean input?"),
    ],
)  # fmt: skip
def test_unknown_keys(service: str, text: str, said: str) -> None:
    document = parse_yaml(text.encode())
    assert [str(warning) for warning in unknown_keys_in(Path("x.yaml"), text, service, document)] == [said]


def test_what_scripts_and_operators_name_is_free() -> None:
    document = {
        "backends": {"any name": {"models": {"any model": {"meta": {"anything": 1}}}}},
        "signer_headers": {"a": "b"},
    }
    assert list(unknown_keys("llm", document)) == []


def test_wrong_types_are_for_their_readers() -> None:
    assert list(unknown_keys("llm", {"backends": [5], "budget": 7, "prompt_templates": None})) == []
