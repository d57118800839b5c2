"""What names of the SDK v0.1.0 are called today: for contracts whose header names its runner (spec sdk/01 §8).

Rules know the names of today only. A name without one, here with an empty text, has something of its own behind it that
no rule knows.
"""

from __future__ import annotations

#: Runners of ours that bring these names (`runners/py-lib-genlayer-std-v0_1_0`).
RUNNERS = frozenset({"py-genlayer-v0_1_0", "py-genlayer-multi-v0_1_0", "py-lib-genlayer-std-v0_1_0"})

#: What the star import brought besides what it brings today.
STAR = frozenset({"Rollback"})

#: The decorator that made a class the contract.
CONTRACT = "gl.contract"

NAMES = {
    "gl.ContractAt": "gl.get_contract_at",
    "gl.Rollback": "gl.vm.UserError",
    "gl.account_from_b64": "Address",
    "gl.advanced.ContractError": "gl.vm.VMError",
    "gl.advanced.ContractReturn": "gl.vm.Return",
    "gl.advanced.emit_raw_event": "",
    "gl.advanced.rollback_immediate": "gl.advanced.user_error_immediate",
    "gl.advanced.run_nondet": "gl.vm.run_nondet",
    "gl.advanced.sandbox": "gl.vm.spawn_sandbox",
    "gl.advanced.validator_handle_rollbacks_and_errors_default": "",
    CONTRACT: "",
    "gl.eq_principle_prompt_comparative": "gl.eq_principle.prompt_comparative",
    "gl.eq_principle_prompt_non_comparative": "gl.eq_principle.prompt_non_comparative",
    "gl.eq_principle_refl": "gl.eq_principle.strict_eq",
    "gl.eq_principle_strict_eq": "gl.eq_principle.strict_eq",
    "gl.eq_principles": "gl.eq_principle",
    "gl.eth": "gl.evm",
    "gl.eth_contract": "gl.evm.contract_interface",
    "gl.exec_prompt": "gl.nondet.exec_prompt",
    "gl.get_webpage": "gl.nondet.web.render",
    "gl.message.contract_account": "gl.message.contract_address",
    "gl.message.is_init": "",
    "gl.message.sender_account": "gl.message.sender_address",
    "gl.rollback_immediate": "gl.advanced.user_error_immediate",
    "gl.sandbox": "gl.vm.spawn_sandbox",
    "gl.storage.storage": "allow_storage",
    "gl.storage_inmem_allocate": "gl.storage.inmem_allocate",
    "genlayer.Rollback": "gl.vm.UserError",
    "genlayer.py.eth": "gl.evm",
    "genlayer.py.storage.storage": "allow_storage",
    "genlayer.std": "gl",
}

#: Names that came later, and which the published archives of that SDK do not have.
LATER = frozenset(
    {
        "gl.advanced.user_error_immediate",
        "gl.eq_principle",
        "gl.evm",
        "gl.get_contract_at",
        "gl.nondet",
        "gl.storage.copy_to_memory",
        "gl.trace",
        "gl.trace_time_micro",
        "gl.vm",
    }
)


def todays(name: str) -> str:
    """What a name, or its longest beginning that has another today, is called today."""
    start, end = name, ""
    while start:
        if start in NAMES:
            now = NAMES[start]
            # What is below `genlayer.std` may have another name too.
            return todays(now + end) if now and now != start else ""
        start, dot, last = start.rpartition(".")
        end = f"{dot}{last}{end}"
    return name
