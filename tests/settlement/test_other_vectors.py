"""Vectors of what stands beside the engine: accelerator, core tasks, compute fund. And that no vector is left out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pygenvm.settlement.accelerator import kernels
from pygenvm.settlement.accelerator.kernels import InferenceOp, Weights
from pygenvm.settlement.accelerator.layouts import LAYOUTS, size
from pygenvm.settlement.aicf import ids, split
from pygenvm.settlement.core import rewards
from pygenvm.settlement.types.words import ZERO, Hash
from tests.settlement.vectors import all_vectors, expected, h, inputs, raw

MODEL = Hash(bytes(range(0xC0, 0xE0)))
WEIGHTS = Weights(
    w1=[i % 9 - 4 for i in range(512)],
    b1=[10 * i - 50 for i in range(16)],
    w2=[i % 7 - 3 for i in range(16)],
    b2=-10,
    shift1=4,
    shift2=3,
    model_hash=MODEL,
)


def test_layouts() -> None:
    told = expected("gpu-layouts")
    assert {name: [list(field) for field in fields] for name, fields in LAYOUTS.items()} == {
        name: one["fields"] for name, one in told.items()
    }
    assert {name: size(name) for name in LAYOUTS} == {name: one["size"] for name, one in told.items()}


def test_table_index() -> None:
    fields = inputs("gpu-hash-index")
    assert kernels.table_index(h(fields["digest"]), fields["mask"]) == expected("gpu-hash-index")


@pytest.mark.parametrize("name", ["gpu-epoch-closing", "gpu-epoch-open", "gpu-epoch-empty"])
def test_state_root(name: str) -> None:
    """From the other roots: the tables of the first two vectors are not in the specification."""
    told = expected(name)
    parent = ZERO if name == "gpu-epoch-empty" else Hash(bytes(range(0xA0, 0xC0)))
    roots = [h(told[root]) for root in ("attestation_root", "model_registry_root", "audit_root")]
    if name == "gpu-epoch-empty":
        assert roots == [kernels.chained_root([])] * 3
    assert kernels.state_root(
        parent,
        *roots,
        epoch=told["epoch"],
        active=told["active"],
        models=told["model_count"],
        anchors=told["anchor_count"],
    ) == h(told["aivm_state_root"])


@pytest.mark.parametrize("name", [f"gpu-infer-{number}" for number in range(4)])
def test_inference(name: str) -> None:
    fields, told = inputs(name), expected(name)
    op = fields["op"]
    asked = InferenceOp(h(op["mh"]), h(op["ph"]), h(op["salt"]), op["mode"], op["ilen"], op["ocap"], int(op["ts"]))
    found = kernels.infer(WEIGHTS, asked, fields["input"])
    assert kernels.forward(WEIGHTS, fields["input"]) == (told["hidden"], told["output"])
    assert (found.status, found.output_length, found.output) == (told["status"], told["output_len"], told["output"])
    assert found.input_commitment == h(told["input_commitment"])
    assert found.output_commitment == h(told["output_commitment"])
    assert found.attestation_root == h(told["attestation_root"])


def test_inference_wraps_and_saturates() -> None:
    told = expected("gpu-infer-saturate")
    weights = replace(WEIGHTS, shift1=0, shift2=0, b1=[2**31 - 1] * 16, b2=-(2**31))
    assert kernels.forward(weights, inputs("gpu-infer-saturate")["input"]) == (told["hidden"], told["output"])
    with pytest.raises(ValueError, match="shifts"):
        replace(WEIGHTS, shift1=32)


def test_refused_inference() -> None:
    good = InferenceOp(MODEL, ZERO, ZERO, 0, 32, 4, 0)
    bad = [replace(good, model_hash=ZERO), replace(good, input_length=31), replace(good, output_capacity=0)]
    found = [kernels.infer(WEIGHTS, op, [0] * 32) for op in bad]
    assert found == [kernels.InferenceResult(status) for status in expected("gpu-infer-status")]


@pytest.mark.parametrize("name", [f"gpu-proof-{number}" for number in range(5)])
def test_proof(name: str) -> None:
    fields, told = inputs(name), expected(name)
    assert kernels.proof_status(
        h(fields["meas"]),
        raw(fields["key"]),
        raw(fields["sig"]),
        h(fields["msg"]),
        expiry_ns=int(fields["exp"]),
        timestamp_ns=int(fields["ts"]),
        nonce=fields["nonce"],
    ) == (told["status"], h(told["binding_hash"]))


def test_core_tasks() -> None:
    fields = inputs("core-reward")
    found = [rewards.task_reward(ms, percent, fields["uptime"]) for ms, percent in fields["cases"]]
    assert found == [int(one) for one in expected("core-reward")]
    fields = inputs("core-receipt-hash")
    model = rewards.model_hash(fields["model"])
    texts = fields["input"].encode(), fields["output"].encode()
    assert rewards.receipt_hash(fields["job_id"], fields["provider_id"], model, *texts) == h(
        expected("core-receipt-hash")
    )


def test_compute_fund() -> None:
    fields = inputs("aicf-queue-job-id")
    common = fields["chain_id"], fields["height"], raw(fields["tx_hash"]), raw(fields["caller"])
    assert ids.queue_job_id(*common, fields["payload"].encode()) == h(expected("aicf-queue-job-id"))
    payload = inputs("aicf-capabilities-task-id")["payload_bytes"].encode()
    assert ids.capabilities_task_id(*common, payload) == h(expected("aicf-capabilities-task-id"))
    for total, told in zip(inputs("aicf-split")["totals"], expected("aicf-split"), strict=True):
        assert split.split(total, split.AI_BPS)._asdict() == told
    with pytest.raises(ValueError, match="no whole"):
        split.split(1, split.Split(1, 2, 3))
    with pytest.raises(ValueError, match="needs"):
        ids.capabilities_task_id(0, 1, b"x", b"y", b"")


def test_every_vector_is_tested() -> None:
    """By its own name or by the prefix of its family in a test of this folder."""
    source = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*vectors.py"))
    literals = set(re.findall(r'"([a-z0-9]+-[A-Za-z0-9_-]*)[{"]', source))
    left_out = [
        name
        for name in all_vectors()
        if name not in literals and not any(name.startswith(one) for one in literals if one.endswith("-"))
    ]
    assert left_out == []
    assert len(all_vectors()) == 95
