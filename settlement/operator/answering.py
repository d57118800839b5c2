"""Where answers come from: one narrow interface, and a command behind it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import ZERO, Hash

#: Of a command's output that is an answer, and of what it says when it has none.
_OUTPUT_BYTES: Final = 16 << 20
_REMARK_BYTES: Final = 4096
_END_SECONDS: Final = 5.0


class NoAnswer(Exception):
    """There is none, for now; the text says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """:param prompt: what the hash is of; None where the service does not have it."""

    task: Hash
    model_spec: Hash
    prompt_hash: Hash
    prompt: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is voted for: operators that agree have the same ``output``.

    :param embedding: hash of what the answer was found from (:mod:`settlement.codec.transcript`); zero: of nothing.
    """

    output: Hash
    embedding: Hash = ZERO


class Answering(Protocol):
    async def answer(self, question: Question) -> Answer:
        """The canonical output.

        :raises NoAnswer: it cannot be found; the operator may ask again.
        """


class Command:
    """A program that is given the prompt on standard input and writes to standard output what is hashed.

    In its environment are ``GENVM_TASK``, ``GENVM_MODEL_SPEC`` and ``GENVM_PROMPT_HASH``, in hexadecimal with ``0x``.
    Another exit code than 0 means that there is no answer.
    """

    def __init__(self, arguments: Sequence[str], seconds: float) -> None:
        self._arguments = arguments
        self._seconds = seconds

    async def answer(self, question: Question) -> Answer:
        environment = {
            **os.environ,
            "GENVM_TASK": "0x" + question.task.hex(),
            "GENVM_MODEL_SPEC": "0x" + question.model_spec.hex(),
            "GENVM_PROMPT_HASH": "0x" + question.prompt_hash.hex(),
        }
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
        except OSError as error:
            raise NoAnswer(f"{self._arguments[0]} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._seconds):
                talk = [
                    asyncio.create_task(_give(process, question.prompt or b"")),
                    output := asyncio.create_task(_read(process.stdout, _OUTPUT_BYTES)),
                    remark := asyncio.create_task(_read(process.stderr, _REMARK_BYTES, rest=True)),
                ]
                try:
                    await asyncio.gather(*talk)
                finally:
                    for one in talk:
                        one.cancel()
                    await asyncio.gather(*talk, return_exceptions=True)
                status = await process.wait()
        except TimeoutError:
            raise NoAnswer(f"the command took longer than {self._seconds:g} s") from None
        finally:
            if process.returncode is None:
                await _end(process)
        if status:
            said = remark.result().decode("utf-8", "replace").strip()[-500:]
            raise NoAnswer(f"the command ended with {status}: {said}")
        return Answer(keccak256(output.result()))


async def _end(process: asyncio.subprocess.Process) -> None:
    """With all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Its end is not noticed before its output has been read; somebody that got away may still hold that open.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await asyncio.gather(_drain(process.stdout), _drain(process.stderr))
            await process.wait()


async def _drain(stream: asyncio.StreamReader | None) -> None:
    while stream is not None and await stream.read(1 << 16):
        pass


async def _give(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    # It need not read what it does not want to know.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, most: int, *, rest: bool = False) -> bytes:
    """:param rest: what is more is left out, instead of being no answer."""
    assert stream is not None
    data = bytearray()
    while piece := await stream.read(1 << 16):
        data += piece[: most - len(data)] if rest else piece
        if len(data) > most:
            raise NoAnswer(f"the command writes more than {most} bytes")
    return bytes(data)
