"""What the manager itself knows of contract code: major version, and place in storage (spec modules/04 §8)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
from datetime import datetime

from pygenvm.executor.lifetime import die_with_parent
from pygenvm.executor.primitives.abi import CODE_SLOT
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.versions import Executors

_NUMBERS = [b"%d" % number for number in range(256)]
_ARRAY_PART = 16 << 10
_MAJOR = re.compile(rb"v?([0-9]{1,5})(?:\.|\Z)")


async def detect_major(executors: Executors, code: bytes, time: datetime) -> int:
    """The major version that ``code`` asks for, at most the greatest at ``time``.

    :raises RequestError: there is no executor at that time.
    """
    greatest, executor = executors.probe(time)
    async with executors.probes:
        match = _MAJOR.match(await _declared_version(executor.command, code))
    return min(int(match[1]), greatest) if match else greatest


async def _declared_version(command: tuple[str, ...], code: bytes) -> bytes:
    """What ``genvm parse-version-pattern`` prints; nothing if it fails or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "parse-version-pattern",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        raise RequestError(f"cannot start {command[0]}: {error.strerror}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limits.PROBE_SECONDS):
            process.stdin.write(code)
            # It may end without having read all.
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            process.stdin.close()
            # One that prints without end stands still, and is too slow then.
            printed = await process.stdout.read(limits.PROBE_OUTPUT_BYTES)
            status = await process.wait()
    except TimeoutError:
        return b""
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return printed if status == 0 else b""


def deploy_writes(code: bytes) -> list[tuple[bytes, bytes]]:
    """The writes into the storage of a new contract: key (slot, then offset as u32 LE), and value."""
    return [
        (CODE_SLOT + (0).to_bytes(4, "little"), len(code).to_bytes(4, "little")),
        (CODE_SLOT + (4).to_bytes(4, "little"), code),
    ]


def as_json(writes: list[tuple[bytes, bytes]], *, arrays: bool) -> bytes:
    """``{"writes": …}``, each byte string in standard base64 or as an array of numbers.

    For threads: it leaves others their turn, however big the code is.
    """
    form = _as_array if arrays else _as_base64
    return b'{"writes":[%s]}' % b",".join(b"[%s]" % b",".join(map(form, write)) for write in writes)


def _as_base64(data: bytes) -> bytes:
    return b'"%s"' % base64.b64encode(data)


def _as_array(data: bytes) -> bytes:
    parts = (data[at : at + _ARRAY_PART] for at in range(0, len(data), _ARRAY_PART))
    return b"[%s]" % b",".join(b",".join(map(_NUMBERS.__getitem__, part)) for part in parts)
