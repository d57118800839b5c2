"""Validators with models and mocks of their own, as ``genvm local serve`` has them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pygenvm.localnet.rpc.client import Client, RpcFailure
from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.serving import Server, serving

SENDER = "0x" + 40 * "1"
CONTRACT = """\
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

    @gl.public.write
    def compare(self) -> None:
        def question() -> str:
            return gl.nondet.exec_prompt("What is the capital of France?")
        self.said = gl.eq_principle.prompt_comparative(question, "the same city")

    @gl.public.write
    def look(self) -> None:
        def page() -> str:
            return gl.nondet.web.get("https://page.example/item").body.decode()
        self.said = gl.eq_principle.strict_eq(page)

    @gl.public.view
    def answer(self) -> str:
        return self.said
"""


@pytest.fixture
def server(built_runners: BuiltRunners, author_modules: Path, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, "--validators", "5", "--finality-window", "0") as server:
        yield server


def deployed(client: Client) -> str:
    address: str = client.wait(client.deploy(CONTRACT.encode(), sender=SENDER))["data"]["contract_address"]
    return address


def written(client: Client, contract: str, method: str, **more: Any) -> dict[str, Any]:
    done: dict[str, Any] = client.wait(client.write(contract, method, sender=SENDER, **more))
    return done


def first_votes(done: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The first leader, and the votes of its round."""
    first = done["consensus_history"]["consensus_results"][0]
    leader = first["leader_result"][0]["node_config"]["address"]
    votes = {one["node_config"]["address"]: one["vote"] for one in first["validator_results"]}
    return leader, votes


def test_installed_mocks_answer_and_a_validator_with_its_own_disagrees(server: Server) -> None:
    client = server.client
    contract = deployed(client)
    assert "no language model is configured" in json.dumps(written(client, contract, "ask"))
    web = [{"url": "page.example/item", "body": "a page"}]
    assert client.call("sim_installMocks", {"capital of France": "Paris"}, web, True) == {
        "llm": 1,
        "web": 1,
        "strict": True,
    }
    done = written(client, contract, "ask")
    assert list(done["consensus_data"]["votes"].values()) == ["agree"] * 5, done
    assert client.read(contract, "answer") == "Paris"
    written(client, contract, "look")
    assert client.read(contract, "answer") == "a page"
    # One of them has another opinion of the capital, whatever was installed.
    other = client.call("sim_getAllValidators")[2]["address"]
    own = {"mock_response": {"response": {"capital of France": "Lyon"}}}
    client.call("sim_updateValidator", other, 1, "default", "default", {}, "", own)
    for _ in range(20):
        done = written(client, contract, "ask")
        leader, votes = first_votes(done)
        if leader != other:
            break
        # Nobody follows it, and the next leader finds what the others do.
        assert set(votes.values()) == {"disagree"}
    assert {address for address, vote in votes.items() if vote == "disagree"} == {other}
    assert done["status"] in ("ACCEPTED", "FINALIZED")
    assert client.read(contract, "answer") == "Paris"
    with pytest.raises(RpcFailure, match="cannot be files"):
        client.call("sim_installMocks", {}, [{"url": "x", "file": "/etc/passwd"}], False)
    for mocks in (True, -1, 1.5, "text"):
        with pytest.raises(RpcFailure, match="mocks are a map") as failure:
            client.call("sim_installMocks", None, mocks)
        assert failure.value.code == -32602


def test_half_a_character_is_no_text(server: Server) -> None:
    half = "\ud800"
    provider = {"provider": half, "model": "m", "config": {}, "plugin": "", "plugin_config": {}}
    calls = (("sim_createValidator", 1, half, "m"), ("sim_addProvider", provider), ("sim_read", 40 * "1", half))
    for method, *params in calls:
        with pytest.raises(RpcFailure) as failure:
            server.client.call(method, *params)
        assert failure.value.code == -32602, method


def test_mocks_and_validators_of_one_transaction(server: Server) -> None:
    client = server.client
    contract = deployed(client)
    mocks: dict[str, Any] = {
        "mock_response": {
            "response": {"capital of France": "Paris"},
            "eq_principle_prompt_comparative": {"the same city": True},
        },
        "mock_web_response": {
            "nondet_web_request": {"https://page.example/item": {"method": "GET", "status": 200, "body": "a page"}}
        },
    }
    config: dict[str, Any] = {
        "validators": [
            {"stake": 8, "provider": "openai", "model": "gpt-4o", "config": {}, "plugin": "", "plugin_config": mocks}
        ]
        * 3
    }
    done = written(client, contract, "compare", sim_config=config)
    assert list(done["consensus_data"]["votes"].values()) == ["agree"] * 3, done
    assert client.read(contract, "answer") == "Paris"
    done = written(client, contract, "look", sim_config=config)
    assert list(done["consensus_data"]["votes"].values()) == ["agree"] * 3, done
    assert client.read(contract, "answer") == "a page"
    # The network's own have none.
    assert "no language model is configured" in json.dumps(written(client, contract, "ask"))
    # They stand by what the principle says, not by the same words.
    not_the_same = {**mocks["mock_response"], "eq_principle_prompt_comparative": {"the same city": False}}
    config["validators"] = [
        {"provider": "p", "model": "m", "plugin_config": {**mocks, "mock_response": not_the_same}}
    ] * 3
    done = written(client, contract, "compare", sim_config=config)
    assert done["status"] in ("UNDETERMINED", "FINALIZED")
    assert set(first_votes(done)[1].values()) == {"disagree"}


class Model(ThreadingHTTPServer):
    """Answers like a server of language models, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[dict[str, Any]] = []


class _Asked(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Model)
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        answer = {"choices": [{"message": {"content": "Paris"}}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def write_config(path: Path, url: str, *models: str) -> Path:
    # JSON is YAML.
    backend = {"provider": "openai-compatible", "host": url, "key": "k", "models": {name: {} for name in models}}
    path.write_text(json.dumps({"backends": {"mine": backend}}))
    return path


def listed(client: Client) -> Sequence[tuple[str, str, bool, bool]]:
    return [
        (one["provider"], one["model"], one["is_available"] and one["is_model_available"], one["is_default"])
        for one in client.call("sim_getProvidersAndModels")
    ]


def test_a_validator_asks_the_model_that_it_has_as_it_wants(
    built_runners: BuiltRunners, author_modules: Path, tmp_path: Path, model: Model
) -> None:
    config = write_config(tmp_path / "llm.yaml", model.url, "small", "large")
    words = ("--validators", "1", "--finality-window", "0", "--llm-config", str(config))
    with serving(tmp_path, *words) as server:
        client = server.client
        assert listed(client) == [
            ("default", "default", True, True),
            ("mine", "small", True, True),
            ("mine", "large", True, True),
        ]
        contract = deployed(client)
        written(client, contract, "ask")
        assert [(one["model"], one["temperature"], one["max_tokens"]) for one in model.asked] == [("small", 0.7, 1000)]
        model.asked.clear()
        (validator,) = client.call("sim_getAllValidators")
        wanted = {"temperature": 0.25, "max_tokens": 77}
        client.call("sim_updateValidator", validator["address"], 1, "mine", "large", wanted)
        written(client, contract, "ask")
        assert client.read(contract, "answer") == "Paris"
        assert [(one["model"], one["temperature"], one["max_tokens"]) for one in model.asked] == [("large", 0.25, 77)]
        model.asked.clear()
        wanted = {"temperature": 0, "use_max_completion_tokens": True, "top_p": 0.5}
        of_one = {"validators": [{"provider": "mine", "model": "small", "config": wanted}]}
        written(client, contract, "ask", sim_config=of_one)
        (asked,) = model.asked
        assert (asked["model"], asked["temperature"], asked["max_completion_tokens"]) == ("small", 0, 1000)
        assert "max_tokens" not in asked
        client.call("sim_deleteProvider", client.call("sim_getProvidersAndModels")[1]["id"])
        client.call("sim_addProvider", {"provider": "own", "model": "made"})
    # Another configuration: what it has not any more is gone, what it has newly is there, what was done by hand stays.
    write_config(config, model.url, "small", "huge")
    with serving(tmp_path, *words) as server:
        assert sorted(listed(server.client)) == [
            ("default", "default", True, True),
            ("mine", "huge", True, True),
            ("own", "made", False, False),
        ]
