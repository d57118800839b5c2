"""The tour behind `make demo`: real commands, run one after the other, with what they mean.

Everything happens in the sandbox that nodes run, over a database that is thrown away afterwards.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

CONTRACTS = Path(__file__).parent / "contracts"


@dataclass(frozen=True)
class Step:
    """One command, why it is run, and the exit code it ends with."""

    why: str
    command: tuple[str, ...]
    exit_code: int = 0


STEPS = (
    Step(
        "A contract is a Python class. Deploying runs its __init__ in a WebAssembly sandbox.",
        ("deploy", "storage.py", "--args", '["hello"]'),
    ),
    Step("Reading changes nothing.", ("view", "get_storage")),
    Step("Writing is a transaction: all of it happens, or nothing.", ("call", "update_storage", "--args", '["world"]')),
    Step("A new process, the same state.", ("view", "get_storage")),
    Step("A token: 1000 units for alice, who deploys it.", ("deploy", "token.py", "--args", "[1000]")),
    Step(
        "alice sends 250 to bob. The contract emits an event.",
        ("call", "token", "transfer", "--args", '[{"$addr": "bob"}, 250]'),
    ),
    Step(
        "bob tries to send more than he has. The contract refuses, and nothing changes.",
        ("call", "token", "transfer", "--args", '[{"$addr": "alice"}, 300]', "--from", "bob"),
        exit_code=1,
    ),
    Step("What the token keeps, decoded from its storage bytes.", ("state", "token")),
)


def main() -> int:
    console = Console(highlight=False)
    console.print(Panel("pygenvm: intelligent contracts on your own machine", style="bold", expand=False))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pygenvm-demo-") as folder:
        for number, step in enumerate(STEPS, start=1):
            console.print()
            console.print(Text(f"{number}. {step.why}", style="bold cyan"))
            console.print(Text(f"   $ genvm local {shlex.join(step.command)}", style="dim"))
            command = [str(CONTRACTS / word) if word.endswith(".py") else word for word in step.command]
            arguments = [
                sys.executable,
                "-m",
                "pygenvm.cli.main",
                "local",
                "--db",
                str(Path(folder) / "demo.db"),
                *command,
            ]
            status = subprocess.run(arguments, check=False).returncode
            if status != step.exit_code:
                console.print(f"[red]The command ended with exit code {status}, expected {step.exit_code}.[/red]")
                return 1
    console.print()
    console.print(
        f"Done in {time.monotonic() - started:.1f} s. Now with a contract of your own:\n"
        "   .venv/bin/genvm local deploy examples/contracts/storage.py --args '[\"hello\"]'\n"
        "   .venv/bin/genvm local --help"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
