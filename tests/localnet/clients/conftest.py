"""A server that all tests of one client share, and the command line of the ecosystem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygenvm.runners.registry import BuiltRunners
from tests.localnet.clients.environments import node_with, run
from tests.localnet.clients.serving import Server, serving

#: Clients are asked for where they look without being told otherwise.
PORT = 4000
#: The CLI's keychain has to be compiled; nothing is kept in it here.
_KEYTAR = """\
const kept = new Map();
module.exports = {
  getPassword: async (service, account) => kept.get(`${service}/${account}`) ?? null,
  setPassword: async (service, account, password) => void kept.set(`${service}/${account}`, password),
  deletePassword: async (service, account) => kept.delete(`${service}/${account}`),
  findCredentials: async () => [],
};
"""
PROGRAMS = Path(__file__).parent / "programs"
CONTRACT = PROGRAMS / "project" / "contracts" / "storage.py"


@pytest.fixture(scope="module")
def server(built_runners: BuiltRunners, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("network"), "--finality-window", "0.5") as server:
        yield server


def command_line(folder: Path) -> Callable[..., str]:
    """``genlayer`` with a home of its own: its words, and ``text`` for what it asks, give what it prints."""
    packages = node_with({"genlayer": "0.38.14"}, scripts=False, stubs={"keytar": _KEYTAR})
    home = folder / "home"
    home.mkdir()

    def genlayer(*words: str, text: str = "") -> str:
        command = [str(packages / "node_modules" / ".bin" / "genlayer"), *words]
        return run(command, cwd=folder, text=text, errors=True, HOME=str(home))

    return genlayer
