"""``gl_call``: one calldata request ``{Name: payload}``, dispatched by name (spec executor/04).

Every handler takes the VM and the decoded payload, checks shape, mode and permission in the order
that the specification gives, acts, and returns the content of the result file or ``None``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pygenvm.executor import limits
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk import calls, control, events, messages, modules, nondet, sandbox
from pygenvm.executor.subvm.genlayer_sdk.request import Refused

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

Handler = Callable[["Guest", Any], bytes | None]

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
        message = calldata.decode(memory.read(request, length))
    except ValueError:
        return GlErrno.INVAL
    if type(message) is not dict or len(message) != 1:
        return GlErrno.INVAL
    ((name, payload),) = message.items()
    handler = HANDLERS.get(name)
    if handler is None:
        return GlErrno.INVAL
    try:
        content = handler(vm, payload)
    except Refused as refusal:
        return refusal.errno
    memory.write_u32(result_fd, NO_RESULT if content is None else vm.wasi.open_result(content))
    return GlErrno.SUCCESS
