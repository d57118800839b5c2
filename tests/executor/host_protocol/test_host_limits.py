"""What one side sends, the other takes: for each message of the protocol the sender's limit is below the receiver's.

A message over the receiver's limit breaks the connection, which would hide whose fault it is.
"""

from __future__ import annotations

import pytest

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.codec import deploy_contract_data, eth_send_data, post_message_data
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, MethodLayout
from pygenvm.executor.outcome import InternalError, VMError, VMErrorRaised
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import EVENT_MAX_TOPICS, HostErrorCode, HostMethod
from pygenvm.executor.run.result import RunResult
from pygenvm.executor.subvm.fingerprint import Fingerprint
from pygenvm.localnet import limits as localnet_limits
from tests.support.machine import SCRATCH, Script

U256_MAX = (1 << 256) - 1
#: Parts of one request of gl_call, all together.
ASKED = limits.GL_CALL_REQUEST_BYTES
#: What is in a Return or a Rollback; that of a nondet block is sent with a code byte in front of it.
CONCLUDED = ASKED - len(calldata.encode({"Return": None})[:-1])
#: Frames of a trap that the engine keeps.
FRAMES = 20

FIXED = {
    FieldKind.STORAGE_TYPE: 1,
    FieldKind.U32: 4,
    FieldKind.U64: 8,
    FieldKind.ADDR: 20,
    FieldKind.SLOT: 32,
    FieldKind.U256LE: 32,
    FieldKind.TOPICS: 1 + 32 * EVENT_MAX_TOPICS,
}


def longest_result() -> int:
    """Of a contract that gives up with a text, from a VM with as many modules as there may be, of the longest names."""
    names = [f"{number:04}" for number in range(limits.INSTANCES_PER_VM)]
    memories = [bytes(32)] * limits.MEMORIES_PER_VM
    fingerprint = Fingerprint([("", (1 << 32) - 1)] * FRAMES, dict.fromkeys(names, memories))
    # The length of a name, too, gets longer by the bytes that these do not have.
    rest = (limits.WASM_NAME_BYTES_MAX + 5) * (len(names) + FRAMES)
    texts = CONCLUDED + 5
    return len(RunResult(VMError(""), fingerprint).payload()) + rest + texts


#: The longest content of each slice of a request, by what bounds it in the executor.
REQUESTS = {
    (HostMethod.STORAGE_WRITE, "data"): limits.STORAGE_WRITE_BYTES,
    (HostMethod.CONSUME_RESULT, "result"): longest_result(),
    (HostMethod.POST_NONDET_RESULT, "result"): 1 + CONCLUDED,
    (HostMethod.POST_MESSAGE, "calldata"): ASKED,
    (HostMethod.POST_MESSAGE, "data"): len(post_message_data("finalized", U256_MAX)),
    (HostMethod.POST_EVENT, "blob"): ASKED,
    # Both out of one request.
    (HostMethod.DEPLOY_CONTRACT, "calldata"): 0,
    (HostMethod.DEPLOY_CONTRACT, "code"): ASKED,
    (HostMethod.DEPLOY_CONTRACT, "data"): len(deploy_contract_data("finalized", U256_MAX, U256_MAX)),
    (HostMethod.ETH_CALL, "calldata"): ASKED,
    (HostMethod.ETH_SEND, "calldata"): ASKED,
    (HostMethod.ETH_SEND, "data"): len(eth_send_data(U256_MAX)),
}
#: The longest content of each slice of a reply. What an EVM contract answers is bounded by nobody but its host, who is
#: told if it is too long.
REPLIES = {
    # A command of the local network refuses longer ones, and so are those of messages.
    (HostMethod.GET_CALLDATA, "calldata"): max(limits.HOST_REPLY_SLICE_BYTES, localnet_limits.MESSAGE_BYTES),
    # What another executor has posted.
    (HostMethod.GET_LEADER_NONDET_RESULT, "result"): 1 + CONCLUDED,
    (HostMethod.ETH_CALL, "result"): 0,
}


def _id(layout: MethodLayout) -> str:
    return layout.method.name.lower()


@pytest.mark.parametrize("layout", METHODS, ids=_id)
def test_a_node_takes_every_request(layout: MethodLayout) -> None:
    size = 1
    for field in layout.request:
        size += FIXED[field.kind] if field.kind in FIXED else 4 + REQUESTS[layout.method, field.name]
    assert size <= limits.HOST_REQUEST_BYTES


@pytest.mark.parametrize("layout", METHODS, ids=_id)
def test_an_executor_takes_every_reply(layout: MethodLayout) -> None:
    """Replies without a length are as long as we ask for."""
    for field in layout.reply:
        if field.kind not in FIXED and field.length_field is None:
            assert REPLIES[layout.method, field.name] <= limits.HOST_REPLY_SLICE_BYTES


def test_the_tables_name_what_there_is() -> None:
    fields = {(layout.method, field.name) for layout in METHODS for field in layout.request}
    replies = {(layout.method, field.name) for layout in METHODS for field in layout.reply}
    assert REQUESTS.keys() <= fields
    assert REPLIES.keys() <= replies


def test_internal_errors_are_cut() -> None:
    payload = RunResult(InternalError("\U0001f600" * (limits.INTERNAL_ERROR_CHARS + 1)), None).payload()
    assert len(payload) == 1 + len("internal error: ") + 4 * limits.INTERNAL_ERROR_CHARS
    assert len(payload) < limits.HOST_REQUEST_BYTES


def test_a_write_that_no_host_takes_is_out_of_storage_gas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As hosts say it of one that they would take if there were gas for it. It is not sent."""
    monkeypatch.setattr(limits, "STORAGE_WRITE_BYTES", 1000)
    assert [answer.errno for answer in Script().storage_write_at(SCRATCH, 0, SCRATCH, 1000).run().answers] == [0]
    ran = Script().storage_write_at(SCRATCH, 0, SCRATCH, 1001).run()
    assert ran.outcome == VMErrorRaised(HostErrorCode.OUT_OF_STORAGE_GAS.name.lower()).error
    assert HostMethod.STORAGE_WRITE not in ran.host.methods
