"""Where tests of genlayer-test reach into its own parts: what there is instead."""

from __future__ import annotations

from typing import Final

_MOCKS: Final = "mocks are added with mock_web and mock_llm, and forgotten with clear_mocks"
_LIVE: Final = "nothing is asked of the real web; a mock may be a function"
_CHAIN: Final = "the chain id is that of every local network"

#: Private attributes of its VM that a public one of ours is the same as.
ALIASES: Final = {"_sender": "sender", "_origin": "origin", "_value": "value", "_check_pickling": "check_pickling"}
#: Those that hold the time.
TIMES: Final = ("_datetime",)

#: Private attributes of its VM, and what to do instead.
ADVICE: Final = {
    "_storage": "fields are read as contract.field or direct_vm.storage(contract), and only a contract writes them",
    "_balances": "balances are set with direct_vm.deal(account, amount) and read with direct_vm.balance(account)",
    "_contract_address": "every contract has its own, contract.address",
    "_chain_id": _CHAIN,
    "_snapshots": "use direct_vm.snapshot() and direct_vm.revert(number)",
    "_prank_stack": "use direct_vm.prank(account)",
    "_captured_validators": "use direct_vm.run_validator(index=…) and direct_vm.clear_validators()",
    "_web_mocks": _MOCKS,
    "_llm_mocks": _MOCKS,
    "_web_mocks_hit": "set direct_vm.strict_mocks, or look at direct_vm.requests",
    "_llm_mocks_hit": "set direct_vm.strict_mocks, or look at direct_vm.requests",
    "_strict_mock_mode": "a request that no mock answers always fails",
    "_live_web_handler": _LIVE,
    "_live_llm_handler": _LIVE,
    "_gl_call_hook": "contracts call each other as on a node: deploy the other one too",
    "_in_nondet": "the sandbox enforces what a nondet block may do",
    "_traces": "what a contract prints is in direct_vm.last.receipt.stdout",
    "get_message_raw": "set direct_vm.sender, origin, value, and warp(…) before the call",
}

_SDK: Final = (
    "contracts run in the sandbox and not in this Python: deploy the file with direct_deploy(…), and test it by its"
    " public methods and fields"
)
#: The same for its modules; the key is where the name was looked for.
MODULE_ADVICE: Final = {
    "gltest": "it speaks to a network: install genlayer-test for that. Here there is gltest.direct",
    "gltest.direct.vm": "storage is that of the sandbox; see direct_vm.storage, snapshot and revert",
    "gltest.direct.loader": _SDK,
    "gltest.direct.wasi_mock": f"nothing stands between a contract and its VM; {_MOCKS}",
    "gltest.direct.sdk_loader": _SDK,
}
