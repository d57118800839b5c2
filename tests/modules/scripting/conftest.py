"""Pools of script VMs for tests."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules.http import HttpClient
from pygenvm.modules.log import Logger
from pygenvm.modules.scripting.pool import HostFunction, ScriptPool, ScriptSession, ScriptSettings, Signer

HOST_DATA = {"node_address": "0xA1", "tx_id": "0x22"}


class Scripts:
    """Starts pools, and stops them when the test is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log_path = folder / "log"
        self._fd = os.open(self._log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._log = Logger(fd=self._fd, level="debug")
        self._http = HttpClient()
        self._pools: list[ScriptPool] = []

    async def pool(
        self,
        source: str,
        *,
        libraries: Mapping[str, str] | None = None,
        globals_: Mapping[str, Any] | None = None,
        functions: Mapping[str, HostFunction] | None = None,
        pure: Mapping[str, str] | None = None,
        sign: Signer | None = None,
        **settings: Any,
    ) -> ScriptPool:
        """A started pool of the script ``source``, with ``libraries`` beside it."""
        script = self.folder / "script.lua"
        script.write_text(source)
        for name, text in (libraries or {}).items():
            (self.folder / name).write_text(text)
        options: dict[str, Any] = {"script": script, "lua_path": f"{self.folder}/?.lua", "vm_count": 1} | settings
        pool = ScriptPool(
            ScriptSettings(**options),
            globals_=globals_ or {},
            functions=functions or {},
            pure=pure,
            log=self._log,
            http=self._http,
            sign=sign,
        )
        self._pools.append(pool)
        await pool.start()
        return pool

    async def session(self, source: str, *, host_data: Mapping[str, Any] = HOST_DATA, **options: Any) -> ScriptSession:
        """A session on a pool of its own."""
        return await open_session(await self.pool(source, **options), host_data=host_data)

    def records(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self._log_path.read_text().splitlines()]

    async def close(self) -> None:
        for pool in self._pools:
            await pool.stop()
        await self._http.close()
        os.close(self._fd)


async def open_session(
    pool: ScriptPool, cookie: str = "c1", *, host_data: Mapping[str, Any] = HOST_DATA
) -> ScriptSession:
    return await pool.session(Hello(cookie, host_data))


@pytest_asyncio.fixture
async def scripts(tmp_path: Path) -> AsyncIterator[Scripts]:
    made = Scripts(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def run_lua(scripts: Scripts) -> Callable[..., Any]:
    """``await run_lua("return 1 + 1")``: what a script's function of this body returns; ``...`` is its arguments."""

    async def run(body: str, *arguments: Any, **options: Any) -> Any:
        head = 'local lib = require("lib-genvm")\nlocal rs = lib.rs\n'
        session = await scripts.session(f"{head}function Run(ctx, ...)\n{body}\nend", **options)
        return await session.call("Run", *arguments)

    return run
