"""Runner ids (spec executor/07 "Ids")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner.ids import RunnerId, on_chain_id
from tests.support.properties import examples


@pytest.mark.parametrize(
    ("text", "name", "hash_"),
    [
        ("cpython:1bk9g3zg", "cpython", "1bk9g3zg"),
        ("py-lib_X9:a=b-c_D", "py-lib_X9", "a=b-c_D"),
        ("py-genlayer:test", "py-genlayer", "test"),
    ],
)
def test_grammar(text: str, name: str, hash_: str) -> None:
    runner = RunnerId.parse(text)
    assert (runner.name, runner.hash) == (name, hash_)
    assert str(runner) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "a", "a:", ":b", "a:b:c", "a=b:c", "a/b:c", "..:c", "a:b/c", "a: b", "a:b\n", "é:b", "a:é", "٣:b"),
        *("<contract>", "<contract>:a", "on_chain:0x" + "00" * 20),
    ],
)
def test_anything_else_is_no_runner_id(text: str) -> None:
    with pytest.raises(InvalidContract) as error:
        RunnerId.parse(text)
    assert error.value.error.message == "invalid_contract"
    assert error.value.error.cause


def test_id_of_a_contract_is_lower_case_hex() -> None:
    assert on_chain_id(bytes(19) + b"\xab") == "on_chain:0x00000000000000000000000000000000000000ab"


@given(st.text(max_size=40))
@examples(200)
def test_parse_never_raises_anything_else(text: str) -> None:
    try:
        runner = RunnerId.parse(text)
    except InvalidContract:
        return
    assert str(runner) == text
