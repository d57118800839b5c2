"""Records of executions: written by `genvm run --record`, run again, tampered with, compared."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.cli.main import main
from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.host_protocol.codec import Request, encode_request
from pygenvm.executor.module_protocol.codec import Ok, UserError
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.record.format import HostExchange, RecordError
from pygenvm.executor.record.reading import read_record
from pygenvm.executor.record.recorder import Recorder
from pygenvm.executor.record.seeded_random import seeded_random
from pygenvm.executor.replay.compare import first_difference
from pygenvm.executor.stream import validated_block
from tests.support.execution import Execution, config_file, execute_process
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost
from tests.support.machine import SCRATCH, Script, machine
from tests.support.module_server import Call, Reply, serving_module
from tests.support.properties import examples
from tests.support.quick import few
from tests.support.records import objects, replayed, write
from tests.support.running import ROOT, genvm, running

PROMPT = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}
RUNTIME = {"Trace": {"RuntimeMicroSec": None}}
SLOT = bytes([7]) * 32


async def answers(call: Call) -> Reply:
    """A language model that fails for one prompt and answers the others."""
    if call.request.name == "GetStats":
        return Ok(None)
    payload = call.request.payload["payload"]
    if payload.get("prompt") == "fail":
        return UserError({"causes": ["no"], "ctx": {}})
    return Ok({"data": f"answer to {payload['prompt']}", "consumed_gen": 3})


# --- the same again -------------------------------------------------------------------------------


def everything() -> Script:
    """A program that makes every kind of request and returns all that it was told."""
    value = {"address": SENDER, "calldata": b"c"}
    return (
        Script()
        .message()
        .storage_read(SLOT, 1, 4)
        .storage_write(SLOT, 2, b"xyz")
        .get_balance(SENDER)
        .gl_call({"EthCall": value})
        .gl_call({"EthSend": {**value, "value": 1}})
        .gl_call({"PostMessage": {**value, "value": 2, "on": "finalized"}})
        .gl_call({"DeployContract": {"calldata": 1, "code": b"#", "value": 0, "on": "accepted", "salt_nonce": 1}})
        .gl_call({"EmitEvent": {"topics": [SLOT], "blob": {"a": 1}}})
        .nondet(Script().gl_call(PROMPT).gl_call(RUNTIME))
        .gl_call(RUNTIME)
        .get_self_balance()
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Execution]:
    """Record, configuration and run of :func:`everything`."""
    folder = tmp_path_factory.mktemp("record")
    host = InMemoryHost(
        calldata=everything().code,
        balances={CONTRACT: 100, SENDER: 2**255 + 1},
        eth_calls={(SENDER, b"c"): b"told"},
    )
    with serving_module(answers) as server:
        config = config_file(folder, modules={"llm": {"address": server.address}})
        # The last byte of the code matters: another digit would be a version too.
        code = machine("v0.2.16 ")
        run = execute_process(code, "--record", str(folder / "record"), host=host, config=config)
    assert isinstance(run.outcome, Return), run.stderr
    return folder / "record", config, run


def test_every_kind_of_request(recorded: tuple[Path, Path, Execution]) -> None:
    path, config, run = recorded
    done = genvm(config, "replay", path)
    assert (done.returncode, done.stdout) == (
        0,
        f"same: requests, result and fingerprint are the same ({len(run.host.requests) + 1} exchanges)\n",
    )
    assert '"level"' not in done.stderr, "the verdict, not the log"


def test_validators_on_their_threads(tmp_path: Path) -> None:
    """Two blocks agree to differ, one asks for a balance that the main VM wants too, one fails, one is answered."""
    blocks = [
        Script().get_balance(SENDER).gl_call(PROMPT),
        Script().gl_call({"ExecPrompt": {**PROMPT["ExecPrompt"], "prompt": "fail"}}),
        Script().trap("UnreachableCodeReached"),
        Script().gl_call(PROMPT).gl_call(PROMPT).gl_call(RUNTIME),
    ]
    program = Script()
    for block in blocks:
        program.nondet(Script(), block)
    program.get_balance(SENDER)
    host = InMemoryHost(calldata=program.code, leader_results=[b"\x00\x00"] * len(blocks))
    with serving_module(answers) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        path = tmp_path / "record"
        run = execute_process(machine(), "--record", str(path), host=host, config=config)
    assert host.methods[-2:] == [HostMethod.NOTIFY_NONDET_DISAGREEMENT, HostMethod.CONSUME_RESULT], run.stderr
    assert len(read_record(path).streams) > 1
    for _ in range(5):
        verdict = replayed(path, config)
        assert verdict.same, verdict


def test_a_long_write(tmp_path: Path) -> None:
    """Its data does not go out in one piece with what is in front of it."""
    config, path = config_file(tmp_path), tmp_path / "record"
    host = InMemoryHost(calldata=Script().storage_write_at(SCRATCH, 7, SCRATCH, limits.HOST_COPY_BYTES + 1).code)
    execute_process(machine(), "--record", str(path), host=host, config=config)
    assert len(host.slot(bytes(32))) == limits.HOST_COPY_BYTES + 8
    verdict = replayed(path, config)
    assert verdict.same, verdict


def test_a_run_that_did_not_start(tmp_path: Path) -> None:
    config = config_file(tmp_path)
    host = InMemoryHost(refusals={HostMethod.STORAGE_READ: HostErrorCode.FORBIDDEN})
    run = execute_process(machine(), "--record", str(tmp_path / "record"), host=host, config=config)
    assert run.exit_code == 1
    assert replayed(tmp_path / "record", config).same


def test_an_interrupted_run(tmp_path: Path) -> None:
    """Nobody knows how far its last loop got, so the replay ends behind the last recorded reply."""
    config, path = config_file(tmp_path), tmp_path / "record"
    with running(Script().storage_write(ROOT, 0, b"x").loop(), "--record", str(path), config=config) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
    assert read_record(path).ended == "signal"
    done = genvm(config, "replay", path)
    assert done.returncode == 0
    assert done.stdout.startswith("same: the same up to the signal that ended the recorded run (7 exchanges)")


def test_a_killed_run_leaves_what_it_did(tmp_path: Path) -> None:
    config, path = config_file(tmp_path), tmp_path / "record"
    program = Script().storage_write(ROOT, 0, b"x").storage_write(ROOT, 0, b"y").loop()
    with running(program, "--record", str(path), config=config) as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        while len(run.host.requests) < 8:
            pass
        run.process.kill()
        run.ended()
    record = read_record(path)
    assert record.ended is None
    assert len(record.streams[None]) >= 7


# --- tampering ------------------------------------------------------------------------------------


def variants(value: Any) -> Iterator[Any]:
    """Copies of a msgpack value, each with one changed part."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
        case bytes():
            yield value[:-1] + bytes([value[-1] ^ 1]) if value else b"x"
        case str():
            yield {"ok": "absent", "i_am_leader": "absent"}.get(value, value + "x")
        case list():
            for at, item in enumerate(value):
                for other in variants(item):
                    yield [*value[:at], other, *value[at + 1 :]]


def test_tampering_is_pointed_out(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    """Every field of every event: either the record cannot be read, or the replay deviates and says where."""
    path, config, _ = recorded
    parts = objects(path)
    methods: set[str] = set()
    tampered = tmp_path / "tampered"
    for number in range(1, len(parts) - 1):
        event = parts[number]
        methods.add(event[2] if event[1] == "host" else event[1])
        for other in variants(event):
            write(tampered, [*parts[:number], other, *parts[number + 1 :]])
            try:
                verdict = replayed(tampered, config)
            except RecordError as error:
                pointed_out = f"object {number} at byte" in str(error)
            else:
                pointed_out = not verdict.same and "event" in verdict.text
            assert pointed_out, (event, other)
    assert methods >= {
        *("get_calldata", "storage_read", "storage_write", "get_balance", "eth_call", "eth_send", "post_message"),
        *("deploy_contract", "post_event", "get_leader_nondet_result", "post_nondet_result", "remaining_fuel_as_gen"),
        *("consume_fuel", "consume_result", "module", "runtime"),
    }


def test_removed_added_and_swapped_events(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    path, config, _ = recorded
    parts = objects(path)
    tampered = tmp_path / "tampered"
    for number in range(1, len(parts) - 1):
        write(tampered, [*parts[:number], *parts[number + 1 :]])
        assert not replayed(tampered, config).same, f"without {parts[number]}"
        if parts[number][2] != "get_balance":
            write(tampered, [*parts[:number], parts[number], *parts[number:]])
            assert not replayed(tampered, config).same, f"twice {parts[number]}"


@pytest.mark.parametrize("member", ["message", "permissions", "sync", "debug_mode"])
def test_tampering_with_what_a_run_was_given(
    recorded: tuple[Path, Path, Execution], tmp_path: Path, member: str
) -> None:
    path, config, _ = recorded
    header, *rest = objects(path)
    values = {
        "message": json.dumps({**json.loads(header["message"]), "value": 1}),
        "permissions": "rwsc",
        "sync": True,
        "debug_mode": True,
    }
    write(tmp_path / "tampered", [{**header, member: values[member]}, *rest])
    assert not replayed(tmp_path / "tampered", config).same


def test_a_changed_record_is_told_even_if_nothing_deviates(
    recorded: tuple[Path, Path, Execution], tmp_path: Path
) -> None:
    path, config, _ = recorded
    data = path.read_bytes()
    at = data.index(b"cookie") + 8
    (tmp_path / "tampered").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    done = genvm(config, "replay", tmp_path / "tampered")
    assert done.returncode == 1
    assert "note: the record was changed after it was written: its checksum is wrong\n" in done.stderr


def test_the_first_deviation_has_place_method_and_field(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    path, config, _ = recorded
    parts = objects(path)
    number = next(at for at, part in enumerate(parts) if isinstance(part, list) and part[2] == "storage_write")
    parts[number] = [None, "host", "storage_write", [SLOT, 2, b"xyZ"], "ok", None]
    write(tmp_path / "tampered", parts)
    done = genvm(config, "replay", tmp_path / "tampered")
    assert done.returncode == 1
    assert done.stdout == (
        "DIFFERENT after 7 exchanges: main, event 8: storage_write: data differs: "
        "recorded 78795a, now 78797a; they differ from byte 2 on\n"
    )


# --- hostile files --------------------------------------------------------------------------------


def test_cut_off_records(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    path, config, _ = recorded
    data = path.read_bytes()
    for size in range(0, len(data), 997):
        (tmp_path / "cut").write_bytes(data[:size])
        try:
            verdict = replayed(tmp_path / "cut", config)
        except RecordError:
            continue
        assert not verdict.same
        assert verdict.remarks[0].startswith("the record has no end")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        msgpack.packb({"format": "other"}),
        msgpack.packb({"format": "pygenvm record", "version": 2}),
        msgpack.packb({"format": "pygenvm record", "version": 1}),
        msgpack.packb([0] * 300),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(7),
    ],
)
def test_files_that_are_no_records(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(RecordError, match="file"):
        read_record(tmp_path / "file")


def test_unusable_records_are_an_error_of_the_command(tmp_path: Path) -> None:
    config = config_file(tmp_path)
    (tmp_path / "text").write_text("hello")
    for name in ("text", "absent"):
        done = genvm(config, "replay", tmp_path / name)
        assert done.returncode == 3
        assert done.stderr.startswith("Error: ")
    assert genvm(config, "replay").returncode == 2


def test_bounds(recorded: tuple[Path, Path, Execution], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, _ = recorded
    monkeypatch.setattr(limits, "RECORD_EVENTS", 5)
    with pytest.raises(RecordError, match="at most 5 events"):
        read_record(path)
    monkeypatch.setattr(limits, "RECORD_BYTES", 100)
    with pytest.raises(RecordError, match="at most 100 bytes"):
        read_record(path)


HEADER = {
    **{"format": "pygenvm record", "version": 1, "executor": "", "engine": "", "machine": "", "message": ""},
    **{"permissions": "", "host_data": "", "cookie": "", "sync": False, "debug_mode": False, "seed": bytes(32)},
}
BALANCE = [None, "host", "get_balance", [bytes(20)], "ok", bytes(32)]


def balances(count: int) -> bytes:
    """Events about as many addresses."""
    head, _, tail = msgpack.packb(BALANCE).partition(bytes(20))
    return b"".join(head + number.to_bytes(20, "big") + tail for number in range(count))


def empty_ones(one: bytes) -> bytes:
    """One array of arrays of arrays: none has more elements than one may have, all together four million."""
    many = b"\xdc\x00\xff"
    return many + (many + (many + one * 255) * 255) * 64 + one * (255 - 64)


CONTENTS = {
    "small events": msgpack.packb([None, "runtime", 1]) * 300_000,
    "requests": msgpack.packb([None, "host", "consume_fuel", [1], "ok", None]) * 100_000,
    "balances": balances(50_000),
    "one long request": msgpack.packb([None, "host", "storage_write", [SLOT, 0, bytes(4 << 20)], "ok", None]),
    "many topics": msgpack.packb([None, "host", "post_event", [[SLOT] * 255, b""], "ok", None]) * 400,
    "runners": b"".join(msgpack.packb([None, "runner", str(n), "y"]) for n in range(9_000)) * 30,
    "streams": b"".join(msgpack.packb([n, "validator"]) for n in range(9_000)) * 30,
    "empty arrays": empty_ones(b"\x90"),
    "empty maps": empty_ones(b"\x80"),
    "texts": msgpack.packb([None, "module", "web", b"\4", None, "a" * (100 << 10)]) * 40,
}
READING = """
import re, sys
from pathlib import Path
from pygenvm.executor.record.reading import read_record
from pygenvm.executor.record.format import RecordError

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

before = peak()
try:
    record = read_record(Path(sys.argv[1]))
    # As whoever looks at it does.
    for events in record.streams.values():
        for event in events:
            pass
except RecordError as error:
    print(error, file=sys.stderr)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured with /proc")
@pytest.mark.parametrize("name", few(CONTENTS, *CONTENTS.keys() - {"balances", "requests", "streams", "small events"}))
def test_a_record_in_memory_is_as_big_as_its_file(name: str, tmp_path: Path) -> None:
    """Issue: 19.6 MB took 1.3 GB, and 256 MiB are accepted."""
    path = tmp_path / "record"
    path.write_bytes(msgpack.packb(HEADER) + CONTENTS[name])
    run = subprocess.run([sys.executable, "-c", READING, str(path)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 5 * path.stat().st_size + (4 << 20), run.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (empty_ones(b"\x90"), "more than 1000 elements"),
        (b"".join(msgpack.packb([n, "validator"]) for n in range(limits.RECORD_STREAMS + 1)), "at most 10000 streams"),
        (b"".join(msgpack.packb([None, "runner", str(n), ""]) for n in range(10_001)), "at most 10000 runners"),
        (msgpack.packb([None, "lost", "x" * 5000, []]), "object 1 at byte 157: 'X"),
        (msgpack.packb([None, "host", "get_balance", [bytes(19)], "ok", bytes(32)]), "an address of 19 bytes"),
        (msgpack.packb([None, "lost", "eth_send", [bytes(21), b"", b""]]), "an address of 21 bytes"),
        (msgpack.packb([None, "lost", "storage_read", [9, bytes(20), SLOT, 0, 0]]), "9 is not a valid StorageType"),
    ],
    ids=["elements", "streams", "runners", "method", "short address", "long address", "storage type"],
)
def test_objects_that_no_run_makes(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(msgpack.packb(HEADER) + content)
    with pytest.raises(RecordError, match=re.escape(why)) as caught:
        read_record(tmp_path / "record")
    assert len(str(caught.value)) < 500


def test_what_is_wrong_with_a_record_is_no_difference(
    recorded: tuple[Path, Path, Execution], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Issue: an address of the wrong length ended with exit code 1, which means that the runs differ."""
    path, config, _ = recorded
    parts = objects(path)
    event = next(part for part in parts if isinstance(part, list) and part[2] == "get_balance")
    event[3][0] += b"\0"
    write(tmp_path / "tampered", parts)
    for arguments in ([tmp_path / "tampered"], ["--diff", path, tmp_path / "tampered"]):
        done = genvm(config, "replay", *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.endswith(": an address of 21 bytes\n")
        assert done.stderr.count("\n") == 1


def test_what_is_wrong_with_the_installation_is_no_difference(
    recorded: tuple[Path, Path, Execution], tmp_path: Path
) -> None:
    config = config_file(tmp_path, runners_dir=str(tmp_path / "nothing"))
    done = genvm(config, "replay", recorded[0])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"Error: the folder of runners {tmp_path}/nothing does not exist; `genvm runners build` makes it\n"
    )


def test_a_run_that_no_installation_could_start(tmp_path: Path) -> None:
    """It is replayed where the same is missing."""
    config = config_file(tmp_path, runners_dir=str(tmp_path / "nothing"))
    run = execute_process(machine(), "--record", str(tmp_path / "record"), host=InMemoryHost(), config=config)
    assert run.exit_code == 1
    assert replayed(tmp_path / "record", config).same


def test_a_bug_is_no_difference(
    recorded: tuple[Path, Path, Execution], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("pygenvm.executor.record.reading.read_record", broken)
    assert main(["replay", str(recorded[0])]) == 3
    assert "AssertionError: a bug" in capsys.readouterr().err


def test_no_text_of_a_record_drives_the_terminal(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    path, config, _ = recorded
    header, *events, end = objects(path)
    clear = "\x1b[2Jsame\nsame"
    write(tmp_path / "tampered", [{**header, "executor": clear}, *events, {**end, "ended": clear}])
    write(tmp_path / "header", [{**header, "permissions": clear}, *events, end])
    write(tmp_path / "runner", [header, [None, "runner", clear, "a"], *events, end])
    write(tmp_path / "other", [header, [None, "runner", clear, clear], *events, end])
    for arguments in (
        [tmp_path / "tampered"],
        [tmp_path / "header"],
        ["--diff", path, tmp_path / "tampered"],
        ["--diff", path, tmp_path / "header"],
        ["--diff", tmp_path / "runner", tmp_path / "other"],
    ):
        done = genvm(config, "replay", *arguments)
        printed = done.stdout + done.stderr
        assert "x1b[2Jsame" in printed
        assert "\x1b" not in printed
        assert "same" not in printed.splitlines()


@examples(150)
@given(data=st.data())
def test_damaged_bytes_are_an_error_or_a_record(
    data: st.DataObject, recorded: tuple[Path, Path, Execution], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(recorded[0].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        record = read_record(path)
    except RecordError:
        return
    assert not record.intact or content == recorded[0].read_bytes()


# --- writing --------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    run = execute_process(machine(), "--record", str(tmp_path / "no" / "folder"), host=InMemoryHost(calldata=b"!"))
    assert run.exit_code == 1
    assert run.payload is None
    assert b"Error: --record: " in run.stderr


def test_a_full_disk_ends_the_record_and_not_the_run() -> None:
    run = execute_process(machine(), "--record", "/dev/full", host=InMemoryHost(calldata=Script().code))
    assert run.exit_code == 0
    assert isinstance(run.outcome, Return)
    assert b"the record ends here" in run.stderr


def test_requests_longer_than_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that made one, whose host took it, must not notice."""
    monkeypatch.setattr(limits, "RECORD_BYTES", 1000)
    recorder = Recorder(tmp_path / "record")
    recorder.started(RunArguments(message="", host=""))
    request = encode_request(HostMethod.STORAGE_WRITE, SLOT, 0, bytes(2000))
    recorder.host_requested(HostMethod.STORAGE_WRITE, request)
    recorder.host_replied(HostMethod.STORAGE_WRITE, request, HostErrorCode.OK, None, 0, 0)
    recorder.ended("result")
    record = read_record(tmp_path / "record")
    assert (record.streams, record.ended) == ({}, None)


class _Gone(InMemoryHost):
    """Hangs up instead of answering one request."""

    async def eth_call(self, address: Address, calldata: bytes) -> bytes:
        raise ConnectionError("gone")


def test_a_host_that_hangs_up(tmp_path: Path) -> None:
    """The request that was never answered is in the record, and so is the result that could not be delivered."""
    program = Script().gl_call({"EthCall": {"address": SENDER, "calldata": b"c"}})
    config, path = config_file(tmp_path), tmp_path / "record"
    run = execute_process(machine(), "--record", str(path), host=_Gone(calldata=program.code), config=config)
    assert run.exit_code == 1
    record = read_record(path)
    assert record.ended == "result not delivered"
    *_, called, result = record.streams[None]
    for event, method in ((called, HostMethod.ETH_CALL), (result, HostMethod.CONSUME_RESULT)):
        assert isinstance(event, HostExchange)
        assert (event.request.method, event.reply) == (method, None)
    assert replayed(path, config).same


def test_a_request_under_way_when_the_run_ends(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "record")
    recorder.started(RunArguments(message="", host=""))
    recorder.host_requested(HostMethod.REMAINING_FUEL_AS_GEN, b"\x0d")
    recorder.ended("signal")
    recorder.host_replied(HostMethod.REMAINING_FUEL_AS_GEN, b"\x0d", HostErrorCode.OK, 1, 0, 0)
    record = read_record(tmp_path / "record")
    request = Request(HostMethod.REMAINING_FUEL_AS_GEN, {})
    assert {stream: list(events) for stream, events in record.streams.items()} == {None: [HostExchange(request, None)]}
    assert (record.ended, record.intact) == ("signal", True)


def test_more_streams_than_a_record_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written can be read."""
    monkeypatch.setattr(limits, "RECORD_STREAMS", 3)
    recorder = Recorder(tmp_path / "record")
    recorder.started(RunArguments(message="", host=""))
    for call_no in range(5):
        token = validated_block.set(call_no)
        recorder.note("validator")
        validated_block.reset(token)
    recorder.ended("result")
    record = read_record(tmp_path / "record")
    assert (list(record.streams), record.ended) == ([0, 1, 2], None)


def test_random_bytes_come_again() -> None:
    def draw(source: Callable[[memoryview], None], size: int) -> bytes:
        target = bytearray(size)
        source(memoryview(target))
        return bytes(target)

    first, second = seeded_random(bytes(32)), seeded_random(bytes(32))
    a, b = first(), second()
    assert draw(a, 100) == draw(b, 100)
    assert draw(a, 200_000) == draw(b, 200_000)
    assert draw(first(), 100) == draw(second(), 100) != draw(seeded_random(bytes(32))(), 100)
    token = validated_block.set(3)
    try:
        assert draw(seeded_random(bytes(32))(), 100) != draw(seeded_random(bytes(31) + b"x")(), 100)
        inside = draw(seeded_random(bytes(32))(), 100)
    finally:
        validated_block.reset(token)
    assert inside != draw(seeded_random(bytes(32))(), 100)


# --- comparing ------------------------------------------------------------------------------------


def difference(recorded: Path, folder: Path, change: Callable[[list[Any]], None]) -> str | None:
    parts = objects(recorded)
    change(parts)
    write(folder / "other", parts)
    return first_difference(read_record(recorded), read_record(folder / "other"))


def _event(parts: list[Any], name: str) -> list[Any]:
    found: list[Any] = next(part for part in parts if isinstance(part, list) and name in part[1:3])
    return found


def test_differences_in_words(recorded: tuple[Path, Path, Execution], tmp_path: Path) -> None:
    path = recorded[0]

    def of(change: Callable[[list[Any]], None]) -> str | None:
        return difference(path, tmp_path, change)

    assert of(lambda parts: None) is None
    assert of(lambda parts: parts[0].update(host_data="{}", cookie="c", seed=bytes(32))) is None
    assert of(lambda parts: parts[0].update(sync=True)) == (
        "the runs were given different things: sync: A has False, B has True"
    )
    assert of(lambda parts: _event(parts, "get_calldata").__setitem__(5, b"abc")).startswith(  # type: ignore[union-attr]
        "main, event 4: the host told them different things after the same requests: get_calldata: A 21"
    )
    assert of(lambda parts: _event(parts, "eth_call").__setitem__(slice(4, 6), ["absent", None])) == (
        "main, event 10: the host told them different things after the same requests: eth_call: A ok, B absent"
    )
    assert of(lambda parts: _event(parts, "storage_write")[3].__setitem__(1, 3)) == (
        "main, event 8: storage_write: index differs: A 2, B 3"
    )
    other_call = ["remaining_fuel_as_gen", [], "ok", 7]
    assert of(lambda parts: _event(parts, "storage_write").__setitem__(slice(2, 6), other_call)) == (
        f"main, event 8: A storage_write(slot={SLOT.hex()}, index=2, data=78797a), B remaining_fuel_as_gen()"
    )
    assert of(lambda parts: _event(parts, "runtime").__setitem__(2, 1)) is not None
    answer = calldata.encode({"UserError": "busy"})
    assert of(lambda parts: _event(parts, "module").__setitem__(4, answer)) == (
        "main, event 18: the llm module told them different things after the same requests: "
        """A Ok '{"consumed_gen":3,"data":"answer to p"}', B UserError '"busy"'"""
    )
    assert of(lambda parts: parts.pop(-2)) == f"main, event {len(objects(path)) - 2}: only A goes on, with " + (
        f"consume_result(result={_shown(objects(path))})"
    )
    assert of(lambda parts: parts[-1].update(ended="signal")) == "A ended with a result, B with a signal"
    user_error = b"\x01" + calldata.encode({"message": "no", "fingerprint": None})
    assert of(lambda parts: _event(parts, "consume_result").__setitem__(3, [user_error])) is not None


def _shown(parts: list[Any]) -> str:
    result = _event(parts, "consume_result")[3][0]
    return f"{result[:48].hex()}… ({len(result)} bytes)"


def test_results_in_words(tmp_path: Path) -> None:
    """The same program, and once it exits with another status: the requests are equal, the results are not."""
    config = config_file(tmp_path)
    for name, program in (("a", Script().trap("UnreachableCodeReached")), ("b", Script().exit(3))):
        host = InMemoryHost(calldata=program.code)
        execute_process(machine(), "--record", str(tmp_path / name), host=host, config=config)
    parts, others = objects(tmp_path / "a"), objects(tmp_path / "b")
    _event(others, "get_calldata")[5] = _event(parts, "get_calldata")[5]
    write(tmp_path / "b", others)
    done = genvm(config, "replay", "--diff", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 1
    assert done.stdout == (
        'main, event 7: the results differ: A executed with `VMError("wasm_trap UnreachableCodeReached")`, '
        'B executed with `VMError("exit_code 3")`\n'
    )
