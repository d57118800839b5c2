"""The core routes: exact bytes, plain text where something is wrong (spec settlement/03 §6, §7)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pygenvm.settlement.codec.records import ResultRecord, TaskRecord
from pygenvm.settlement.core import vm as module
from pygenvm.settlement.core.rewards import model_hash, receipt_hash
from pygenvm.settlement.core.vm import CoreError, CoreVM
from tests.settlement.engines import A_CHAIN
from tests.settlement.service import Live, live

BASE = f"/v1/bc/0x{A_CHAIN.hex()}"
GPU = {"model": "H100", "memory_gb": 80, "tflops": 989.5, "available": True, "temperature": 40, "utilization": 0.5}
PROOF = base64.b64encode(bytes(32)).decode()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
LOCAL = {
    "device_id": "0",
    "model": "H100",
    "cc_enabled": True,
    "mode": 0,
    "local_evidence": {"spdm_report": base64.b64encode(bytes(256)).decode(), "rim_verified": True},
}


def software(age: timedelta = timedelta(), **changes: object) -> dict[str, Any]:
    evidence = {
        "gpu_serial": "1",
        "driver_version": "5",
        "benchmark_hash": [1] * 32,
        "provider_pubkey": base64.b64encode(bytes(32)).decode(),
        "signature": base64.b64encode(bytes(64)).decode(),
        "timestamp": (datetime.now(UTC) - age).isoformat(),
        **changes,
    }
    return {"model": "RTX 4090", "mode": 1, "software_attestation": evidence}


async def said(net: Live, method: str, path: str, body: object = None) -> tuple[int, str]:
    return await net.ask(method, BASE + path, body)


async def test_exact_answers(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        assert await said(net, "GET", "/providers") == (200, '{"count":0,"providers":[]}\n')
        provider = {"id": "p", "wallet_address": "0x1", "endpoint": "http://p", "gpus": [GPU], "more": 1}
        answer = (200, '{"providerId":"p","success":true}\n')
        assert await said(net, "POST", "/providers/register", {**provider, "gpu_attestation": LOCAL}) == answer
        status, text = await said(net, "GET", "/providers")
        gpu = json.dumps(GPU, separators=(",", ":"))
        attestation = json.dumps(LOCAL, separators=(",", ":"))
        assert (status, re.sub(TIME, "T", text)) == (
            200,
            '{"count":1,"providers":[{"id":"p","wallet_address":"0x1","endpoint":"http://p",'
            f'"gpus":[{gpu}],"gpu_attestation":{attestation},"status":{{"online":true,"last_seen":"T","uptime":1,'
            '"failure_rate":0,"current_tasks":0,"max_tasks":2},"reputation":98,"tasks_handled":0,"joined_at":"T"}]}\n',
        )
        task = {"id": "t", "type": "inference", "model": "zen-mini-0.5b", "input": {"b": 1, "a": "<"}, "fee": 1000000}
        assert await said(net, "POST", "/tasks/submit", task) == (200, '{"success":true,"taskId":"t"}\n')
        status, text = await said(net, "GET", "/tasks?id=t")
        assert (status, re.sub(TIME, "T", text)) == (
            200,
            '{"id":"t","type":"inference","model":"zen-mini-0.5b","input":{"b":1,"a":"\\u003c"},"status":"assigned",'
            '"assigned_to":"p","fee":1000000,"created_at":"T","started_at":"T","completed_at":"0001-01-01T00:00:00Z"}\n',
        )
        result = {"task_id": "t", "provider_id": "p", "output": "x", "compute_time_ms": 50, "proof": PROOF}
        assert await said(net, "POST", "/tasks/result", result) == (200, '{"success":true,"taskId":"t"}\n')
        _, text = await said(net, "GET", "/tasks?id=t")
        assert '"output":"x","status":"completed","assigned_to":"p","fee":1000000,' in text
        assert text.endswith(f'"compute_time_ms":50,"proof":"{PROOF}"}}\n')
        # 1e15 and 1 %, 10 % for uptime, 5 % for being fast (vector core-reward).
        reward = 1166550000000000
        shown = (
            f'{{"avg_latency_ms":50,"pending_rewards":"{reward}","provider_id":"p","slashed":false,'
            f'"tasks_completed":1,"total_rewards":"{reward}","uptime":1}}\n'
        )
        assert await said(net, "GET", "/rewards/stats?provider_id=p") == (200, shown)
        # A second result changes the task and earns nothing.
        assert (await said(net, "POST", "/tasks/result", result))[0] == 200
        assert await said(net, "GET", "/rewards/stats?provider_id=p") == (200, shown)
        statistics = (
            f'{{"epoch_rewards":"{reward}","models_available":3,"providers_active":1,"providers_total":1,'
            f'"receipts_processed":1,"tasks_completed":1,"tasks_failed":0,"tasks_pending":0,"total_minted":"{reward}"}}\n'
        )
        assert await said(net, "GET", "/stats") == await said(net, "GET", "/tasks") == (200, statistics)
        root = receipt_hash("t", "p", model_hash("zen-mini-0.5b"), b'{"b":1,"a":"\\u003c"}', b'"x"')
        merkle = json.dumps({"merkleRoot": list(root)}, separators=(",", ":")) + "\n"
        assert await said(net, "GET", "/merkle") == (200, merkle)
        claim = {"provider_id": "p"}
        assert await said(net, "POST", "/rewards/claim", claim) == (200, f'{{"claimed":"{reward}","success":true}}\n')
        nothing = (200, '{"claimed":"0","success":true}\n')
        assert await said(net, "POST", "/rewards/claim", claim) == nothing
        assert await said(net, "POST", "/rewards/claim", {"provider_id": "q"}) == nothing
        for method in ("GET", "POST", "DELETE"):
            assert await said(net, method, "/health") == (200, '{"healthy":true,"version":"v1.0.0"}\n')
        status, text = await said(net, "GET", "/models")
        first = json.loads(text)["models"][0]
        assert (status, json.loads(text)["count"], first["id"], first["context_size"]) == (
            200,
            3,
            "zen-coder-1.5b",
            32768,
        )
        assert bytes(first["hash"]) == hashlib.sha256(b"zen-coder-1.5b").digest()
        url = f"http://127.0.0.1:{net.port}{BASE}/stats"
        async with net.http.get(url) as response:
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("attestation", "status", "text"),
    [
        (LOCAL, 200, '{"hardwareCC":true,"mode":0,"trustScore":98,"verified":true}\n'),
        ({**LOCAL, "model": "RTX 9999"}, 400, "unsupported TEE type\n"),
        ({**LOCAL, "local_evidence": {"spdm_report": "AAAA"}}, 400, "invalid attestation quote\n"),
        ({**LOCAL, "local_evidence": {"spdm_report": "!"}}, 400, "invalid attestation quote\n"),
        ({**LOCAL, "local_evidence": 5}, 400, "invalid attestation quote\n"),
        (software(), 200, '{"hardwareCC":false,"mode":1,"trustScore":55,"verified":true}\n'),
        (software(timedelta(hours=2)), 400, "quote expired\n"),
        (software(signature="AAAA"), 400, "invalid signature\n"),
        (software(driver_version=""), 400, "invalid attestation quote\n"),
        (software(timestamp=5), 400, "invalid attestation quote\n"),
        ({**software(), "mode": 7}, 200, '{"hardwareCC":false,"mode":1,"trustScore":55,"verified":true}\n'),
        (None, 400, "invalid attestation quote\n"),
        ([], 400, "invalid attestation quote\n"),
    ],
)
async def test_attestations(tmp_path: Path, attestation: object, status: int, text: str) -> None:
    async with live(tmp_path) as net:
        answer = await said(net, "POST", "/attestation/verify", {"gpu_attestation": attestation})
        assert answer == (status, text)


async def test_refusals(tmp_path: Path) -> None:
    good = {"id": "t", "type": "inference", "fee": 1000000}
    async with live(tmp_path) as net:
        for method, path, body, status, text in (
            ("POST", "/tasks", {}, 405, "method not allowed"),
            ("GET", "/tasks/submit", None, 405, "method not allowed"),
            ("GET", "/tasks?id=t", None, 404, "task not found"),
            ("POST", "/tasks/submit", {**good, "id": ""}, 400, "invalid task"),
            ("POST", "/tasks/submit", {**good, "fee": 999999}, 400, "tx fee below policy minimum"),
            ("POST", "/tasks/submit", {**good, "fee": "1000000"}, 400, "fee is of another type"),
            ("POST", "/tasks/submit", {**good, "fee": 1 << 64}, 400, "fee does not fit 64 bits"),
            ("POST", "/tasks/submit", {**good, "id": "\n"}, 400, "id is too long, or no printable text"),
            ("POST", "/tasks/result", {"task_id": "t"}, 400, "task not found"),
            ("POST", "/tasks/result", {"task_id": "t", "proof": "!"}, 400, "proof is no base64"),
            ("GET", "/rewards/stats", None, 400, "provider_id required"),
            ("GET", "/rewards/stats?provider_id=p", None, 404, "provider not found"),
            ("POST", "/providers/register", {"id": "p", "gpus": [5]}, 400, "a gpu is no object"),
            ("POST", "/providers/register", {"id": "p", "gpus": [{}] * 65}, 400, "a provider has at most 64 gpus"),
            ("POST", "/providers/register", {"id": "p", "gpu_attestation": {}}, 400, "invalid attestation quote"),
            ("POST", "/providers/register", [], 400, "the body must be a JSON object"),
        ):
            assert (path, await said(net, method, path, body)) == (path, (status, text + "\n"))
        hostile = b'{"id":"t","fee":1000000,"input":"\\ud800"}'
        status, text = await net.ask("POST", BASE + "/tasks/submit", data=hostile)
        assert (status, text[:36]) == (400, "the body holds what no record can: '")
        status, _ = await net.ask("POST", BASE + "/tasks/submit", data=b'{"id":"t","fee":1000000,"input":1e999}')
        assert status == 400
        assert (await net.ask("GET", "/v1/bc/other/stats"))[0] == 404
        assert (await said(net, "GET", "/stats/"))[0] == 404


def test_assignment_goes_by_reputation_and_capacity() -> None:
    vm = CoreVM()
    gpu = json.dumps(GPU)
    vm.register("plain", "", "", [gpu], None)
    vm.register("attested", "", "", [gpu], (LOCAL, json.dumps(LOCAL)))
    for number in range(5):
        vm.submit(TaskRecord(id=str(number), fee=1000000))
    assert [vm.task(str(number)).assigned_to for number in range(5)] == ["attested"] * 2 + ["plain"] * 2 + [""]
    assert vm.statistics()["tasks_pending"] == 1


def test_slashed_providers_earn_nothing() -> None:
    vm = CoreVM()
    vm.slash("p")
    vm.submit(TaskRecord(id="t", fee=1000000))

    vm.result(ResultRecord("t", "p", output="1", proof=bytes(32)))
    assert vm.claim("p") == 0
    assert vm.reward_statistics("p")["slashed"] is True


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that have ended make room for new ones; if there are none, there is no room."""

    monkeypatch.setattr(module, "TASKS_MAX", 2)
    vm = CoreVM()
    vm.submit(TaskRecord(id="a", fee=1000000))
    vm.submit(TaskRecord(id="b", fee=1000000))
    with pytest.raises(CoreError, match="too many tasks"):
        vm.submit(TaskRecord(id="c", fee=1000000))
    vm.result(ResultRecord("a", "p", error="no"))
    vm.submit(TaskRecord(id="c", fee=1000000))
    with pytest.raises(CoreError, match="task not found"):
        vm.task("a")
