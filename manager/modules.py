"""The LLM and web services as processes of the manager: started, watched, started again, stopped (spec modules/04 §5).

A module's configuration goes to it through a pipe, so that keys are in no file and on no command line. It says through
another pipe when it listens, or what keeps it from listening. One that ends by itself is started again after a pause,
which grows while it keeps ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from pygenvm.executor import interpreter
from pygenvm.executor.lifetime import die_with_parent
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.modules.log import Logger

ModuleName: TypeAlias = Literal["llm", "web"]
State: TypeAlias = Literal["stopped", "running", "stopping"]
MODULES: Final[tuple[ModuleName, ...]] = get_args(ModuleName)

LOG_TARGET = "genvm_modules::manager"


@dataclass(slots=True)
class _Module:
    """One service that is to run."""

    config: str
    words: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    listening: bool = False
    stopping: bool = False
    restarts: int = 0
    failure: str = ""
    first: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ModuleProcesses:
    """Both services. ``command`` starts one of them with the words that follow."""

    def __init__(self, log: Logger, *, command: Sequence[str] | None = None, options: Sequence[str] = ()) -> None:
        self._log = log
        self._command = list(command or interpreter.command("pygenvm.modules.cli"))
        self._options = list(options)
        self._modules: dict[ModuleName, _Module] = {}
        self._locks: dict[ModuleName, asyncio.Lock] = {name: asyncio.Lock() for name in MODULES}
        self._starting: set[asyncio.Task[None]] = set()

    # --- what is known ----------------------------------------------------------------------------

    def state(self, name: ModuleName) -> State:
        module = self._modules.get(name)
        if module is None or (module.process is None and not module.stopping):
            return "stopped"
        return "stopping" if module.stopping else "running" if module.listening else "stopped"

    def states(self) -> dict[str, State]:
        return {name: self.state(name) for name in MODULES}

    def restarts(self, name: str) -> int:
        return sum(module.restarts for known, module in self._modules.items() if known == name)

    def failures(self) -> dict[str, str]:
        """Modules that should listen and do not, and what they said last."""
        return {
            name: module.failure or "it does not listen"
            for name, module in self._modules.items()
            if not module.listening and not module.stopping
        }

    # --- start and stop ---------------------------------------------------------------------------

    async def start(self, name: ModuleName, config: Mapping[str, Any] | None, *, allow_empty: bool) -> None:
        """Returns when the module listens. None as ``config``: the file that belongs to the program.

        Being cancelled does not stop what has begun: nodes ask again until the module runs.

        :raises RequestError: it runs already, or does not come to listen.
        """
        starting = asyncio.create_task(self._start(name, config, allow_empty=allow_empty))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise RequestError("the manager is shutting down") from None
            # Nobody may be left who hears of a failure.
            starting.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise

    async def _start(self, name: ModuleName, config: Mapping[str, Any] | None, *, allow_empty: bool) -> None:
        async with self._locks[name]:
            if name in self._modules:
                raise RequestError("module_already_running")
            words = ["--allow-empty-backends"] if allow_empty and name == "llm" else []
            text = "" if config is None else json.dumps(config)
            module = self._modules[name] = _Module(text, (name, *self._options, *words))
            module.keeper = asyncio.create_task(self._keep(name, module))
            try:
                await asyncio.shield(module.first)
            except BaseException:
                await self._end(name, module)
                raise

    async def stop(self, name: ModuleName) -> bool:
        """Lets its sessions finish, also if the caller does not wait for that; False if it is not there."""
        return await asyncio.shield(asyncio.ensure_future(self._stop(name)))

    async def _stop(self, name: ModuleName) -> bool:
        async with self._locks[name]:
            module = self._modules.get(name)
            if module is None:
                return False
            await self._end(name, module)
            return True

    async def close(self) -> None:
        for starting in list(self._starting):
            starting.cancel()
        await asyncio.gather(*(self.stop(name) for name in MODULES))

    async def _end(self, name: ModuleName, module: _Module) -> None:
        module.stopping = True
        process = module.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), limits.MODULE_STOP_SECONDS)
            _kill(process)
            await process.wait()
        if module.keeper is not None:
            module.keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await module.keeper
        del self._modules[name]

    # --- one module's life ------------------------------------------------------------------------

    async def _keep(self, name: ModuleName, module: _Module) -> None:
        pause = limits.MODULE_RESTART_SECONDS
        while True:
            started = time.monotonic()
            try:
                why = await self._live(module)
            except OSError as error:
                why = f"cannot be started: {error.strerror}"
            if module.stopping:
                return
            module.failure = why
            if not module.first.done():
                module.first.set_exception(RequestError(f"module_failed_to_start: {why}"))
                # Nobody may be left who waits for it.
                module.first.exception()
                return
            if time.monotonic() - started > limits.MODULE_STEADY_SECONDS:
                pause = limits.MODULE_RESTART_SECONDS
            self._log.error("module ended", module=name, error=why, restart_in_seconds=pause)
            await asyncio.sleep(pause)
            module.restarts += 1
            pause = min(pause * 2, limits.MODULE_RESTART_SECONDS_MAX)

    async def _live(self, module: _Module) -> str:
        """One process of a module, from its start to its end; why it ended.

        :raises OSError: it cannot be started.
        """
        ready_read, ready_write = os.pipe()
        try:
            words = ["--config=-"] if module.config else []
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *module.words,
                *words,
                f"--ready-fd={ready_write}",
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(ready_write,),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except BaseException:
            os.close(ready_read)
            raise
        finally:
            os.close(ready_write)
        module.process = process
        try:
            assert process.stdin is not None
            process.stdin.write(module.config.encode())
            process.stdin.close()
            said = await _said(ready_read)
            if said.get("listening"):
                module.listening = True
                module.failure = ""
                if not module.first.done():
                    module.first.set_result(None)
                status = await process.wait()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limits.MODULE_END_SECONDS):
                        await process.wait()
                _kill(process)
                status = await process.wait()
        finally:
            _kill(process)
            await process.wait()
            module.listening = False
            module.process = None
        why = said.get("error")
        return str(why)[: limits.MODULE_ERROR_CHARS] if why else f"it ended with {_status(status)}"


async def _said(descriptor: int) -> dict[str, Any]:
    """The one line of JSON that a module says of its start; nothing if it ends or writes something else."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        async with asyncio.timeout(limits.MODULE_START_SECONDS):
            value = json.loads(await reader.readline() or b"{}")
    except TimeoutError:
        return {"error": f"it does not listen after {limits.MODULE_START_SECONDS:g} s"}
    except ValueError:
        return {}
    finally:
        transport.close()
    return value if isinstance(value, dict) else {}


def _kill(process: asyncio.subprocess.Process) -> None:
    """Whatever a module has started, the browser for example, ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _status(status: int) -> str:
    if status < 0 and -status in signal.valid_signals():
        return f"signal {signal.Signals(-status).name}"
    return f"exit code {status}"
