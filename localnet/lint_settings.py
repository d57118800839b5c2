"""What a check needs from outside: which runners there are and can be, what their standard library lacks, and the
sandbox's own Python for syntax that ours is too old for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from pygenvm.lint.check import SandboxAnswer, Settings
from pygenvm.localnet.errors import LocalNetError
from pygenvm.localnet.net import LocalNet
from pygenvm.localnet.schema import NoSchema
from pygenvm.runners import recipes, registry
from pygenvm.runners.cpython.stdlib import LEFT_OUT
from pygenvm.runners.errors import BuildError

_SYNTAX_ERROR = re.compile(r"^(?:SyntaxError|IndentationError|TabError): (.*)$", re.MULTILINE)
_AT = re.compile(r'^  File "(/contract[^"]*)", line (\d+)', re.MULTILINE)


def installed_runners() -> Mapping[str, Collection[str]]:
    """Hashes of the built runners by id; empty where none are built."""
    try:
        return registry.read_every(registry.installed_runners().roots)
    except (OSError, BuildError, ValueError):
        return {}


def settings(net: Callable[[], LocalNet] | None = None) -> Settings:
    """What is known here of runners and sandbox; ``net`` is made if the sandbox has to be asked, which nobody does
    without one."""
    return Settings(
        installed_runners(),
        (lambda code: ask_sandbox(net(), code)) if net else (lambda _: SandboxAnswer()),
        buildable=recipes.runner_ids(),
        left_out=LEFT_OUT,
    )


def ask_sandbox(net: LocalNet, code: bytes) -> SandboxAnswer:
    """Whether the sandbox's Python can read a contract."""
    try:
        net.schema_of_code(code)
    except NoSchema as error:
        if error.receipt is None:
            return SandboxAnswer()
        traceback = error.receipt.stderr.text()
        found = _SYNTAX_ERROR.search(traceback)
        places = _AT.findall(traceback[: found.start()] if found else traceback)
        if found and places:
            file, line = places[-1]
            return SandboxAnswer(False, found[1], file, int(line))
        # What fails in a line of the contract was read before.
        return SandboxAnswer(True if places and not found else None)
    except LocalNetError:
        return SandboxAnswer()
    return SandboxAnswer(True)
