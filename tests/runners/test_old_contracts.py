"""Contracts as they were written for the SDK v0.1.0 run under its published ids (spec sdk/01 §8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.executor.runner.contract_file import read_contract
from pygenvm.executor.runner.registry import published_runners
from pygenvm.pytest_plugin import ContractReverted, DirectVM
from pygenvm.runners.registry import BuiltRunners
from tests.support.archives import contract_zip
from tests.support.execution import Execution, execute
from tests.support.hosts import InMemoryHost

OLD = Path(__file__).with_name("old_contracts")
#: The generation of these contracts, and the current one.
THEN, *_, NOW = published_runners()["py-genlayer"]
THEN_MULTI = next(iter(published_runners()["py-genlayer-multi"]))


# --- fields and messages ---


def test_storage(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "storage.py", "a")
    assert contract.get_storage() == "a"
    contract.update_storage("b")
    assert contract.get_storage() == "b"
    with direct_vm.expect_revert("nothing to store"):
        contract.update_storage("")


def test_a_decorated_class_and_its_message(direct_vm: DirectVM, direct_alice: Address) -> None:
    contract = direct_vm.deploy(OLD / "user_storage.py")
    contract.update_storage("mine")
    with direct_vm.prank(direct_alice):
        contract.update_storage("hers")
        assert not contract.is_mine()
        assert contract.get_account_storage(direct_alice.as_hex) == "hers"
    assert contract.is_mine()
    assert sorted(contract.get_complete_storage().values()) == ["hers", "mine"]
    assert direct_vm.storage(contract)["owner"] == direct_vm.sender


def test_token(direct_vm: DirectVM, direct_alice: Address, direct_bob: Address) -> None:
    token = direct_vm.deploy(OLD / "erc20.py", 100)
    alice, bob = direct_alice.as_hex, direct_bob.as_hex
    token.transfer(alice, 40)
    with direct_vm.prank(direct_alice):
        token.approve(bob, 30)
    with direct_vm.prank(direct_bob):
        token.transfer_from(alice, bob, 25)
        with direct_vm.expect_revert("insufficient allowance"):
            token.transfer_from(alice, bob, 25)
        with direct_vm.expect_revert("insufficient balance"):
            token.transfer(alice, 26)
    assert [token.get_balance_of(one) for one in (direct_vm.sender.as_hex, alice, bob)] == [60, 15, 25]


def test_reads_and_calls_other_contracts(direct_vm: DirectVM, direct_alice: Address) -> None:
    tokens = [direct_vm.deploy(OLD / "erc20.py", supply) for supply in (7, 8)]
    reader = direct_vm.deploy(OLD / "multi_read_erc20.py")
    me, addresses = direct_vm.sender.as_hex, [token.address.as_hex for token in tokens]
    reader.update_token_balances(me, addresses)
    assert reader.get_balances() == {me: dict(zip(addresses, (7, 8), strict=True))}
    tokens[0].transfer(reader.address.as_hex, 5)
    tokens[0].approve(reader.address.as_hex, 2)
    reader.collect(addresses[0], me, 2)
    (message,) = direct_vm.messages
    assert (message.method, message.args, message.on) == ("transfer_from", [me, reader.address.as_hex, 2], "accepted")
    assert tokens[0].get_balance_of(reader.address.as_hex) == 7
    assert reader.spend(addresses[0], direct_alice.as_hex, 3) == "no such holder"
    assert tokens[0].get_balance_of(direct_alice.as_hex) == 3


def test_factory(direct_vm: DirectVM, direct_alice: Address) -> None:
    factory = direct_vm.deploy(OLD / "factory.py")
    first, second = factory.create("why?"), factory.create("how?")
    assert factory.questions() == ["why?", "how?"]
    factory.ask_all("when?")
    assert [receipt.ok for receipt in direct_vm.last.delivered] == [True, True]
    assert factory.questions() == ["when?", "when?"]
    assert direct_vm.contract_at(Address(first)).get_question() == "when?"
    with direct_vm.expect_revert("only the factory asks"):
        direct_vm.contract_at(Address(second)).ask("who?")


def test_contracts_of_the_ethereum_side(direct_vm: DirectVM) -> None:
    ghost = Address("0x" + "70" * 20)
    bridge = direct_vm.deploy(OLD / "ghost.py", ghost.as_hex)
    direct_vm.mock_evm(ghost, "total(address)", 12)
    assert bridge.total() == 12
    assert bridge.selector().hex() == "cdcd77c0"
    bridge.send("hi")
    (message,) = direct_vm.messages
    assert (message.kind, message.receiver) == ("eth_send", ghost)
    assert message.data[:4] == Keccak256(b"send(string)").digest()[:4]


def test_events(direct_vm: DirectVM, direct_alice: Address) -> None:
    contract = direct_vm.deploy(OLD / "events.py")
    contract.raw("x")
    (raw,) = direct_vm.last.receipt.events
    assert [topic.hex() for topic in raw.topics] == [
        Keccak256(b"Raw(amount,to)").digest().hex(),
        calldata.encode(5).hex().ljust(64, "0"),
        calldata.encode("x").hex().ljust(64, "0"),
    ]
    assert calldata.decode(raw.blob) == {"amount": 5, "to": "x", "memo": "m"}
    contract.typed()
    (typed,) = direct_vm.events("Transferred")
    assert typed.fields == {"sender": direct_vm.sender, "amount": 7}


# --- blocks and sandboxes ---


def test_the_wizard_keeps_his_coin(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "wizard_of_coin.py", have_coin=True)
    direct_vm.mock_llm("You are a wizard", '```json\n{"reasoning": "no", "give_coin": false}\n```')
    direct_vm.mock_llm("EqComparative", True)
    contract.ask_for_coin("please")
    assert contract.get_have_coin()
    assert direct_vm.run_validator()
    direct_vm.mock_llm("EqComparative", False)
    assert not direct_vm.run_validator()
    direct_vm.mock_llm("You are a wizard", '{"reasoning": "well", "give_coin": true}')
    contract.ask_for_coin("please!")
    assert not contract.get_have_coin()


def test_football_market(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "football_prediction_market.py", "2024-06-05", "Brazil", "Georgia")
    direct_vm.mock_web(r"bbc\.com/sport/football/scores-fixtures/2024-06-05", "Brazil 2:1 Georgia")
    direct_vm.mock_llm("find the winning team(?s:.*)Brazil 2:1 Georgia", '{"score": "2:1", "winner": 1}')
    assert contract.resolve() == {"score": "2:1", "winner": 1}
    assert direct_vm.run_validator()
    assert not direct_vm.run_validator(leader_result={"score": "1:2", "winner": 2})
    assert contract.get_resolution_data() == {"score": "2:1", "winner": 1, "has_resolved": True}
    assert contract.resolve() == "Already resolved"


def test_coins_that_a_model_counts(direct_vm: DirectVM, direct_alice: Address) -> None:
    contract = direct_vm.deploy(OLD / "llm_erc20.py", 100)
    balances = {direct_vm.sender.as_hex: 60, direct_alice.as_hex: 40}
    direct_vm.mock_llm("EqNonComparativeLeader", "```json\n" + json.dumps({"updated_balances": balances}) + "\n```")
    direct_vm.mock_llm("EqNonComparativeValidator", True)
    contract.transfer(40, direct_alice.as_hex)
    assert contract.get_balances() == balances
    assert direct_vm.run_validator()
    direct_vm.mock_llm("EqNonComparativeValidator", False)
    assert not direct_vm.run_validator()


def test_own_validator(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "oracle.py")
    direct_vm.mock_web("prices", '{"cents": 1000}')
    assert contract.update("GEN", "https://prices.example") == 1000
    assert contract.get("GEN") == 1000
    assert direct_vm.run_validator()
    assert direct_vm.run_validator(leader_result=1009)
    assert not direct_vm.run_validator(leader_result=1011)
    assert not direct_vm.run_validator(leader_error="the market is closed")
    direct_vm.mock_web("prices", "closed")
    assert direct_vm.run_validator(leader_error="the market is closed")
    assert not direct_vm.run_validator(leader_error="for another reason")
    assert not direct_vm.run_validator()
    with direct_vm.expect_revert("the market is closed"):
        contract.update("GEN", "https://prices.example")
    direct_vm.mock_web("prices", "no JSON")
    assert not direct_vm.run_validator(leader_result=1)
    with direct_vm.expect_revert("JSONDecodeError"):
        contract.update("GEN", "https://prices.example")
    assert direct_vm.run_validator(), "both failed with exit_code 1"


def test_moderation(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "moderation.py")
    direct_vm.mock_llm("Is this rude.*: hello", " No ")
    direct_vm.mock_llm("EqComparative", True)
    assert contract.judge("hello") == "no"
    assert direct_vm.run_validator()
    assert contract.all() == [["hello", "no"]]
    direct_vm.mock_llm("Is this rude", "Perhaps")
    with direct_vm.expect_revert("the answer is perhaps"):
        contract.judge("hmm")
    assert direct_vm.storage(contract)["counts"] == [1, 0]


def test_sandboxes(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "sandboxes.py")
    assert contract.run() == [
        "returned 1",
        "rolled back: by name by name ('by name',) Rollback('by name')",
        "rolled back: at once at once ('at once',) Rollback('at once')",
        "returned 22",
        "rolled back: vm error: exit_code 3 vm error: exit_code 3 ('vm error: exit_code 3',)"
        " Rollback('vm error: exit_code 3')",
        "rolled back: of gl of gl ('of gl',) Rollback('of gl')",
    ]
    assert all(contract.kinds())
    with direct_vm.expect_revert("nothing catches it"):
        contract.leave()


def test_package(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "market")
    direct_vm.mock_web("prices", "4250")
    assert contract.quote("https://prices.example") == 4250
    assert direct_vm.run_validator()
    assert contract.all() == {"https://prices.example": 4250}
    direct_vm.mock_web("prices", "closed")
    with direct_vm.expect_revert("no price: closed"):
        contract.quote("https://prices.example")


# --- with another header ---


def current(path: Path) -> str:
    return path.read_text().replace(THEN, NOW)


def test_a_current_header_gets_the_note(direct_vm: DirectVM) -> None:
    with direct_vm.expect_revert("`gl.contract` is from an earlier release; now it is a class that derives"):
        direct_vm.deploy_code(current(OLD / "user_storage.py"))
    contract = direct_vm.deploy_code(current(OLD / "football_prediction_market.py"), "2024-06-05", "a", "b")
    with direct_vm.expect_revert("`gl.eq_principle_strict_eq` is from an earlier release"):
        contract.resolve()
    contract = direct_vm.deploy_code(current(OLD / "multi_read_erc20.py"))
    with direct_vm.expect_revert("`gl.ContractAt` is from an earlier release; now it is gl.get_contract_at(address)"):
        contract.spend("0x" + "00" * 20, "", 1)
    contract = direct_vm.deploy_code(current(OLD / "storage.py"), "a")
    with direct_vm.expect_revert("name 'Rollback' is not defined"):
        contract.update_storage("")


@pytest.mark.parametrize("generation", [1, 2])
def test_ids_from_v0_1_2_on_are_current(direct_vm: DirectVM, generation: int) -> None:
    runner = list(published_runners()["py-genlayer"])[generation]
    source = (OLD / "storage.py").read_text().replace(THEN, runner)
    contract = direct_vm.deploy_code(source, "a")
    with direct_vm.expect_revert("name 'Rollback' is not defined"):
        contract.update_storage("")


def test_todays_names_are_there_too(direct_vm: DirectVM) -> None:
    """A contract that was moved to the current SDK, and has kept its header."""
    source = (OLD / "storage.py").read_text().replace("raise Rollback(", "raise gl.vm.UserError(")
    contract = direct_vm.deploy_code(source, "a")
    with direct_vm.expect_revert("nothing to store"):
        contract.update_storage("")


# --- the header written out, as the published runner had it ---


def oldest(runner: str) -> str:
    return f"{runner}:{next(iter(published_runners()[runner]))}"


def run_of(program: str, *actions: Any, data: bytes) -> Execution:
    """A program on the plain interpreter."""
    depends = [{"Depends": oldest("py-lib-cloudpickle")}, {"Depends": oldest("cpython")}]
    host = InMemoryHost(calldata=data)
    host.put_code(contract_zip({"Seq": [*actions, *depends]}, {"program": program.encode()}))
    return execute(host=host, built=True)


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("generation", [0, 1])
def test_the_old_library_on_the_plain_interpreter(generation: int) -> None:
    runner = f"py-lib-genlayer-std:{list(published_runners()['py-lib-genlayer-std'])[generation]}"
    run = run_of(
        (OLD / "sandboxes.py").read_text(),
        {"MapFile": {"file": "program", "to": "/contract.py"}},
        {"SetArgs": ["py", "-u", "-B", "/py/libs/_genlayer_runner.py"]},
        {"Depends": runner},
        data=calldata.encode({"method": "run"}),
    )
    if generation:
        assert b"NameError: name 'Rollback' is not defined" in run.stderr
    else:
        assert isinstance(run.outcome, Return), run.stderr.decode()
        assert calldata.decode(run.outcome.calldata)[1].startswith("rolled back: by name")


@pytest.mark.usefixtures("built_runners")
def test_a_program_of_its_own_reads_the_message_itself() -> None:
    program = (
        "import os, _genlayer_wasi\nfrom genlayer.py import calldata\n"
        "data = b''.join(iter(lambda: os.read(0, 9999), b''))\n"
        "_genlayer_wasi.gl_call(calldata.encode({'Return': calldata.decode(data)['entry_data']}))\n"
    )
    run = run_of(
        program,
        {"MapFile": {"file": "program", "to": "/main.py"}},
        {"SetArgs": ["py", "/main.py"]},
        {"Depends": oldest("py-lib-genlayer-std")},
        data=b"\x08",
    )
    assert isinstance(run.outcome, Return), run.stderr.decode()
    assert calldata.decode(run.outcome.calldata) == b"\x08"


# --- what is seen from outside ---


def test_tracebacks_have_the_authors_lines_only(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(OLD / "oracle.py")
    direct_vm.mock_web("prices", "no JSON")
    with direct_vm.expect_revert("JSONDecodeError") as failure:
        contract.update("GEN", "https://prices.example")
    assert isinstance(failure.error, ContractReverted)
    told = "\n".join(failure.error.details)
    line = next(n for n, line in enumerate((OLD / "oracle.py").read_text().split("\n"), 1) if "json.loads" in line)
    assert f"oracle.py:{line}, in leader" in told
    assert 'return json.loads(page)["cents"]' in told
    assert "_genlayer_v0_1_0" not in told


def test_what_stands_first_in_a_file_stays_first(direct_vm: DirectVM) -> None:
    source = (
        f'# {{ "Depends": "py-genlayer:{THEN}" }}\n"""Doc."""\nfrom __future__ import annotations\n'
        "from genlayer import *\n\n\nclass A(gl.Contract):\n    @gl.public.view\n"
        "    def get(self, a: int = 0) -> list[str]:\n"
        "        return [__doc__, str(A.get.__annotations__), Rollback.__name__]\n"
    )
    expected = ["Doc.", "{'a': 'int', 'return': 'list[str]'}", "Rollback"]
    assert direct_vm.deploy_code(source).get() == expected
    with direct_vm.expect_revert() as failure:
        direct_vm.deploy_code(source + "\n)")
    assert "unmatched ')'" in str(failure.error)


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize(
    "bad",
    [
        b"x = " + b"-" * 100_000 + b"1",
        b"x = " + b"(" * 150 + b")" * 150,
        b"x = " + b"a." * 50_000 + b"b",
        b"x = " + b" + ".join([b"1"] * 20_000),
        b"if 1:\n" + b"".join(b" " * n + b"if 1:\n" for n in range(1, 120)),
        b"# -*- coding: no-such -*-\n",
        b"\xff",
        b"x = '\0'",
        b"",
    ],
)
def test_a_module_that_cannot_be_compiled_spoils_no_other(bad: bytes) -> None:
    files = {
        "contract/__init__.py": b"from genlayer import *\n\nclass A(gl.Contract):\n    @gl.public.view\n"
        b"    def get(self) -> str:\n        return gl.Rollback('x').msg\n",
        "contract/bad.py": bad,
    }
    host = InMemoryHost(calldata=calldata.encode({"method": "get"}))
    host.put_code(contract_zip({"Depends": f"py-genlayer-multi:{THEN_MULTI}"}, files))
    run = execute(host=host, built=True)
    assert run.outcome == Return(calldata.encode("x")), run.stderr.decode()


def test_genvm_local(
    built_runners: BuiltRunners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real commands: schema, deployment, and validators that agree."""
    monkeypatch.chdir(tmp_path)
    Path("mocks.yaml").write_text(
        'web: {"bbc.com": "Brazil 2:1 Georgia"}\nllm: {"winning team": "{\\"score\\": \\"2:1\\", \\"winner\\": 1}"}\n'
    )
    market = str(OLD / "football_prediction_market.py")
    assert main(["local", "schema", market, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"]["ctor"]["params"][0] == ["game_date", "string"]
    assert main(["local", "deploy", market, "--args", '["2024-06-05", "Brazil", "Georgia"]']) == 0
    assert main(["local", "call", "resolve", "--mocks", "mocks.yaml", "--validators", "3"]) == 0
    assert "3 of 3" in capsys.readouterr().out
    assert main(["local", "view", "get_resolution_data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"score": "2:1", "winner": 1, "has_resolved": True}


@pytest.mark.usefixtures("built_runners")
def test_every_contract_here_is_for_the_old_id() -> None:
    for path in OLD.iterdir():
        assert any(runner.encode() in read_contract(path) for runner in (THEN, THEN_MULTI)), path
