"""What docs/localnet-rpc.md shows of each client does what it says."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.conftest import PORT, command_line
from tests.localnet.clients.environments import node_with, python_with, run, run_node, serialised
from tests.localnet.clients.serving import Server, serving
from tests.support.paths import DOCS, EXAMPLES

TEXT = (DOCS / "localnet-rpc.md").read_text()
CONTRACT = EXAMPLES / "storage.py"


def shown(language: str, imported: str) -> str:
    """The program that begins with the import of a client."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (block,) = [block for block in blocks if re.search(rf"from \"?{re.escape(imported)}\b", block)]
    return str(block)


def at(server: Server, program: str) -> str:
    """Clients of the ecosystem look at the usual port unless they are told where."""
    program = program.replace("http://127.0.0.1:4000", server.url)
    program = program.replace("chain=localnet,", f'chain=localnet, endpoint="{server.rpc}",')
    return program.replace("chain: localnet,", f'chain: localnet, endpoint: "{server.rpc}",')


@pytest.mark.parametrize(
    ("imported", "package", "printed"),
    [
        ("genlayer_py", "genlayer-py==0.8.1", "bye"),
        ("genlayer_py", "genlayer-py==0.18.0", "bye"),
        ("web3", "web3==8.0.0", "123"),
        ("pygenvm", "", "hello"),
    ],
)
def test_programs_in_python(server: Server, tmp_path: Path, imported: str, package: str, printed: str) -> None:
    shutil.copy(CONTRACT, tmp_path)
    more = ("pytest", "python-dotenv") if package.startswith("genlayer-py") else ()
    python = str(python_with(package, *more)) if package else sys.executable
    said = run([python, "-c", at(server, shown("python", imported))], cwd=tmp_path)
    assert said.splitlines()[-1] == printed


@pytest.mark.parametrize(("imported", "printed"), [("genlayer-js", "bye"), ("ethers", "123"), ("viem", "123")])
def test_programs_in_javascript(server: Server, tmp_path: Path, imported: str, printed: str) -> None:
    packages = {"genlayer-js": "1.2.0"} if imported == "genlayer-js" else {"ethers": "6.17.0", "viem": "2.57.20"}
    folder = node_with(packages)
    program = tmp_path / "shown.mjs"
    program.write_text(at(server, shown("js", imported)))
    shutil.copy(CONTRACT, tmp_path)
    assert run_node(folder, program, cwd=tmp_path).splitlines()[-1] == printed


def test_gltest(server: Server, tmp_path: Path) -> None:
    for name in ("contracts", "tests"):
        (tmp_path / name).mkdir()
    shutil.copy(CONTRACT, tmp_path / "contracts")
    (tmp_path / "tests" / "test_storage.py").write_text(shown("python", "gltest"))
    (line,) = re.findall(r"^\$ gltest (.*)$", TEXT, re.MULTILINE)
    gltest = python_with("genlayer-test==0.29.2").with_name("gltest")
    said = run([str(gltest), *at(server, line).split(), "-q", "-p", "no:cacheprovider"], cwd=tmp_path)
    assert "2 passed" in said


def test_the_genlayer_command_line(built_runners: BuiltRunners, tmp_path: Path) -> None:
    shutil.copy(CONTRACT, tmp_path)
    genlayer = command_line(tmp_path)
    words: dict[str, str] = {}
    said = ""
    with serialised("port"), serving(tmp_path, "--finality-window", "0", port=PORT):
        for line in re.findall(r"^\$ genlayer (.*)$", TEXT, re.MULTILINE):
            said = genlayer(*(words.get(word, word) for word in line.split()), text="password1\n")
            if line.startswith("deploy"):
                for word, pattern in (
                    ("CONTRACT", r"'Contract Address': '(0x\w{40})'"),
                    ("TRANSACTION", r"'Transaction Hash': '(0x\w{64})'"),
                ):
                    found = re.search(pattern, said)
                    assert found is not None, said
                    words[word] = found[1]
            if line.startswith("call"):
                assert "bye" in said
    assert "Execution trace retrieved" in said
