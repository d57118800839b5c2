"""The executor process: two threads, signals, and the final result (design §1, spec executor/10).

The VM thread has a big stack and does all the work. The main thread waits; when it is woken by the
end of the work it delivers the result, and when it is woken by a termination signal it delivers
``timeout`` itself and leaves the process, whatever the VM thread is doing. The wasm of a running
contract cannot be interrupted any cheaper: see design §3.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from executor import limits
from executor.config import Config
from executor.host_protocol.client import HostClient
from executor.log import Logger
from executor.message import Message
from executor.module_client import Modules
from executor.module_protocol import Hello
from executor.outcome import InternalError, InternalErrorRaised, VMError, VMErrorRaised
from executor.printing import fingerprint_text, result_line
from executor.runner.registry import Registry, RegistryError
from executor.subvm.artefacts import ArtefactStore
from executor.subvm.vm import Permissions
from executor.supervisor import TIMEOUT, RunOptions, RunResult, Supervisor


class StartError(Exception):
    """The run cannot start; reported as ``Error: …`` with exit code 1, and no result is sent."""


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What ``genvm run`` was asked for, as text (spec executor/10 "run")."""

    message: str
    host: str
    host_data: str = "{}"
    cookie: str = field(default_factory=lambda: "".join(f"{byte:x}" for byte in secrets.token_bytes(8)))
    permissions: str = "rwscn"
    sync: bool = False
    debug_mode: bool = False
    printed: frozenset[str] = frozenset()


def run_process(arguments: RunArguments, config: Config, log: Logger) -> int:
    """Execute one run; returns the exit code.

    :raises StartError: a step before the execution failed.
    """
    try:
        message = Message.parse(arguments.message)
    except ValueError as error:
        raise StartError(f"--message: {error}") from None
    ending = _Ending(log)
    ending.install()
    try:
        host = HostClient.connect(arguments.host)
    except InternalErrorRaised as error:
        raise StartError(str(error)) from None
    try:
        permissions = Permissions.parse(arguments.permissions)
    except ValueError as error:
        raise StartError(str(error)) from None
    modules = Modules(
        web_address=config.web_address,
        llm_address=config.llm_address,
        hello=Hello(arguments.cookie, parse_host_data(arguments.host_data)),
    )

    def work() -> Supervisor:
        supervisor = Supervisor(
            host=host,
            artefacts=ArtefactStore(_cache_dir(config)),
            modules=modules,
            message=message,
            options=RunOptions(permissions, arguments.sync, arguments.debug_mode),
            log=log,
        )
        ending.supervisor = supervisor
        if ending.terminated:
            supervisor.interrupted.set()
        try:
            supervisor.start_up(
                lambda: Registry(Path(config.runners_dir), Path(config.registry_dir), arguments.debug_mode)
            )
        except (VMErrorRaised, InternalErrorRaised, RegistryError) as error:
            raise StartError(str(error)) from None
        return supervisor

    return ending.wait_for(work, lambda result: _deliver(host, result, arguments.printed, log))


def parse_host_data(text: str) -> dict[str, Any]:
    """The JSON object of ``--host-data``, forwarded to modules.

    :raises StartError: not an object, or without the string members that modules need.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StartError(f"--host-data is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise StartError("--host-data must be a JSON object")
    missing = [name for name in ("node_address", "tx_id") if not isinstance(data.get(name), str)]
    if missing:
        raise StartError(
            f"--host-data lacks the string member{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            'give for example {"node_address": "0x…", "tx_id": "0x…"}'
        )
    return data


def _cache_dir(config: Config) -> Path | None:
    return Path(config.cache_dir) / "artefacts" if config.cache_dir else None


def _deliver(host: HostClient, result: RunResult, printed: frozenset[str], log: Logger) -> None:
    """Print what was asked for, then send the result: a manager may kill us once it has that."""
    text: list[str] = []
    if "result" in printed:
        text.append(result_line(result.outcome))
        if result.disagreement is not None:
            text.append(f"nondet disagreement: {result.disagreement}")
        if isinstance(result.outcome, VMError) and result.outcome.cause:
            _write(2, f"cause: {result.outcome.cause}\n")
    if isinstance(result.outcome, InternalError):
        _write(2, f"internal error: {result.outcome.message}\n")
    if "fingerprint" in printed:
        text.append(fingerprint_text(result.fingerprint))
    if text:
        _write(1, "\n".join(text) + "\n")
    try:
        host.consume_result(result.payload())
    except (InternalErrorRaised, VMErrorRaised) as error:
        log.error("result not delivered", error=str(error))
        _write(2, f"Error: the host did not take the result: {error}\n")


def _write(fd: int, text: str) -> None:
    data = memoryview(text.encode("utf-8", "replace"))
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        return  # Nobody reads it; the host still gets the result.


class _Ending:
    """Waits for the work or for a termination signal, whichever comes first."""

    def __init__(self, log: Logger) -> None:
        self.supervisor: Supervisor | None = None
        self.terminated = False
        self._log = log
        self._wake = threading.Event()
        self._done = False
        self._failure: BaseException | None = None
        self._result: RunResult | None = None

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.terminated = True
        supervisor = self.supervisor
        if supervisor is not None:
            supervisor.interrupted.set()
        self._wake.set()

    def wait_for(self, start: Callable[[], Supervisor], deliver: Callable[[RunResult], None]) -> int:
        def work() -> None:
            try:
                self._result = start().run()
            except BaseException as error:
                self._failure = error
            self._done = True
            self._wake.set()

        # One level of nesting may use the whole wasm stack.
        level = limits.WASM_STACK_BYTES + limits.HOST_STACK_PER_LEVEL
        threading.stack_size(level * (limits.VM_DEPTH + 2))
        sys.setrecursionlimit(1_000_000)
        threading.Thread(target=work, name="vm", daemon=True).start()
        while not self._done and not self.terminated:
            self._wake.wait()
        if self.terminated:
            self._log.info("sigterm received")
            self._end_early(deliver)
        if isinstance(self._failure, StartError):
            raise self._failure
        if self._failure is not None:
            self._log.error("executor failed", error=self._failure)
            self._result = RunResult(InternalError(f"{type(self._failure).__name__}: {self._failure}"), None)
        assert self._result is not None
        deliver(self._result)
        return 0

    def _end_early(self, deliver: Callable[[RunResult], None]) -> NoReturn:
        """Send ``timeout``, or what the contract had already returned, and leave at once."""
        supervisor = self.supervisor
        result = None if supervisor is None else supervisor.main_result
        if result is None or isinstance(result.outcome, VMError | InternalError):
            fingerprint = result.fingerprint if result is not None and isinstance(result.outcome, VMError) else None
            result = RunResult(TIMEOUT.outcome, fingerprint)
        if supervisor is not None and not supervisor.host.seize(limits.HOST_SEIZE_SECONDS):
            self._log.error("the host does not finish its reply, the result cannot be sent")
            os._exit(1)
        deliver(result)
        os._exit(0)
