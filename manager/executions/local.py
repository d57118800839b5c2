"""Executors on this machine: out of a pool of this installation's own, or as a process each."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from pygenvm.executor.pool.client import SUPPORTED, ExecutorPool
from pygenvm.executor.spawn import SpawnError, StartedExecutor
from pygenvm.executor.spawn.output import Captured, Output, Pipe, capture, output_pipe
from pygenvm.executor.spawn.pooled import start_pooled
from pygenvm.executor.spawn.process import own_command, start_process
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.executions.backend import Ended, Execution, Job


class LocalExecutors:
    """The :class:`manager.executions.backend.Backend` of one machine."""

    def __init__(self, *, idle: int, options: tuple[str, ...] = ()) -> None:
        """
        :param idle: executors that wait for runs; 0: each run is a process of its own.
        :param options: global options of this installation's own executor.
        """
        self._command = own_command(options)
        self._options = options
        self._pool = ExecutorPool(self._command, idle=idle) if idle and SUPPORTED else None
        self._running: set[_Running] = set()

    def warm_up(self) -> None:
        """Starts the pool; does not wait for it."""
        if self._pool is not None:
            with contextlib.suppress(Exception):
                self._pool.start()

    async def start(self, job: Job) -> Execution:
        stack = AsyncExitStack()
        try:
            pipes = [await stack.enter_async_context(output_pipe()) for _ in range(3 if job.capture_output else 1)]
        except OSError as error:
            await stack.aclose()
            raise RequestError(f"cannot start the executor: no pipe for its output: {error.strerror}") from error
        try:
            executor = await self._start(job, pipes)
        except BaseException:
            await stack.aclose()
            raise
        running = _Running(executor, pipes, stack, job.on_log)
        self._running.add(running)
        running.ended.add_done_callback(lambda _: self._running.discard(running))
        return running

    async def _start(self, job: Job, pipes: list[Pipe]) -> StartedExecutor:
        log, *captured = (pipe.write_fd for pipe in pipes)
        nothing = None if captured else os.open(os.devnull, os.O_WRONLY)
        try:
            stdout, stderr = captured if nothing is None else (nothing, nothing)
            if self._pool is not None and job.executor.own:
                arguments = job.arguments()
                if arguments is not None:
                    return await start_pooled(self._pool, arguments, stdout=stdout, stderr=stderr, log=log)
            command = self._command if job.executor.own else job.executor.command
            return await start_process(command, job.words(), stdout=stdout, stderr=stderr, log=log)
        except SpawnError as error:
            raise RequestError(str(error)) from error
        finally:
            for pipe in pipes:
                os.close(pipe.write_fd)
            if nothing is not None:
                os.close(nothing)

    async def close(self) -> None:
        for running in list(self._running):
            running.kill()
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close)
        await asyncio.gather(*(running.ended for running in list(self._running)), return_exceptions=True)


class _Running:
    """A run on this machine. ``ended`` is done when it has ended and its output is complete."""

    def __init__(
        self, executor: StartedExecutor, pipes: list[Pipe], stack: AsyncExitStack, on_log: Callable[[bytes], None]
    ) -> None:
        self._executor = executor
        self.ended = asyncio.create_task(self._watch(pipes, stack, on_log))

    @property
    def pid(self) -> int:
        return self._executor.pid

    def terminate(self) -> None:
        self._executor.terminate()

    def kill(self) -> None:
        self._executor.kill()

    async def wait(self) -> Ended:
        return await asyncio.shield(self.ended)

    async def _watch(self, pipes: list[Pipe], stack: AsyncExitStack, on_log: Callable[[bytes], None]) -> Ended:
        log, *captured = pipes
        outputs = [Output(limits.OUTPUT_HEAD_BYTES, limits.OUTPUT_TAIL_BYTES) for _ in captured]
        async with stack:
            readers = [
                asyncio.create_task(capture(pipe.reader, output))
                for pipe, output in zip(captured, outputs, strict=True)
            ]
            readers.append(asyncio.create_task(_lines(log.reader, on_log)))  # type: ignore[arg-type]
            try:
                status = await self._executor.wait()
            except SpawnError:
                # The pool's template was killed, and this executor with it.
                status = -9
            # What it left behind would keep the pipes open.
            self._executor.kill()
            await asyncio.wait(readers, timeout=limits.DRAIN_SECONDS)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        stdout, stderr = (output.captured() for output in outputs) if outputs else (Captured(), Captured())
        return Ended(status, stdout.text(), stderr.text())


async def _lines(reader: asyncio.StreamReader, on_line: Callable[[bytes], None]) -> None:
    """Gives each line to ``on_line``; one that is too long is cut."""
    rest = b""
    while data := await reader.read(limits.LOG_LINE_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            on_line(line[: limits.LOG_LINE_BYTES])
        if len(rest) > limits.LOG_LINE_BYTES:
            on_line(rest[: limits.LOG_LINE_BYTES])
            rest = b""
    if rest:
        on_line(rest)
