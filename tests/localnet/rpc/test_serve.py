"""``genvm local serve`` as a process, and ``genvm local`` against it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from pygenvm.localnet.chain.store import APPLICATION_ID
from pygenvm.localnet.rpc.client import Client, RpcFailure, Unreachable
from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.conftest import CONTRACT
from tests.localnet.clients.serving import Server, serving
from tests.localnet.rpc.killing import kill


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / ".pygenvm").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(built_runners: BuiltRunners, project: Path) -> Iterator[Server]:
    with serving(project, "--finality-window", "0.2", "--validators", "3", cwd=project) as server:
        yield server


def genvm(cwd: Path, *words: str, status: int = 0, rpc: str = "") -> Any:
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", *words, *(["--rpc", rpc] if rpc else []), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def people(cwd: Path, *words: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_commands_in_the_folder_of_a_project_go_to_its_server(server: Server, project: Path, tmp_path: Path) -> None:
    assert (project / ".pygenvm" / "server.json").exists()
    done = genvm(project, "deploy", str(CONTRACT), "--args", '["hello"]')
    assert done["transaction"]["kind"] == "deploy"
    assert done["transaction"]["validators"]["agreeing"] == 3
    contract = done["contract"]["address"]
    assert [one["address"] for one in server.client.call("genvm_getContracts")] == [contract]
    assert genvm(project, "view", "get_storage")["result"] == "hello"
    done = genvm(project, "call", "storage", "pay", "--args", '["bye"]', "--value", "7", "--from", "bob")
    assert done["transaction"]["from"]["name"] == "bob"
    assert genvm(project, "view", "get_storage")["result"] == "bye"
    assert int(server.client.call("eth_getBalance", contract), 16) == 7
    state = genvm(project, "state", "storage")
    assert (state["balance"], state["fields"]["storage"]) == (7, "bye")
    assert "get_storage" in genvm(project, "schema")["schema"]["methods"]
    assert "get_storage" in genvm(project, "schema", str(CONTRACT))["schema"]["methods"]
    balances = {one["name"]: one["balance"] for one in genvm(project, "accounts")["accounts"]}
    assert balances["bob"] == 10**24 - 7
    log = genvm(project, "log")["transactions"]
    assert [one["kind"] for one in log] == ["deploy", "call"]
    # Another folder is another network, but for who names the server.
    assert genvm(tmp_path, "accounts")["accounts"][1]["balance"] == 10**24
    assert genvm(tmp_path, "view", "storage", "get_storage", rpc=server.url)["result"] == "bye"


def test_failures_are_told_as_without_a_server(server: Server, project: Path) -> None:
    genvm(project, "deploy", str(CONTRACT), "--args", '["hello"]')
    done = genvm(project, "call", "fail", status=1)
    assert (done["error"]["kind"], done["error"]["message"]) == ("user_error", "no such luck")
    assert "no such luck" in done["error"]["traceback"][-1]["source"]
    assert done["transaction"]["stdout"] == "about to fail\n"
    said = people(project, "call", "fail", status=1)
    assert "no such luck" in said
    assert "3 of 3 nodes agree" in said
    done = genvm(project, "call", "update_storage", status=2)
    assert done["error"]["kind"] == "bad_value"
    done = genvm(project, "call", "update_storage", "--args", '["x"]', "--value", str(10**30), status=2)
    assert done["error"]["kind"] == "insufficient_balance"
    assert genvm(project, "view", "nothing", "get_storage", status=2)["error"]["kind"] == "not_found"
    done = genvm(project, "call", "fail", "--validators", "5", status=2)
    assert "has its own" in done["error"]["message"]


RELAY = """\
# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *

class Relay(gl.Contract):
    seen: str

    def __init__(self):
        self.seen = ""

    @gl.public.write
    def relay(self, to: Address) -> None:
        gl.get_contract_at(to).emit(on="accepted").note("a")
        gl.get_contract_at(to).emit(on="finalized").note("f")

    @gl.public.write
    def note(self, text: str) -> None:
        self.seen += text

    @gl.public.view
    def get(self) -> str:
        return self.seen
"""


def test_what_follows_from_a_transaction_is_shown_with_it(server: Server, project: Path) -> None:
    (project / "relay.py").write_text(RELAY)
    genvm(project, "deploy", "relay.py")
    other = genvm(project, "deploy", "relay.py", "--name", "other")["contract"]["address"]
    done = genvm(project, "call", "relay", "relay", "--args", '[{"$addr": "other"}]')
    assert [(one["to"]["address"], one["args"]) for one in done["delivered"]] == [(other, ["a"]), (other, ["f"])]
    assert genvm(project, "view", "other", "get")["result"] == "af"
    parent = server.client.call("eth_getTransactionByHash", done["transaction"]["id"])
    assert parent["triggered_transactions"] == [one["id"] for one in done["delivered"]]
    children = [server.client.call("eth_getTransactionByHash", id) for id in parent["triggered_transactions"]]
    assert [(one["triggered_by"], one["triggered_on"]) for one in children] == [
        (parent["hash"], "accepted"),
        (parent["hash"], "finalized"),
    ]


def test_the_log_says_what_is_not_over(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / ".pygenvm").mkdir()
    (tmp_path / "mocks.yaml").write_text("llm: {capital: {never: true}}")
    with serving(tmp_path, "--validators", "3", "--mocks", "mocks.yaml", cwd=tmp_path) as server:
        client, sender = server.client, "0x" + 40 * "1"
        contract = client.wait(client.deploy(ASKS.encode(), sender=sender))["data"]["contract_address"]
        asking, behind, gone = (client.write(contract, "ask", sender=sender) for _ in range(3))
        client.call("sim_cancelTransaction", gone)
        for _ in range(600):
            if client.call("eth_getTransactionByHash", asking)["status"] == "PROPOSING":
                break
            time.sleep(0.1)
        assert client.call("eth_getTransactionByHash", behind)["status"] == "PENDING"
        log = genvm(tmp_path, "log")["transactions"]
        assert [one["status"] for one in log] == ["ok", "running", "pending", "canceled"]
        said = people(tmp_path, "log").splitlines()
        assert [line.split()[1] for line in said if line.startswith("  #")] == ["ok", "running", "pending", "canceled"]


def test_a_state_goes_to_a_file_and_comes_back(server: Server, project: Path, tmp_path: Path) -> None:
    contract = genvm(project, "deploy", str(CONTRACT), "--args", '["kept"]', "--name", "kept")["contract"]["address"]
    file = tmp_path / "state.network"
    assert genvm(project, "export", str(file))["bytes"] == file.stat().st_size
    genvm(project, "call", "kept", "update_storage", "--args", '["changed"]')
    genvm(project, "import", str(file))
    assert genvm(project, "view", "kept", "get_storage")["result"] == "kept"
    with serving(tmp_path, "--fork", str(file), "--validators", "1") as other:
        assert other.client.read(contract, "get_storage") == "kept"
        id = other.client.write(contract, "update_storage", ["forked"], sender="0x" + 40 * "1")
        assert other.client.wait(id)["status"] in ("ACCEPTED", "FINALIZED")
        assert other.client.read(contract, "get_storage") == "forked"
    assert genvm(project, "view", "kept", "get_storage")["result"] == "kept"
    done = genvm(tmp_path, "export", str(file), status=2)
    assert "no server runs here" in done["error"]["message"]
    assert "cannot be read" in genvm(project, "import", str(tmp_path / "nothing"), status=2)["error"]["message"]


def test_the_port_may_be_taken(server: Server, tmp_path: Path) -> None:
    port = server.url.rsplit(":", 1)[1]
    done = genvm(tmp_path, "serve", "--port", port, "--db", str(tmp_path / "n.db"), status=3)
    assert done["error"]["kind"] == "listen"
    assert "is another genvm local serve running?" in done["error"]["message"]
    assert "--port" in done["error"]["message"]


def test_the_file_may_be_taken(server: Server, project: Path) -> None:
    done = genvm(project, "serve", "--port", "0", status=3)
    assert done["error"]["kind"] == "database"
    assert f"already, at {server.url} (process {server.process.pid})" in done["error"]["message"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--host", "evil.example"], "--host"),
        (["--cors", "evil.example"], "--cors"),
        (["--rpc", "http://127.0.0.1:4000"], "--rpc"),
        (["--mocks", "nothing.yaml"], "nothing.yaml"),
        (["--fork", "nothing"], "nothing cannot be read"),
        (["--fork", "/dev/zero"], "/dev/zero cannot be read: it is no file"),
        (["--port", "70000"], "--port"),
        (["--validators", "1000"], "--validators"),
        (["--finality-window", "-1"], "--finality-window"),
    ],
)
def test_options_that_cannot_be_used(built_runners: BuiltRunners, tmp_path: Path, words: list[str], why: str) -> None:
    done = genvm(tmp_path, "serve", "--port", "0", "--db", str(tmp_path / "n.db"), *words, status=2)
    assert why in done["error"]["message"]


def test_its_files_are_only_for_their_owner(built_runners: BuiltRunners, tmp_path: Path) -> None:
    def modes(folder: Path) -> dict[str, str]:
        return {str(path.relative_to(tmp_path)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in folder.rglob("*")}

    before = os.umask(0)
    try:
        with serving(tmp_path, "--validators", "3", "--db", "made/too/n.db", cwd=tmp_path) as server:
            server.client.fund("0x" + 40 * "1", 1)
            server.client.snapshot()
            assert set(modes(tmp_path / "made")) == {
                "made/too",
                *(f"made/too/n.db{end}" for end in ("", "-wal", "-shm", ".lock", ".snapshots", ".snapshots/1.db")),
            }
            found = modes(tmp_path)
            genvm(tmp_path, "export", "state.network", rpc=server.url)
        assert {found[name] for name in ("made", "made/too", "made/too/n.db.snapshots")} == {"700"}
        assert {mode for name, mode in found.items() if ".db" in name and not name.endswith("snapshots")} == {"600"}
        assert modes(tmp_path)["state.network"] == "600"
        # In the folder of a project there is also who is there.
        project = tmp_path / "project"
        (project / ".pygenvm").mkdir(parents=True)
        (project / "asks.py").write_text(ASKS)
        (project / "mocks.yaml").write_text("llm: {capital: Paris}")
        with serving(project, "--validators", "3", "--mocks", "mocks.yaml", cwd=project) as server:
            client, sender = server.client, "0x" + 40 * "1"
            address = client.wait(client.deploy(ASKS.encode(), sender=sender))["data"]["contract_address"]
            done = client.wait(client.write(address, "ask", sender=sender), status="FINALIZED")
            settled = project / ".pygenvm" / "local.db.settlement"
            for _ in range(600):
                if settled.exists():
                    break
                time.sleep(0.1)
            found = modes(project / ".pygenvm")
            assert done["status"] == "FINALIZED"
        assert {"server.json", "local.db-wal", "local.db.settlement"} <= {name.rpartition("/")[2] for name in found}
        assert set(found.values()) == {"600"}
    finally:
        os.umask(before)


def stranger(path: Path, *, version: int = 0, application: int = 0, ahead: bool = False) -> None:
    """A database of another program; ``ahead``: which was killed with a write-ahead log."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TABLE t (x)")
        if ahead:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE u (x)")
            files = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    if ahead:
        for end, data in files.items():
            path.with_name(path.name + end).write_bytes(data)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (stranger, "is not the database of a local network"),
        (lambda path: stranger(path, ahead=True), "is not the database of a local network"),
        (lambda path: stranger(path, version=99, application=APPLICATION_ID), "has version 99 of the database layout"),
        (
            lambda path: stranger(path, version=99, application=APPLICATION_ID, ahead=True),
            "has version 99 of the database layout",
        ),
        (lambda path: path.write_bytes(b"a text that is long enough " * 10), "is not a database"),
        (lambda path: path.write_bytes(b"short"), "is not a database"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is a device, a pipe or a socket"),
    ],
)
def test_a_file_of_somebody_else_stays_as_it_is(
    built_runners: BuiltRunners, tmp_path: Path, make: Callable[[Path], Any], why: str
) -> None:
    path = tmp_path / "n.db"
    make(path)

    def files() -> dict[str, tuple[int, bytes]]:
        return {
            str(one): (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"")
            for one in tmp_path.rglob("*")
        }

    before = files()
    done = genvm(tmp_path, "serve", "--port", "0", "--db", str(path), status=3)
    assert done["error"]["kind"] == "database"
    assert why in done["error"]["message"]
    assert str(path) in done["error"]["message"]
    assert files() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_the_state_stays(
    built_runners: BuiltRunners, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / ".pygenvm").mkdir()
    told = tmp_path / ".pygenvm" / "server.json"
    with serving(tmp_path, "--validators", "1", cwd=tmp_path) as server:
        assert told.exists()
        id = server.client.deploy(CONTRACT.read_bytes(), ["hello"], sender="0x" + 40 * "1")
        server.client.wait(id)
        assert server.end(number) == 0
        assert not told.exists()
    with serving(tmp_path, "--validators", "1", cwd=tmp_path) as server:
        assert server.client.call("eth_getTransactionByHash", id)["status"] in ("ACCEPTED", "FINALIZED")


def test_commands_and_a_server_have_the_same_network(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / ".pygenvm").mkdir()
    genvm(tmp_path, "deploy", str(CONTRACT), "--args", '["before"]')
    with serving(tmp_path, "--finality-window", "0", cwd=tmp_path) as server:
        assert genvm(tmp_path, "view", "get_storage")["result"] == "before"
        done = genvm(tmp_path, "call", "update_storage", "--args", '["served"]')
        server.client.wait(done["transaction"]["id"], status="FINALIZED")
    assert genvm(tmp_path, "view", "get_storage")["result"] == "served"
    assert genvm(tmp_path, "call", "update_storage", "--args", '["after"]')["ok"]


def test_commands_wait_for_a_server_that_is_starting(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / ".pygenvm").mkdir()
    told = tmp_path / ".pygenvm" / "server.json"
    with ThreadPoolExecutor() as threads, serving(tmp_path, "--validators", "1", cwd=tmp_path) as server:
        as_it_is = json.loads(told.read_text())
        told.write_text(json.dumps({**as_it_is, "url": ""}))
        found = threads.submit(genvm, tmp_path, "accounts")
        done = genvm(tmp_path, "serve", "--port", "0", status=3)
        assert "and is starting" in done["error"]["message"]
        assert not found.done()
        told.write_text(json.dumps(as_it_is))
        server.client.fund("0x" + 40 * "6", 5)
        assert found.result(30)["ok"]
    # Of one that was killed while it started.
    told.write_text(json.dumps({**as_it_is, "url": ""}))
    assert genvm(tmp_path, "accounts")["ok"]
    for text in ("", "{", "[]", '{"url": 5, "instance": "x", "pid": 1}', '{"url": "", "instance": "x", "pid": 0}'):
        told.write_text(text)
        assert genvm(tmp_path, "accounts")["ok"]


def test_a_server_that_was_killed_is_not_in_the_way(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / ".pygenvm").mkdir()
    with serving(tmp_path, cwd=tmp_path) as server:
        server.process.kill()
        server.process.wait()
    assert (tmp_path / ".pygenvm" / "server.json").exists()
    assert genvm(tmp_path, "accounts")["ok"]


def test_a_server_that_is_killed_under_load_loses_nothing(built_runners: BuiltRunners, tmp_path: Path) -> None:
    assert " 0 lost, 0 twice" in kill(2, tmp_path, seconds=0.5)


def test_it_says_where_it_listens_and_what_to_do(built_runners: BuiltRunners, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", "serve", "--port", "0", "--db", "n.db"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.terminate()
        assert process.wait(30) == 0
    for word in ("chain id 61999", "5 validators", "/api", "gltest", "n.db"):
        assert word in said


ASKS = """\
# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *

class Asks(gl.Contract):
    said: str

    def __init__(self):
        self.said = ""

    @gl.public.write
    def ask(self) -> None:
        def question() -> str:
            return gl.nondet.exec_prompt("What is the capital of France?")
        self.said = gl.eq_principle.strict_eq(question)

    @gl.public.view
    def answer(self) -> str:
        return self.said
"""


def test_mocks_answer_for_every_validator(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / "mocks.yaml").write_text("llm: {'capital of France': Paris}\n")
    with serving(tmp_path, "--mocks", str(tmp_path / "mocks.yaml"), "--validators", "3") as server:
        client, sender = server.client, "0x" + 40 * "1"
        address = client.wait(client.deploy(ASKS.encode(), sender=sender))["data"]["contract_address"]
        done = client.wait(client.write(address, "ask", sender=sender))
        assert list(done["consensus_data"]["votes"].values()) == ["agree"] * 3, done
        assert client.read(address, "answer") == "Paris"


def test_a_validator_is_called_by_its_place_in_the_round(built_runners: BuiltRunners, tmp_path: Path) -> None:
    (tmp_path / ".pygenvm").mkdir()
    (tmp_path / "asks.py").write_text(ASKS)
    mocks = "llm: [{prompt: capital, node: validator 2, answer: Lyon}, {prompt: capital, answer: Paris}]"
    (tmp_path / "mocks.yaml").write_text(mocks)
    with serving(tmp_path, "--mocks", str(tmp_path / "mocks.yaml"), "--validators", "4", cwd=tmp_path) as server:
        # Who does not agree is in a place, not a certain validator of the network.
        genvm(tmp_path, "deploy", "asks.py")
        addresses = set()
        for _ in range(3):
            votes = genvm(tmp_path, "call", "ask")["transaction"]["validators"]["votes"]
            assert [(one["node"], one["vote"]) for one in votes] == [
                ("leader", "agree"),
                ("validator 1", "agree"),
                ("validator 2", "disagree"),
                ("validator 3", "agree"),
            ]
            addresses |= {one["address"] for one in votes}
        assert {int(one, 16) for one in addresses} == {
            int(one["address"], 16) for one in server.client.call("sim_getAllValidators")
        }


def test_it_listens_at_both_loopback_addresses(server: Server) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            if host == "127.0.0.1" or socket.has_ipv6:
                raise


# --- our own client ---


def test_the_client(server: Server) -> None:
    client, sender = server.client, "0x" + 40 * "3"
    client.fund(sender, 100)
    snapshot = client.snapshot()
    id = client.deploy(CONTRACT.read_bytes(), kwargs={"initial_storage": "hi"}, sender=sender)
    contract = client.wait(id)["data"]["contract_address"]
    assert client.read(contract, "get_storage") == "hi"
    written = client.write(contract, "pay", ["paid"], sender=sender, value=40)
    assert client.wait(written, status="FINALIZED")["value"] == 40
    assert client.state(contract)["fields"]["storage"] == "paid"
    with pytest.raises(RpcFailure, match="no such luck") as failure:
        client.read(contract, "fail")
    assert failure.value.code == -32000
    missing = r"^execution failed: .*: There is no public method `get_storag` .* Did you mean `get_storage`\?$"
    with pytest.raises(RpcFailure, match=missing):
        client.read(contract, "get_storag")
    with pytest.raises(RpcFailure, match=missing):
        client.call("sim_read", contract, "get_storag")
    with pytest.raises(RpcFailure, match="`update_storage` is a write method, and a view can neither write nor send"):
        client.read(contract, "update_storage", ["x"])
    stages = client.call("genvm_describeTransaction", written)["history"]
    assert [one["status"] for one in stages][:2] == ["PENDING", "PROPOSING"]
    assert [one["at"] for one in stages] == sorted(one["at"] for one in stages)
    assert next(client.transactions())["hash"] == written
    assert [one["hash"] for one in client.transactions()][1] == id
    assert client.increase_time(3600)["total_offset_seconds"] >= 3600
    assert client.set_time(None)["total_offset_seconds"] == 0
    assert client.restore(snapshot)
    with pytest.raises(RpcFailure, match="not found"):
        client.read(contract, "get_storage")


def test_what_is_no_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="genvm local serve"):
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}").status()
    with pytest.raises(Unreachable, match="no URL"):
        Client("ftp://example")


def test_500_clients_at_once(server: Server) -> None:
    sender = "0x" + 40 * "4"
    contract = server.client.wait(server.client.deploy(CONTRACT.read_bytes(), ["hello"], sender=sender))["data"][
        "contract_address"
    ]

    def one(number: int) -> Any:
        client = Client(server.url)
        if number % 25 == 0:
            return client.read(contract, "get_storage")
        if number % 25 == 1:
            # Each account has a transaction of its own.
            own = "0x" + f"{number:040x}"
            return client.wait(client.write(contract, "update_storage", ["hello"], sender=own))["txExecutionResult"]
        return client.call("eth_getBalance", f"0x{number:040x}")

    with ThreadPoolExecutor(500) as threads:
        found = list(threads.map(one, range(500)))
    assert found[::25] == ["hello"] * 20
    assert found[1::25] == [1] * 20
    assert set(found) == {"hello", 1, "0x0"}


async def test_what_happens_is_told_as_it_happens(server: Server) -> None:
    async with (
        ClientSession() as session,
        session.get(f"{server.url}/events") as stream,
        session.ws_connect(f"{server.url}/ws") as socket,
    ):
        await stream.content.readuntil(b"\n\n")
        await socket.receive_json()
        await socket.send_json({"event": "subscribe", "data": "*"})
        await socket.receive_json()
        id = await asyncio.to_thread(server.client.deploy, CONTRACT.read_bytes(), ["hello"], sender="0x" + 40 * "5")
        seen: list[str] = []
        kinds = set()
        async with asyncio.timeout(60):
            while "FINALIZED" not in seen:
                kind, data = (await stream.content.readuntil(b"\n\n")).decode().splitlines()[:2]
                kinds.add(kind)
                told = json.loads(data.removeprefix("data: "))
                if told.get("id") == id and told["kind"] == "transaction":
                    seen.append(told["status"])
            assert seen == ["PENDING", "PROPOSING", "COMMITTING", "REVEALING", "ACCEPTED", "FINALIZED"]
            assert {"event: round", "event: vote", "event: contract", "event: block"} <= kinds
            status = ""
            while status != "FINALIZED":
                message = await socket.receive_json()
                if message["event"] == "transaction_status_updated" and message["data"]["data"]["hash"] == id:
                    status = message["data"]["data"]["new_status"]


# --- what plain commands do not load ---


@pytest.mark.parametrize("module", ["pygenvm.localnet.cli", "pygenvm.localnet.net", "pygenvm.localnet"])
def test_imports_of_a_server_are_not_those_of_commands(module: str) -> None:
    program = f"import sys, {module}; print([name for name in sys.modules if name.startswith('pygenvm.localnet.rpc')"
    program += " or name in ('aiohttp', 'coincurve', 'sha3', 'http.client')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_client_loads_no_server() -> None:
    program = "import sys, pygenvm.localnet.rpc.client; print({'aiohttp', 'coincurve', 'sha3'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr
