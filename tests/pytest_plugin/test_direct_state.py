"""Time, snapshots, records and where contracts are found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pygenvm.pytest_plugin import DirectContract, DirectVM, create_address
from tests.pytest_plugin.contracts import ASKING, ECHO, RECORDS

# --- time ---------------------------------------------------------------------------------------------


def test_warp(direct_vm: DirectVM) -> None:
    assert direct_vm.now == datetime(2026, 1, 1, tzinfo=UTC)
    direct_vm.warp("2026-05-01T10:00:00Z")
    assert direct_vm.now == datetime(2026, 5, 1, 10, tzinfo=UTC)
    direct_vm.warp(timedelta(hours=1))
    direct_vm.warp(timedelta(days=-1))
    assert direct_vm.now == datetime(2026, 4, 30, 11, tzinfo=UTC)
    direct_vm.warp(datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert direct_vm.now == datetime(2026, 6, 1, 10, tzinfo=UTC)
    direct_vm.warp(datetime(2026, 6, 1, 12))
    direct_vm.warp("2026-06-01")
    assert direct_vm.now == datetime(2026, 6, 1, tzinfo=UTC)
    direct_vm.warp("now")
    assert abs(datetime.now(UTC) - direct_vm.now) < timedelta(minutes=5)
    with pytest.raises(ValueError, match="tomorrow"):
        direct_vm.warp("tomorrow")
    with pytest.raises(TypeError, match="a time is a datetime, a timedelta or text, not a int"):
        direct_vm.warp(5)  # type: ignore[arg-type]


@pytest.mark.genvm_time("now")
def test_a_test_may_start_now(direct_vm: DirectVM) -> None:
    assert abs(datetime.now(UTC) - direct_vm.now) < timedelta(minutes=5)


@pytest.mark.genvm_time("2027-02-03T04:05:06")
def test_a_test_may_start_at_any_time(direct_vm: DirectVM) -> None:
    assert direct_vm.now == datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)


# --- snapshots ----------------------------------------------------------------------------------------


def test_a_snapshot_brings_back_everything_that_was_set(direct_vm: DirectVM) -> None:
    asking = direct_vm.deploy_code(ASKING)
    direct_vm.mock_llm("question", "before")
    direct_vm.sender, direct_vm.value = "alice", 0
    direct_vm.start_prank("bob")
    asking.text("question")
    number = direct_vm.snapshot()

    direct_vm.mock_llm("question", "after")
    direct_vm.mock_web("example", "x")
    direct_vm.warp(timedelta(days=1))
    direct_vm.stop_prank()
    direct_vm.sender, direct_vm.origin, direct_vm.value = "charlie", "owner", 7
    direct_vm.deal("charlie", 5)
    direct_vm.clear_validators()

    for _ in range(2):
        direct_vm.revert(number)
        assert direct_vm.now == datetime(2026, 1, 1, tzinfo=UTC)
        assert (direct_vm.sender, direct_vm.value) == (create_address("bob"), 0)
        assert direct_vm.origin == direct_vm.sender
        assert direct_vm.balance("charlie") == 10**24
        assert direct_vm.run_validator()
        assert asking.text("question") == "before"
        direct_vm.stop_prank()
        assert direct_vm.sender == create_address("alice")
        direct_vm.clear_mocks()


def test_numbers_of_snapshots_are_never_used_again(direct_vm: DirectVM) -> None:
    first, second = direct_vm.snapshot(), direct_vm.snapshot()
    direct_vm.revert(first)
    with pytest.raises(ValueError, match=f"^Snapshot {second} not found$"):
        direct_vm.revert(second)
    assert direct_vm.snapshot() not in (first, second)
    with pytest.raises(ValueError, match="Snapshot 999 not found"):
        direct_vm.revert(999)


# --- records ------------------------------------------------------------------------------------------


@pytest.fixture
def records(direct_vm: DirectVM) -> DirectContract:
    contract = direct_vm.deploy_code(RECORDS)
    contract.add("a")
    return contract


def test_records_have_attributes_and_keys(records: DirectContract, direct_owner: Any) -> None:
    for item in (records.items[0], records.by_name["a"], records.by_name.a):
        assert item.title == item["title"] == "a"
        assert item.owner == direct_owner
        assert item.inner.name == "inner of a"
        assert item.inner["items"] == [1, 2]
        assert dict(item.inner.items())["name"] == "inner of a"
    with pytest.raises(AttributeError, match="there is no 'tittle' in it, only title, owner, inner"):
        _ = records.items[0].tittle
    with pytest.raises(AttributeError, match="'title' cannot be assigned"):
        records.items[0].title = "b"
    assert copy.deepcopy(records.items[0]) == records.items[0]
    assert {"title", "keys"} <= set(dir(records.items[0]))


def test_results_are_records_too(records: DirectContract, direct_owner: Any) -> None:
    first = records.first()
    assert first == {"title": "a", "owner": direct_owner, "more": [{"name": "inner of a"}]}
    assert (first.owner, first.more[0].name) == (direct_owner, "inner of a")


def test_fields_are_read_anew_only_after_something_was_written(direct_vm: DirectVM, records: DirectContract) -> None:
    assert [len(records.items), len(records.by_name)] == [1, 1]
    before = direct_vm.snapshot()
    direct_vm.net.call(records.address, "add", ["b"])
    assert len(records.items) == 2
    records.add("c")
    assert len(records.items) == 3
    direct_vm.revert(before)
    assert len(records.items) == 1


# --- contracts ----------------------------------------------------------------------------------------


def test_contracts_are_looked_for_where_projects_have_them(
    direct_deploy: Callable[..., DirectContract], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"echo.py": tmp_path, "one.py": tmp_path / "contracts", "two.py": tmp_path / "intelligent-contracts"}
    for name, folder in places.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(ECHO)
        assert direct_deploy(name, create_address("x"), sdk_version="v0.2.12").who == create_address("x")
    assert direct_deploy(Path("contracts/one.py"), create_address("x")).balance == 0
    with pytest.raises(FileNotFoundError, match="Contract not found"):
        direct_deploy("three.py")


def test_files_side_by_side_are_a_contract(direct_deploy: Callable[..., DirectContract], tmp_path: Path) -> None:
    (tmp_path / "runner.json").write_text(
        '{ "Depends": "py-genlayer-multi:06zyvrlivjga0d5jlpdbprksc0pa6jmllxvp8s20hq1l512vh5yk" }'
    )
    (tmp_path / "version").write_text("v0.2.16")
    (tmp_path / "words.py").write_text("GREETING = 'hello'\n")
    (tmp_path / "__init__.py").write_text(
        """
from genlayer import *
from .words import GREETING
class C(gl.Contract):
    word: str
    def __init__(self):
        self.word = GREETING
"""
    )
    assert direct_deploy(tmp_path).word == "hello"


# --- what the other tool has --------------------------------------------------------------------------


def test_private_names_of_the_other_tool(direct_vm: DirectVM) -> None:
    vm: Any = direct_vm
    vm._sender, vm._origin, vm._value = "alice", "bob", 5
    assert (vm.sender, vm.origin, vm.value) == (create_address("alice"), create_address("bob"), 5)
    assert (vm._sender, vm._origin, vm._value) == (vm.sender, vm.origin, vm.value)
    vm._datetime = "2026-02-01T00:00:00Z"
    assert vm._datetime == vm.now == datetime(2026, 2, 1, tzinfo=UTC)
    for name, advice in [
        ("_balances", r"direct_vm\.deal\(account, amount\)"),
        ("_storage", r"contract\.field"),
        ("_captured_validators", "run_validator"),
        ("_web_mocks", "mock_web"),
        ("_chain_id", "local network"),
    ]:
        with pytest.raises(AttributeError, match=advice):
            getattr(vm, name)
        with pytest.raises(AttributeError, match=advice):
            setattr(vm, name, None)
    with pytest.raises(AttributeError, match="no attribute '_whatever'"):
        vm._whatever = 1
    with pytest.raises(AttributeError, match="no attribute 'wrap'"):
        vm.wrap("2026-01-01")
