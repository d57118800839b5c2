"""Transcripts: their bytes, and what the records of real runs have of a nondet block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.record.reading import read_record
from pygenvm.settlement.bridge.transcripts import TranscriptError, transcript, whole_transcript
from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.codec.transcript import Exchange, encode, transcript_hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.document import Document, Revealed
from tests.settlement.receipts import said
from tests.settlement.vectors import word
from tests.support.example_runs import EXAMPLE_RUNS, answers, example_host
from tests.support.execution import config_file, execute_process
from tests.support.hosts import InMemoryHost
from tests.support.module_server import serving_module

EXCHANGES = [Exchange("llm", b"request", b"answer"), Exchange("web", b"", "no such host")]


def test_the_bytes() -> None:
    assert encode([]) == b"\x01" + bytes(4)
    assert encode(EXCHANGES) == (
        b"\x01\0\0\0\x02"
        b"\0\0\0\x03llm\0\0\0\x07request\x01\0\0\0\x06answer"
        b"\0\0\0\x03web\0\0\0\0\x02\0\0\0\x0cno such host"
    )


def test_everything_is_bound() -> None:
    different = [
        [],
        EXCHANGES,
        EXCHANGES[::-1],
        EXCHANGES[:1],
        [EXCHANGES[0], Exchange("web", b"", b"no such host")],
        [Exchange("llm", b"requesta", b"nswer"), EXCHANGES[1]],
    ]
    assert len({transcript_hash(one) for one in different}) == len(different)


def test_the_verifier_tells_whose_vote_a_record_is(documents: list[Document]) -> None:
    document = documents[0]
    receipt = document.receipt
    mine, other = (one.operator for one in (document.reveals or ())[:2])
    reveals = []
    for operator, embedding in ((mine, transcript_hash(EXCHANGES)), (other, word(1))):
        parts = receipt.task_id, receipt.model_spec_hash, receipt.prompt_hash, word(1), embedding, operator, word(2)
        reveals.append(Revealed(operator, word(1), embedding, word(2), commit_hash(*parts)))
    bound = Document(receipt, document.root, document.proof, reveals=tuple(reveals))
    findings = check(bound, document.root, EXCHANGES)
    assert f"0x{mine.hex()} bound its vote for the output to the 2 exchanges recorded." in said(findings, Verdict.HOLDS)
    tampered = [Exchange("llm", b"request", b"other"), EXCHANGES[1]]
    (wrong,) = (one for one in said(check(bound, document.root, tampered), Verdict.FAILS) if "bound" in one)
    assert wrong == f"No vote is bound to the record, whose transcript is 0x{transcript_hash(tampered).hex()}."
    bare = Document(receipt, document.root, document.proof)
    assert any("no embedding hashes" in one for one in said(check(bare, None, EXCHANGES), Verdict.UNKNOWN))


# --- records of real runs ---


@pytest.fixture(scope="module")
def config(built_runners: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving_module(answers) as server:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        yield config_file(tmp_path_factory.mktemp("transcripts"), built=True, modules=modules)


def _run(host: InMemoryHost, config: Path, path: Path, call: object, **message: object) -> Path:
    host.calldata = calldata.encode(call)
    host.requests.clear()
    run = execute_process(None, "--record", str(path), host=host, config=config, message=message)
    assert run.exit_code == 0, run.stderr.decode()
    return path


def test_leader_and_validator_of_a_real_run(config: Path, tmp_path: Path) -> None:
    name = next(one for one, (_, steps) in EXAMPLE_RUNS.items() if any(step.blocks for step in steps))
    args, steps = EXAMPLE_RUNS[name]
    host = example_host(name)
    deployed = _run(host, config, tmp_path / "deployed", {"args": args}, is_init=True)
    step = next(one for one in steps if one.blocks)
    call = {"method": step.method, "args": step.args}
    message = {"sender": step.sender, "value": step.value, "datetime": step.datetime}
    led = read_record(_run(host, config, tmp_path / "led", call, **message))
    host.leader_results = [fields["result"] for fields in host.fields_of(HostMethod.POST_NONDET_RESULT)]
    validated = read_record(_run(host, config, tmp_path / "validated", call, **message))

    as_leader, as_validator = transcript(led, 0), transcript(validated, 0)
    assert {one.service for one in as_leader} <= {"llm", "web"}
    assert as_leader
    assert all(isinstance(one.answer, bytes) for one in as_leader + as_validator)
    assert transcript(led, 0) == as_leader
    assert [whole_transcript(one) for one in (led, validated)] == [as_leader, as_validator]
    assert whole_transcript(read_record(deployed)) == []
    for record, call_no in ((led, len(host.leader_results)), (read_record(deployed), 0)):
        with pytest.raises(TranscriptError, match="no run of nondet block"):
            transcript(record, call_no)
