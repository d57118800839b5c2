"""Names that the SDK has (spec sdk/01 §2, §3). A test keeps them equal to the SDK's own."""

from __future__ import annotations

INTEGERS = frozenset(f"{sign}{bits}" for sign in "ui" for bits in range(8, 257, 8)) | {"bigint"}

#: What `from genlayer import *` brings besides `gl`.
STAR = INTEGERS | {"Address", "Array", "DynArray", "Keccak256", "TreeMap", "allow_storage"}

#: All that it brings.
EXPORTED = STAR | {"gl"}

_TYPES = INTEGERS | {"Address", "Keccak256", "Lazy", "SizedArray"}

#: Modules of the SDK whose names are better known by another module.
MODULES = {
    "gl.genvm_contracts": "gl",
    "gl.annotations": "gl",
    "gl.events": "gl",
    "genlayer._internal.msg": "gl",
    "genlayer.py.types": "gl",
    "genlayer.py.keccak": "gl",
    "genlayer.py.calldata": "gl.calldata",
    "genlayer.py.evm": "gl.evm",
    "genlayer.py.storage._internal.generate": "gl.storage",
    "genlayer.py.storage.tree_map": "gl.storage",
    "genlayer.py.storage.vec": "gl.storage",
    "genlayer.py.storage": "gl.storage",
}

#: Members of the namespaces that have a fixed list of them.
MEMBERS: dict[str, frozenset[str]] = {
    "gl": _TYPES
    | {"BaseContract", "Contract", "ContractProxy", "Event", "MessageRawType", "MessageType", "advanced", "calldata"}
    | {"contract_interface", "deploy_contract", "eq_principle", "evm", "get_contract_at", "message", "message_raw"}
    | {"nondet", "private", "public", "storage", "trace", "trace_time_micro", "vm", "wasi"}
    # Modules of the package.
    | {"annotations", "events", "genvm_contracts"},
    "gl.message": frozenset({"contract_address", "sender_address", "origin_address", "value", "chain_id"}),
    "gl.public": frozenset({"view", "write"}),
    "gl.public.write": frozenset({"payable", "min_gas"}),
    "gl.vm": frozenset({"Result", "Return", "UserError", "VMError"})
    | {"run_nondet", "run_nondet_unsafe", "spawn_sandbox", "unpack_result"},
    "gl.nondet": frozenset({"Image", "NondetException", "exec_prompt", "web"}),
    "gl.nondet.web": frozenset({"Response", "delete", "get", "head", "patch", "post", "render", "request"}),
    "gl.eq_principle": frozenset({"prompt_comparative", "prompt_non_comparative", "strict_eq"}),
    "gl.advanced": frozenset({"emit_raw_event", "user_error_immediate"}),
}

#: What the modules of the SDK import themselves, and helpers of theirs that contracts use: there, though not exported.
UNLISTED = (
    frozenset(
        (
            "Body",
            "Callable",
            "Headers",
            "Image",
            "Lazy",
            "Mapping",
            "Method",
            "ResultCode",
            "STORAGE_MANAGER",
            "Sequence",
        )
    )
    | frozenset(
        (
            "calldata",
            "cloudpickle",
            "collections",
            "dataclasses",
            "decode_answer",
            "functools",
            "gl_call_generic",
            "gl_call",
        )
    )
    | {"io", "json", "lazy_api", "leave", "public_abi", "rollback", "typing", "vm", "wasi"}
)

#: Keys of `gl.message_raw`.
MESSAGE_RAW = frozenset(
    {"contract_address", "sender_address", "origin_address", "stack", "value", "datetime", "is_init"}
) | {
    "chain_id",
    "entry_kind",
    "entry_data",
    "entry_stage_data",
}

#: Methods that the VM calls; only these may be public and start with `__`.
HOOKS = frozenset({"__receive__", "__handle_undefined_method__", "__on_errored_message__"})

#: Functions that run others in non-deterministic VMs, and how many functions they take first.
BLOCKS = {
    "gl.eq_principle.strict_eq": 1,
    "gl.eq_principle.prompt_comparative": 1,
    "gl.eq_principle.prompt_non_comparative": 1,
    "gl.vm.run_nondet": 2,
    "gl.vm.run_nondet_unsafe": 2,
}
SANDBOX = "gl.vm.spawn_sandbox"

PROMPT = "gl.nondet.exec_prompt"
#: What it takes; it ignores everything else.
PROMPT_PARAMETERS = ("prompt", "response_format", "images", "image")

#: What functions of the SDK take. A test keeps it equal to the SDK's own.
SIGNATURES = {
    "gl.vm.UserError": "message",
    "gl.vm.run_nondet": "leader_fn, validator_fn, /, *, compare_user_errors=..., compare_vm_errors=...",
    "gl.vm.run_nondet_unsafe": "leader_fn, validator_fn, /",
    "gl.vm.spawn_sandbox": "fn, *, allow_write_ops=...",
    "gl.vm.unpack_result": "res, /",
    "gl.eq_principle.strict_eq": "fn",
    "gl.eq_principle.prompt_comparative": "fn, principle",
    "gl.eq_principle.prompt_non_comparative": "fn, *, task, criteria",
    "gl.nondet.exec_prompt": "prompt, *, response_format=..., images=..., image=..., **_ignored",
    "gl.nondet.web.request": "url, *, method, body=..., headers=...",
    "gl.nondet.web.get": "url, *, headers=...",
    **{f"gl.nondet.web.{name}": "url, *, body=..., headers=..." for name in ("delete", "head", "patch", "post")},
    "gl.nondet.web.render": "url, *, mode=..., wait_after_loaded=...",
    "gl.get_contract_at": "address",
    "gl.deploy_contract": "*, code, args=..., kwargs=..., salt_nonce=..., value=..., on=...",
    "gl.advanced.emit_raw_event": "topics, blob",
    "gl.advanced.user_error_immediate": "reason",
    "gl.trace": "*objs, sep=...",
    "gl.trace_time_micro": "",
}
#: What methods of proxies of other contracts take, of this network and of EVM contracts.
PROXY_METHODS = {"view": "*, state=...", "emit": "*, value=..., on=...", "emit_transfer": "*, value, on=..."}
EVM_PROXY_METHODS = {"view": "", "emit": "*, value=...", "emit_transfer": "*, value=..."}
#: All that proxies have.
PROXY_MEMBERS = frozenset({*PROXY_METHODS, "address", "balance"})

#: Bases of a contract class that bring no fields and no methods of their own.
PLAIN_BASES = frozenset({"gl.Contract", "builtins.object", "typing.Generic", "typing.Protocol", "abc.ABC"})
