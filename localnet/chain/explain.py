"""What a failed run means for the author of a contract, and what to do about it (spec executor/05)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pygenvm.executor.outcome import InternalError, Outcome, UserError, VMError
from pygenvm.executor.runner.registry import published_runners
from pygenvm.executor.shortage import advice_on
from pygenvm.localnet.chain.hints import Explanation, is_own_decision, python_hint
from pygenvm.localnet.shorten import shorten
from pygenvm.localnet.tracebacks import take_apart

_UNKNOWN = Explanation("The VM stopped the contract.", "Please report this error, it should be explained.")
_USER_ERROR = Explanation(
    "The contract itself refused, with a text of its own choice.",
    "Look for the condition that raises gl.vm.UserError with this text.",
)

#: The newest published runner for contracts of one file.
_RUNNER = f"py-genlayer:{list(published_runners()['py-genlayer'])[-1]}"

#: An exception of Python that nobody caught.
UNCAUGHT = "exit_code 1"
#: Code without a header, or none at all.
ABSENT = "invalid_contract absent_runner_comment"
#: How the SDK's errors begin that tell of the VM error of another contract or a sandbox.
INNER = "vm error: "

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
    UNCAUGHT: Explanation(
        "Python stopped with an exception that nobody caught.",
        "If callers should see this failure, raise gl.vm.UserError(text): no other exception passes its text on.",
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
    ABSENT: Explanation(
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
        "What it printed usually says why.",
    ),
}
#: Where it is known that the contract itself has a header.
NO_CONTRACT = Explanation(
    "An address was called at which there is no contract.",
    "Look where the address comes from: `genvm local accounts` lists the contracts there are.",
)
_VM_ERROR_STARTS: dict[str, Explanation] = {
    "exit_code ": Explanation(
        "The program ended itself with this exit code.",
        "Look for exit() or sys.exit(). Return a value instead, or raise gl.vm.UserError(text).",
    ),
    "invalid_contract": Explanation(
        "The contract could not be set up.",
        "Usual causes: the comment at the start is not valid JSON, it names a runner that is not"
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
#: What may come of other arguments than the method wants.
_OF_ARGUMENTS = r"(TypeError|AttributeError|AssertionError|Exception: invalid address)"
#: A method that is there, in the words of the SDK.
_EXISTING = re.compile(r"call to private method `<function \w+\.(\w+) at ")


def explain(outcome: Outcome, stderr: str = "") -> Explanation | None:
    """Explanation of an error; None for a Return. ``stderr`` is what the run wrote there."""
    match outcome:
        case UserError(message=message):
            inner = message.removeprefix(INNER)
            found = _of_vm(inner, stderr) if inner != message else None
            if found is None:
                return _USER_ERROR
            return Explanation(f"A sandbox or another contract failed with `{inner}`. {found.meaning}", found.advice)
        case VMError(message=message):
            return _of_vm(message, stderr) or _UNKNOWN
        case InternalError(message=message):
            return _internal(message)
    return None


def _of_vm(message: str, stderr: str) -> Explanation | None:
    known = _VM_ERRORS.get(message) or next(
        (item for start, item in _VM_ERROR_STARTS.items() if message.startswith(start)), None
    )
    return (python_hint(stderr) or known) if message == UNCAUGHT else known


def may_be_wrong_method(outcome: Outcome | None, stderr: str) -> bool:
    """Whether it is worth asking :func:`explain_method`, for which the schema of the contract is needed."""
    return outcome == VMError(UNCAUGHT) and _ends_with(stderr, f"{_NOT_PUBLIC}|{_FORBIDDEN}")


def may_be_wrong_arguments(outcome: Outcome | None, stderr: str) -> bool:
    """Whether the arguments of the call may be to blame."""
    if outcome != VMError(UNCAUGHT):
        return False
    _, traceback = take_apart(stderr)
    if traceback is None or is_own_decision(traceback):
        return False
    return re.match(_OF_ARGUMENTS, traceback.exception) is not None


def explain_method(
    stderr: str, contract: str, method: str, methods: Mapping[str, Any], *, is_view: bool
) -> Explanation | None:
    """The explanation where the contract cannot be called like that, as its ``methods`` say (spec sdk/03 §4)."""
    if method not in methods and _ends_with(stderr, _NOT_PUBLIC):
        existing = _EXISTING.search(stderr)
        if existing and existing[1] == method:
            return Explanation(
                f"`{method}` exists in {contract}, but has no @gl.public, so nobody can call it.",
                f"Put `@gl.public.view` or `@gl.public.write` above `def {method}`, and deploy it again.",
            )
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
    close = difflib.get_close_matches(method, methods, 1)
    return Explanation(
        f"{missing}; it has {shorten(methods) or 'none'}.",
        f"Did you mean `{close[0]}`?" if close else "`genvm local schema` shows what parameters they take.",
    )


def _ends_with(stderr: str, pattern: str) -> bool:
    return any(re.search(pattern, line) for line in stderr.rstrip().splitlines()[-3:])


# What the executor says of a module, and what that means; the last is for all else that it may say. The first group of
# an expression goes into the place of {0}.
_MODULE_LOG = "Its log says more: docs/modules.md tells where it is."
_MODULE_FAILURES: tuple[tuple[str, str, str], ...] = (
    (r"no language model is configured",
     "The contract asks a language model, and there is none.",
     "Put the key of a provider into the environment (OPENAIKEY, ANTHROPICKEY, GEMINIKEY, XAIKEY, HEURISTKEY), answer"
     " from a file with --mocks FILE, or name a server or a local model in --llm-config FILE (docs/modules.md)."),
    (r"module error: (.*): No (?:web|LLM) mock for ",
     "The file of mocks has no answer to this request.",
     "Add a pattern that is found in it to {0}. The first pattern that fits answers (docs/modules.md)."),
    (r"module error: (.*): the answer of the mock ",
     "An answer in the file of mocks does not fit the request that it is for.",
     "Correct it in {0} (docs/modules.md)."),
    (r"no Chromium is installed.*this installs one: ([^\")]*)",
     "The contract renders a page, and there is no browser here to do it.",
     "Install one: {0}"),
    (r"--(?:llm|web)-config: ", "The configuration of the module cannot be used.", "Correct what is wrong with it."),
    (r"module does not start", "The run needed a language model or the web, and the module for that does not start.",
     _MODULE_LOG),
    (r"module has ended during the request",
     "The module ended while it worked on a request of the contract.",
     f"Call again: it is started anew. {_MODULE_LOG}"),
    (r"NO_PROVIDER_FOR_PROMPT", "None of the language models that could be asked gave an answer.",
     f"`genvm modules check` tries each of them. {_MODULE_LOG}"),
    (r"cannot connect: no WebSocket service",
     "The run needed a language model or the web, and at the address of the module for that is something else.",
     "Correct the address in the configuration, or start the module there."),
    (r"cannot connect",
     "The run needed a language model or the web, and the module for that cannot be reached.",
     "Start it at the address in the configuration, or leave the address out: then it is started when it is needed."),
    (r"connection lost",
     "The run needed a language model or the web, and the module for that broke the connection.", _MODULE_LOG),
    (r"no answer within",
     "The run needed a language model or the web, and the module for that did not answer in time.", _MODULE_LOG),
    (r"module error",
     "The run needed a language model or the web, and the module for that failed, as it says itself.", _MODULE_LOG),
    (r"request of \d+ bytes",
     "The run needed a language model or the web, and asked for it with more than a request may hold.", "Send less."),
    (r"",
     "The run needed a language model or the web, and the module for that answered something that no module should"
     " answer.",
     "Look into the log of the module. It has to keep to the protocol of modules that this version speaks."),
)  # fmt: skip


def _internal(message: str) -> Explanation:
    if re.search(r"\b(llm|web) module\b", message, re.IGNORECASE):
        for pattern, meaning, advice in _MODULE_FAILURES:
            if found := re.search(pattern, message):
                return Explanation(meaning, advice.format(*found.groups()))
    if what_to_do := advice_on(message):
        meaning = "The executor has not got from this machine what it needs; the contract is not to blame."
        return Explanation(meaning, f"{what_to_do[0].upper()}{what_to_do[1:]}.")
    if "runners" in message:
        return Explanation("The executor lacks its runners.", "Build them once: genvm runners build")
    if "cannot start" in message:
        return Explanation("No contract was run.", "Correct what the executor complains about.")
    return Explanation(
        "The executor failed; the contract is not to blame.", "Please report it together with the contract."
    )
