"""An author's test with ``gltest``, against any server; and glsim, the simulator that comes with it."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import CLOSED, InstallError, environment, python_with
from benchmarks.support import BenchmarkError
from pygenvm.runners.sdk_tree import sdk_files

_PACKAGES = ("genlayer-test[sim]==0.29.2", "numpy")
_CONTRACT = Path(__file__).parents[1] / "examples" / "contracts" / "storage.py"
_READY_SECONDS, _JOB_SECONDS = 60.0, 120.0
#: The schema is here because that of glsim is one without methods.
_JOB = """\
from gltest import get_contract_factory, get_default_account
from gltest.assertions import tx_execution_succeeded
from gltest.contracts.contract import Contract
from gltest.utils import extract_contract_address

NOTHING = {"params": [], "kwparams": {}}
METHODS = {"get_storage": {**NOTHING, "readonly": True}, "update_storage": {**NOTHING, "readonly": False}}


def test_storage():
    deployed = get_contract_factory(contract_name="Storage").deploy_contract_tx(args=["hello"])
    assert tx_execution_succeeded(deployed)
    contract = Contract.new(extract_contract_address(deployed), {"methods": METHODS}, get_default_account())
    assert tx_execution_succeeded(contract.update_storage(args=["bye"]).transact())
    assert contract.get_storage(args=[]).call() == "bye"
"""


class Simulator:
    """A glsim that listens, and a project whose test is run against it and others; made by :func:`simulator`."""

    def __init__(self, programs: Path, folder: Path, url: str) -> None:
        self._programs = programs
        self._folder = folder
        self._url = url
        self._numbers = itertools.count()

    def seconds(self, url: str = "") -> float:
        """Of the whole command: a contract is deployed, written to and read.

        :param url: of another server than glsim.
        :raises BenchmarkError: the test fails.
        """
        words = ["test_storage.py", "--rpc-url", f"{url or self._url}/api", "-q", "-p", "no:cacheprovider"]
        words += ["--default-wait-interval", "20", "--default-wait-retries", "1000"]
        # glsim cannot deploy the same contract a second time.
        code = _CONTRACT.read_text(encoding="utf-8") + f"\n# {next(self._numbers)}\n"
        (self._folder / "project" / "contracts" / "storage.py").write_text(code, encoding="utf-8")
        begun = time.perf_counter()
        done = subprocess.run(
            [str(self._programs / "gltest"), *words],
            cwd=self._folder / "project",
            env=_environment(self._folder),
            capture_output=True,
            text=True,
            timeout=_JOB_SECONDS,
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise BenchmarkError(f"gltest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-1000:]}")
        return seconds


@contextlib.contextmanager
def simulator() -> Iterator[Simulator]:
    """
    :raises Unavailable: the registry or this machine does not have what it needs.
    :raises BenchmarkError: it cannot be installed or started.
    """
    try:
        programs = python_with(*_PACKAGES).parent
    except InstallError as error:
        raise BenchmarkError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="genvm-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _write_project(folder / "project")
        _write_sdk(folder / ".cache" / "gltest-direct")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(programs / "glsim"), "--port", str(port), "--validators", "5", "--no-browser"]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(command, env=_environment(folder), stdout=log, stderr=log)
        try:
            _wait_for(process, port, folder / "log")
            yield Simulator(programs, folder, f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()


def _environment(folder: Path) -> dict[str, str]:
    # The simulator keeps its SDK below the home, and contracts among temporary files.
    return {**environment(), **CLOSED, "HOME": str(folder), "TMPDIR": str(folder)}


def _write_project(folder: Path) -> None:
    (folder / "contracts").mkdir(parents=True)
    (folder / "test_storage.py").write_text(_JOB, encoding="utf-8")


def _write_sdk(folder: Path) -> None:
    """Ours, where glsim would put the one of a release that it has downloaded."""
    release = "v0.2.16"
    runner = re.search(r'"Depends": "py-genlayer:(\w+)"', _CONTRACT.read_text(encoding="utf-8"))
    assert runner is not None
    extracted = folder / "extracted" / release
    manifest = extracted / "py-genlayer" / runner[1] / "runner.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"Seq": [{"Depends": "py-lib-genlayer-std:ours"}]}))
    (folder / f"genvm-universal-{release}.tar.xz").touch()
    for name, content in sdk_files().items():
        file = extracted / "py-lib-genlayer-std" / "ours" / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    raise BenchmarkError(f"glsim does not listen: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
