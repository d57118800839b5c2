"""What methods answer, and what they refuse (spec localnet-rpc/03 §6 G). Contracts are not executed here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak

from pygenvm.executor.primitives import calldata
from pygenvm.localnet import values as notation
from pygenvm.localnet.chain.network.types import TxKind, TxMode, TxStatus
from pygenvm.localnet.rpc import values
from pygenvm.localnet.rpc.methods import METHODS
from pygenvm.localnet.schema import NoSchema
from tests.localnet.rpc.conftest import Asking
from tests.localnet.rpc.signing import (
    ADD_5,
    ADD_6,
    ZERO,
    address_of,
    call_contract_data,
    call_data,
    deploy_data,
    payload,
    sign,
)
from tests.localnet.rpc.vectors import CODE, CONSENSUS_MAIN, DEPLOY, DEPLOY_HASH, KEY, SENDER

HELLO = calldata.encode({"args": ["hello"]})
READ = calldata.encode({"method": "get_storage"})
FAIL = calldata.encode({"method": "fail"})
UNKNOWN = "0x" + 64 * "0"
ME = str(SENDER)


async def deployed(asking: Asking) -> str:
    id = await asking.ask("eth_sendRawTransaction", "0x" + DEPLOY.hex())
    contract: str = (await asking.ask("eth_getTransactionByHash", id))["data"]["contract_address"]
    return contract


# --- the negative list ---


async def test_an_unknown_method(asking: Asking) -> None:
    error = await asking.error("eth_fillTransaction", {})
    assert error["code"] == -32601
    assert "rpc.discover" in error["message"]


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("eth_getBalance", [], "account_address is missing; the parameters of eth_getBalance are"),
        ("eth_getBalance", [None], "account_address is missing"),
        ("eth_getBalance", ["0x12"], "account_address: an address is 0x and 40 hex digits"),
        ("eth_getBalance", [5], "account_address: an address"),
        ("eth_getBalance", [ME, "latest", 1], "3 parameters are too many"),
        ("eth_getBalance", {"who": ME}, "no parameter 'who'"),
        ("eth_getBalance", [ME, "never"], "block_tag: a whole number"),
        ("eth_getTransactionByHash", ["0x00"], "a hash is 0x and 64 hex digits"),
        ("eth_sendRawTransaction", ["0x1"], "an even number of hex digits"),
        ("eth_sendRawTransaction", ["0x"], "empty"),
        ("eth_sendRawTransaction", ["0xc0"], "9 fields, not 0"),
        ("eth_sendRawTransaction", ["0x" + DEPLOY.hex(), {"validator": []}], "sim_config has validators"),
        (
            "eth_sendRawTransaction",
            ["0x" + DEPLOY.hex(), {"genvm_datetime": "soon"}],
            "genvm_datetime: a date and time",
        ),
        ("eth_sendRawTransaction", ["0x" + DEPLOY.hex(), {"validators": [5]}], "an object is expected"),
        ("eth_sendRawTransaction", ["0x" + DEPLOY.hex(), {"provider": "openai"}], "must come together"),
        ("sim_fundAccount", [ME, -1], "an amount is from 0"),
        ("sim_fundAccount", [ME, 1.5], "a whole number"),
        ("sim_fundAccount", [ME, True], "a whole number"),
        ("sim_fundAccount", [ME, str(2**256)], "an amount is from 0"),
        ("gen_call", [{"type": "write", "data": "0x06"}], "to is missing"),
        ("gen_call", [{"type": "run", "to": ME}], "type is read, write or deploy"),
        ("gen_call", [{"to": ME, "dta": "0x"}], "data is missing"),
        ("gen_call", [{"to": ME, "data": "0x", "transaction_hash_variant": "newest"}], "a variant is one of"),
        ("sim_updateTransactionStatus", [UNKNOWN, "FAILED"], "a status is one of PENDING"),
        ("gen_dbg_traceTransaction", [{}], "a hash is"),
        ("genvm_submit", [{"kind": "upgrade", "sender": ME}], "kind is one of"),
        ("genvm_submit", [{"kind": "deploy", "sender": ME}], "code is missing"),
        ("genvm_submit", [{"kind": "call", "sender": ME}], "recipient is missing"),
        ("sim_setFinalityWindowTime", [-1], "at least 0"),
        ("sim_setTime", ["yesterday"], "a date and time"),
        ("genvm_importState", ["*"], "base64"),
        ("genvm_getTransactions", [1, 1 << 63], "64 bits"),
        ("sim_deleteProvider", [-1 << 70], "64 bits"),
        ("gen_dbg_traceTransaction", [{"txID": UNKNOWN, "round": 1 << 63}], "64 bits"),
        ("eth_sendRawTransaction", ["0x" + "c" * 41], "an even number"),
    ],
    ids=range(35),
)
async def test_parameters_that_cannot_be_used(asking: Asking, method: str, params: Any, why: str) -> None:
    answer = await asking.answer(method, params)
    assert answer["error"]["code"] == -32602, answer
    assert why in answer["error"]["message"]


@pytest.mark.parametrize("read", [values.parse_bytes, values.parse_code, notation.bytes_from_text])
def test_large_hex_takes_little_more_memory_than_it_has(read: Callable[[str], bytes]) -> None:
    text = "0x" + "c0" * 1_000_000
    tracemalloc.start()
    try:
        assert len(read(text)) == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


async def test_hashes_and_contracts_that_are_unknown(asking: Asking) -> None:
    assert await asking.ask("eth_getTransactionReceipt", UNKNOWN) is None
    error = await asking.error("eth_getTransactionByHash", UNKNOWN)
    assert (error["code"], error["data"]) == (-32001, {"hash": UNKNOWN})
    assert error["message"] == f"Transaction {UNKNOWN} not found"
    for method, params in (
        ("gen_getContractSchema", [ME]),
        ("gen_getContractCode", [ME]),
        ("gen_call", [{"type": "read", "to": ME, "data": "0x" + payload(READ, b"\0").hex()}]),
        ("sim_call", [{"type": "write", "to": ME, "data": "0x" + payload(READ, b"\0").hex()}]),
    ):
        error = await asking.error(method, *params)
        assert (error["code"], error["data"]) == (-32001, {"contract_address": ME})
    assert (await asking.error("sim_getValidator", ME))["code"] == -32001
    assert await asking.ask("sim_restoreSnapshot", 99) is False
    assert await asking.ask("eth_getBlockByNumber", "0xffff", False) is None
    assert (await asking.error("sim_getConsensusContract", "Other"))["code"] == -32001


# --- raw transactions ---


async def send(asking: Asking, raw: bytes, *more: Any) -> Any:
    return await asking.ask("eth_sendRawTransaction", "0x" + raw.hex(), *more)


async def refusal(asking: Asking, raw: bytes) -> str:
    error = await asking.error("eth_sendRawTransaction", "0x" + raw.hex())
    assert error["code"] in (-32602, -32000, -32001), error
    return str(error["message"])


async def test_the_same_bytes_again_do_nothing(asking: Asking) -> None:
    first = await send(asking, DEPLOY)
    assert first == "0x" + DEPLOY_HASH.hex()
    assert await send(asking, DEPLOY) == first
    assert len(asking.network.all) == 1
    assert await asking.ask("eth_getTransactionCount", ME, "pending") == "0x1"


@pytest.mark.parametrize(
    ("kind", "chain_id"), [(0, None), *((kind, chain_id) for kind in (0, 1, 2) for chain_id in (61999, 61127))]
)
@pytest.mark.parametrize("signature", [ADD_5, ADD_6])
async def test_every_form_of_a_deployment(asking: Asking, chain_id: int | None, kind: int, signature: str) -> None:
    raw = sign(deploy_data(ME, CODE, HELLO, signature=signature), chain_id=chain_id, kind=kind)
    found = asking.network.all[bytes.fromhex((await send(asking, raw))[2:])]
    assert (found.kind, found.code, found.calldata, found.mode) == (TxKind.DEPLOY, CODE, HELLO, TxMode.NORMAL)
    assert (found.sender, found.validators, found.rotations) == (SENDER, 5, 3)
    assert found.raw.envelope == kind
    receipt = await asking.ask("eth_getTransactionReceipt", "0x" + found.id.hex())
    assert (receipt["type"], receipt["to"]) == (hex(kind), str(CONSENSUS_MAIN))


async def test_who_executes_is_told_by_flag_and_sim_config(asking: Asking) -> None:
    contract = await deployed(asking)
    for nonce, (flag, mode) in enumerate(
        [(b"\0", "NORMAL"), (b"\1", "LEADER_ONLY"), (b"\2", "LEADER_SELF_VALIDATOR")], start=1
    ):
        raw = sign(call_contract_data(ME, contract, HELLO, flag=flag), nonce=nonce)
        validators = [{"provider": "openai", "model": "gpt-4o"}, {"stake": 5}]
        id = await send(asking, raw, {"validators": validators, "genvm_datetime": "2030-01-01T00:00:00Z"})
        found = await asking.ask("eth_getTransactionByHash", id)
        assert (found["execution_mode"], found["leader_only"]) == (mode, flag == b"\1")
        assert found["sim_config"] == {"validators": validators, "genvm_datetime": "2030-01-01T00:00:00+00:00"}


async def test_a_transfer_has_no_data_and_its_numbers_in_hex(asking: Asking) -> None:
    await asking.ask("sim_fundAccount", ME, "0x10")
    other = "0x" + 40 * "2"
    id = await send(asking, sign(b"hello", to=other, value=7, kind=2))
    found = await asking.ask("eth_getTransactionByHash", id)
    assert "data" not in found
    assert (found["value"], found["nonce"], found["input"], found["to"]) == ("0x7", "0x0", "0x68656c6c6f", other)
    assert (found["type"], found["status"]) == (0, "FINALIZED")
    receipt = await asking.ask("eth_getTransactionReceipt", id)
    assert (receipt["logs"], receipt["to"]) == ([], other)
    assert await asking.ask("eth_getBalance", other) == "0x7"


async def test_transactions_that_are_refused(asking: Asking) -> None:
    contract = await deployed(asking)
    other = address_of(b"\x22" * 32)
    call = call_contract_data(ME, contract, HELLO)
    assert "signed for chain 1, not for 61127, 61999" in await refusal(asking, sign(call, chain_id=1))
    of_other = call_contract_data(other, contract, HELLO)
    assert f"is of {other}, but {ME} has signed" in await refusal(asking, sign(of_other, nonce=1))
    assert "nonce too low" in await refusal(asking, sign(call, nonce=0))
    assert "less than the value" in await refusal(asking, sign(call, nonce=1, value=10**30))
    past = call_data(ADD_6, ME, contract, 5, 3, payload(HELLO, b""), int(time.time()) - 10)
    assert "valid until" in await refusal(asking, sign(past, nonce=1))
    many = call_data(ADD_5, ME, contract, 2**200, 3, payload(HELLO, b""))
    assert "initial validators" in await refusal(asking, sign(many, nonce=1))
    many = call_data(ADD_5, ME, contract, 5, 2**200, payload(HELLO, b""))
    assert "rotations" in await refusal(asking, sign(many, nonce=1))
    wrong = call_data(ADD_5, ME, contract, 5, 3, payload(CODE, HELLO, b""))
    assert "zero address" in await refusal(asking, sign(wrong, nonce=1))
    assert "invalid pointer" in await refusal(asking, sign(call[:100], nonce=1))
    assert "EVM" in await refusal(asking, sign(b"", to=None, nonce=1))
    assert "is lost" in await refusal(asking, sign(b"", to=ZERO, nonce=1))
    assert "nothing" not in await refusal(asking, sign(call_data("submitAppeal(bytes32)", bytes(32)), nonce=1))
    assert "no transaction to finalize" in await refusal(
        asking, sign(call_data("finalizeIdlenessTxs(bytes32[])", []), nonce=1)
    )
    assert len(asking.network.all) == 1


async def test_an_appeal_is_answered_with_the_id_of_what_is_appealed(asking: Asking) -> None:
    await deployed(asking)
    appeals: list[bytes] = []
    original = asking.network.appeal

    async def appeal(id: bytes) -> bool:
        appeals.append(id)
        return await original(id)

    asking.network.appeal = appeal  # type: ignore[method-assign]
    raw = sign(call_data("submitAppeal(bytes32)", DEPLOY_HASH), nonce=1)
    assert await send(asking, raw) == "0x" + DEPLOY_HASH.hex()
    assert await send(asking, raw) == "0x" + DEPLOY_HASH.hex()
    assert appeals == [DEPLOY_HASH]
    receipt = await asking.ask("eth_getTransactionReceipt", "0x" + DEPLOY_HASH.hex())
    assert receipt["logs"][0]["topics"][1] == "0x" + DEPLOY_HASH.hex()


async def test_only_the_sender_cancels(asking: Asking) -> None:
    await deployed(asking)
    data = call_data("cancelTransaction(bytes32)", DEPLOY_HASH)
    assert "only the sender" in await refusal(asking, sign(data, key=b"\x22" * 32))
    assert await send(asking, sign(data, nonce=1)) == "0x" + DEPLOY_HASH.hex()
    assert asking.network.all[DEPLOY_HASH].status is TxStatus.CANCELED


@pytest.mark.parametrize("signature", ["finalizeTransaction(bytes32)", "finalizeIdlenessTxs(bytes32[])"])
async def test_finalizing(asking: Asking, signature: str) -> None:
    await deployed(asking)
    given = [DEPLOY_HASH] if signature.endswith("[])") else DEPLOY_HASH
    assert await send(asking, sign(call_data(signature, given), nonce=1)) == "0x" + DEPLOY_HASH.hex()
    assert asking.network.all[DEPLOY_HASH].status is TxStatus.FINALIZED


async def test_signatures_that_may_be_left_out_must_be_right(asking: Asking) -> None:
    contract = await deployed(asking)
    id = "0x" + DEPLOY_HASH.hex()

    def signed(digest: bytes, key: bytes = KEY) -> str:
        return "0x" + bytes(Account.sign_message(encode_defunct(digest), key).signature).hex()

    new = CODE + b"#"
    nonce = await asking.ask("gen_getContractNonce", contract)
    upgrade = keccak(bytes.fromhex(contract[2:]) + nonce.to_bytes(32, "big") + keccak(new))
    error = await asking.error("sim_upgradeContractCode", contract, new.decode(), signed(upgrade, b"\x22" * 32))
    assert (error["code"], "deployer" in error["message"]) == (-32602, True)
    await asking.ask("sim_upgradeContractCode", contract, new.decode(), signed(upgrade))
    assert base64.b64decode(await asking.ask("gen_getContractCode", contract)) == new
    cancel = keccak(b"cancel_transaction" + DEPLOY_HASH)
    assert "sender" in (await asking.error("sim_cancelTransaction", id, signed(cancel, b"\x22" * 32)))["message"]
    assert await asking.ask("sim_cancelTransaction", id, signed(cancel)) == {
        "transaction_hash": id,
        "status": "CANCELED",
    }


# --- objects ---


async def test_the_object_of_a_transaction(asking: Asking) -> None:
    contract = await deployed(asking)
    found = await asking.ask("eth_getTransactionByHash", "0x" + DEPLOY_HASH.hex())
    assert found["data"] == {
        "contract_address": contract,
        "contract_code": base64.b64encode(CODE).decode(),
        "calldata": base64.b64encode(HELLO).decode(),
    }
    assert (found["status"], found["type"], found["nonce"], found["value"]) == ("ACCEPTED", 1, 0, 0)
    assert (found["from_address"], found["to_address"]) == (ME, contract)
    assert found["hash"] == found["tx_id"] == "0x" + DEPLOY_HASH.hex()
    consensus = found["consensus_data"]
    assert list(consensus["votes"].values()) == ["agree"] * 5
    leader, own_vote = consensus["leader_receipt"]
    assert (leader["execution_result"], leader["result"], leader["mode"], leader["vote"]) == (
        "SUCCESS",
        "AAA=",
        "leader",
        None,
    )
    assert (own_vote["mode"], own_vote["vote"]) == ("validator", "agree")
    assert len(consensus["validators"]) == 4
    assert leader["node_config"]["primary_model"]["model"] == "gpt-4o"
    assert leader["contract_state"] == {}
    wanted = ("result", "leader_only", "contract_snapshot", "appeal_validators_timeout", "sim_config", "sender")
    more = (
        "recipient",
        "activator",
        "last_leader",
        "result_name",
        "num_of_rounds",
        "last_round",
        "triggered_transactions",
    )
    assert not {*wanted, *more} - found.keys()
    assert found["last_round"]["validator_votes_name"] == ["AGREE"] * 5
    assert (found["result"], found["result_name"], found["txExecutionResultName"]) == (
        6,
        "MAJORITY_AGREE",
        "FINISHED_WITH_RETURN",
    )
    with_state = await asking.ask("eth_getTransactionByHash", found["hash"], {"include_contract_state": True})
    state = with_state["consensus_data"]["leader_receipt"][0]
    assert state["contract_state"] == {base64.b64encode(bytes(32)).decode(): "eA=="}
    assert state["contract_state_hash"] == hashlib.sha256(json.dumps(state["contract_state"]).encode()).hexdigest()


async def test_large_numbers_are_texts_inside_and_numbers_at_the_top(asking: Asking) -> None:
    await asking.ask("sim_fundAccount", ME, 10**30)
    contract = await deployed(asking)
    asking.network.nodes[0] = asking.network._validator(1, 10**20)
    raw = sign(call_contract_data(ME, contract, HELLO), nonce=1, value=10**20)
    found = await asking.ask("eth_getTransactionByHash", await send(asking, raw))
    assert found["value"] == 10**20
    assert found["consensus_data"]["leader_receipt"][0]["node_config"]["stake"] == str(10**20)


async def test_the_receipt_says_success_whatever_becomes_of_the_transaction(asking: Asking) -> None:
    contract = await deployed(asking)
    id = await send(asking, sign(call_contract_data(ME, contract, FAIL), nonce=1))
    await asking.ask("sim_updateTransactionStatus", id, "UNDETERMINED")
    receipt = await asking.ask("eth_getTransactionReceipt", id)
    assert receipt["status"] == "0x1"
    (log,) = receipt["logs"]
    assert log["topics"] == [
        "0xdab9102861c7483a187584d6371d88316f005af507982ccf95c110879f3ed5a5",
        id,
        "0x" + 24 * "0" + contract[2:].lower(),
        "0x" + 24 * "0" + ME[2:].lower(),
    ]
    found = await asking.ask("eth_getTransactionByHash", id)
    assert found["status"] == "UNDETERMINED"
    leader = found["consensus_data"]["leader_receipt"][0]
    assert (leader["execution_result"], base64.b64decode(leader["result"])) == ("ERROR", b"\1no such luck")
    assert await asking.ask("gen_getTransactionStatus", id) == {"status": "UNDETERMINED", "statusCode": 6}


async def test_blocks_move_and_have_what_tools_look_for(asking: Asking) -> None:
    before = int(await asking.ask("eth_blockNumber"), 16)
    await deployed(asking)
    assert int(await asking.ask("eth_blockNumber"), 16) > before
    block = await asking.ask("eth_getBlockByNumber", "latest", False)
    assert block["transactions"] == ["0x" + DEPLOY_HASH.hex()]
    assert await asking.ask("eth_getBlockByHash", block["hash"], False) == block
    assert await asking.ask("eth_getBlockByHash", "0x" + DEPLOY_HASH.hex(), False) == block
    full = await asking.ask("eth_getBlockByNumber", block["number"], True)
    assert full["transactions"][0]["hash"] == "0x" + DEPLOY_HASH.hex()
    assert len(block["logsBloom"]) == 514
    assert len(block["nonce"]) == 18


# --- reads ---


async def test_reads_and_simulations(asking: Asking) -> None:
    contract = await deployed(asking)

    def request(kind: str, data: bytes) -> dict[str, Any]:
        return {"type": kind, "to": contract, "from": ME, "data": "0x" + data.hex()}

    assert await asking.ask("gen_call", request("read", payload(READ, b"\0"))) == "2c68656c6c6f"
    assert await asking.ask("gen_call", request("read", payload(READ))) == "2c68656c6c6f"
    assert await asking.ask("gen_call", request("write", payload(HELLO, b"\0"))) == "00"
    deploy = {"type": "deploy", "from": ME, "data": "0x" + payload(CODE, HELLO, b"\0").hex()}
    assert await asking.ask("gen_call", deploy) == "00"
    receipt = await asking.ask("sim_call", request("write", payload(FAIL, b"\0")))
    assert (receipt["execution_result"], receipt["mode"]) == ("ERROR", "leader")
    for kind in ("read", "write"):
        error = await asking.error("gen_call", request(kind, payload(FAIL, b"\0")))
        assert (error["code"], error["message"]) == (-32000, "execution failed: no such luck")
        assert error["data"]["receipt"]["execution_result"] == "ERROR"
        assert error["data"]["params"]["to"] == contract
    fees = await asking.ask("sim_estimateTransactionFees", request("write", payload(HELLO, b"\0")))
    assert fees["receipt"]["execution_result"] == "SUCCESS"


async def test_eth_call(asking: Asking) -> None:
    contract = await deployed(asking)
    data = "0x" + payload(READ, b"\0").hex()
    assert await asking.ask("eth_call", {"to": contract, "data": data}, "latest") == "0x2c68656c6c6f"
    assert await asking.ask("eth_call", {"to": contract}) == "0x"
    assert await asking.ask("eth_call", {"to": ME, "data": "0x06fdde03"}) == "0x"
    count = "0xfe4cfca7" + 24 * "0" + ME[2:]
    assert await asking.ask("eth_call", {"to": "0x88B0F18613Db92Bf970FfE264E02496e20a74D16", "data": count}) == (
        "0x" + 63 * "0" + "1"
    )
    assert (await asking.error("eth_call", {"to": contract, "data": "0x06fdde03"}))["code"] == -32602
    assert await asking.ask("eth_getCode", contract) != "0x"
    assert await asking.ask("eth_getCode", ME) == "0x"


async def test_no_more_contracts_run_for_questions_than_may(asking: Asking) -> None:
    contract = await deployed(asking)
    asking.node.runs_at_once = 3
    asking.network.read_seconds = 0.02
    request = {"type": "read", "to": contract, "data": "0x" + payload(READ, b"\0").hex()}
    assert set(await asyncio.gather(*(asking.ask("gen_call", request) for _ in range(20)))) == {"2c68656c6c6f"}
    assert asking.network.read_at_once == 3


async def test_too_many_questions_are_told_to_come_again(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = await deployed(asking)
    monkeypatch.setattr("pygenvm.localnet.limits.RPC_RUNS_WAITING", 2)
    asking.node.runs_at_once = 1
    asking.network.read_seconds = 0.2
    request = {"type": "read", "to": contract, "data": "0x" + payload(READ, b"\0").hex()}
    answers = await asyncio.gather(*(asking.answer("gen_call", [request]) for _ in range(10)))
    refused = [one["error"] for one in answers if "error" in one]
    assert refused
    assert {error["code"] for error in refused} == {-32006}
    assert refused[0]["data"] == {"retry_after_seconds": 1.0}
    assert any("result" in one for one in answers)


async def test_a_contract_without_a_schema(asking: Asking) -> None:
    async def schema_of_code(code: bytes) -> Any:
        raise NoSchema(f"no schema of {len(code)} bytes")

    asking.network.schema_of_code = schema_of_code  # type: ignore[method-assign]
    for given in ("0x" + CODE.hex(), CODE.decode()):
        error = await asking.error("gen_getContractSchemaForCode", given)
        assert (error["code"], error["message"]) == (-32000, f"no schema of {len(CODE)} bytes")


# --- the simulator ---


async def test_snapshots_have_the_types_that_clients_check(asking: Asking) -> None:
    number = await asking.ask("sim_createSnapshot")
    assert type(number) is int
    await deployed(asking)
    assert await asking.ask("sim_restoreSnapshot", number) is True
    assert await asking.ask("eth_getTransactionReceipt", "0x" + DEPLOY_HASH.hex()) is None
    assert await asking.ask("genvm_getSnapshots") == [number]
    assert await asking.ask("sim_deleteAllSnapshots") == {"deleted_count": 1}


async def test_time_and_finality_window(asking: Asking) -> None:
    assert await asking.ask("sim_setFinalityWindowTime", 30) is None
    assert await asking.ask("sim_getFinalityWindowTime") == 30
    moved = await asking.ask("sim_increaseTime", 3600)
    assert moved["total_offset_seconds"] == 3600
    assert (await asking.ask("sim_setTime", "2030-01-01T00:00:00Z"))["effective_datetime"].startswith(
        "2030-01-01T00:00:0"
    )
    assert (await asking.ask("sim_setTime", None))["total_offset_seconds"] == 0


async def test_validators_and_providers(asking: Asking) -> None:
    (first, *_) = await asking.ask("sim_getAllValidators")
    assert first.keys() == {
        *("id", "address", "stake", "provider", "model", "config", "plugin", "plugin_config", "created_at"),
    }
    assert await asking.ask("sim_countValidators") == 5
    created = await asking.ask("sim_createValidator", 8, "openai", "gpt-4o", {"temperature": 0.5})
    assert (created["stake"], created["config"]) == (8, {"temperature": 0.5})
    updated = await asking.ask("sim_updateValidator", created["address"], "9", "openai", "gpt-4o", {})
    assert updated["stake"] == 9
    assert len(await asking.ask("sim_createRandomValidators", 2, 1, 10, [], [])) == 2
    assert await asking.ask("sim_deleteValidator", created["address"]) == created["address"]
    (provider,) = await asking.ask("sim_getProvidersAndModels")
    assert (provider["is_available"], provider["is_model_available"]) == (True, True)
    model = {"provider": "p", "model": "m", "config": {}, "plugin": "x", "plugin_config": {}}
    assert await asking.ask("sim_addProvider", model) == 2
    assert "provider: provider is missing" in (await asking.error("sim_addProvider", {"model": "m"}))["message"]
    assert await asking.ask("sim_deleteAllValidators") == []


async def test_the_consensus_contract_has_one_add_transaction(asking: Asking) -> None:
    found = await asking.ask("sim_getConsensusContract", "ConsensusMain")
    assert found["address"] == str(CONSENSUS_MAIN)
    (added,) = [one for one in found["abi"] if one["name"] == "addTransaction"]
    assert [one["type"] for one in added["inputs"]] == ["address", "address", "uint256", "uint256", "bytes"]
    (event,) = [one for one in found["abi"] if one["name"] == "NewTransaction"]
    assert [one["indexed"] for one in event["inputs"]] == [True] * 3


async def test_helpers_of_the_other_simulator(asking: Asking) -> None:
    found = await asking.ask("sim_deploy", CODE.decode(), ["hello"], {}, ME)
    assert await asking.ask("sim_read", found["contract_address"], "get_storage") == "hello"
    assert (await asking.answer("sim_read", {"contract_address": found["contract_address"], "method": "fail"}))[
        "error"
    ]["message"] == "execution failed: no such luck"
    assert await asking.ask("sim_installMocks", {"a": "b"}, None, True) == {"llm": 1, "web": 0, "strict": True}
    assert await asking.ask("sim_getBalance", ME) == 0


async def test_the_linter(asking: Asking) -> None:
    found = await asking.ask("sim_lintContract", "from genlayer import *\nx = ", "/etc/passwd")
    assert found["summary"]["total"] == len(found["results"]) > 0
    assert {one["filename"] for one in found["results"]} == {"passwd"}


# --- our own ---


async def test_submissions_without_a_signature(asking: Asking) -> None:
    id = await asking.ask(
        "genvm_submit", {"kind": "deploy", "sender": ME, "code": CODE.decode(), "calldata": "0x" + HELLO.hex()}
    )
    found = await asking.ask("genvm_waitForTransaction", id)
    assert (found["status"], found["r"]) == ("ACCEPTED", None)
    error = await asking.error("genvm_waitForTransaction", id, "FINALIZED", 0.01)
    assert (error["code"], error["data"]["status"]) == (-32000, "ACCEPTED")
    (newest,) = await asking.ask("genvm_getTransactions", 1)
    assert newest["hash"] == id
    assert await asking.ask("genvm_getTransactions", 10, newest["seq"]) == []
    error = await asking.error("genvm_appealTransaction", id)
    assert error["message"] == "all 5 validators have judged it already: create more, then appeal again"
    await asking.ask("sim_createRandomValidator", 1)
    assert await asking.ask("genvm_appealTransaction", id) is True
    assert await asking.ask("genvm_finalizeTransaction", id) is True
    assert (await asking.ask("genvm_getStatus"))["instance"] == "this one"
    (contract,) = await asking.ask("genvm_getContracts")
    assert contract["address"] == found["data"]["contract_address"]


async def test_traces(asking: Asking) -> None:
    await deployed(asking)
    id = "0x" + DEPLOY_HASH.hex()
    found = await asking.ask("gen_dbg_traceTransaction", {"txID": id, "round": 0})
    assert (found["stdout"], found["return_data"], found["genvm_log"]) == ("out", "00", [{"level": "info"}, "plain"])
    error = await asking.error("gen_dbg_traceTransaction", {"txID": id, "round": 7})
    assert (error["code"], "it has 1 so far" in error["message"]) == (-32001, True)


async def test_the_state_goes_out_and_comes_in(asking: Asking) -> None:
    file = await asking.ask("genvm_exportState")
    assert base64.b64decode(file) == b"everything"
    assert await asking.ask("genvm_importState", file) is None
    assert asking.network.loaded == b"everything"


# --- the description ---


async def test_the_description_is_of_all_methods_and_right(asking: Asking) -> None:
    document = await asking.ask("rpc.discover")
    assert {one["name"] for one in document["methods"]} == METHODS.keys()
    for one in document["methods"]:
        assert one["summary"].endswith("."), one["name"]
        for param in one["params"]:
            jsonschema_rs.meta.validate(param["schema"])
        jsonschema_rs.meta.validate(one["result"]["schema"])
    # What methods without parameters answer is what is said of it.
    for one in document["methods"]:
        if not any(param["required"] for param in one["params"]) and one["name"] != "rpc.discover":
            answer = await asking.answer(one["name"], [])
            if "result" in answer:
                jsonschema_rs.validate(one["result"]["schema"], answer["result"])


def test_every_method_of_the_specification_is_there() -> None:
    wanted = """
        eth_chainId net_version eth_blockNumber eth_getBlockByNumber eth_getBlockByHash eth_getBalance
        eth_getTransactionCount eth_gasPrice eth_maxPriorityFeePerGas eth_feeHistory eth_estimateGas eth_call
        eth_getCode eth_getLogs eth_syncing eth_sendRawTransaction eth_getTransactionReceipt eth_getTransactionByHash
        web3_clientVersion gen_call gen_getContractSchema gen_getContractSchemaForCode gen_getContractCode
        gen_getContractNonce gen_getTransactionStatus gen_getStudioTransactionByHash gen_dbg_traceTransaction
        sim_fundAccount sim_call sim_estimateTransactionFees sim_getConsensusContract sim_createSnapshot
        sim_restoreSnapshot sim_deleteAllSnapshots sim_setFinalityWindowTime sim_getFinalityWindowTime
        sim_cancelTransaction sim_upgradeContractCode sim_updateTransactionStatus sim_getTransactionsForAddress
        sim_lintContract sim_createValidator sim_createRandomValidator sim_createRandomValidators sim_updateValidator
        sim_deleteValidator sim_deleteAllValidators sim_getValidator sim_getAllValidators sim_countValidators
        sim_getProvidersAndModels sim_addProvider sim_updateProvider sim_deleteProvider sim_resetDefaultsLlmProviders
        sim_clearDbTables ping sim_deploy sim_read sim_getBalance sim_getTransactionByHash sim_getTransactionReceipt
        sim_getContractSchema sim_installMocks sim_getMocks sim_increaseTime sim_setTime sim_getTime
    """
    assert not set(wanted.split()) - METHODS.keys()
