"""``gl_call``: one calldata request ``{Name: payload}``, dispatched by name (spec executor/04).

Every handler takes the VM and the payload, checks shape, mode and permission in the order that the
specification gives, acts, and returns the content of the result file or ``None``. Only what it looks at is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk import calls, control, events, messages, modules, nondet, sandbox
from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded, checked
from pygenvm.executor.subvm.genlayer_sdk.request import Refused, only_entry

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

Handler = Callable[["Guest", Encoded], bytes | None]

#: The file number that stands for "no result".
NO_RESULT = 0xFFFF_FFFF

HANDLERS: dict[str, Handler] = {
    "EthSend": messages.eth_send,
    "EthCall": calls.eth_call,
    "CallContract": calls.call_contract,
    "PostMessage": messages.post_message,
    "DeployContract": messages.deploy_contract,
    "RunNondet": nondet.run_nondet,
    "Sandbox": sandbox.sandbox,
    "WebRender": modules.web_render,
    "WebRequest": modules.web_request,
    "ExecPrompt": modules.exec_prompt,
    "ExecPromptTemplate": modules.exec_prompt_template,
    "EmitEvent": events.emit_event,
    "Rollback": control.rollback,
    "Return": control.contract_return,
    "Trace": control.trace,
}


def gl_call(vm: Guest, request: int, length: int, result_fd: int) -> int:
    """Handle the request; the u32 at ``result_fd`` is written only on success."""
    memory = vm.memory
    if length > limits.GL_CALL_REQUEST_BYTES:
        memory.view(request, length)
        return GlErrno.INVAL
    try:
        message = checked(memory.slice(request, length))
    except ValueError:
        return GlErrno.INVAL
    try:
        name, payload = only_entry(message)
        handler = HANDLERS.get(name)
        if handler is None:
            return GlErrno.INVAL
        content = handler(vm, payload)
    except Refused as refusal:
        return refusal.errno
    memory.write_u32(result_fd, NO_RESULT if content is None else vm.wasi.open_result(content))
    return GlErrno.SUCCESS
