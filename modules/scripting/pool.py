"""A pool of script VMs, and the sessions on them (spec modules/01 §2.2, modules/02 §6)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules import limits
from pygenvm.modules.config import CommonSettings
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.log import Logger
from pygenvm.modules.scripting.frames import (
    LuaValue,
    ScriptError,
    Setup,
    decode,
    decode_error,
    encode,
    encode_error,
    readable,
    text,
)
from pygenvm.modules.scripting.requests import Requests, SessionContext, Signer
from pygenvm.modules.scripting.vm import ScriptLoadError, ScriptVm

__all__ = [
    "HostFunction",
    "LuaValue",
    "ScriptError",
    "ScriptLoadError",
    "ScriptPool",
    "ScriptSession",
    "ScriptSettings",
    "SessionContext",
    "Signer",
    "readable",
    "text",
]

LOG_TARGET: Final = "genvm_modules::scripting"

#: ``(context, *arguments)``: carried out by the service while the script waits. The script's own ``ctx`` is not among
#: the arguments. A :class:`ModuleError` arrives there as a structured error, a :class:`ScriptError` as a text.
HostFunction: TypeAlias = Callable[..., Awaitable[LuaValue]]


@dataclass(frozen=True)
class ScriptSettings:
    """What a pool needs of the configuration (spec modules/01 §3)."""

    script: Path
    #: Search pattern of Lua: ``/dir/?.lua;…``. Our own libraries are found behind it.
    lua_path: str
    vm_count: int
    #: Functions that the script must define.
    required: Sequence[str] = ()
    instructions: int = limits.SCRIPT_INSTRUCTIONS
    memory_bytes: int = limits.SCRIPT_MEMORY_BYTES
    slice_seconds: float = limits.SCRIPT_SLICE_SECONDS
    request_seconds: float = limits.SCRIPT_REQUEST_SECONDS
    body_bytes: int = limits.SCRIPT_BODY_BYTES

    @classmethod
    def of(cls, settings: CommonSettings, *, required: Sequence[str]) -> Self:
        """What the configuration of a service says."""
        return cls(
            script=Path(settings.lua_script_path),
            lua_path=settings.lua_path,
            vm_count=settings.vm_count,
            required=required,
            instructions=settings.script_instructions or cls.instructions,
            memory_bytes=settings.script_memory_bytes or cls.memory_bytes,
            slice_seconds=settings.script_slice_seconds or cls.slice_seconds,
        )


class ScriptPool:
    """Script VMs with the same script; sessions are spread over them."""

    def __init__(
        self,
        settings: ScriptSettings,
        *,
        globals_: Mapping[str, LuaValue],
        functions: Mapping[str, HostFunction],
        pure: Mapping[str, str] | None = None,
        log: Logger,
        http: HttpClient,
        sign: Signer | None = None,
    ) -> None:
        """
        :param globals_: global variables that are there before the script is loaded.
        :param functions: dotted name to what the script waits for: ``"__llm.exec_prompt_in_provider"``.
        :param pure: dotted name to ``module:function``, which runs in the process of the script and may not wait.
        :param http: carries out ``rs.request``.
        :param sign: … for requests that are to be signed.
        """
        requests = Requests(http, sign, seconds=settings.request_seconds, body_bytes=settings.body_bytes)
        self._functions: dict[str, HostFunction] = {
            "__dflt.request": requests.request,
            "__dflt.sleep_seconds": _sleep,
            **functions,
        }
        self._settings = settings
        self._setup = Setup(
            script=os.path.abspath(settings.script),
            patterns=[os.path.abspath(pattern) for pattern in settings.lua_path.split(";") if pattern],
            required=tuple(settings.required),
            globals=encode(dict(globals_)),
            waiting=tuple(self._functions),
            pure=dict(pure or {}),
            instructions=settings.instructions,
            memory_bytes=settings.memory_bytes,
        )
        self._log = log
        self._places: list[_Place] = []
        self._sessions = itertools.count(1)

    async def start(self) -> None:
        """Load the script in every VM.

        :raises ScriptLoadError: that does not work; no VM is left.
        """
        self._places = [
            _Place(self._setup, self._settings.slice_seconds, self._log) for _ in range(self._settings.vm_count)
        ]
        try:
            # A script that is wrong is wrong in each: one error is enough.
            await self._places[0].start()
            await asyncio.gather(*(place.start() for place in self._places[1:]))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all VMs, and their calls with an error."""
        await asyncio.gather(*(place.stop() for place in self._places))

    async def session(self, hello: Hello) -> ScriptSession:
        """A session on a VM that is picked at random."""
        context = SessionContext(hello.cookie, hello.host_data)
        log = self._log.of_session(hello.cookie)
        return ScriptSession(next(self._sessions), context, random.choice(self._places), self._functions, log)

    @property
    def pids(self) -> list[int]:
        """The processes of the VMs that are there."""
        return [place.vm.pid for place in self._places if place.vm is not None and place.vm.alive]


class ScriptSession:
    """What one connection has: its ``ctx`` in a VM. Should the VM be lost, the next call has a new one elsewhere."""

    def __init__(
        self, number: int, context: SessionContext, place: _Place, functions: Mapping[str, HostFunction], log: Logger
    ) -> None:
        self.context = context
        self._number = number
        self._place = place
        self._functions = functions
        self._log = log
        self._hello = encode({"cookie": context.cookie, "host_data": context.host_data})

    async def call(self, function: str, *arguments: LuaValue) -> LuaValue:
        """Run a function of the script with ``ctx`` and ``arguments``; what it returns.

        :raises ModuleError: the script raised a structured error.
        :raises ScriptError: it failed otherwise.
        """
        encoded = encode(list(arguments))
        vm = await self._place.ready()
        vm.open(self._number, self._hello)
        kind, _, *answer = await vm.call(self._number, function, encoded, self._carry_out, self._log)
        if kind == "value":
            return decode(answer[0])
        self._log.debug("script failed", function=function, traceback=answer[-1])
        if kind == "error":
            raise decode_error(answer[0])
        raise ScriptError(answer[0])

    async def close(self) -> None:
        if self._place.vm is not None:
            self._place.vm.close(self._number)

    async def _carry_out(self, name: str, arguments: bytes) -> tuple[str, bytes]:
        """Kind and value with which the script goes on."""
        try:
            try:
                return "value", encode(await self._functions[name](self.context, *decode(arguments)))
            except ModuleError as error:
                return "error", encode_error(error)
        except ScriptError as error:
            return "failed", str(error).encode("utf-8", "replace")
        except Exception as error:
            self._log.error("host function failed", function=name, error=error)
            return "failed", f"{name}: {type(error).__name__}: {error}".encode("utf-8", "replace")


class _Place:
    """Where a VM is, or will be again."""

    def __init__(self, setup: Setup, slice_seconds: float, log: Logger) -> None:
        self.vm: ScriptVm | None = None
        self._setup = setup
        self._slice_seconds = slice_seconds
        self._log = log
        self._restart: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._problem = "the module is being stopped"
        self._stopped = False

    async def start(self) -> None:
        vm = await ScriptVm.start(
            self._setup, slice_seconds=self._slice_seconds, log=self._log, record=_record, lost=self._on_lost
        )
        if not vm.alive:
            raise ScriptLoadError("the process of the script VM ended")
        self.vm = vm
        self._change.set()

    async def stop(self) -> None:
        self._stopped = True
        self._change.set()
        if self._restart is not None:
            self._restart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._restart
        vm, self.vm = self.vm, None
        if vm is not None:
            await vm.stop()

    async def ready(self) -> ScriptVm:
        """:raises ScriptError: there is no VM, and none in time."""
        try:
            async with asyncio.timeout(limits.SCRIPT_READY_SECONDS):
                while self.vm is None or not self.vm.alive:
                    if self._stopped:
                        raise ScriptError(self._problem)
                    self._change.clear()
                    await self._change.wait()
        except TimeoutError:
            raise ScriptError(f"there is no script VM: {self._problem}") from None
        return self.vm

    def _on_lost(self, vm: ScriptVm) -> None:
        self.vm = None
        if not self._stopped:
            self._restart = asyncio.get_running_loop().create_task(self._start_anew(vm))

    async def _start_anew(self, lost: ScriptVm) -> None:
        await lost.stop()
        self._log.warn("script VM was lost", reason=lost.reason, status=lost.status)
        pause = limits.SCRIPT_RESTART_SECONDS_MIN
        while True:
            try:
                await self.start()
                return
            except (ScriptLoadError, OSError) as error:
                self._problem = str(error)
                self._log.error("script VM cannot be started anew", error=error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, limits.SCRIPT_RESTART_SECONDS_MAX)


def _record(log: Logger, value: bytes) -> None:
    """Write a record of a script (spec modules/02 §6.2)."""
    record = readable((decode(value) or [None])[0])
    if not isinstance(record, dict):
        record = {"message": record} if isinstance(record, str) else {"value": record}
    level, message = record.get("level"), record.get("message")
    write = _WRITERS.get(level if isinstance(level, str) else "", Logger.info)
    shown = message if isinstance(message, str) else "<none>"
    rest = {key: item for key, item in record.items() if not (isinstance(item, str) and key in ("level", "message"))}
    write(log, f"script_log: {shown}", log=rest)


_WRITERS: Final[Mapping[str, Callable[..., None]]] = {
    "trace": Logger.trace,
    "debug": Logger.debug,
    "info": Logger.info,
    "warn": Logger.warn,
    "warning": Logger.warn,
    "error": Logger.error,
}


async def _sleep(_context: SessionContext, seconds: LuaValue = None) -> None:
    """``rs.sleep_seconds``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        raise ScriptError("sleep_seconds: a number is expected")
    await asyncio.sleep(min(max(float(seconds), 0.0), limits.SCRIPT_SLEEP_SECONDS))
