"""Runs a script with four times the native stack: ``python -m tests.runners.python.larger_stack < calls``.

Calls are a JSON object with the script and its arguments, by name; the answer has the results in hex. The compiled
modules are those of ordinary runs.
"""

from __future__ import annotations

import json
import sys

from pygenvm.executor import limits
from pygenvm.executor.subvm import engine


def main() -> None:
    # Artefacts are kept under this digest; their code is the same for every stack.
    engine.fingerprint(engine.engine())
    limits.WASM_STACK_BYTES *= 4
    limits.VM_DEPTH = 2
    engine.SETTINGS |= {
        "async_stack_size": limits.WASM_STACK_BYTES + (1 << 20),
        "max_wasm_stack": limits.WASM_STACK_BYTES,
    }
    # Not before: threads get the stack that the limits say when this is imported.
    from tests.runners.python.python_contracts import run_script

    calls = json.load(sys.stdin)
    results = {}
    for name, arguments in calls["arguments"].items():
        payload = run_script(calls["script"], *arguments).payload
        assert payload is not None
        results[name] = payload.hex()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
