"""What strangers give us to read, bent at random: every reader says what is wrong by its own exception.

A :class:`Reader` has samples of what it reads. One run bends a sample, as bytes or in its structure, and reads it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import yaml
from rich.console import Console

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import ConfigError, load_config
from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol.codec import (
    ProtocolViolation,
    ReplyDecoder,
    Request,
    RequestDecoder,
    encode_reply,
    encode_request,
)
from pygenvm.executor.host_protocol.methods import METHODS, ReplyKind
from pygenvm.executor.host_protocol.result import decode_leader_result, decode_result
from pygenvm.executor.message import Message
from pygenvm.executor.module_protocol import codec as modules
from pygenvm.executor.outcome import Return, UserError, VMErrorRaised
from pygenvm.executor.pool.frames import FrameDecoder, FrameError, Job, Ready, Refused, Signal, encode_frame
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.record.format import RecordError
from pygenvm.executor.record.reading import read_record
from pygenvm.executor.record.recorder import Recorder
from pygenvm.executor.replay.compare import first_difference
from pygenvm.executor.replay.player import Player
from pygenvm.executor.run.parts import parse_host_data
from pygenvm.executor.run.process import StartError
from pygenvm.executor.runner.contract import contract_version, parse_contract
from pygenvm.executor.runner.registry import InstalledRunners, RegistryError
from pygenvm.executor.runner.runner_json import parse_runner_json
from pygenvm.executor.runner.ustar import read_tar
from pygenvm.localnet import documents, values
from pygenvm.localnet.chain.model import (
    BalanceChange,
    ContractInfo,
    Event,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Status,
    Transaction,
)
from pygenvm.localnet.chain.store import Changes, Store
from pygenvm.localnet.errors import BadRequest, DatabaseError
from pygenvm.localnet.render import Printer
from tests.support.archives import contract_zip, runner_tar
from tests.support.execution import config_file, message_json, wat
from tests.support.hosts import CONTRACT, SENDER

_SLOT = bytes([7]) * 32
_TOKENS = (
    *(b"", b"\0", b"\xff" * 4, b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\x1b[2J", b"\n", b'"', b"\\", b"{", b"["),
    *(b"!!bool ", b"!!timestamp ", b"!!binary ", b"? ", b"<<: ", b": ", b"- ", b"| "),
    *(b"9" * 5000, b"1:" * 40, b"-1", b"1e999", b"NaN", b"null", b"\\ud800", b"&a *a", b"[" * 600, b"\x90" * 600),
    *(b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xd7\xff12345678", b"\xcf" + b"\xff" * 8),
)  # fmt: skip
_INTERESTING: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 255, 1 << 31, 1 << 63, (1 << 64) - 1, 1.5, "", "a", "\x1b[2J\n", "\0", "é"),
    *("ok", "absent", "llm", "host", "latest", "0x", "$addr", "v0.0.0", "-1", "9" * 5000, [], {}, [[]], {"": None}),
    *(b"", b"\0", bytes(20), bytes(32), b"\xff" * 33, "Depends", "a" * 300),
)
_KEYS = [value for value in _INTERESTING if isinstance(value, str | int | float | bytes) or value is None]


@dataclass(frozen=True)
class Reader:
    """How to read one sort of thing, and what it says of a bad one."""

    samples: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    load: Callable[[bytes], Any] | None = None
    """Takes a sample apart; where it is not given, samples are only bent as bytes."""
    dump: Callable[[Any], bytes] | None = None


def file_run(reader: Reader, chance: random.Random) -> str:
    """Reads something bent; the name of the exception that it ended with, if it did."""
    refusal: Exception | None = None
    try:
        reader.read(_bent(reader, chance))
    except reader.refusals as error:
        refusal = error
    # What is wrong need not be as long as what was given.
    assert len(str(refusal)) < 1000, str(refusal)
    return "read" if refusal is None else type(refusal).__name__


def _bent(reader: Reader, chance: random.Random) -> bytes:
    data = chance.choice(reader.samples())
    if reader.load is not None and reader.dump is not None and chance.random() < 0.6:
        value = reader.load(data)
        for _ in range(chance.choice((1, 1, 2))):
            value = bent_value(value, chance)
        # What the format does not have, for example a map with bytes for keys in JSON.
        with contextlib.suppress(ValueError, TypeError, OverflowError, yaml.YAMLError):
            return reader.dump(value)
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = bent_bytes(data, chance)
    return data


def bent_bytes(data: bytes, chance: random.Random) -> bytes:
    """With one place changed."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 30)))
    match chance.randrange(7):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:]
        case 3:
            return data[:at] + chance.choice(_TOKENS) + data[at:]
        case 4:
            return data[:at] + chance.choice(_TOKENS) + data[end:]
        case 5:
            return data[:at] + chance.randbytes(end - at) + data[end:]
    return data[:at] + bytes(byte ^ 1 << chance.randrange(8) for byte in data[at:end]) + data[end:]


def bent_value(value: Any, chance: random.Random) -> Any:
    """With something inside it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        changed = dict(value)
        key = chance.choice(list(changed))
        match chance.randrange(6):
            case 0:
                del changed[key]
            case 1:
                changed[chance.choice(_KEYS)] = chance.choice(_INTERESTING)
            case _:
                changed[key] = bent_value(changed[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        match chance.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[: at + 1] + value[at:]
            case 2:
                return [*value[:at], chance.choice(_INTERESTING), *value[at:]]
        return [*value[:at], bent_value(value[at], chance), *value[at + 1 :]]
    if isinstance(value, bytes | str) and value and chance.random() < 0.4:
        return value[:-1] if chance.random() < 0.5 else value * 2
    if type(value) is int and chance.random() < 0.4:
        return value + chance.choice((-1, 1, 1 << 32))
    return chance.choice(_INTERESTING)


# --- samples --------------------------------------------------------------------------------------


@functools.cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="hostile-files-")
    _FOLDERS.append(folder)
    return Path(folder.name)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _in_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def write(data: bytes) -> object:
        path = _folder() / "given"
        path.write_bytes(data)
        return read(path)

    return write


@functools.cache
def _config() -> list[bytes]:
    return [config_file(_folder()).read_bytes(), b"threads: 1\nblocking_threads: 0x1\nlog_disable: ''\nx: 2001-12-14\n"]


@functools.cache
def _record() -> list[bytes]:
    """Every kind of event."""
    path = _folder() / "record"
    recorder = Recorder(path)
    recorder.started(RunArguments(message=message_json(), host="", host_data="{}"))
    requests: list[tuple[HostMethod, list[Any], Any]] = [
        (HostMethod.STORAGE_READ, [StorageType.DEFAULT, CONTRACT, _SLOT, 0, 3], b"abc"),
        (HostMethod.GET_CALLDATA, [], b"\6"),
        (HostMethod.GET_BALANCE, [SENDER], 1 << 255),
        (HostMethod.POST_EVENT, [[_SLOT, _SLOT], b"\6"], None),
        (HostMethod.POST_MESSAGE, [SENDER, b"\6", b"{}"], None),
        (HostMethod.REMAINING_FUEL_AS_GEN, [], 5),
        (HostMethod.CONSUME_FUEL, [5], None),
        (HostMethod.CONSUME_RESULT, [b"\0\0"], None),
    ]
    for method, fields, value in requests:
        request = encode_request(method, *fields)
        recorder.host_requested(method, request)
        recorder.host_replied(method, request, HostErrorCode.OK, value, 0, 0)
    asked, answer = modules.encode_request(modules.Request("Prompt", {"a": 1})), modules.encode_answer(modules.Ok(1))
    recorder.module_answered("llm", "Prompt", asked, answer, None, 0, 0)
    recorder.module_answered("web", "Render", asked, None, "no", 0, 0)
    recorder.note("runtime", 5)
    recorder.note("runner", "a:b", "a:c")
    recorder.note("validator")
    recorder.ended("result")
    return [path.read_bytes()]


def _read_record(path: Path) -> object:
    record = read_record(path)
    (_folder() / "sample").write_bytes(_record()[0])
    first_difference(read_record(_folder() / "sample"), record)
    return Player(record).verdict()


def _objects(data: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    return list(unpacker)


@functools.cache
def _database() -> list[bytes]:
    path = _folder() / "local.db"
    call = Transaction(Kind.CALL, SENDER, SENDER, CONTRACT, 0, calldata.encode({"method": "f", "args": [1]}), name="c")
    receipt = Receipt(
        call,
        Status.OK,
        Return(b"\x10"),
        bytes(32),
        "2026-01-01T00:00:00Z",
        events=(Event((_SLOT,), calldata.encode({"a": 1})),),
        messages=(
            Posted(PostedKind.MESSAGE, SENDER, 0, b"\6", "accepted"),
            Posted(PostedKind.DEPLOY, SENDER, 0, b"\6", "finalized", b"#", 5),
            Posted(PostedKind.ETH_SEND, SENDER, 0, b"\6"),
        ),
        balances=(BalanceChange(SENDER, 0, 0),),
        nondet_results=(b"\0\0",),
        slots_written=1,
    )  # fmt: skip
    changes = Changes(receipt, contract=ContractInfo(CONTRACT, "c", 0, True), queue=[call])
    changes.pages[CONTRACT.as_bytes, _SLOT, 0] = b"page"
    with contextlib.closing(Store(path)) as store:
        store.commit([changes])
        store.record_failure(replaced(receipt, status=Status.FAILED, outcome=UserError("no")))
    return [path.read_bytes()]


def _read_database(path: Path) -> object:
    with contextlib.closing(Store(path)) as store:
        infos, receipts = store.contracts(), store.log(20)
        names = documents.contract_names(infos)
        printer = Printer(Console(file=io.StringIO()), Console(file=io.StringIO()), names)
        printer.accounts(store.accounts())
        printer.log(receipts)
        documents.log_document(receipts, names)
        store.failed_deployment(), store.queued(20), store.total_value(), store.transaction_count()
        for info in infos:
            for slot, last in store.slots(info.address, 10):
                store.pages(info.address, slot, 0, last)
        return infos


@functools.cache
def _columns() -> list[tuple[str, str, Any]]:
    """Each column of each table with a value that it has."""
    columns: list[tuple[str, str, Any]] = []
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(_database()[0])
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            rows = connection.execute(f"SELECT * FROM {table}")
            row = rows.fetchone()
            columns += [(table, column[0], value) for column, value in zip(rows.description, row, strict=True)]
    return columns


def _cells() -> list[bytes]:
    """Numbers of columns, and values."""
    return [_packed([number, value]) for number, (*_, value) in enumerate(_columns())]


def _read_cell(data: bytes) -> object:
    """A database with one column changed."""
    path = _folder() / "spoiled.db"
    path.write_bytes(_database()[0])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            number, value = msgpack.unpackb(data)
            table, column, _ = _columns()[number % len(_columns())]
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        except (sqlite3.Error, ValueError, TypeError, OverflowError):
            return None
        connection.commit()
    return _read_database(path)


def _in_registry(name: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        folder = _folder() / f"registry-{name}"
        folder.mkdir(exist_ok=True)
        for other in ("all.json", "latest.json"):
            (folder / other).write_text("{}")
        (folder / name).write_bytes(data)
        return list(InstalledRunners(folder, folder, debug=True).runners())

    return read


_ACTIONS = {
    "Seq": [
        {"With": {"runner": "a:b", "action": {"MapFile": {"to": "/a", "file": "b/"}}}},
        {"When": {"cond": "det", "action": {"AddEnv": {"name": "a", "val": "b${a}"}}}},
        {"SetArgs": ["a"]},
        {"Depends": "a:b"},
        {"LinkWasm": "a.wasm"},
        {"MapDerived": {"to": "/a", "file": "b", "by": "a:b"}},
        {"WhenMentions": {"file": "b/", "names": ["a"], "action": {"Depends": "a:b"}}},
        {"StartWasm": "b.wasm"},
    ]
}
_HASH = "1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6"
_HELLO = modules.Hello("cookie", {"node_address": "0x", "tx_id": "0x"})
_ANSWERS: tuple[modules.Answer, ...] = (
    modules.Ok({"text": "a"}),
    modules.Ok({"response": {"status": 200, "headers": {"a": b"b"}, "body": b""}}),
    modules.Ok({"data": {"a": 1}, "consumed_gen": 5}),
    modules.UserError({"causes": ["a"], "ctx": {}}),
    modules.FatalError("a"),
)


def _read_answer(data: bytes) -> None:
    answer = modules.decode_answer(data)
    if isinstance(answer, modules.Ok):
        for read in (modules.read_web_answer, modules.read_llm_answer):
            with contextlib.suppress(modules.MalformedFrame):
                read(answer.value)


def _read_frames(data: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(data)
    while decoder.next_frame() is not None:
        pass


def _read_requests(data: bytes) -> None:
    decoder = RequestDecoder(1000)
    for at in range(0, len(data), 7):
        decoder.feed(data[at : at + 7])
        while decoder.next_request() is not None:
            pass


def _read_replies(data: bytes) -> None:
    for layout in METHODS:
        if layout.reply_kind is not ReplyKind.NONE:
            decoder = ReplyDecoder(layout.method, 3, 1000)
            decoder.feed(data)
            with contextlib.suppress(ProtocolViolation):
                decoder.next_reply()


def _read_results(data: bytes) -> None:
    for decode in (decode_result, decode_leader_result):
        with contextlib.suppress(ProtocolViolation):
            decode(data)


def _read_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data)


def _packed(value: Any) -> bytes:
    return bytes(msgpack.packb(value))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _plain_yaml(value: Any) -> bytes:
    return yaml.dump(value).encode("utf-8", "surrogatepass")


_REQUESTS = (
    encode_request(HostMethod.STORAGE_WRITE, _SLOT, 1, b"abc"),
    encode_request(HostMethod.POST_EVENT, [_SLOT], b"\6"),
    encode_request(HostMethod.DEPLOY_CONTRACT, b"\6", b"#", b"{}"),
)
_ERRORS = [code + calldata.encode({"message": "no", "fingerprint": None}) for code in (b"\1", b"\2")]

#: The file of the module that the contract is.
_MODULE = wat('(module (func (export "_start")))')

READERS: dict[str, Reader] = {
    "config": Reader(
        _config, _in_file(lambda path: load_config(str(path))), (ConfigError,), yaml.safe_load, _plain_yaml
    ),
    "record": Reader(
        _record, _in_file(_read_record), (RecordError,), _objects, lambda parts: b"".join(map(_packed, parts))
    ),
    "database": Reader(_database, _in_file(_read_database), (DatabaseError,)),
    "database cell": Reader(_cells, _read_cell, (DatabaseError,), _unpacked, _packed),
    "all.json": Reader(
        lambda: [_json({"a": [_HASH, _HASH]})], _in_registry("all.json"), (RegistryError,), json.loads, _json
    ),
    "latest.json": Reader(
        lambda: [_json({"a": _HASH})], _in_registry("latest.json"), (RegistryError,), json.loads, _json
    ),
    "runner.json": Reader(
        lambda: [_json(_ACTIONS)],
        lambda data: parse_runner_json(data, "here", installed=True),
        (VMErrorRaised,),
        json.loads,
        _json,
    ),
    "runner": Reader(
        lambda: [runner_tar(_ACTIONS, {"a": b"b", "c/d": b""})],
        lambda data: read_tar(memoryview(data)),
        (VMErrorRaised,),
    ),
    "contract": Reader(
        lambda: [
            contract_zip(_ACTIONS, {"a": b"b", "c/d": b""}, "v0.1.0"),
            b'# v0.1.0\n# {"Depends": "a:b"}\n',
            _MODULE,
        ],
        lambda data: contract_version(parse_contract(data)),
        (VMErrorRaised,),
    ),
    "message": Reader(lambda: [message_json().encode()], _read_text(Message.parse), (ValueError,), json.loads, _json),
    "host data": Reader(
        lambda: [_json({"node_address": "0x", "tx_id": "0x"})],
        _read_text(parse_host_data),
        (StartError,),
        json.loads,
        _json,
    ),
    "arguments": Reader(
        lambda: [_json([{"$addr": SENDER.as_hex}, {"$bytes": "0x00"}, {"$int": "0x1f"}, {"$$a": 1}, "x", 5])],
        _read_text(lambda text: values.to_json(values.parse_json(text))),
        (BadRequest,),
        json.loads,
        _json,
    ),
    "pool frame": Reader(
        lambda: [
            encode_frame(frame)
            for frame in (
                Job(1, "info", RunArguments(message="{}", host="h:1")),
                Signal(1, 15),
                Ready(2),
                Refused(1, "no"),
            )
        ],
        _read_frames,
        (FrameError,),
        lambda data: _unpacked(data[4:]),
        lambda value: len(_packed(value)).to_bytes(4, "little") + _packed(value),
    ),
    "hello": Reader(
        lambda: [modules.encode_hello(_HELLO)],
        modules.decode_hello,
        (modules.MalformedFrame,),
        calldata.decode,
        calldata.encode,
    ),
    "module request": Reader(
        lambda: [
            modules.encode_request(modules.Request("Prompt", {"a": 1})),
            modules.encode_request(modules.Request("a")),
        ],
        modules.decode_request,
        (modules.MalformedFrame,),
        calldata.decode,
        calldata.encode,
    ),
    "module answer": Reader(
        lambda: [modules.encode_answer(answer) for answer in _ANSWERS],
        _read_answer,
        (modules.MalformedFrame,),
        calldata.decode,
        calldata.encode,
    ),
    "host request": Reader(lambda: _REQUESTS, _read_requests, (ProtocolViolation,)),
    "host reply": Reader(
        lambda: [encode_reply(Request(HostMethod.GET_CALLDATA, {}), b"abc"), b"\1", bytes(33), b"\0abc"],
        _read_replies,
        (),
    ),
    "result": Reader(lambda: [b"\0\x10", *_ERRORS, b"\2OOM", b"\1no"], _read_results, ()),
}
