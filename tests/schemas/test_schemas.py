"""The JSON files agree with the specification, and what is generated from them is up to date."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from pygenvm import schemas
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, ReplyKind
from pygenvm.executor.primitives import abi
from pygenvm.schemas import generate
from tests.support.paths import ROOT


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_check_sees_a_stale_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    abi_file = Path("executor", "primitives", "abi.py")
    (tmp_path / "executor" / "host_protocol").mkdir(parents=True)
    (tmp_path / "executor" / "primitives").mkdir()
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert not (tmp_path / abi_file).exists()
    assert generate.main([]) == 0
    assert (tmp_path / abi_file).read_text() == (ROOT / abi_file).read_text()
    (tmp_path / abi_file).write_text("")
    assert generate.main(["--check"]) == 1


def test_public_abi_values() -> None:
    assert [(code.name, code.value) for code in abi.ResultCode] == [
        ("RETURN", 0),
        ("USER_ERROR", 1),
        ("VM_ERROR", 2),
        ("INTERNAL_ERROR", 3),
    ]
    assert [mode.value for mode in abi.StorageType] == [0, 1, 2]
    assert [kind.value for kind in abi.EntryKind] == [0, 1, 2]
    assert {charge.name: charge.value for charge in abi.MemoryLimiterConsts} == {
        "TABLE_ENTRY": 64,
        "FILE_MAPPING": 256,
        "FD_ALLOCATION": 96,
    }
    assert [str(method) for method in abi.SpecialMethod] == ["#get-schema", "#error"]
    assert [str(error) for error in abi.VmError] == [
        "timeout",
        "exit_code",
        "validator_disagrees",
        "version_too_big",
        "OOM",
        "invalid_contract",
    ]
    assert [errno.name for errno in abi.GlErrno] == [
        "SUCCESS",
        "OVERFLOW",
        "INVAL",
        "FAULT",
        "ILSEQ",
        "IO",
        "FORBIDDEN",
        "INBALANCE",
    ]
    assert {errno.name.lower(): errno.value for errno in abi.WasiErrno} == {
        "success": 0, "acces": 2, "badf": 8, "fault": 21, "ilseq": 25, "inval": 28, "isdir": 31, "noent": 44,
        "notsup": 58, "overflow": 61, "rofs": 69, "spipe": 70,
    }  # fmt: skip
    assert (abi.EVENT_MAX_TOPICS, abi.ABSENT_VERSION, abi.CODE_SLOT_OFFSET) == (4, "v0.1.0", 1)


@pytest.mark.parametrize(
    ("offset", "slot"),
    [
        (abi.INSTANCE_SLOT_OFFSET, abi.INSTANCE_SLOT),
        (abi.CODE_SLOT_OFFSET, abi.CODE_SLOT),
        (abi.LOCKED_SLOTS_SLOT_OFFSET, abi.LOCKED_SLOTS_SLOT),
        (abi.UPGRADERS_SLOT_OFFSET, abi.UPGRADERS_SLOT),
    ],
)
def test_slots_are_children_of_the_root(offset: int, slot: bytes) -> None:
    assert bytes(32) == abi.ROOT_SLOT
    assert hashlib.sha3_256(abi.ROOT_SLOT + offset.to_bytes(4, "little")).digest() == slot


def test_method_table_is_indexed_by_id_and_complete() -> None:
    assert [layout.method for layout in METHODS] == list(abi.HostMethod)
    assert [int(method) for method in abi.HostMethod] == list(range(15))
    assert [(code.name.lower(), int(code)) for code in abi.HostErrorCode] == [
        ("ok", 0),
        ("absent", 1),
        ("forbidden", 2),
        ("i_am_leader", 3),
        ("out_of_storage_gas", 4),
    ]


@pytest.mark.parametrize(
    ("method", "request_kinds", "reply_kind", "reply_kinds"),
    [
        ("GET_CALLDATA", "", "status", "slice"),
        ("STORAGE_READ", "storage_type addr slot u32 u32", "status", "raw"),
        ("STORAGE_WRITE", "slot u32 slice", "status", ""),
        ("CONSUME_RESULT", "slice", "ack", ""),
        ("GET_LEADER_NONDET_RESULT", "u32", "status", "slice"),
        ("POST_NONDET_RESULT", "u32 slice", "status", ""),
        ("POST_MESSAGE", "addr slice json_slice", "status", ""),
        ("POST_EVENT", "topics slice", "status", ""),
        ("CONSUME_FUEL", "u64", "none", ""),
        ("DEPLOY_CONTRACT", "slice slice json_slice", "status", ""),
        ("ETH_CALL", "addr slice", "status", "slice"),
        ("ETH_SEND", "addr slice json_slice", "status", ""),
        ("GET_BALANCE", "addr", "status", "u256le"),
        ("REMAINING_FUEL_AS_GEN", "", "status", "u64"),
        ("NOTIFY_NONDET_DISAGREEMENT", "u32", "none", ""),
    ],
)
def test_method_layout(method: str, request_kinds: str, reply_kind: str, reply_kinds: str) -> None:
    layout = METHODS[abi.HostMethod[method]]
    assert [field.kind for field in layout.request] == [FieldKind(kind) for kind in request_kinds.split()]
    assert layout.reply_kind == ReplyKind(reply_kind)
    assert [field.kind for field in layout.reply] == [FieldKind(kind) for kind in reply_kinds.split()]
    assert layout.answers == ((abi.HostErrorCode.I_AM_LEADER,) if method == "GET_LEADER_NONDET_RESULT" else ())
    names = {field.name for field in layout.request}
    assert all((field.length_field in names) == (field.kind is FieldKind.RAW) for field in layout.reply)


def test_version_table() -> None:
    table = schemas.load("versions")
    rows = table["rows"]
    assert table["first_version"] == "v0.1.0"
    assert [(row["from_seconds"], row["version"]) for row in rows[:3]] == [
        (1722502800, "v0.1.0"),
        (1751360400, "v0.1.3"),
        (1752148619, "v0.1.10"),
    ]
    assert [int(datetime.fromisoformat(row["from"]).timestamp()) for row in rows] == [r["from_seconds"] for r in rows]
    assert [row["from_seconds"] for row in rows] == sorted({row["from_seconds"] for row in rows})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (rows[-1]["from"], rows[-1]["version"]) == ("2025-10-10T00:00:00Z", f"v{project['version']}")


def test_runner_aliases() -> None:
    aliases: dict[str, dict[str, str]] = schemas.load("runner-aliases")
    assert {name: len(hashes) for name, hashes in aliases.items()} == {
        "cpython": 2,
        "models-all-MiniLM-L6-v2": 2,
        "py-genlayer": 4,
        "py-genlayer-multi": 4,
        "py-lib-cloudpickle": 2,
        "py-lib-genlayer-embeddings": 2,
        "py-lib-genlayer-std": 4,
        "py-lib-protobuf": 1,
        "py-lib-word_piece_tokenizer": 2,
        "softfloat": 2,
    }
    hashes = [value for row in aliases.values() for value in row]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("[0123456789abcdfghijklmnpqrsvwxyz]{52}", value) for value in hashes)
    assert list(aliases["py-genlayer"])[-1] == "1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6"


def test_json_schemas_name_every_key() -> None:
    message = schemas.load("message.schema")
    assert set(message["properties"]) == {
        "contract_address", "sender_address", "origin_address", "chain_id", "value", "is_init", "datetime",
    }  # fmt: skip
    assert set(message["required"]) == set(message["properties"]) - {"value", "datetime"}
    actions = schemas.load("runner.schema")["$defs"]["action"]["properties"]
    assert set(actions) == {
        "MapFile", "MapDerived", "AddEnv", "SetArgs", "Depends", "With", "LinkWasm", "StartWasm", "When",
        "WhenMentions", "Seq",
    }  # fmt: skip
