"""The clients of the ecosystem, as they are published, against a server (spec localnet-rpc/03 §6)."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients import Unavailable
from benchmarks.simulator import simulator
from pygenvm.executor.primitives import calldata
from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.conftest import CONTRACT, PORT, PROGRAMS, command_line
from tests.localnet.clients.environments import node_with, python_with, run, run_node, serialised
from tests.localnet.clients.model import keeping_balances
from tests.localnet.clients.serving import Server, serving
from tests.localnet.rpc.signing import address_of, call_data, deploy_data, sign
from tests.support.paths import ROOT

KEY = "0x" + 64 * "1"
METHODS = ["fail", "get_storage", "moment", "pay", "remember_moment", "update_storage"]
GENLAYER_PY = ("genlayer-py==0.8.1", "genlayer-py==0.18.0")
DECIDED = ("ACCEPTED", "FINALIZED")
HELLO = calldata.encode({"args": ["hello"]})
#: Its validators are of another opinion than the leader, whoever leads.
ASKING = b"""\
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Asking(gl.Contract):
    answer: str

    def __init__(self):
        self.answer = gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt("yes or no?"))
"""


def _last_line(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


# --- A: genlayer-py ---


@pytest.mark.parametrize("package", GENLAYER_PY)
def test_genlayer_py(server: Server, package: str) -> None:
    python = python_with(package, "pytest", "python-dotenv")
    seen = _last_line(run([str(python), str(PROGRAMS / "genlayer_py_flow.py"), server.rpc, str(CONTRACT)]))
    assert seen["chain_id"] == 61999
    assert re.fullmatch("[0-9a-f]{64}", seen["fund"])
    assert seen["funded"] == 10**18
    assert seen["schema_methods"] == METHODS
    assert (seen["deploy_status"], seen["deploy_result"]) == ("FINALIZED", "null")
    assert seen["votes"] == ["agree"] * 5
    assert (seen["read"], seen["read_again"], seen["contract_balance"]) == ("hello", "bye", 7)
    assert seen["write_status"] in DECIDED
    assert seen["execution"] == "SUCCESS"
    assert (seen["simulated"], seen["read_after_simulation"]) == ("SUCCESS", "bye")
    assert seen["failure"] == ["ERROR", "rollback", "no such luck"]
    assert seen["leader_only"] in DECIDED
    assert seen["nonce_moved"] == 4
    assert seen["appeal"]
    assert "-32001" in seen["missing"]
    assert "not found" in seen["missing"]
    assert "Contract 0x1111" in seen["no_contract"]
    assert seen.get("trace", "about to fail\n") == "about to fail\n"


@pytest.mark.parametrize("package", GENLAYER_PY)
def test_genlayer_pys_own_tests(built_runners: BuiltRunners, package: str, tmp_path: Path) -> None:
    tests = _OwnTests(package, tmp_path)
    if package == GENLAYER_PY[0]:
        assert "23 passed" in tests.run("tests/unit")
    with (
        serialised("port"),
        serving(tmp_path, "--finality-window", "0", "--mocks", str(PROGRAMS / "own.yaml"), port=PORT),
    ):
        tests.end_to_end(
            "storage",
            "user_storage",
            "multi_tenant_storage",
            "multi_file_contract",
            "read_erc20",
            "multi_read_erc20",
            "wizard_of_coin",
            "football_prediction_market",
            "intelligent_oracle_factory",
        )


@pytest.mark.parametrize("package", GENLAYER_PY)
def test_genlayer_pys_own_test_with_a_model_that_computes(
    built_runners: BuiltRunners, package: str, tmp_path: Path
) -> None:
    tests = _OwnTests(package, tmp_path)
    with keeping_balances() as host, serialised("port"):
        settings = {
            "backends": {
                "local": {
                    "provider": "openai-compatible",
                    "host": host,
                    "key": "k",
                    "models": {"m": {"supports_json": True}},
                }
            }
        }
        (tmp_path / "llm.yaml").write_text(json.dumps(settings))
        with serving(tmp_path, "--finality-window", "0", "--llm-config", str(tmp_path / "llm.yaml"), port=PORT):
            tests.end_to_end("llm_erc20")


@pytest.mark.parametrize("package", GENLAYER_PY)
def test_genlayer_pys_own_test_with_embeddings(every_runner: BuiltRunners, package: str, tmp_path: Path) -> None:
    tests = _OwnTests(package, tmp_path)
    with serialised("port"), serving(tmp_path, "--finality-window", "0", port=PORT):
        tests.end_to_end("log_indexer")


class _OwnTests:
    """The tests that are in the wheel of genlayer-py 0.8.1, for a newer one too.

    Their contracts are for the SDK of that time, which ``py-genlayer:test`` was then: their headers name it here. The
    wheel lacks the ``runner.json`` of the one with several files.
    """

    def __init__(self, package: str, folder: Path) -> None:
        self._python = python_with(package, "pytest", "python-dotenv")
        with_tests = python_with(GENLAYER_PY[0], "pytest", "python-dotenv")
        (tests,) = with_tests.parent.parent.glob("lib/python3.*/site-packages/tests")
        self._folder = folder
        shutil.copytree(tests, folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        contracts = folder / "tests" / "e2e" / "contracts"
        for path in contracts.rglob("*.py"):
            text = path.read_text()
            for runner in ("py-genlayer", "py-lib-genlayer-embeddings"):
                text = text.replace(f'"{runner}:test"', f'"{_of_its_time(runner)}"')
            path.write_text(text)
        manifest = {"Depends": _of_its_time("py-genlayer-multi")}
        (contracts / "multi_file_contract" / "runner.json").write_text(json.dumps(manifest))

    def run(self, *words: str) -> str:
        return run([str(self._python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *words], cwd=self._folder)

    def end_to_end(self, *names: str) -> None:
        """At the same time: they mostly wait for the next time that they ask."""
        words = [(f"tests/e2e/tests/test_{name}.py", "-m", "localnet") for name in names]
        with ThreadPoolExecutor(len(names)) as threads:
            said = list(threads.map(lambda one: self.run(*one), words))
        for name, text in zip(names, said, strict=True):
            assert "1 passed" in text, f"{name}: {text}"


def _of_its_time(runner: str) -> str:
    """The id under which a runner of the SDK v0.1.0 was published."""
    aliases: dict[str, dict[str, str]] = json.loads((ROOT / "schemas" / "runner-aliases.json").read_text())
    (hash,) = [hash for hash, ours in aliases[runner].items() if ours.startswith(f"{runner}-v0_1")]
    return f"{runner}:{hash}"


# --- B: gltest ---


@pytest.mark.parametrize("options", [[], ["--leader-only"]], ids=["", "leader only"])
def test_gltest(server: Server, tmp_path: Path, options: list[str]) -> None:
    gltest = python_with("genlayer-test==0.29.2").with_name("gltest")
    project = tmp_path / "project"
    shutil.copytree(PROGRAMS / "project", project)
    words = [str(gltest), "checks.py", "--rpc-url", server.rpc, "-q", "-p", "no:cacheprovider"]
    words += ["--default-wait-interval", "200", "--default-wait-retries", "100", *options]
    assert "7 passed" in run(words, cwd=project)


def test_gltest_with_accounts_of_its_configuration(server: Server, tmp_path: Path) -> None:
    gltest = python_with("genlayer-test==0.29.2").with_name("gltest")
    project = tmp_path / "project"
    shutil.copytree(PROGRAMS / "project", project)
    keys = [f"0x{digit * 64}" for digit in "ab"]
    network = {"url": server.rpc, "accounts": keys, "default_wait_interval": 200, "default_wait_retries": 100}
    (project / "gltest.config.yaml").write_text(json.dumps({"networks": {"default": "localnet", "localnet": network}}))
    words = [str(gltest), "checks.py", "--network", "localnet", "-q", "-p", "no:cacheprovider"]
    assert "7 passed" in run(words, cwd=project)


def test_the_benchmarks_own_test_passes_here_and_on_glsim(server: Server) -> None:
    try:
        with simulator() as simulated:
            assert simulated.seconds() > 0
            assert simulated.seconds() > 0
            assert simulated.seconds(server.url) > 0
    except Unavailable as error:
        pytest.skip(str(error))


# --- C: genlayer-js ---


def test_genlayer_js(server: Server) -> None:
    folder = node_with({"genlayer-js": "1.2.0"})
    seen = _last_line(run_node(folder, PROGRAMS / "genlayer_js_flow.mjs", server.rpc, str(CONTRACT)))
    assert seen["chain"] == 61127
    assert int(seen["balance"]) >= 1000
    assert seen["methods"] == METHODS
    assert (seen["deploy"], seen["read"], seen["execution"]) == ("FINALIZED", "hello", "SUCCESS")
    assert (seen["readAgain"], seen["simulated"], seen["readAfterSimulation"]) == ("bye", None, "bye")
    assert seen["leaderOnly"] in DECIDED
    assert (seen["finalized"], seen["readByNobody"]) == ("FINALIZED", "alone")
    assert seen["code"]
    assert seen["schema"]
    assert seen["trace"]
    assert "only pending ones can be cancelled" in seen["cancel"]
    assert "not found" in seen["missing"]


# --- D: the command line ---


def test_the_genlayer_command_line(built_runners: BuiltRunners, tmp_path: Path) -> None:
    genlayer = command_line(tmp_path)
    with serialised("port"), serving(tmp_path, "--finality-window", "0", port=PORT) as server:
        genlayer("network", "set", "localnet")
        genlayer("account", "import", "--name", "t1", "--private-key", KEY, "--password", "password1")
        genlayer("account", "use", "t1")
        password = "password1\n"
        rpc = ("--rpc", server.rpc)
        said = genlayer("deploy", "--contract", str(CONTRACT), *rpc, "--args", "hello", text=password)
        contract = re.search(r"'Contract Address': '(0x\w{40})'", said)
        id = re.search(r"'Transaction Hash': '(0x\w{64})'", said)
        assert contract is not None, said
        assert id is not None, said
        assert "hello" in genlayer("call", contract[1], "get_storage")
        assert "Write operation successfully" in genlayer(
            "write", contract[1], "update_storage", "--args", "bye", text=password
        )
        assert "bye" in genlayer("call", contract[1], "get_storage")
        assert id[1] in genlayer("receipt", id[1], "--status", "ACCEPTED", text=password)
        assert "update_storage" in genlayer("schema", contract[1])
        assert "class Storage(gl.Contract)" in genlayer("code", contract[1])
        assert "Execution trace retrieved" in genlayer("trace", id[1])
        assert "Genlayer Localnet" in genlayer("account", "show")
        server.client.fund("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", 10**18)
        sent = genlayer("account", "send", "0x" + 40 * "9", "0.5gen", text=password)
        assert "Transfer successful" in sent, sent
        assert server.client.call("eth_getBalance", "0x" + 40 * "9") == hex(5 * 10**17)
        assert "Total Validators: 5" in genlayer("localnet", "validators", "count")
        assert "stake" in genlayer("localnet", "validators", "get")
        genlayer("localnet", "validators", "create-random", "--count", "2")
        assert "Total Validators: 7" in genlayer("localnet", "validators", "count")


# --- E: plain tools ---


def test_web3_py(server: Server) -> None:
    python = python_with("web3==8.0.0")
    seen = _last_line(run([str(python), str(PROGRAMS / "web3_flow.py"), server.rpc]))
    assert seen["connected"]
    assert (seen["chain_id"], seen["gas_price"], seen["balance"], seen["fees"]) == (61999, 0, 10**18, [0, 0])
    assert (seen["code"], seen["logs"], seen["syncing"]) == ("", [], False)
    assert seen["receipt"] == [1, True, True]
    assert seen["transaction"] == [123, 0, True]
    assert seen["same_again"]
    assert seen["received"] == 123


def test_ethers(server: Server) -> None:
    folder = node_with({"ethers": "6.17.0", "viem": "2.57.20"})
    seen = _last_line(run_node(folder, PROGRAMS / "ethers_flow.mjs", server.rpc))
    assert (seen["chainId"], seen["balance"], seen["count"], seen["status"]) == ("61999", "5000", 0, 1)
    assert seen["transaction"] == ["123", True, 0]
    assert seen["inBlock"]
    assert (seen["received"], seen["code"], seen["logs"]) == ("123", "0x", 0)


def test_viem(server: Server) -> None:
    folder = node_with({"ethers": "6.17.0", "viem": "2.57.20"})
    seen = _last_line(run_node(folder, PROGRAMS / "viem_flow.mjs", server.rpc))
    assert (seen["chainId"], seen["balance"], seen["status"]) == (61999, "5000", "success")
    assert seen["transaction"] == ["123", True]
    assert (seen["received"], seen["block"], seen["fees"]) == ("123", True, "0")


# --- G: the negative list ---


def test_the_negative_list(server: Server) -> None:
    def post(body: Any) -> tuple[int, Any]:
        request = urllib.request.Request(server.rpc, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())

    def ask(method: str, *params: Any, id: Any = 1) -> Any:
        status, answer = post({"jsonrpc": "2.0", "id": id, "method": method, "params": list(params)})
        assert (status, answer["id"]) == (200, id)
        return answer

    def error(method: str, *params: Any) -> Any:
        return ask(method, *params)["error"]

    def wait(id: str, status: str) -> Any:
        return server.client.call("genvm_waitForTransaction", id, status)

    unknown = "0x" + 64 * "0"
    assert error("eth_nothingOfTheKind")["code"] == -32601
    assert error("eth_getBalance")["code"] == -32602
    for id in ("a text", 7, None):
        assert ask("eth_chainId", id=id)["result"] == hex(61999)
    status, answers = post([{"jsonrpc": "2.0", "id": id, "method": "eth_chainId"} for id in (1, 2)])
    assert (status, [answer["id"] for answer in answers]) == (200, [1, 2])
    receipt = ask("eth_getTransactionReceipt", unknown)
    assert receipt == {"jsonrpc": "2.0", "id": 1, "result": None}
    assert error("eth_getTransactionByHash", unknown)["code"] == -32001
    assert ask("sim_restoreSnapshot", 10**6)["result"] is False

    # The same bytes are one transaction; what is final stays so whoever appeals.
    key = b"\x5a" * 32
    sender = address_of(key)
    raw = "0x" + sign(deploy_data(sender, CONTRACT.read_bytes(), HELLO), key=key).hex()
    sent = ask("eth_sendRawTransaction", raw)
    assert "result" in sent, sent
    id = sent["result"]
    assert ask("eth_sendRawTransaction", raw)["result"] == id
    assert ask("eth_getTransactionCount", sender, "pending")["result"] == "0x1"
    wait(id, "FINALIZED")
    appeal = "0x" + sign(call_data("submitAppeal(bytes32)", bytes.fromhex(id[2:])), nonce=1, key=key).hex()
    assert ask("eth_sendRawTransaction", appeal)["result"] == id
    assert ask("eth_getTransactionByHash", id)["result"]["status"] == "FINALIZED"


def test_the_receipt_of_what_is_undetermined_says_success(built_runners: BuiltRunners, tmp_path: Path) -> None:
    mocks = {
        "llm": [{"prompt": "yes or no", "answer": "yes", "node": "leader"}, {"prompt": "yes or no", "answer": "no"}]
    }
    (tmp_path / "mocks.yaml").write_text(json.dumps(mocks))
    words = ("--validators", "5", "--mocks", str(tmp_path / "mocks.yaml"))
    key = b"\x78" * 32
    with serving(tmp_path, *words) as server:
        raw = "0x" + sign(deploy_data(address_of(key), ASKING, calldata.encode({})), key=key).hex()
        id = server.client.call("eth_sendRawTransaction", raw)
        assert server.client.wait(id)["status"] == "UNDETERMINED"
        assert server.client.call("eth_getTransactionReceipt", id)["status"] == "0x1"
