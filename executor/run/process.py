"""The executor process: two threads, signals, and the final result (spec executor/10).

The VM thread has a big stack and does everything, delivering the result included. The main thread only
waits. When a termination signal wakes it, it takes the run over, delivers ``timeout`` (or what the contract
had already returned) and leaves the process, whatever the VM thread is doing: running wasm cannot be
interrupted any cheaper. Which of them may send what is settled in :mod:`executor.run.ending`.

The main thread never does anything that can take long: a manager allows it a tenth of a second.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.frozen import replaced
from pygenvm.executor.machine import start_thread
from pygenvm.executor.message import Message
from pygenvm.executor.observer import Observer, combined
from pygenvm.executor.outcome import InternalError, InternalErrorRaised, VMError, VMErrorRaised
from pygenvm.executor.run import termination
from pygenvm.executor.run.ending import Ending, State
from pygenvm.executor.run.outside import PROCESS, Outside, Printing
from pygenvm.executor.run.result import RunResult

if TYPE_CHECKING:
    from pygenvm.executor.config import Config
    from pygenvm.executor.host_protocol.client import HostClient
    from pygenvm.executor.log import Logger
    from pygenvm.executor.record.recorder import Recorder
    from pygenvm.executor.run.console import ProcessConsole
    from pygenvm.executor.run.prepared import Prepared
    from pygenvm.executor.run.supervisor import Supervisor

LOG_TARGET = "executor::process"


class StartError(Exception):
    """The run cannot start; reported as ``Error: …`` with exit code 1, and no result is sent."""


def run_command(
    arguments: RunArguments,
    configure: Callable[[], Config],
    *,
    log_fd: int,
    log_level: str | None,
    prepared: Prepared | None = None,
    observers: Sequence[Observer] = (),
) -> int:
    """:func:`run_process` as ``genvm run`` has it: what keeps it from starting is told on stderr, with exit code 1."""
    from pygenvm.executor.config import ConfigError
    from pygenvm.executor.log import Logger

    try:
        config = configure()
        log = Logger.from_config(config, fd=log_fd, level=log_level)
        return run_process(arguments, config, log, prepared, observers)
    except (ConfigError, StartError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def leave(status: int) -> NoReturn:
    """Leave the process at once: taking the interpreter apart would take as long as a short run."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def run_process(
    arguments: RunArguments,
    config: Config,
    log: Logger,
    prepared: Prepared | None = None,
    observers: Sequence[Observer] = (),
    outside: Outside = PROCESS,
) -> int:
    """Execute one run; returns the exit code. Leaves the process at once after a termination signal.

    :func:`executor.run.termination.install` must have been called. Only from the main thread, one run after the other.

    :raises StartError: a step before the execution failed.
    """
    try:
        message = Message.parse(arguments.message)
    except ValueError as error:
        raise StartError(f"--message: {error}") from None
    recorder = _recorder(arguments)
    watching = [*observers] if recorder is None else [*observers, recorder]
    if arguments.trace:
        from pygenvm.executor.run.tracing import Tracing

        watching.append(Tracing(log))
    if arguments.printed:
        # Whoever is told to end early must not have to load it.
        import pygenvm.executor.run.printing  # noqa: F401
    observer = combined(watching)
    observer.started(arguments)
    return _Run(arguments, message, config, log, recorder, prepared, observer, outside).execute()


def _recorder(arguments: RunArguments) -> Recorder | None:
    if arguments.record is None:
        return None
    from pygenvm.executor.record.recorder import Recorder

    try:
        return Recorder(arguments.record)
    except OSError as error:
        raise StartError(f"--record: {error}") from None


def artefacts_dir(config: Config) -> str:
    """Folder of compiled modules."""
    return os.path.join(config.cache_dir, "artefacts")


def start_vm_thread(work: Callable[[], None]) -> None:
    """Run ``work`` on a thread whose stack holds as many VMs inside each other as there may be.

    :raises InternalErrorRaised: the machine has no such thread.
    """
    sys.setrecursionlimit(1_000_000)
    with termination.held_back():
        start_thread(work, limits.VM_THREAD_STACK_BYTES)


class _Run:
    """One execution."""

    def __init__(
        self,
        arguments: RunArguments,
        message: Message,
        config: Config,
        log: Logger,
        recorder: Recorder | None,
        prepared: Prepared | None,
        observer: Observer,
        outside: Outside,
    ) -> None:
        self._arguments = arguments
        self._message = message
        self._config = config
        self._log = log
        self._recorder = recorder
        self._prepared = prepared
        self._observer = observer
        self._outside = outside
        #: Taken for good by the thread that tells the observer of the end.
        self._told_end = threading.Lock()
        self._host: HostClient | None = None
        self._console: ProcessConsole | None = None
        self._supervisor: Supervisor | None = None
        self._ending = Ending()
        #: The VM thread has nothing left to do.
        self._finished = False
        #: Why it could not go on.
        self._failure: BaseException | None = None

    def execute(self) -> int:
        """Main thread: wait for the VM thread or for a termination signal; the exit code."""
        try:
            termination.open_wakings()
            start_vm_thread(self._work)
        except OSError as error:
            from pygenvm.executor.shortage import explained

            raise StartError(f"cannot hear signals: {explained(error)}") from None
        except InternalErrorRaised as error:
            raise StartError(str(error)) from None
        while not self._finished and not termination.requested():
            termination.wait()
        if not self._finished:
            self._end_early()
        if self._failure is not None:
            raise self._failure
        return self._exit_code()

    def _exit_code(self) -> int:
        return 0 if self._ending.state is State.DELIVERED else 1

    # --- VM thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            host = self._connect()
            if termination.requested():
                # The main thread delivers, as soon as it has a processor; until then a short run could come to its end.
                self._ending.signal()
                termination.wake()
                return
            try:
                result = self._execute(host)
            except StartError:
                raise
            except BaseException as error:
                outcome = InternalError.of(error)
                self._log.error("executor failed", blame=outcome.blame, error=error)
                result = RunResult(outcome, None)
            if termination.requested():
                self._ending.signal()  # The main thread may not have come to it yet.
            if not self._ending.vm_delivers():
                return
            printing = self._deliver(host, result, limits.PRINT_SECONDS)
            delivered = self._ending.state is State.DELIVERED
            self._tell_end("result" if delivered else "result not delivered")
            if self._supervisor is not None:
                self._supervisor.close()
            printing.wait(None)
        except BaseException as error:
            if not self._ending.vm_fails():
                return
            self._failure = error
            self._tell_end(str(error))
        self._finished = True
        termination.wake()

    def _tell_end(self, how: str) -> None:
        if self._told_end.acquire(blocking=False):
            self._observer.ended(how)

    def _connect(self) -> HostClient:
        try:
            self._host = self._outside.connect(self._arguments.host, self._observer, self._ending)
        except InternalErrorRaised as error:
            raise StartError(str(error)) from None
        return self._host

    def _execute(self, host: HostClient) -> RunResult:
        # What a signal needs is loaded, and the host is connected: the rest may take its time.
        from pygenvm.executor.run.console import ProcessConsole
        from pygenvm.executor.run.parts import process_parts, run_options
        from pygenvm.executor.run.world import assemble
        from pygenvm.executor.runner.registry import RegistryError

        if not gc.isenabled():
            # As `genvm run` left it. All that stays is there now, and collections of the run need not look at it.
            gc.freeze()
            gc.enable()
        arguments, recorder = self._arguments, self._recorder
        options = run_options(arguments)
        if not (self._outside.wants_fingerprint or recorder is not None or "fingerprint" in arguments.printed):
            options = replaced(options, wants_fingerprint=False)
        self._console = ProcessConsole(self._log, self._outside.write, keeps_stderr="stderr-full" in arguments.printed)
        parts = process_parts(
            arguments, self._config, self._prepared, host, self._ending, self._console, self._observer
        )
        if recorder is not None:
            from pygenvm.executor.record.wrappers import RecordedEntropy, RecordedGate, RecordedRunners

            open_runners = parts.open_runners
            parts = replaced(
                parts,
                open_runners=lambda: RecordedRunners(open_runners(), recorder),
                entropy=RecordedEntropy(parts.entropy, recorder),
                gate=RecordedGate(parts.gate, recorder),
            )
        self._supervisor = supervisor = assemble(self._message, options, parts, self._log)
        try:
            supervisor.start_up()
        except (VMErrorRaised, InternalErrorRaised, RegistryError) as error:
            raise StartError(str(error)) from None
        return supervisor.run()

    # --- main thread ---------------------------------------------------------------------------------

    def _end_early(self) -> NoReturn:
        """Deliver what there is, and leave at once."""
        self._ending.signal()
        noted = self._outside.print_aside(lambda: self._log.info("sigterm received"))
        deadline = time.monotonic() + limits.TERMINATION_SECONDS
        while self._host is None and not self._finished and time.monotonic() < deadline:
            termination.wait(deadline - time.monotonic())
        if self._host is not None and self._ending.take_over():
            printing = self._deliver_early(self._host)
            self._tell_end("signal")
            printing.wait(limits.LAST_PRINT_SECONDS)
        else:
            # The VM thread is delivering already, or there is nobody to deliver to.
            while not self._finished and time.monotonic() < deadline:
                termination.wait(deadline - time.monotonic())
            if self._host is None or self._failure is not None:
                why = self._failure or "ended by a signal before the host took the connection"
                failed = self._outside.print_aside(lambda: self._write(2, f"Error: {why}\n"))
                failed.wait(limits.LAST_PRINT_SECONDS)
        noted.wait(limits.LAST_PRINT_SECONDS)
        # The VM thread cannot be stopped, so the interpreter cannot be shut down.
        os._exit(self._exit_code())

    def _deliver_early(self, host: HostClient) -> Printing:
        if not host.drain(limits.HOST_DRAIN_SECONDS):
            return self._report_undelivered("it does not finish an earlier reply")
        result = self._ending.cut_short()
        call_no = self._ending.untold_disagreement()
        if call_no is not None:
            result = replaced(result, disagreement=call_no)
            try:
                host.notify_nondet_disagreement(call_no)
            except InternalErrorRaised as error:
                return self._report_undelivered(str(error))
        return self._deliver(host, result, limits.LAST_PRINT_SECONDS)

    # --- either thread, once -------------------------------------------------------------------------

    def _deliver(self, host: HostClient, result: RunResult, print_seconds: float) -> Printing:
        """Print what was asked for, then send the result: a manager may kill us once it has that.

        If nobody reads what is printed, the result is sent after ``print_seconds`` all the same.
        """
        self._observer.result_known(result.outcome, result.disagreement)
        printing = self._outside.print_aside(lambda: self._print(result)) if self._prints(result) else Printing()
        printing.wait(print_seconds)
        try:
            host.consume_result(result.payload())
        except (InternalErrorRaised, VMErrorRaised) as error:
            return self._report_undelivered(str(error))
        self._ending.acknowledged()
        return printing

    def _report_undelivered(self, why: str) -> Printing:
        self._ending.not_taken()

        def report() -> None:
            self._write(2, f"Error: the host did not take the result: {why}\n")
            self._log.error("result not delivered", error=why)

        return self._outside.print_aside(report)

    def _prints(self, result: RunResult) -> bool:
        return bool(self._arguments.printed) or isinstance(result.outcome, InternalError)

    def _print(self, result: RunResult) -> None:
        printed = self._arguments.printed
        if printed:
            from pygenvm.executor.run.printing import printed_text

            kept = self._console.kept_stderr if self._console is not None else None
            self._write(1, printed_text(printed, result, bytes(kept or b"")))
        match result.outcome:
            case VMError(cause=cause) if cause and "result" in printed:
                self._write(2, f"cause: {cause}\n")
            case InternalError(message=message):
                self._write(2, f"internal error: {message}\n")

    def _write(self, fd: int, text: str) -> None:
        data = memoryview(text.encode("utf-8", "replace"))
        try:
            while data:
                data = data[self._outside.write(fd, data) :]
        except OSError:
            return  # Nobody can read it any more; the host still gets the result.
