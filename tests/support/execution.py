"""Runs contracts the way a node does and gathers everything that can be seen from outside.

run = execute(code, host=InMemoryHost(calldata=...))            # in this process, a few milliseconds
run = execute_process(code, "--print", "result", host=...)      # the real `genvm run`, for what only a process has
assert run.outcome == Return(b"\\x00")
assert run.payload == bytes.fromhex("…")
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime
import yaml

from pygenvm.executor.config import cache_root
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.limits import HOST_STACK_PER_LEVEL, VM_DEPTH, WASM_STACK_BYTES
from pygenvm.executor.log import Logger
from pygenvm.executor.message import Message
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.executor.outcome import Outcome
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.console import ProcessConsole
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.supervisor import RunOptions
from pygenvm.executor.run.world import Parts, assemble
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.spec import Permissions
from tests.support.hosts import CONTRACT, PATIENCE_SECONDS, SENDER, InMemoryHost, serving

#: After the last row of the version table, so that every version may be declared.
LATE = "2026-11-20T00:00:00Z"
HOST_DATA = {"node_address": "0x", "tx_id": "0x"}
#: Nobody listens there: the modules of a run that is not given any.
NO_MODULE = "ws://127.0.0.1:9"


@dataclass
class Execution:
    """One run that delivered a result, or (``payload`` None) that did not."""

    host: InMemoryHost
    stdout: bytes
    stderr: bytes
    exit_code: int | None = None
    """Of the process; None in this process."""
    result: Any = None
    """What the supervisor said; None for a process."""

    @property
    def payload(self) -> bytes | None:
        """Content of consume_result."""
        return self.host.result

    @property
    def outcome(self) -> Outcome:
        assert self.payload is not None, f"no result, exit code {self.exit_code}: {self.stderr.decode()}"
        return decode_result(self.payload).outcome

    @property
    def fingerprint(self) -> Any:
        assert self.payload is not None, f"no result, exit code {self.exit_code}: {self.stderr.decode()}"
        return decode_result(self.payload).fingerprint

    @property
    def cause(self) -> str:
        """What people are told about a VM error; only in this process."""
        assert self.result is not None
        return getattr(self.result.outcome, "cause", "")


@functools.cache
def wat(text: str) -> bytes:
    """The binary of a module in text form."""
    return bytes(wasmtime.wat2wasm(text))


def message_json(
    *,
    contract: Address = CONTRACT,
    sender: Address = SENDER,
    origin: Address | None = None,
    **others: Any,
) -> str:
    """Text for ``--message``; ``others`` replace or add members, None removes one."""
    members: dict[str, Any] = {
        "contract_address": base64.b64encode(contract.as_bytes).decode(),
        "sender_address": base64.b64encode(sender.as_bytes).decode(),
        "origin_address": base64.b64encode((origin or sender).as_bytes).decode(),
        "chain_id": "0",
        "value": 0,
        "is_init": False,
        "datetime": LATE,
    }
    members.update(others)
    return json.dumps({name: value for name, value in members.items() if value is not None})


class _CapturingConsole(ProcessConsole):
    """Keeps what contracts write instead of writing it to this process's streams."""

    def __init__(self, log: Logger) -> None:
        super().__init__(log)
        self.streams = {1: bytearray(), 2: bytearray()}

    def write(self, fd: int, data: bytes) -> None:
        self.streams[fd] += data


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Compiled modules and empty registries of this test process; removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="genvm-tests-")


@functools.cache
def artefacts() -> ArtefactStore:
    """Modules compiled by the tests of this process."""
    return ArtefactStore(Path(_folder().name) / "cache" / "artefacts")


@functools.cache
def empty_registry() -> Path:
    """Folder with ``runners`` and ``registry`` that list nothing."""
    root = Path(_folder().name) / "empty"
    (root / "runners").mkdir(parents=True)
    (root / "registry").mkdir()
    for name in ("all.json", "latest.json"):
        (root / "registry" / name).write_text("{}")
    return root


@functools.cache
def _built_artefacts() -> ArtefactStore:
    return ArtefactStore(cache_root() / "executor" / "artefacts")


#: Archives of built-in runners that this test process has read, as executors of a pool have those of its template.
_built_archives: dict[str, Archive] = {}


def execute(
    code: bytes | None = None,
    *,
    host: InMemoryHost | None = None,
    message: Mapping[str, Any] | None = None,
    permissions: str = "rwscn",
    sync: bool = False,
    debug_mode: bool = False,
    registry: Path | None = None,
    built: bool = False,
    web: str = NO_MODULE,
    llm: str = NO_MODULE,
    log_fd: int | None = None,
) -> Execution:
    """Runs a contract in this process, on a thread with a big stack, against a served host.

    ``message`` holds keyword arguments of :func:`message_json`. ``registry`` is a folder with ``runners`` and
    ``registry``; ``built`` takes the built-in ones and their compiled modules. Failures at start-up are raised.
    """
    host = host or InMemoryHost()
    if code is not None:
        host.put_code(code)
    root = cache_root() if built else registry or empty_registry()
    hello = Hello("cookie", dict(HOST_DATA))
    ending = Ending()
    with serving(host) as node, contextlib.closing(HostClient.connect(node.address, admission=ending)) as client:
        with _log(log_fd) as log:
            console = _CapturingConsole(log)
            parts = Parts(
                host=client,
                ending=ending,
                web=ModuleClient("web", web, hello),
                llm=ModuleClient("llm", llm, hello),
                artefacts=_built_artefacts() if built else artefacts(),
                open_runners=lambda: InstalledRunners(
                    root / "runners", root / "registry", debug_mode, _built_archives if built else None
                ),
                console=console,
            )
            options = RunOptions(Permissions.parse(permissions), sync, debug_mode)
            supervisor = assemble(Message.parse(message_json(**(message or {}))), options, parts, log)

            def work() -> Any:
                supervisor.start_up()
                with contextlib.closing(supervisor):
                    return supervisor.run()

            result = on_big_stack(work)
        # A test may have played a signal.
        may_deliver = ending.vm_delivers() or ending.take_over()
        assert may_deliver
        client.consume_result(result.payload())
    return Execution(host, bytes(console.streams[1]), bytes(console.streams[2]), result=result)


@contextlib.contextmanager
def _log(fd: int | None) -> Iterator[Logger]:
    if fd is not None:
        yield Logger(fd=fd)
        return
    with open("/dev/null", "wb") as nothing:
        yield Logger(fd=nothing.fileno(), level="error")


def on_big_stack(work: Any) -> Any:
    """Calls ``work`` on a thread like the executor's own; returns or raises what it does."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((True, work()))
        except BaseException as error:
            outcome.extend((False, error))

    before = threading.stack_size((WASM_STACK_BYTES + HOST_STACK_PER_LEVEL) * (VM_DEPTH + 2))
    try:
        thread = threading.Thread(target=run, name="vm")
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    succeeded, value = outcome
    if not succeeded:
        raise value
    return value


def config_file(folder: Path, *, registry: Path | None = None, built: bool = False, **others: Any) -> Path:
    """A configuration file for a process; ``others`` replace or add keys."""
    root = cache_root() if built else registry or empty_registry()
    settings = {
        "modules": {"llm": {"address": NO_MODULE}, "web": {"address": NO_MODULE}},
        "threads": 2,
        "blocking_threads": 4,
        "log_disable": "",
        "cache_dir": str(cache_root() / "executor" if built else Path(_folder().name) / "cache"),
        "runners_dir": str(root / "runners"),
        "registry_dir": str(root / "registry"),
        **others,
    }
    path = folder / "genvm.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@functools.cache
def _shared_config(built: bool) -> Path:
    folder = Path(_folder().name) / ("built" if built else "own")
    folder.mkdir()
    return config_file(folder, built=built)


def command(
    address: str,
    *arguments: str,
    message: Mapping[str, Any] | str | None = None,
    config: Path | None = None,
    built: bool = False,
    global_options: tuple[str, ...] = (),
) -> list[str]:
    """Command line of ``genvm run``; ``arguments`` come last, so they win over the defaults."""
    text = message if isinstance(message, str) else message_json(**(message or {}))
    return [
        *(sys.executable, "-m", "pygenvm.cli.main", "--config", str(config or _shared_config(built)), *global_options),
        *("run", "--message", text, "--host", address, "--host-data", json.dumps(HOST_DATA), *arguments),
    ]


def execute_process(
    code: bytes | None = None,
    *arguments: str,
    host: InMemoryHost | None = None,
    message: Mapping[str, Any] | str | None = None,
    config: Path | None = None,
    built: bool = False,
    global_options: tuple[str, ...] = (),
    address: str | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Execution:
    """Runs a contract with the real command; with an ``address`` against the host that listens there."""
    host = host or InMemoryHost()
    if code is not None:
        host.put_code(code)
    with contextlib.ExitStack() as stack:
        if address is None:
            address = stack.enter_context(serving(host)).address
        done = subprocess.run(
            command(address, *arguments, message=message, config=config, built=built, global_options=global_options),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
            pass_fds=pass_fds,
            check=False,
        )
    return Execution(host, done.stdout, done.stderr, exit_code=done.returncode)
