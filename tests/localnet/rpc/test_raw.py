"""Raw transactions: golden vectors, strictness, and eth-account, eth-abi and rlp as oracles."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import rlp as rlp_oracle
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.constants import SECPK1_N
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.raw import RawError, abi, rlp
from pygenvm.localnet.rpc.raw.envelope import decode_transaction
from pygenvm.localnet.rpc.raw.functions import (
    AddTransaction,
    CancelTransaction,
    FinalizeTransactions,
    SubmitAppeal,
    TopUpFees,
    decode_function,
)
from pygenvm.localnet.rpc.raw.payload import Call, Deploy, Flag, decode_payload, decode_read
from pygenvm.localnet.rpc.raw.signatures import recover_message
from tests.localnet.rpc.signing import (
    ADD_5,
    ADD_6,
    ZERO,
    call_contract_data,
    call_data,
    deploy_data,
    payload,
    sign,
)
from tests.localnet.rpc.vectors import (
    APPEAL_HASH,
    CODE,
    CONSENSUS_MAIN,
    CONTRACT,
    DEPLOY,
    DEPLOY_6_HASH,
    DEPLOY_HASH,
    DEPLOY_JS_HASH,
    GAS,
    KEY,
    SENDER,
    WRITE_HASH,
    WRITE_PAYLOAD,
)

HELLO = calldata.encode({"args": ["hello"]})
FEES = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256[],uint256,uint256,uint256)"
REQUEST = (
    f"(address,address,uint256,uint256,uint256,uint256,uint256,{FEES},bytes,"
    "(uint8,bool,uint256,address,bytes32,uint256,bytes)[])"
)
SOME_FEES = (1, 2, 3, 4, 5, 6, [7, 8], 9, 10, 11)
ID = bytes(range(32))


# --- golden vectors ---


def test_a_deployment_of_genlayer_py_is_read_as_it_was_meant() -> None:
    found = decode_transaction(DEPLOY)
    assert found.hash == DEPLOY_HASH
    assert (found.sender, found.to) == (SENDER, CONSENSUS_MAIN)
    assert (found.type, found.chain_id, found.nonce, found.value, found.gas, found.gas_price) == (
        0,
        61999,
        0,
        0,
        GAS,
        0,
    )
    function = decode_function(found.data)
    assert isinstance(function, AddTransaction)
    assert (function.sender, function.recipient) == (SENDER, Address(ZERO))
    assert (function.initial_validators, function.max_rotations) == (5, 3)
    assert decode_payload(function.payload, deploys=True) == Deploy(CODE, HELLO, Flag.NORMAL)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (sign(deploy_data(str(SENDER), CODE, HELLO)), DEPLOY_HASH),
        (sign(deploy_data(str(SENDER), CODE, HELLO, signature=ADD_6)), DEPLOY_6_HASH),
        (sign(deploy_data(str(SENDER), CODE, HELLO, flag=b"\0"), chain_id=61127), DEPLOY_JS_HASH),
        (
            sign(call_data(ADD_5, str(SENDER), str(CONTRACT), 5, 3, WRITE_PAYLOAD), nonce=1, value=7),
            WRITE_HASH,
        ),
        (sign(call_data("submitAppeal(bytes32)", WRITE_HASH), nonce=2), APPEAL_HASH),
    ],
    ids=["deploy", "deploy with 6 arguments", "deploy from JavaScript", "write", "appeal"],
)
def test_golden_hashes(raw: bytes, expected: bytes) -> None:
    found = decode_transaction(raw)
    assert found.hash == expected
    assert found.sender == SENDER
    match decode_function(found.data):
        case AddTransaction() as added:
            deploys = added.recipient == Address(ZERO)
            decoded = decode_payload(added.payload, deploys=deploys)
            assert decoded == (
                Deploy(CODE, HELLO, Flag.NORMAL)
                if deploys
                else Call(calldata.encode({"args": ["bye"], "method": "update_storage"}), Flag.NORMAL)
            )
        case SubmitAppeal(tx_id):
            assert tx_id == WRITE_HASH
        case other:
            pytest.fail(f"{other}")


def test_the_golden_call_is_read_as_it_was_meant() -> None:
    raw = sign(call_data(ADD_5, str(SENDER), str(CONTRACT), 5, 3, WRITE_PAYLOAD), nonce=1, value=7)
    found = decode_transaction(raw)
    assert (found.sender, found.to, found.chain_id, found.nonce, found.value) == (SENDER, CONSENSUS_MAIN, 61999, 1, 7)
    function = decode_function(found.data)
    assert isinstance(function, AddTransaction)
    assert (function.sender, function.recipient, function.initial_validators, function.max_rotations) == (
        SENDER,
        CONTRACT,
        5,
        3,
    )
    # The same from JavaScript, for the leader alone.
    assert decode_payload(WRITE_PAYLOAD[:-1] + b"\1", deploys=False).flag is Flag.LEADER_ONLY


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("signature", [ADD_5, ADD_6])
@pytest.mark.parametrize("chain_id", [61999, 61127])
def test_every_form_of_the_golden_transactions_means_the_same(kind: int, signature: str, chain_id: int) -> None:
    more = [0] if signature == ADD_6 else []
    for data, value, recipient in (
        (deploy_data(str(SENDER), CODE, HELLO, signature=signature), 0, Address(ZERO)),
        (call_data(signature, str(SENDER), str(CONTRACT), 5, 3, WRITE_PAYLOAD, *more), 7, CONTRACT),
    ):
        found = decode_transaction(sign(data, nonce=1, value=value, chain_id=chain_id, kind=kind))
        assert (found.sender, found.type, found.chain_id, found.nonce, found.value) == (
            SENDER,
            kind,
            chain_id,
            1,
            value,
        )
        function = decode_function(found.data)
        assert isinstance(function, AddTransaction)
        assert (function.sender, function.recipient) == (SENDER, recipient)
        assert decode_payload(function.payload, deploys=not value) == (
            Call(calldata.encode({"args": ["bye"], "method": "update_storage"}), Flag.NORMAL)
            if value
            else Deploy(CODE, HELLO, Flag.NORMAL)
        )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "00"), (False, "08"), (True, "10"), (0, "01"), (1, "09"), (-1, "02"), ([1, "a"], "15090c61"), ({}, "06"),
        (10**30, "81808080a0eadbd3b3849aa7969f19"), (b"\x01\x02", "130102"), ("hé", "1c68c3a9"),
        ({"b": 1, "a": []}, "16016105016209"), (Address(b"\xab" * 20), "18" + "ab" * 20),
        ({"args": [1], "method": "m"}, "1604617267730d09066d6574686f640c6d"),
    ],
)  # fmt: skip
def test_golden_calldata(value: Any, text: str) -> None:
    assert calldata.encode(value).hex() == text
    assert calldata.decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize(
    ("text", "flag"), [("c482636480", Flag.NORMAL), ("c482636401", Flag.LEADER_ONLY), ("c482636400", Flag.NORMAL)]
)
def test_golden_payloads(text: str, flag: Flag) -> None:
    assert decode_payload(bytes.fromhex(text), deploys=False) == Call(b"cd", flag)


# --- envelopes ---


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("chain_id", [1, 61127, 61999, 2**40])
def test_every_envelope_tells_who_has_signed(kind: int, chain_id: int) -> None:
    slots = [{"address": str(CONTRACT), "storageKeys": ["0x" + 64 * "1", "0x" + 64 * "2"]}] if kind else []
    raw = sign(b"\x01" * 40, nonce=2**64 - 2, value=2**255, chain_id=chain_id, kind=kind, access_list=slots)
    found = decode_transaction(raw)
    assert str(found.sender) == Account.recover_transaction(raw) == str(SENDER)
    assert (found.type, found.chain_id, found.nonce, found.value) == (kind, chain_id, 2**64 - 2, 2**255)
    assert found.data == b"\x01" * 40


def test_a_signature_for_every_chain_is_taken() -> None:
    found = decode_transaction(sign(b"", chain_id=None, value=5, to=None))
    assert (found.chain_id, found.sender, found.value, found.to, found.v) == (None, SENDER, 5, None, found.v)
    assert found.v in (27, 28)


def test_numbers_above_64_bits_in_r_and_s_may_be_short() -> None:
    # One in 256 signatures has an r of 31 bytes: its encoding has no leading zero, the signature needs one.
    for nonce in range(600):
        raw = sign(b"", nonce=nonce)
        found = decode_transaction(raw)
        assert found.sender == SENDER
        if found.r < 1 << 248:
            break
    else:
        pytest.fail("no short r")


def _fields(raw: bytes) -> list[Any]:
    decoded: list[Any] = rlp_oracle.decode(raw)
    return decoded


def _changed(number: int, value: Any) -> bytes:
    fields = _fields(DEPLOY)
    fields[number] = value
    return bytes(rlp_oracle.encode(fields))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"\x03" + DEPLOY, "type 3"),
        (b"\x00" + DEPLOY, "type 0"),
        (b"\x7f", "type 127"),
        (DEPLOY + b"\0", "follow the end"),
        (DEPLOY[:-1], "cut off"),
        (DEPLOY[:2], "cut off"),
        (b"\x02" + DEPLOY, "12 fields, not 9"),
        (b"\x02\x80", "a list is expected"),
        (rlp_oracle.encode(_fields(DEPLOY)[:-1]), "9 fields, not 8"),
        (_changed(0, b"\0"), "leading zeros"),
        (_changed(0, b"\1" * 9), "more than 64 bits"),
        (_changed(4, b"\1" * 33), "more than 256 bits"),
        (_changed(3, b"\1" * 19), "20 bytes"),
        (_changed(3, []), "20 bytes"),
        (_changed(0, []), "not a list"),
        (_changed(5, [b""]), "not a list"),
        (_changed(6, b"\x1d"), "27, 28"),
        (_changed(7, b""), "out of range"),
        (_changed(8, SECPK1_N.to_bytes(32, "big")), "out of range"),
        (_changed(8, (SECPK1_N - int.from_bytes(_fields(DEPLOY)[8], "big")).to_bytes(32, "big")), "malleable"),
        (_changed(7, (5).to_bytes(1, "big")), "not one of any key"),
        (b"\x01" + rlp_oracle.encode([b"\1", *[b""] * 6, [b"x"], b"\1", b"\1", b"\1"]), "access list"),
        (b"\x01" + rlp_oracle.encode([b"\1", *[b""] * 6, b"x", b"\1", b"\1", b"\1"]), "access list"),
        (b"\x01" + rlp_oracle.encode([b"\1", *[b""] * 6, [[b"\1" * 20, [b"x"]]], b"\1", b"\1", b"\1"]), "access list"),
        (b"\x01" + rlp_oracle.encode([b"\1", *[b""] * 6, [], b"\2", b"\1", b"\1"]), "parity"),
    ],
)
def test_what_is_no_transaction_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(RawError, match=why):
        decode_transaction(raw)


def test_another_byte_is_another_sender_or_no_signature() -> None:
    for number in (0, 2, 4, 5):
        with contextlib.suppress(RawError):
            assert decode_transaction(_changed(number, b"\x05")).sender != SENDER


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(RawError):
        decode_transaction(raw)


# --- RLP ---

ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20)


def _depth(item: Any) -> int:
    return 1 + max(map(_depth, item), default=0) if isinstance(item, list) else 0


@given(ITEMS)
def test_rlp_agrees_with_the_oracle(item: Any) -> None:
    encoded = rlp_oracle.encode(item)
    assert rlp.encode(item) == encoded
    if _depth(item) <= 8:
        assert rlp.decode(encoded) == item


@given(st.binary(max_size=80))
def test_rlp_takes_only_what_it_would_write(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except RawError:
        return
    assert rlp.encode(item) == data == rlp_oracle.encode(item)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("8101", "small byte"), ("b800", "shortest"), ("b837" + 55 * "00", "shortest"), ("b90001", "cut off|shortest"),
        ("b9003a" + 58 * "00", "shortest"), ("f800", "shortest"), ("83aabb", "cut off"), ("c2", "cut off"),
        ("b8", "cut off"),
        ("bfffffffffffffffff", "cut off"), ("", "cut off"), ("c180", None), ("c28180", None), ("c3c28180", None),
        ("c1c1", "cut off"), ("8080", "follow"), (9 * "c1" + "c0", "cut off"),
        ("c9c8c7c6c5c4c3c2c1c0", "levels deep"),
    ],
)  # fmt: skip
def test_rlp_is_strict(text: str, why: str | None) -> None:
    if why is None:
        assert rlp.encode(rlp.decode(bytes.fromhex(text))) == bytes.fromhex(text)
        return
    with pytest.raises(RawError, match=why):
        rlp.decode(bytes.fromhex(text))


def test_rlp_with_very_many_items_is_refused() -> None:
    with pytest.raises(RawError, match="items"):
        rlp.decode(rlp_oracle.encode([b""] * 200_000))


# --- functions ---


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        ("27241a99", ADD_5),
        ("e71d5196", ADD_6),
        ("8b5de1bc", "submitAppeal(bytes32)"),
        ("b2efda83", "finalizeTransaction(bytes32)"),
        ("f5acca71", "finalizeIdlenessTxs(bytes32[])"),
        ("70ba3339", "cancelTransaction(bytes32)"),
        ("16c0e8de", "deploySalted(address,uint256,uint256,bytes,uint256,uint256)"),
    ],
)
def test_selectors(selector: str, signature: str) -> None:
    assert abi.selector(signature).hex() == selector
    assert call_data(signature, *_any(signature))[:4].hex() == selector


def _any(signature: str) -> list[Any]:
    some = {"address": ZERO, "uint256": 1, "bytes": b"", "bytes32": ID, "bytes32[]": [ID]}
    return [some[name] for name in signature[signature.index("(") + 1 : -1].split(",")]


def test_every_function_is_known() -> None:
    request = (
        *(str(SENDER), str(CONTRACT), 5, 3, 99, 77, 8, SOME_FEES, b"payload"),
        [(1, True, 2, str(SENDER), ID, 3, b"f"), (0, False, 0, ZERO, ID, 0, b"")],
    )
    added = AddTransaction(SENDER, CONTRACT, 5, 3, b"payload", 99, 77)
    for name in ("addTransaction", "deploySalted"):
        assert decode_function(call_data(f"{name}({REQUEST})", request)) == added
    salted = call_data(
        "deploySalted(address,uint256,uint256,bytes,uint256,uint256)", str(SENDER), 5, 3, b"payload", 77, 99
    )
    assert decode_function(salted) == AddTransaction(SENDER, Address(ZERO), 5, 3, b"payload", 99, 77)
    assert decode_function(call_data("submitAppeal(bytes32)", ID)) == SubmitAppeal(ID)
    assert decode_function(call_data(f"topUpAndSubmitAppeal(bytes32,{FEES})", ID, SOME_FEES)) == SubmitAppeal(ID)
    assert decode_function(call_data(f"topUpFees(bytes32,{FEES})", ID, SOME_FEES)) == TopUpFees(ID)
    assert decode_function(call_data("finalizeTransaction(bytes32)", ID)) == FinalizeTransactions((ID,))
    assert decode_function(call_data("finalizeIdlenessTxs(bytes32[])", [ID, ID])) == FinalizeTransactions((ID, ID))
    assert decode_function(call_data("cancelTransaction(bytes32)", ID)) == CancelTransaction(ID)


@pytest.mark.parametrize("data", [b"", b"\x27\x24\x1a", b"\0" * 36])
def test_other_data_is_no_function(data: bytes) -> None:
    assert decode_function(data) is None


TYPES = st.recursive(
    st.sampled_from(["address", "uint256", "uint8", "bool", "bytes32", "bytes"]),
    lambda inner: st.one_of(inner.map(lambda of: [of]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=6,
)


def _text(of: Any) -> str:
    if isinstance(of, tuple):
        return f"({','.join(map(_text, of))})"
    return f"{_text(of[0])}[]" if isinstance(of, list) else of


def _values(of: Any) -> st.SearchStrategy[Any]:
    if isinstance(of, tuple):
        return st.tuples(*map(_values, of))
    if isinstance(of, list):
        return st.lists(_values(of[0]), max_size=3)
    return {
        "address": st.binary(min_size=20, max_size=20),
        "uint256": st.integers(0, 2**256 - 1),
        "uint8": st.integers(0, 255),
        "bool": st.booleans(),
        "bytes32": st.binary(min_size=32, max_size=32),
        "bytes": st.binary(max_size=70),
    }[of]


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return value.as_bytes
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value


@given(st.data())
def test_abi_agrees_with_the_oracle(data: st.DataObject) -> None:
    types = tuple(data.draw(st.lists(TYPES, min_size=1, max_size=4)))
    values = data.draw(_values(types))
    assert abi.types_of(f"f{_text(types)}") == types
    encoded = abi_encode(
        [_text(of) for of in types], [_hex(of, value) for of, value in zip(types, values, strict=True)]
    )
    assert _plain(abi.decode(types, encoded)) == values


def _hex(of: Any, value: Any) -> Any:
    """Addresses as the oracle wants them."""
    if isinstance(of, tuple):
        return tuple(_hex(*pair) for pair in zip(of, value, strict=True))
    if isinstance(of, list):
        return [_hex(of[0], one) for one in value]
    return "0x" + value.hex() if of == "address" else value


@given(st.binary(max_size=300))
def test_abi_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RawError):
        abi.decode(abi.types_of(f"f({REQUEST},bytes32[],bytes)"), data)


@pytest.mark.parametrize(
    ("types", "data", "why"),
    [
        ("(bytes)", (2**255).to_bytes(32, "big"), "invalid pointer"),
        ("(bytes)", (32).to_bytes(32, "big") + (2**255).to_bytes(32, "big"), "cut off"),
        ("(uint256[])", (32).to_bytes(32, "big") + (2**200).to_bytes(32, "big"), "cut off"),
        ("(address)", b"\1" * 32, "more than 20 bytes"),
        ("(bool)", b"\2" * 32, "neither"),
        ("(uint8)", b"\2" * 32, "255"),
        ("(uint256,uint256)", bytes(33), "cut off"),
    ],
)
def test_abi_is_bounded(types: str, data: bytes, why: str) -> None:
    with pytest.raises(RawError, match=why):
        abi.decode(abi.types_of(f"f{types}"), data)


def test_abi_arrays_that_share_their_elements_do_not_multiply() -> None:
    level = [500, *[500 * 32] * 500]
    words = [32, *level, *level, *level, *level]
    encoded = b"".join(word.to_bytes(32, "big") for word in words)
    with pytest.raises(RawError, match="elements"):
        abi.decode(abi.types_of("f(uint256[][][][])"), encoded)


def test_abi_arrays_have_a_bounded_number_of_elements() -> None:
    encoded = abi_encode(["uint256[]"], [[0] * 20_000])
    with pytest.raises(RawError, match="elements"):
        abi.decode(abi.types_of("f(uint256[])"), encoded)


# --- payloads ---


@pytest.mark.parametrize(
    ("items", "deploys", "expected"),
    [
        ([b"code", b"cd", b""], True, Deploy(b"code", b"cd", Flag.NORMAL)),
        ([b"code", b"cd", b"\1"], True, Deploy(b"code", b"cd", Flag.LEADER_ONLY)),
        ([b"code", b"cd", b"\2"], True, Deploy(b"code", b"cd", Flag.LEADER_SELF_VALIDATOR)),
        ([b"code", b"cd"], True, Deploy(b"code", b"cd", Flag.NORMAL)),
        ([b"cd", b"\0"], False, Call(b"cd", Flag.NORMAL)),
        ([b"cd"], False, Call(b"cd", Flag.NORMAL)),
        ([b"cd", b"\3"], False, "flag"),
        ([b"cd", b"\0\0"], False, "flag"),
        ([b"code", b"cd", b""], False, "zero address"),
        ([b"1", b"2", b"3", b"4"], False, "4 items"),
        ([], False, "0 items"),
        ([b"cd"], True, "1 items"),
        ([b"cd", [b""]], False, "strings"),
    ],
)
def test_payloads(items: list[Any], deploys: bool, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(RawError, match=expected):
            decode_payload(rlp_oracle.encode(items), deploys=deploys)
    else:
        assert decode_payload(rlp_oracle.encode(items), deploys=deploys) == expected


def test_reads_may_leave_out_the_list_and_the_flag() -> None:
    assert decode_read(payload(b"call", b"\0")) == b"call"
    assert decode_read(payload(b"call")) == b"call"
    assert decode_read(bytes(rlp_oracle.encode(b"call"))) == b"call"
    assert decode_read(b"") == b""
    golden = bytes.fromhex("d6940e066d6574686f645c6765745f73746f7261676500")
    assert calldata.decode(decode_read(golden)) == {"method": "get_storage"}


# --- messages ---


def test_signed_messages_tell_who_has_signed() -> None:
    signed = Account.sign_message(encode_defunct(b"hello"), KEY).signature
    assert recover_message(b"hello", bytes(signed)) == SENDER
    assert recover_message(b"hello", bytes(signed[:64]) + bytes([signed[64] - 27])) == SENDER
    assert recover_message(b"other", bytes(signed)) != SENDER
    with pytest.raises(RawError, match="65 bytes"):
        recover_message(b"hello", b"x")


def test_a_call_and_a_deployment_of_a_client_go_through_all_of_it() -> None:
    raw = sign(call_contract_data(str(SENDER), str(CONTRACT), HELLO, flag=b"\1", signature=ADD_6), kind=2)
    function = decode_function(decode_transaction(raw).data)
    assert isinstance(function, AddTransaction)
    assert decode_payload(function.payload, deploys=False) == Call(HELLO, Flag.LEADER_ONLY)
