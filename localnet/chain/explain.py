"""What a failed run means for the author of a contract, and what to do about it (spec executor/05)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pygenvm import schemas
from pygenvm.executor.outcome import InternalError, Outcome, UserError, VMError
from pygenvm.localnet.shorten import shorten


@dataclass(frozen=True, slots=True)
class Explanation:
    """``meaning`` says what happened, ``advice`` what to do."""

    meaning: str
    advice: str


_USER_ERROR = Explanation(
    "The contract itself refused, with a text of its own choice.",
    "Look for the condition that raises gl.vm.UserError with this text.",
)

#: The newest published runner for contracts of one file.
_RUNNER = f"py-genlayer:{schemas.load('runner-aliases')['py-genlayer'][-1]}"

# Exact strings first, then what a string may start with.
_VM_ERRORS: dict[str, Explanation] = {
    "timeout": Explanation(
        "The contract was still running when its time was over.",
        "Look for a loop that never ends. If the work is really that long, allow more with --timeout SECONDS; nodes"
        " have a limit of their own.",
    ),
    "OOM": Explanation(
        "The contract used up its memory: 4 GiB for all sub-VMs of the run together.",
        "Look for data that grows without bound, for sandboxes that start sandboxes, and for large values that are"
        " held although storage has them.",
    ),
    "version_too_big": Explanation(
        "The first line of the contract asks for a version that does not exist yet, or did not at the message's date.",
        "Lower the number in the line that looks like `# v0.2.16`, or leave the line out.",
    ),
    "exit_code 1": Explanation(
        "Python stopped with an exception that nobody caught. The traceback is above.",
        "The last line of the traceback names the exception. For a failure that callers should see, raise"
        " gl.vm.UserError(text): no other exception passes its text on.",
    ),
    "absent": Explanation(
        "The node has nothing for this request, for example no result of a leader.",
        "This does not happen in a local network; please report it.",
    ),
    "forbidden": Explanation(
        "The local network refused a request of the contract.",
        "Limits for one transaction: 1000 messages, 10000 events, 64 MiB in one storage read, no more value sent than"
        " there is. Views cannot write or send at all. An address cannot get a second contract (same salt).",
    ),
    "out_of_storage_gas": Explanation(
        "The contract wrote to more storage than one transaction may: 32768 pages of 4 KiB.",
        "Split the work into several calls.",
    ),
    "i_am_leader": Explanation("A nondet block asked for a leader that there is not.", "Please report it."),
    "invalid_contract absent_runner_comment": Explanation(
        "There is no contract at the address, or the code does not start with the comment that names its runner.",
        f'Start the file, at its very first byte, with:  # {{ "Depends": "{_RUNNER}" }}  Nothing may stand above it'
        " but a version line such as `# v0.2.16`.",
    ),
    "invalid_contract not_utf8_text": Explanation(
        "The code is neither a zip, nor WebAssembly, nor text in UTF-8.", "Save the file as UTF-8."
    ),
    "invalid_contract wasm": Explanation(
        "A LinkWasm action names a WebAssembly module that has no name.", "Give the module a name section."
    ),
    "wasm_trap StackOverflow": Explanation(
        "Calls were nested too deeply for the stack.", "Look for a recursion that never ends, or make it a loop."
    ),
    "wasm_trap DeterministicMode": Explanation(
        "A float instruction was executed outside of a nondet block.",
        "Python's own floats are safe; compiled modules must be rewritten to use the softfloat runner.",
    ),
    "wasm_trap UnreachableCodeReached": Explanation(
        "The program aborted itself: a failed assertion in compiled code, or Python's fatal error.",
        "The lines above usually say why.",
    ),
}
_VM_ERROR_STARTS: dict[str, Explanation] = {
    "exit_code ": Explanation(
        "The program ended itself with this exit code.",
        "Look for exit() or sys.exit(). Return a value instead, or raise gl.vm.UserError(text).",
    ),
    "invalid_contract": Explanation(
        "The contract could not be set up.",
        "The cause is above. Usual ones: the comment at the start is not valid JSON, it names a runner that is not"
        " installed (see `genvm runners list`), a comment line directly below it (leave one line empty), or a version"
        " line that is none.",
    ),
    "wasm_trap": Explanation(
        "The WebAssembly code did something impossible, as the name of the trap says.",
        "In Python code this is a bug of a compiled module or of the interpreter; please report it.",
    ),
}

_FORBIDDEN = r"SystemError: 6: forbidden"
_NOT_PUBLIC = r"call to private method|starts? with __ is forbidden|unknown special method"

# The last line of a traceback, and what it usually means.
_PYTHON_HINTS: tuple[tuple[str, str], ...] = (
    (_FORBIDDEN, "Not allowed here: a view that writes or sends, storage inside a nondet block or"
     " sandbox, a slot that is locked, web and LLM calls outside of a nondet block, or, with strict views, sending and"
     " events in a contract that is called."),
    (r"SystemError: 7: inbalance", "The contract tried to send more than it has. Give it value with --value, in a"
     " payable method."),
    (r"SystemError: 2: inval", "A call to the VM with arguments it does not take: more than 3 indexed fields in an"
     " event, events without `# v0.1.5` or gl.trace without `# v0.1.10` in the first line, or a wrong `on`."),
    (r"called non-payable method", "The method must be marked @gl.public.write.payable to take value."),
    (r"__handle_undefined_method__|__receive__", "There is no such method. `genvm local schema` lists what there is."),
    (r"call to private method", "Only methods marked @gl.public.view or @gl.public.write can be called."),
    (r"starts? with __ is forbidden", "Methods that start with __ cannot be called."),
    (r"TypeError: .*\(\) (missing|takes|got)", "The arguments do not fit the method. `genvm local schema` shows its"
     " parameters."),
    (r"no contract defined", "The file must define a class that derives from gl.Contract."),
    (r"__init__ must be private", "Take the decorator off __init__."),
    (r"not calldata encodable", "The returned or sent value has a type that calldata does not know, such as a float."),
    (r"OverflowError: ", "A number is too large, or negative, for the type of the field."),
    (r"use `bigint` or one of sized integers", "Storage needs sized types: u256, i64 … or bigint."),
    (r"MemoryError", "Python could not get more memory."),
    (r"RecursionError", "Look for a recursion that never ends."),
)  # fmt: skip


def explain(outcome: Outcome, stderr: str = "") -> Explanation | None:
    """Explanation of an error; None for a Return. ``stderr`` is what the run wrote there."""
    match outcome:
        case UserError():
            return _USER_ERROR
        case VMError(message=message):
            found = _VM_ERRORS.get(message) or next(
                (item for start, item in _VM_ERROR_STARTS.items() if message.startswith(start)), None
            )
            if found is None:
                return Explanation("The VM stopped the contract.", "Please report this error, it should be explained.")
            hint = _python_hint(stderr) if message == "exit_code 1" else None
            return Explanation(found.meaning, hint or found.advice)
        case InternalError(message=message):
            return _internal(message)
    return None


def may_be_wrong_method(outcome: Outcome | None, stderr: str) -> bool:
    """Whether it is worth asking :func:`explain_method`, for which the schema of the contract is needed."""
    return outcome == VMError("exit_code 1") and _ends_with(stderr, f"{_NOT_PUBLIC}|{_FORBIDDEN}")


def explain_method(
    stderr: str, contract: str, method: str, methods: Mapping[str, Any], *, is_view: bool
) -> Explanation | None:
    """The explanation where the contract cannot be called like that, as its ``methods`` say (spec sdk/03 §4)."""
    if method not in methods and _ends_with(stderr, _NOT_PUBLIC):
        if method:
            missing = f"There is no public method `{method}` in {contract}"
        else:
            missing = f"Without a method `__receive__` is called, which {contract} does not have"
    elif is_view and method in methods and not methods[method].get("readonly") and _ends_with(stderr, _FORBIDDEN):
        return Explanation(
            f"`{method}` is a write method, and a view can neither write nor send.",
            "Use `genvm local call`, or direct_vm.call in a test.",
        )
    else:
        return None
    return Explanation(
        f"{missing}; it has {shorten(methods) or 'none'}.", "`genvm local schema` shows what parameters they take."
    )


def _python_hint(stderr: str) -> str | None:
    return next((hint for pattern, hint in _PYTHON_HINTS if _ends_with(stderr, pattern)), None)


def _ends_with(stderr: str, pattern: str) -> bool:
    return any(re.search(pattern, line) for line in stderr.rstrip().splitlines()[-3:])


# What the executor says of a module, and what that means; the last is for all else that it may say.
_MODULE_FAILURES: tuple[tuple[str, str, str], ...] = (
    (r"cannot connect: no WebSocket service", "and at the address of the module for that is something else.",
     "Correct the address in the configuration, or start the module there."),
    (r"cannot connect", "and the module for that cannot be reached.",
     "A local network has no modules of its own: start those that the configuration names."),
    (r"connection lost", "and the module for that broke the connection.", "Look into the log of the module."),
    (r"no answer within", "and the module for that did not answer in time.", "Look into the log of the module."),
    (r"module error", "and the module for that failed, as it says itself.", "Look into the log of the module."),
    (r"request of \d+ bytes", "and asked for it with more than a request may hold.", "Send less."),
    (r"", "and the module for that answered something that no module should answer.",
     "Look into the log of the module. It has to keep to the protocol of modules that this version speaks."),
)  # fmt: skip


def _internal(message: str) -> Explanation:
    if re.search(r"\b(llm|web) module\b", message, re.IGNORECASE):
        found = next(row for row in _MODULE_FAILURES if re.search(row[0], message))
        return Explanation(f"The run needed a language model or the web, {found[1]}", found[2])
    if "runners" in message:
        return Explanation("The executor lacks its runners.", "Build them once: genvm runners build")
    if "cannot start" in message:
        return Explanation("No contract was run.", "Correct what the executor complains about.")
    return Explanation(
        "The executor failed; the contract is not to blame.", "Please report it together with the contract."
    )
