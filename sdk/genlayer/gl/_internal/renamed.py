"""Names of earlier releases, told to whoever still uses them (spec sdk/01 §8). Loaded only when a name is missing."""

__all__ = ("NOW",)

# Name that `gl` had once, and what to write instead.
NOW = {
    "ContractAt": "gl.get_contract_at(address)",
    "OtherContract": "gl.get_contract_at(address).view()",
    "Rollback": "gl.vm.UserError, whose text is in `message`",
    "account_from_b64": "Address(text)",
    "call_llm": "gl.nondet.exec_prompt(prompt)",
    "contract": "a class that derives from gl.Contract",
    "contract_at": "gl.get_contract_at(address)",
    "eq_principle_prompt_comparative": "gl.eq_principle.prompt_comparative(fn, principle)",
    "eq_principle_prompt_non_comparative": "gl.eq_principle.prompt_non_comparative(fn, task=…, criteria=…)",
    "eq_principle_refl": "gl.eq_principle.strict_eq(fn)",
    "eq_principle_strict_eq": "gl.eq_principle.strict_eq(fn)",
    "eq_principles": "gl.eq_principle",
    "eth": "gl.evm",
    "eth_contract": "gl.evm.contract_interface",
    "exec_prompt": "gl.nondet.exec_prompt(prompt)",
    "get_webpage": "gl.nondet.web.render(url, mode=…)",
    "rollback_immediate": "gl.advanced.user_error_immediate(text)",
    "sandbox": "gl.vm.spawn_sandbox(fn), which returns a result instead of raising",
    "storage_inmem_allocate": "gl.storage.inmem_allocate(T, …)",
}
