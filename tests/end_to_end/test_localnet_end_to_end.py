"""The local network with the real executor and the built runners."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pygenvm.executor.outcome import Outcome, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import LocalNet, read_state
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import Kind, Status
from pygenvm.localnet.chain.state import StateDump
from pygenvm.localnet.executors.process import ExecutorProcess
from tests.support.networks import state_of
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")

ALICE, BOB = accounts.named()["alice"], accounts.named()["bob"]
HEADER = '# v0.2.16\n# { "Depends": "py-genlayer:test" }\n\n'

TYPES = (
    HEADER
    + """
import datetime
import typing
from dataclasses import dataclass
from genlayer import *

@allow_storage
@dataclass
class Inner:
    name: str
    numbers: DynArray[u16]

class Types(gl.Contract):
    small: u8
    signed: i128
    big: bigint
    flag: bool
    text: str
    raw: bytes
    owner: Address
    ratio: float
    nothing: None
    when: datetime.datetime
    fixed: Array[i8, typing.Literal[3]]
    inner: Inner
    by_name: TreeMap[str, Inner]
    by_owner: TreeMap[Address, TreeMap[u8, bool]]
    boxed: gl.storage.Indirection[u32]

    def __init__(self):
        self.small = u8(255)
        self.signed = i128(-(2**100))
        self.big = bigint(-(10**30))
        self.flag = True
        self.text = 'h\\u00e9 "$'
        self.raw = b'\\x00\\xff'
        self.owner = gl.message.sender_address
        self.ratio = -0.125
        self.when = datetime.datetime(2025, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
        self.fixed[1] = i8(-1)
        self.inner.name = 'in'
        self.inner.numbers.extend([u16(1), u16(2)])
        self.by_name.get_or_insert_default('$x').name = 'dollar'
        self.by_owner.get_or_insert_default(self.owner)[u8(7)] = True
        self.boxed.set(u32(9))

    @gl.public.write
    def fill(self, count: int) -> None:
        self.inner.numbers.extend([u16(1)] * count)
        self.text = 'x' * 100_000
        self.raw = b'y' * 100_000
        self.big = bigint(2**30_000)
"""
)

MESSAGES = (
    HEADER
    + """
from genlayer import *

class Messages(gl.Contract):
    log: DynArray[str]

    def __init__(self):
        pass

    @gl.public.write.payable
    def send(self, to: Address, method: str, value: int, times: int) -> None:
        for number in range(times):
            gl.get_contract_at(to).emit(value=u256(value), on='accepted').__getattr__(method)(f'{method} {number}')

    @gl.public.write
    def deploy(self, code: bytes, salt: int) -> None:
        created = gl.deploy_contract(code=code, args=[], salt_nonce=u256(salt))
        self.log.append('none' if created is None else created.as_hex)

    @gl.public.write.payable
    def note(self, text: str) -> None:
        self.log.append(f'{text} from {gl.message.sender_address.as_hex} value {gl.message.value}')

    @gl.public.write.payable
    def refuse(self, text: str) -> None:
        raise gl.vm.UserError(text)

    @gl.public.write
    def pay_evm(self, to: Address, value: int) -> None:
        @gl.evm.contract_interface
        class Account:
            class View:
                pass
            class Write:
                pass
        Account(to).emit_transfer(value=u256(value))

    @gl.public.view
    def ask(self, other: Address) -> list[str]:
        return gl.get_contract_at(other).view().read_log()

    @gl.public.view
    def read_log(self) -> list[str]:
        return list(self.log)

    @gl.public.view
    def write_in_view(self) -> None:
        self.log.append('never')

    @gl.public.write.payable
    def __on_errored_message__(self) -> None:
        self.log.append(f'error value {gl.message.value}')
"""
)


NUMPY = """# v0.2.16
# { "Depends": "py-genlayer:test" }
from typing import Literal

import numpy as np
from genlayer import *


class Numbers(gl.Contract):
    single: np.float32
    double: np.float64
    by_name: TreeMap[str, np.float64]
    whole: np.uint64
    grid: np.ndarray[tuple[Literal[1], Literal[2]], np.dtype[np.float64]]

    def __init__(self):
        self.single = self.double = self.by_name["x"] = np.float64(0.5)
        self.whole = np.uint64(2**64 - 1)
        self.grid = np.full((1, 2), 0.5)
"""

VIEW_OF_NUMPY = """
    @gl.public.view
    def look(self):
        return {}
"""


@pytest.fixture
def net(tmp_path: Path) -> LocalNet:
    return LocalNet(tmp_path / "local.db")


def deploy(net: LocalNet, code: str, *args: Any, **options: Any) -> Address:
    execution = net.deploy(code.encode(), list(args), **options)
    assert execution.receipt.ok, execution.receipt.stderr.text()
    return execution.receipt.transaction.contract


def test_value_of_256_bits(net: LocalNet) -> None:
    """Through the message, the balances and the messages that a contract sends, to the last unit."""
    value = 2**256 - 1 - (len(accounts.NAMES) - 1) * accounts.START_BALANCE
    net.deal(ALICE, value)
    first, second = deploy(net, MESSAGES), deploy(net, MESSAGES)
    assert net.call(first, "note", ["all"], value=value).receipt.ok
    assert net.view(first, "read_log").value == [f"all from {ALICE.as_hex} value {value}"]
    execution = net.call(first, "send", [second, "note", value - 1, 1])
    assert [receipt.status for receipt in execution.delivered] == [Status.OK]
    assert net.view(second, "read_log").value == [f"note 0 from {first.as_hex} value {value - 1}"]
    assert (net.balance(ALICE), net.balance(first), net.balance(second)) == (0, 1, value - 1)
    refused = net.call(second, "send", [first, "note", value, 1]).receipt
    assert "inbalance" in refused.stderr.text()
    returned = net.call(second, "send", [first, "refuse", value - 2, 1]).delivered[-1]
    assert (returned.transaction.value, net.balance(second)) == (value - 2, value - 1)
    assert net.view(second, "read_log").value[-1] == f"error value {value - 2}"


JUDGED = (
    HEADER
    + """
from genlayer import *

class Judged(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def go(self) -> str:
        return gl.eq_principle.strict_eq(lambda: 'x')
"""
)


def test_a_validator_without_a_result_has_no_verdict(net: LocalNet) -> None:
    deploy(net, JUDGED)
    before = net.snapshot()
    receipt = net.call(None, "go").receipt
    given: list[list[bytes] | None] = [None, [b"\x01no"], [b""], [b"\x03x"], []]
    verdicts = [net.validate(receipt, before, leader_results=results) for results in given]
    assert [(verdict.reached, verdict.agrees) for verdict in verdicts] == [
        (True, True),
        (True, False),
        (False, False),
        (False, False),
        (False, False),
    ]


def genvm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_main_job_over_several_processes(tmp_path: Path) -> None:
    steps = [
        (["deploy", str(EXAMPLES / "storage.py"), "--args", '["hello"]'], None),
        (["view", "get_storage"], "hello\n"),
        (["call", "update_storage", "--args", '["world"]'], None),
        (["view", "get_storage"], "world\n"),
        (["view", "storage", "get_storage", "--json"], None),
    ]
    for arguments, expected in steps:
        done = genvm(tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        if expected is not None:
            assert done.stdout == expected
    assert json.loads(done.stdout)["result"] == "world"
    assert sorted(path.name for path in (tmp_path / ".pygenvm").iterdir()) == ["local.db", "local.db.lock"]


def test_a_contract_that_fails_shows_traceback_error_and_advice(tmp_path: Path) -> None:
    assert genvm(tmp_path, "deploy", str(EXAMPLES / "failures.py")).returncode == 0
    before = state_of(tmp_path / ".pygenvm" / "local.db")
    done = genvm(tmp_path, "call", "python_error")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r".*failures\.py:\d+, in python_error\n    raise ValueError", done.stderr)
    assert "ValueError: nobody caught me" in done.stderr
    assert "VM error: exit_code 1" in done.stderr
    assert "gl.vm.UserError" in done.stderr
    assert state_of(tmp_path / ".pygenvm" / "local.db") == before


def test_methods_that_cannot_be_called_like_that(tmp_path: Path) -> None:
    assert genvm(tmp_path, "deploy", str(EXAMPLES / "storage.py"), "--args", '["hello"]').returncode == 0
    it_has = r"storage 0x[0-9a-fA-F]{8}….*; it has get_storage, update_storage\.\n"
    for arguments, text in (
        (["call", "big"], "There is no public method `big` in " + it_has),
        (["view", "__init__"], "There is no public method `__init__` in " + it_has),
        (["view", "storage", ""], "`__receive__` is called, which " + it_has),
        (
            ["view", "storage", "update_storage", "--args", '["x"]'],
            "`update_storage` is a write method, .*\nfix: Use `genvm local call`",
        ),
    ):
        done = genvm(tmp_path, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(text, done.stderr), done.stderr
        assert "Traceback" not in done.stderr
        assert "<function" not in done.stderr
    document = json.loads(genvm(tmp_path, "call", "big", "--json").stdout)
    assert "`big`" in document["error"]["meaning"]
    assert "Traceback" in document["transaction"]["stderr"]


_FAILURES: list[tuple[str, list[Any], Outcome]] = [
    ("user_error", [], UserError("this is what the caller reads")),
    ("user_error_immediate", [], UserError("gone at once")),
    ("exit_with", [7], VMError("exit_code 7")),
    ("exit_with", [200], VMError("exit_code 125")),
    ("recurse", [], VMError("exit_code 1")),
    ("overspend", [], VMError("exit_code 1")),
    ("no_such_method", [], VMError("exit_code 1")),
    ("loop", [], VMError("timeout")),
    ("print_for_ever", [], VMError("timeout")),
]


def test_failures_leave_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    patient = LocalNet(path)
    contract = deploy(patient, (EXAMPLES / "failures.py").read_text())
    before = state_of(path)
    for method, args, outcome in _FAILURES:
        net = LocalNet(path, timeout=2.0) if outcome == VMError("timeout") else patient
        receipt = net.call(contract, method, args).receipt
        assert receipt.outcome == outcome, (method, receipt.stderr.text())
        assert state_of(path) == before
    assert patient.view(contract, "get_touched").value == 0


#: Takes 64 MiB at a time and keeps all of it, without ever touching it.
HUNGRY = (
    HEADER
    + """
from genlayer import *

class Block:
    def __iter__(self):
        return self
    def __length_hint__(self):
        return 1 << 24
    def __next__(self):
        list(Block())
        raise StopIteration

class Hungry(gl.Contract):
    eaten: u32

    def __init__(self):
        pass

    @gl.public.write
    def eat(self) -> None:
        self.eaten = u32(1)
        list(Block())
"""
)


def test_a_contract_that_allocates_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    net = LocalNet(path)
    contract = deploy(net, HUNGRY)
    before = state_of(path)
    receipt = net.call(contract, "eat").receipt
    assert receipt.outcome == VMError("exit_code 1")
    assert "MemoryError" in receipt.stderr.text()
    assert state_of(path) == before


@pytest.mark.parametrize("status", [0, 1, 2, 124, 125, 126, 255])
def test_exits_with_any_code(tmp_path: Path, status: int) -> None:
    """Only 0 is a success, and only a success is kept."""
    path = tmp_path / "local.db"
    net = LocalNet(path)
    contract = deploy(net, (EXAMPLES / "failures.py").read_text())
    before = state_of(path)
    receipt = net.call(contract, "exit_with", [status]).receipt
    if status == 0:
        assert receipt.ok
        assert net.view(contract, "get_touched").value == 1
    else:
        assert receipt.outcome == VMError(f"exit_code {min(status, 125)}")
        assert state_of(path) == before


def test_constructors_that_never_end(tmp_path: Path) -> None:
    net = LocalNet(tmp_path / "local.db", timeout=2.0)
    assert net.deploy((HEADER + "while True: pass\n").encode()).receipt.outcome == VMError("timeout")
    assert net.contracts() == []


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (b"", VMError("invalid_contract absent_runner_comment")),
        (b"\xff\xfe", VMError("invalid_contract not_utf8_text")),
        (b"# { not json", VMError("invalid_contract")),
        (b'# { "Depends": "nothing:test" }\n', VMError("invalid_contract")),
        (b'# v99.0.0\n# { "Depends": "py-genlayer:test" }\n', VMError("version_too_big")),
        (HEADER.encode() + b"class C:\n", VMError("exit_code 1")),
    ],
    ids=["empty", "not text", "not JSON", "no such runner", "version", "syntax"],
)
def test_code_that_is_no_contract(net: LocalNet, code: bytes, outcome: Outcome) -> None:
    assert net.deploy(code).receipt.outcome == outcome
    assert net.contracts() == []
    assert [receipt.outcome for receipt in net.log()] == [outcome]


def state(net: LocalNet, contract: Address) -> StateDump:
    return read_state(net, contract)


def test_every_storage_type_is_decoded(net: LocalNet) -> None:
    contract = deploy(net, TYPES)
    dump = state(net, contract)
    assert dump.note == ""
    assert dump.fields == {
        "small": 255,
        "signed": -(2**100),
        "big": -(10**30),
        "flag": True,
        "text": 'hé "$',
        "raw": {"$bytes": "0x00ff"},
        "owner": {"$addr": ALICE.as_hex},
        "ratio": {"$float": "-0.125"},
        "nothing": None,
        "when": {"$datetime": "2025-01-02T03:04:05.000006+00:00"},
        "fixed": [0, -1, 0],
        "inner": {"name": "in", "numbers": [1, 2]},
        "by_name": {"$$x": {"name": "dollar", "numbers": []}},
        "by_owner": {"$map": [[{"$addr": ALICE.as_hex}, {"$map": [[7, True]]}]]},
        "boxed": 9,
    }
    assert net.log(5)[-1].number == 1


def test_types_of_numpy_are_decoded(net: LocalNet) -> None:
    """`np.float64` is a Python float whose text is `np.float64(0.5)`."""
    dump = state(net, deploy(net, NUMPY))
    assert dump.note == ""
    half = {"$float": "0.5"}
    assert dump.fields == {
        "single": half,
        "double": half,
        "by_name": {"x": half},
        "whole": 2**64 - 1,
        "grid": [[half, half]],
    }


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("np.int64(3)", "`int64` is a type of NumPy"), ("np.zeros((2, 2))", "`ndarray` is a type of NumPy")],
)
def test_values_of_numpy_cannot_be_returned(tmp_path: Path, value: str, meaning: str) -> None:
    (tmp_path / "figures.py").write_text(NUMPY + VIEW_OF_NUMPY.format(value))
    assert genvm(tmp_path, "deploy", "figures.py").returncode == 0
    failed = genvm(tmp_path, "view", "look")
    assert failed.returncode == 1
    assert meaning in failed.stderr
    assert "`int(x)`" in failed.stderr


def test_large_state_is_cut_and_says_so(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = deploy(net, TYPES)
    assert net.call(contract, "fill", [200]).receipt.ok
    monkeypatch.setattr("pygenvm.localnet.limits.STATE_VALUES", 100)
    monkeypatch.setattr("pygenvm.localnet.limits.STATE_ALL_TEXT_BYTES", 7_503 + 65_536 + 10_000)
    fields = state(net, contract).fields
    assert fields is not None
    numbers = fields["inner"]["numbers"]
    assert numbers[:3] == [1, 2, 1]
    assert 50 < len(numbers) < 100
    assert numbers[-1] == {"$truncated": f"{202 - len(numbers) + 1} more items"}
    assert fields["boxed"] == {"$truncated": "too many values"}
    assert fields["raw"] == {"$truncated": "100000 bytes", "start": {"$bytes": "0x" + "79" * 10_000}}
    assert fields["big"] == {"$int": hex(2**30_000)}
    assert fields["text"] == {"$truncated": "100000 characters", "start": "x" * 65_536}


def package(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return packed.getvalue()


def test_a_contract_of_several_files(net: LocalNet) -> None:
    code = package(
        {
            "runner.json": '{ "Depends": "py-genlayer-multi:test" }',
            "version": "v0.2.16",
            "contract/__init__.py": "from genlayer import *\n"
            "from .names import GREETING\n"
            "class Multi(gl.Contract):\n"
            "    text: str\n"
            "    def __init__(self):\n"
            "        self.text = GREETING\n",
            "contract/names.py": "GREETING = 'from another file'\n",
        }
    )
    execution = net.deploy(code)
    assert execution.receipt.ok, execution.receipt.stderr.text()
    assert state(net, execution.receipt.transaction.contract).fields == {"text": "from another file"}


def test_a_contract_in_webassembly(net: LocalNet) -> None:
    code = bytes(
        wasmtime.wat2wasm(
            """(module
              (import "genlayer_sdk" "storage_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 64) "raw")
              (func (export "_start") (drop (call $write (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 3)))))"""
        )
    )
    execution = net.deploy(code)
    assert execution.receipt.ok, execution.receipt
    assert execution.receipt.value is None
    dump = state(net, execution.receipt.transaction.contract)
    assert (dump.fields, dump.note) == (None, "not a Python contract")
    assert [(slot.name, slot.data) for slot in dump.slots if slot.name == "root"] == [("root", b"\0\0\0\0\0raw")]


def test_messages_between_contracts(net: LocalNet) -> None:
    first, second = deploy(net, MESSAGES), deploy(net, MESSAGES)
    execution = net.call(first, "send", [second, "note", 5, 2], value=20)
    assert execution.receipt.ok, execution.receipt.stderr.text()
    assert [receipt.status for receipt in execution.delivered] == [Status.OK, Status.OK]
    assert {posted.on for posted in execution.receipt.messages} == {"accepted"}
    expected = [f"note {number} from {first!s} value 5" for number in range(2)]
    assert net.view(first, "ask", [second]).value == expected

    execution = net.call(first, "send", [second, "refuse", 7, 1])
    failed, returned = execution.delivered
    assert failed.outcome == UserError("refuse 0")
    assert (returned.transaction.kind, returned.status) == (Kind.ERROR, Status.OK)
    assert net.view(first, "read_log").value == ["error value 7"]

    assert net.call(first, "pay_evm", [BOB, 4]).receipt.ok
    balances = {info.address: info.balance for info in net.accounts()}
    assert (balances[first], balances[second]) == (20 - 10 - 4, 10)
    assert balances[BOB] == accounts.START_BALANCE + 4
    assert sum(balances.values()) == accounts.START_BALANCE * 10


def test_contracts_deploy_contracts(net: LocalNet) -> None:
    factory = deploy(net, MESSAGES)
    for salt, address in (
        (0, accounts.contract_address(factory, salt=0, nonce=0)),
        (5, accounts.contract_address(factory, salt=5, nonce=0)),
    ):
        execution = net.call(factory, "deploy", [MESSAGES.encode(), salt])
        assert [receipt.transaction.contract for receipt in execution.delivered] == [address]
        assert execution.delivered[0].ok
        assert net.view(address, "read_log").value == []
    expected = accounts.contract_address(factory, salt=5, nonce=0)
    assert net.view(factory, "read_log").value == ["none", expected.as_hex]


def test_views_cannot_write(net: LocalNet) -> None:
    contract = deploy(net, MESSAGES)
    receipt = net.view(contract, "write_in_view")
    assert receipt.outcome == VMError("exit_code 1")
    assert "SystemError: 6: forbidden" in receipt.stderr.text()


#: An oracle that sends the money of whoever asks it, of which it must have as much, and says something in their name.
THIEF = (
    HEADER
    + """
from genlayer import *

class Thief(gl.Contract):
    def __init__(self):
        pass

    @gl.public.view
    def price(self, effect: str, to: Address) -> int:
        if effect == 'send':
            gl.get_contract_at(to).emit_transfer(value=u256(9))
        elif effect == 'emit':
            Sold(to).emit()
        return 5

    @gl.public.write.payable
    def __receive__(self) -> None:
        pass

class Sold(gl.Event):
    def __init__(self, to: Address, /): ...
"""
)
TRUSTING = (
    HEADER
    + """
from genlayer import *

class Trusting(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write.payable
    def buy(self, oracle: Address, effect: str, to: Address) -> int:
        return gl.get_contract_at(oracle).view().price(effect, to)
"""
)


def test_strict_views(tmp_path: Path) -> None:
    """What is called in a view acts for the caller, as on nodes, unless the network is strict about views."""
    for name, code in (("thief", THIEF), ("trusting", TRUSTING)):
        (tmp_path / f"{name}.py").write_text(code)
        assert genvm(tmp_path, "deploy", f"{name}.py").returncode == 0
    assert genvm(tmp_path, "call", "thief", "", "--value", "9").returncode == 0

    def buy(effect: str, *options: str) -> dict[str, Any]:
        args = json.dumps([{"$addr": "thief"}, effect, {"$addr": "bob"}])
        done = genvm(tmp_path, "call", "trusting", "buy", "--args", args, "--value", "9", "--json", *options)
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["ok"] == (done.returncode == 0), done.stderr
        return document

    (stolen,) = buy("send")["transaction"]["messages"]
    assert (stolen["value"], stolen["to"]["address"]) == (9, BOB.as_hex)
    assert len(buy("emit")["transaction"]["events"]) == 1
    for effect in ("send", "emit"):
        refused = buy(effect, "--strict-views")
        assert refused["error"]["message"] == "exit_code 1"
        assert "SystemError: 6: forbidden" in refused["transaction"]["stderr"]
    assert buy("nothing", "--strict-views")["result"] == 5


def test_schema_turns_hex_strings_into_addresses(net: LocalNet) -> None:
    contract = deploy(net, (EXAMPLES / "token.py").read_text(), 1000)
    assert net.schema(contract) == net.schema_of_code((EXAMPLES / "token.py").read_bytes())
    execution = net.call(contract, "transfer", f'["{BOB!s}", 10]')
    assert execution.receipt.ok, execution.receipt.stderr.text()
    (event,) = execution.receipt.events
    assert calldata.decode(event.blob) == {"amount": 10, "receiver": BOB, "sender": ALICE}
    assert net.view(contract, "balance_of", f'["{BOB!s}"]').value == 10


def test_a_contract_that_writes_too_much(net: LocalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = deploy(net, TYPES)
    monkeypatch.setattr("pygenvm.localnet.limits.STORAGE_PAGES_WRITTEN", 8)
    assert net.call(contract, "fill", [10]).receipt.outcome == VMError("out_of_storage_gas")


def test_another_folder_named_like_ours_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    net = LocalNet(tmp_path / "local.db", executor=ExecutorProcess())
    assert net.deploy(MESSAGES.encode()).receipt.ok
