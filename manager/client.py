"""The client's side of the manager (spec modules/04, 05), for nodes and tools in Python.

async with ManagerClient("http://127.0.0.1:3999") as manager:
    await manager.start_module("web")
    run = await manager.run(message=message, host="unix:///run/node/host.sock", host_data=host_data, timestamp=now)
    ...  # serve the host socket until consume_result
    await manager.stop(run, wait_ms=20)
    status = await manager.status_of(run)

:class:`BlockingManagerClient` has the same methods for callers that have no event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp

T = TypeVar("T")

#: What a schema query or a long wait for permits may take, unless the caller says otherwise.
SECONDS = 300.0


class ManagerError(Exception):
    """The manager refused a request, with its own text; ``status`` is that of HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class ManagerUnreachable(ManagerError):
    """No manager answers, or something else does."""

    def __init__(self, text: str) -> None:
        super().__init__(text, 0)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How a run ended. ``finished_ms`` is how long ago."""

    finished_ms: int
    stdout: str
    stderr: str


class ManagerClient:
    """One manager. ``url`` is ``http://…``, ``https://…`` or ``unix:///PATH``.

    :raises ValueError: it is none of these.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:3999", *, token: str | None = None, seconds: float = SECONDS
    ) -> None:
        if not url.startswith(("http://", "https://", "unix:///")):
            raise ValueError(f"a manager's address begins with http://, https:// or unix:///, not {url[:80]!r}")
        self._path: str | None = None
        self._url = url.rstrip("/")
        if url.startswith("unix://"):
            self._path, self._url = url.removeprefix("unix://"), "http://localhost"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; runs go on."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- runs -------------------------------------------------------------------------------------

    async def run(
        self,
        *,
        message: Mapping[str, Any],
        host: str,
        host_data: Mapping[str, Any],
        timestamp: str,
        major: int = 0,
        sync: bool = False,
        capture_output: bool = True,
        minutes: int = 50,
        extra_args: Sequence[str] = (),
        read_only: bool = False,
    ) -> int:
        """Starts a run once there are permits for it; its id. Cancelling it while it waits gives the place up.

        :raises ManagerError: it cannot be started.
        """
        body = {
            "major": major,
            "message": message,
            "is_sync": sync,
            "capture_output": capture_output,
            "max_execution_minutes": minutes,
            "host_data": json.dumps(host_data),
            "timestamp": timestamp,
            "host": host,
            "extra_args": list(extra_args),
        }
        answer = await self._post("/genvm/run/readonly" if read_only else "/genvm/run", body)
        return int(answer["id"])

    async def status_of(self, run: int) -> RunStatus | None:
        """None while it runs, or if nobody knows it. A status is given once, then forgotten by the manager."""
        status = (await self._ask("GET", f"/genvm/{run}"))["status"]
        return None if status is None else RunStatus(status["finished_at"], status["stdout"], status["stderr"])

    async def stop(self, run: int, *, wait_ms: int = 30_000) -> bool:
        """Ends a run; when this returns it is gone and its status complete. False: no such run."""
        answer = await self._ask("DELETE", f"/genvm/{run}?wait_timeout_ms={wait_ms}")
        return "result" in answer

    # --- contracts --------------------------------------------------------------------------------

    async def detect_major(self, code: bytes, timestamp: str) -> int:
        """The major version with which a contract is to be run."""
        return int((await self._ask("POST", "/contract/detect-version", code, timestamp))["specified_major"])

    async def deploy_writes(self, code: bytes, timestamp: str) -> list[tuple[bytes, bytes]]:
        """What to write into the storage of a new contract: keys (slot, then offset as u32 LE) and values."""
        answer = await self._ask("POST", "/contract/pre-deploy-writes?bytes=array", code, timestamp)
        return [(bytes(key), bytes(value)) for key, value in answer["writes"]]

    async def schema(self, code: bytes, timestamp: str) -> Any:
        """The schema of a contract that is not deployed."""
        return await self._ask("POST", "/genvm/run/readonly", code, timestamp)

    # --- operation --------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """States of the modules, permits, and how many runs there are."""
        answer: dict[str, Any] = await self._ask("GET", "/status")
        return answer

    async def start_module(
        self, name: str, config: Mapping[str, Any] | None = None, *, allow_empty_backends: bool = False
    ) -> bool:
        """Returns when the module listens; False if it ran already.

        :raises ManagerError: it cannot be started.
        """
        body = {"module_type": name, "config": config, "allow_empty_backends": allow_empty_backends}
        try:
            await self._post("/module/start", body)
        except ManagerError as error:
            if str(error) == "module_already_running":
                return False
            raise
        return True

    async def stop_module(self, name: str) -> bool:
        """False if it did not run."""
        return bool((await self._post("/module/stop", {"module_type": name}))["result"] == "module_stopped")

    async def permits(self, number: int | None = None) -> int:
        """The total, after setting it if ``number`` is given."""
        answer = await (self._ask("GET", "/permits") if number is None else self._post("/permits", {"permits": number}))
        return int(answer["permits"])

    async def set_log_level(self, level: str, target: str | None = None) -> None:
        """For all targets, or for one and what is below it."""
        await self._post("/log/level", {"level": level, **({} if target is None else {"target": target})})

    async def reload_manifest(self) -> None:
        """Reads the manifest anew."""
        await self._ask("POST", "/manifest/reload", b"")

    async def set_environment(self, key: str, value: str) -> None:
        """Sets an environment variable of the manager, for configurations that name it."""
        await self._post("/env", {"key": key, "value": value})

    async def check_llm(self, configs: Sequence[Mapping[str, Any]], prompts: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Tries every provider with every prompt."""
        answer: list[Any] = await self._post("/llm/check", {"configs": list(configs), "test_prompts": list(prompts)})
        return answer

    # --- HTTP -------------------------------------------------------------------------------------

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("POST", path, json.dumps(body).encode())

    async def _ask(self, method: str, path: str, body: bytes | None = None, timestamp: str | None = None) -> Any:
        headers = self._headers if timestamp is None else {**self._headers, "Deployment-Timestamp": timestamp}
        if self._session is None:
            connector = None if self._path is None else aiohttp.UnixConnector(self._path)
            timeout = aiohttp.ClientTimeout(total=self._seconds, sock_connect=10)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        try:
            async with self._session.request(
                method, self._url + quote(path, safe="/?=&%"), data=body, headers=headers
            ) as response:
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ManagerUnreachable(
                f"no manager at {self._path or self._url}: {error or type(error).__name__}"
            ) from error
        except ValueError as error:
            raise ManagerUnreachable(f"what answers at {self._path or self._url} is no manager: {error}") from error
        if response.status != 200:
            text = answer.get("error") if isinstance(answer, dict) else None
            raise ManagerError(str(text or f"status {response.status}"), response.status)
        return answer


class BlockingManagerClient:
    """:class:`ManagerClient` without an event loop: every method waits for its answer."""

    def __init__(
        self, url: str = "http://127.0.0.1:3999", *, token: str | None = None, seconds: float = SECONDS
    ) -> None:
        self._runner = asyncio.Runner()
        self._client = ManagerClient(url, token=token, seconds=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; runs go on."""
        self._runner.run(self._client.close())
        self._runner.close()

    def run(self, **arguments: Any) -> int:
        """See :meth:`ManagerClient.run`."""
        return self._wait(self._client.run(**arguments))

    def status_of(self, run: int) -> RunStatus | None:
        """See :meth:`ManagerClient.status_of`."""
        return self._wait(self._client.status_of(run))

    def stop(self, run: int, *, wait_ms: int = 30_000) -> bool:
        """See :meth:`ManagerClient.stop`."""
        return self._wait(self._client.stop(run, wait_ms=wait_ms))

    def detect_major(self, code: bytes, timestamp: str) -> int:
        """See :meth:`ManagerClient.detect_major`."""
        return self._wait(self._client.detect_major(code, timestamp))

    def deploy_writes(self, code: bytes, timestamp: str) -> list[tuple[bytes, bytes]]:
        """See :meth:`ManagerClient.deploy_writes`."""
        return self._wait(self._client.deploy_writes(code, timestamp))

    def schema(self, code: bytes, timestamp: str) -> Any:
        """See :meth:`ManagerClient.schema`."""
        return self._wait(self._client.schema(code, timestamp))

    def status(self) -> dict[str, Any]:
        """See :meth:`ManagerClient.status`."""
        return self._wait(self._client.status())

    def start_module(
        self, name: str, config: Mapping[str, Any] | None = None, *, allow_empty_backends: bool = False
    ) -> bool:
        """See :meth:`ManagerClient.start_module`."""
        return self._wait(self._client.start_module(name, config, allow_empty_backends=allow_empty_backends))

    def stop_module(self, name: str) -> bool:
        """See :meth:`ManagerClient.stop_module`."""
        return self._wait(self._client.stop_module(name))

    def permits(self, number: int | None = None) -> int:
        """See :meth:`ManagerClient.permits`."""
        return self._wait(self._client.permits(number))

    def set_log_level(self, level: str, target: str | None = None) -> None:
        """See :meth:`ManagerClient.set_log_level`."""
        self._wait(self._client.set_log_level(level, target))

    def reload_manifest(self) -> None:
        """See :meth:`ManagerClient.reload_manifest`."""
        self._wait(self._client.reload_manifest())

    def set_environment(self, key: str, value: str) -> None:
        """See :meth:`ManagerClient.set_environment`."""
        self._wait(self._client.set_environment(key, value))

    def check_llm(self, configs: Sequence[Mapping[str, Any]], prompts: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See :meth:`ManagerClient.check_llm`."""
        return self._wait(self._client.check_llm(configs, prompts))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
