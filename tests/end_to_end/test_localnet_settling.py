"""``genvm local --validators N --threshold T`` with real executors, and its receipts verified offline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")

STATE = ".pygenvm/local.db.settlement"
URL = "https://api.example.com/price"

SETTLED = ("--validators", "5", "--threshold", "3")
SPEC = "0x" + "11" * 32

#: What each node finds where the mocks make them differ.
SPLIT = {"leader": 1, **{f"validator {number}": number + 1 for number in range(1, 5)}}

Local = Callable[..., tuple[int, Any]]
Verify = Callable[..., tuple[int, list[str]]]


def mocks(**prices: float) -> str:
    """A file of mocks: prices by node, 42.5 for all others."""
    named = "".join(
        f"  - {{url: '.', node: {node.replace('_', ' ')}, body: {{price: {price}}}}}\n"
        for node, price in prices.items()
    )
    return f"web:\n{named}  - {{url: '.', body: {{price: 42.5}}}}\n"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Local:
    """Runs a command with ``--json`` in a folder where the price oracle is deployed: exit code and document."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, Any]:
        code = main(["local", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, document = run("deploy", str(EXAMPLES / "price_oracle.py"), "--args", json.dumps([URL]))
    assert code == 0, document
    return run


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    """Verifies a text as a receipt: exit code and lines."""

    def run(text: str, *words: str) -> tuple[int, list[str]]:
        Path("receipt.json").write_text(text)
        code = main(["receipt", "verify", "receipt.json", *words])
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    def run(intent: str) -> str:
        assert main(["receipt", "export", STATE, "--intent", intent]) == 0
        return capsys.readouterr().out

    return run


def update(local: Local, written: str, *words: str) -> tuple[int, Any]:
    Path("mocks.yaml").write_text(written)
    return local("call", "update", "--mocks", "mocks.yaml", *words)


def rounds(document: Any) -> list[Any]:
    found: list[Any] = document["transaction"]["settlement"]["rounds"]
    return found


def test_a_receipt_with_its_records(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    prices = {f"validator_{number}": 42.5 + 0.0001 * number for number in range(1, 7)}
    code, document = update(local, mocks(**prices), "--validators", "5", "--threshold", "3", "--records", "records")
    assert (code, document["result"]) == (0, 4250), document
    (round_,) = rounds(document)
    assert (round_["decision"], len(round_["votes"])) == ("agree", 5)
    text = export(round_["intent"])
    root = json.loads(text)["proof"][:66]
    folder = Path("records", document["transaction"]["id"], "round-1")
    assert {path.name for path in folder.iterdir()} == {
        "leader",
        *(vote["node"].replace(" ", "-") for vote in round_["votes"]),
    }
    for vote in round_["votes"]:
        record = folder / vote["node"].replace(" ", "-")
        code, lines = verify(text, "--root", root, "--record", str(record))
        assert code == 0
        assert lines[-1] == "Everything that was checked holds."
        # Each of them has found another page, so no two have the same transcript.
        (bound,) = (line for line in lines if "bound" in line)
        assert bound == f"holds      {vote['address']} bound its vote for the output to the 1 exchanges recorded."


TWICE = """# v0.2.16
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Twice(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def ask(self) -> str:
        def page(name: str) -> str:
            return gl.eq_principle.strict_eq(lambda: gl.nondet.web.get("https://example.com/" + name).body.decode())

        return page("first") + page("second")
"""


def test_a_vote_is_bound_to_all_blocks(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    Path("twice.py").write_text(TWICE)
    Path("mocks.yaml").write_text("web:\n  - {url: first, body: a}\n  - {url: second, body: b}\n")
    assert local("deploy", "twice.py")[0] == 0
    options = ("--mocks", "mocks.yaml", "--validators", "3", "--threshold", "2", "--records", "records")
    code, document = local("call", "ask", *options)
    assert (code, document["result"]) == (0, "ab"), document
    (round_,) = rounds(document)
    text = export(round_["intent"])
    for vote in round_["votes"]:
        record = Path("records", document["transaction"]["id"], "round-1", vote["node"].replace(" ", "-"))
        code, lines = verify(text, "--record", str(record))
        assert code == 0
        assert any(f"{vote['address']} bound its vote for the output to the 2 exchanges" in line for line in lines)
        # One block is not all that the vote is bound to.
        assert verify(text, "--record", str(record), "--block", "0")[0] == 1


def test_a_dissenting_validator(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    """Who is drawn depends on the time: of four validators of five operators, all but one or two vote."""
    code, document = update(local, mocks(validator_1=1, validator_2=1), "--validators", "5", "--threshold", "3")
    assert (code, document["result"]) == (0, 4250), document
    (round_,) = rounds(document)
    against = [vote for vote in round_["votes"] if vote["vote"] == "disagree"]
    assert {vote["node"] for vote in against} <= {"validator 1", "validator 2"}
    assert {vote["reason"] for vote in against} <= {"nondet block 0: it does not accept the leader's result, 4250"}
    code, lines = verify(export(round_["intent"]))
    assert code == 0
    agreeing = 5 - len(against)
    assert f"holds      The most frequent output has {agreeing} votes, enough; the receipt says the same." in lines
    paid = {one["node"] for one in document["transaction"]["settlement"]["operators"] if one["credit"] != "0"}
    assert paid == {vote["node"] for vote in round_["votes"]} - {vote["node"] for vote in against}


def test_the_leader_is_rotated(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    code, document = update(local, mocks(leader=1), "--validators", "3", "--threshold", "2")
    assert (code, document["result"]) == (0, 4250), document
    assert [(one["leader"]["node"], one["decision"]) for one in rounds(document)] == [
        ("leader", "disagree"),
        ("validator 1", "agree"),
    ]
    assert [verify(export(one["intent"]))[0] for one in rounds(document)] == [0, 0]


def test_undetermined_after_as_many_leaders_as_configured(
    local: Local, export: Callable[[str], str], verify: Verify
) -> None:
    prices = {node.replace(" ", "_"): float(price) for node, price in SPLIT.items()}
    code, document = update(local, mocks(**prices), "--validators", "3", "--threshold", "2", "--rotations", "2")
    assert (code, document["ok"], document["error"]["kind"]) == (1, False, "undetermined")
    assert document["error"]["message"].startswith("3 leaders were not accepted; of the last, ")
    assert [one["leader"]["node"] for one in rounds(document)] == ["leader", "validator 1", "validator 2"]
    assert [verify(export(one["intent"]))[0] for one in rounds(document)] == [0, 0, 0]
    assert local("view", "get")[1]["result"]["cents"] == 0


def test_an_appeal_with_its_records(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    options = ("--rotations", "0", "--appeals", "1", "--records", "records")
    wrong = mocks(**{f"validator_{number}": 1.0 for number in range(1, 5)})
    _, document = update(local, wrong, "--validators", "3", "--threshold", "2", *options)
    first, second = rounds(document)
    assert [(one["appeal"], one["receipt"]["n"], one["receipt"]["threshold"]) for one in (first, second)] == [
        (0, 3, 2),
        (1, 7, 5),
    ]
    assert document["ok"] is (second["decision"] == "agree")
    folder = Path("records", document["transaction"]["id"])
    text = export(second["intent"])
    for vote in second["votes"]:
        name = vote["node"].replace(" ", "-")
        # The leader ran once, before the first committee was drawn.
        record = folder / ("round-1" if name == "leader" else "round-2") / name
        code, lines = verify(text, "--record", str(record))
        assert code == 0
        assert any(f"{vote['address']} bound its vote" in line for line in lines)


def test_an_operator_withholds(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    """Each of the five is told to; who is drawn depends on the time."""
    withhold = [word for number in range(1, 7) for word in ("--withhold", f"validator {number}")]
    code, document = update(local, mocks(), *SETTLED, "--rotations", "0", *withhold)
    (round_,) = rounds(document)
    assert (code, round_["decision"]) == (1, "none")
    assert {vote["vote"] for vote in round_["votes"] if vote["node"] != "leader"} == {"withheld"}
    assert verify(export(round_["intent"]))[0] == 0
    lost = {
        one["node"] for one in document["transaction"]["settlement"]["operators"] if one["stake"] != str(2 * 10**18)
    }
    assert lost == {vote["node"] for vote in round_["votes"]} - {"leader"}


def test_what_was_changed_is_refused(local: Local, export: Callable[[str], str], verify: Verify) -> None:
    words = ("--validators", "3", "--threshold", "2", "--records", "records")
    _, document = update(local, mocks(), *words)
    _, other = update(local, mocks(leader=50, **{f"validator_{number}": 50 for number in range(1, 5)}), *words)
    (round_,), (other_round,) = rounds(document), rounds(other)
    good, others = json.loads(export(round_["intent"])), json.loads(export(other_round["intent"]))

    def fails(changes: dict[str, Any], *more: str) -> list[str]:
        code, lines = verify(json.dumps({**good, **changes}), *more)
        assert code == 1
        return [line.removeprefix("FAILS      ") for line in lines if line.startswith("FAILS")]

    # One bit of the canonical output.
    receipt = bytearray.fromhex(good["receipt"][2:])
    receipt[214] ^= 1
    assert "The proof does not lead from this receipt to the root." in fails({"receipt": "0x" + receipt.hex()})
    assert fails({"proof": others["proof"]}) == ["The proof does not lead from this receipt to the root."]
    assert "The intent has another id than the receipt says." in fails({"intent": others["intent"]})
    assert fails({}, "--root", "0x" + "11" * 32) == ["The root is not the one that you gave."]
    reveals = [{**good["reveals"][0], "output": others["reveals"][0]["output"]}, *good["reveals"][1:]]
    assert any("did not commit to what it is said to have revealed" in one for one in fails({"reveals": reveals}))
    record = Path("records", other["transaction"]["id"], "round-1", "leader")
    (unbound,) = fails({}, "--record", str(record))
    assert unbound.startswith("No vote is bound to the record, whose transcript is 0x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--threshold", "2"), "--threshold needs --validators N, from 3 on"),
        (("--validators", "2", "--threshold", "2"), "--threshold needs --validators N, from 3 on"),
        (
            ("--validators", "5", "--threshold", "2"),
            "--threshold must be more than half of the 5 nodes, and at most all of them",
        ),
        (
            ("--validators", "5", "--threshold", "6"),
            "--threshold must be more than half of the 5 nodes, and at most all of them",
        ),
        (("--validators", "5", "--rotations", "2"), "--rotations needs --threshold"),
        (("--validators", "5", "--records", "here"), "--records needs --threshold"),
        (("--validators", "5", "--appeals", "1"), "--appeals needs --threshold"),
        (("--validators", "5", "--appeal-accepted"), "--appeal-accepted needs --threshold"),
        (("--validators", "5", "--withhold", "leader"), "--withhold needs --threshold"),
        (("--validators", "5", "--service", "http://127.0.0.1:9"), "--service needs --threshold"),
        ((*SETTLED, "--appeal-accepted"), "--appeal-accepted needs --appeals N, from 1 on"),
        ((*SETTLED, "--service", "http://127.0.0.1:9"), "--service needs --key-file"),
        ((*SETTLED, "--service", "http://127.0.0.1:9", "--key-file", "key"), "--service needs --model-spec"),
        ((*SETTLED, "--key-file", "key"), "--key-file needs --service"),
        ((*SETTLED, "--model-spec", SPEC), "--model-spec needs --service"),
        (
            (*SETTLED, "--service", "http://127.0.0.1:9", "--withhold", "leader"),
            "--withhold is for operators of this machine, and those of --service are others",
        ),
        (
            (*SETTLED, "--service", "http://127.0.0.1:9", "--key-file", "mocks.yaml", "--model-spec", SPEC),
            "[Errno 2] No such file or directory: 'mocks.yaml'",
        ),
        (
            ("--validators", "50", "--threshold", "26", "--appeals", "1"),
            "--appeals: the last would need 101 nodes, of at most 100",
        ),
    ],
)
def test_options_that_do_not_go_together(local: Local, words: tuple[str, ...], message: str) -> None:
    code, document = local("call", "update", *words)
    assert (code, document["error"]["message"]) == (2, message)
    assert not Path(STATE).exists()
