"""Services in processes of their own, which all commands of a user share: found, or started.

In a folder that is the user's alone, each process has a file with its address, which it keeps locked as long as it
lives; so whoever is dead is known to be, however it died, and the number of a process that is there is that of a
service. Who starts one holds another lock meanwhile: of several commands one does, and all get the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pygenvm.executor import interpreter
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.limits import MODULE_MESSAGE_BYTES
from pygenvm.executor.module_protocol.modules import ModuleName
from pygenvm.localnet import limits
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.modules.broker import Answering, Unavailable
from pygenvm.localnet.modules.settings import Settings, check_usable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

#: How the suffix of a note begins that is being written.
UNFINISHED = "new-"


class ModuleProcess:
    """A service, as a source of sessions (:class:`localnet.modules.broker.Source`)."""

    def __init__(
        self,
        name: ModuleName,
        settings: Callable[[], Settings],
        *,
        folder: Path,
        idle: float,
        on_start: Callable[[ModuleName], None],
    ) -> None:
        """
        :param settings: read when the service is needed.
        :param on_start: called when none runs yet.
        """
        self._name = name
        self._read_settings = settings
        self._settings: Settings | None = None
        self._folder = folder
        self._idle = idle
        self._on_start = on_start
        self._finding = asyncio.Lock()

    async def open(self, hello: bytes) -> Answering:
        for _ in range(limits.MODULE_ATTEMPTS):
            place = await self._place()
            address = await self._find(place)
            with contextlib.suppress(_NotThere):
                return await _connect(self._name, address, hello)
            # It has ended since then, as idle ones do, or it hangs.
            await asyncio.to_thread(place.see_end, address)
        raise Unavailable(f"the {self._name} module cannot be reached; {place.log} may say why")

    async def _place(self) -> _Place:
        if self._settings is None:
            try:
                self._settings = await asyncio.to_thread(self._read_settings)
            except BadRequest as error:
                raise Unavailable(str(error)) from error
            check_usable(self._settings)
        return _Place(self._folder, self._settings)

    async def _find(self, place: _Place) -> str:
        """The address of the service; it is started if it does not run."""
        async with self._finding:
            try:
                CacheFolder(self._folder).make()
                os.chmod(self._folder, 0o700)
                async with _alone(place.lock):
                    address = place.address()
                    if address is None:
                        self._on_start(self._name)
                        address = await asyncio.to_thread(_start, place, self._idle)
            except OSError as error:
                raise Unavailable(f"the {self._name} module cannot be started: {error}") from error
            return address


class Running:
    """A service that somebody else runs, as a source of sessions."""

    def __init__(self, name: ModuleName, address: str) -> None:
        self._name = name
        self._address = address

    async def open(self, hello: bytes) -> Answering:
        try:
            return await _connect(self._name, self._address, hello)
        except _NotThere as error:
            raise Unavailable(f"the {self._name} module at {self._address} cannot be reached") from error


class _NotThere(Exception):
    """Nobody answers at an address."""


class _Place:
    """What there is of one service in the folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.folder = folder
        self.lock = folder / f"{settings.name}.lock"
        self.note = folder / f"{settings.name}-{settings.digest()}.json"
        self.log = self.note.with_suffix(".log")

    def address(self) -> str | None:
        """None if it does not run."""
        noted = _read_living(self.note)
        return None if noted is None else str(noted["address"])

    def see_end(self, address: str) -> None:
        """Waits until the one at ``address`` has ended, and ends it if it does not."""
        deadline = time.monotonic() + limits.MODULE_END_SECONDS
        while (noted := _read_living(self.note)) is not None and noted["address"] == address:
            if time.monotonic() > deadline:
                # While the note is locked, this number is that of nobody else.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(noted["pid"]), signal.SIGKILL)
            time.sleep(limits.MODULE_POLL_SECONDS)

    def clear_away(self) -> None:
        """What services left that have been killed; under the lock, so none is being started."""
        for note in self.folder.glob(f"{self.settings.name}-*.json"):
            if _read_living(note) is None:
                note.unlink(missing_ok=True)
        for log in self.folder.glob(f"{self.settings.name}-*.log"):
            if not log.with_suffix(".json").exists():
                log.unlink(missing_ok=True)
        for unfinished in self.folder.glob(f"{self.settings.name}-*.{UNFINISHED}*"):
            unfinished.unlink(missing_ok=True)


def _read_living(note: Path) -> dict[str, Any] | None:
    """What a process that lives has noted; None if it does not."""
    try:
        with open(note, "rb") as file:
            if _is_locked(file):
                noted: dict[str, Any] = json.loads(file.read(limits.MODULE_NOTE_BYTES))
                return noted
    except FileNotFoundError:
        pass
    return None


def _is_locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Nobody else starts a service of this name."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "ab") as lock:
        deadline = time.monotonic() + limits.MODULE_READY_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another command is still starting it") from None
                await asyncio.sleep(limits.MODULE_POLL_SECONDS)
            else:
                yield
                return


def _start(place: _Place, idle: float) -> str:
    """Starts the service and gives its address when it is ready.

    :raises Unavailable: it does not start.
    :raises OSError: no process can be started.
    """
    place.clear_away()
    job = {
        "name": place.settings.name,
        "document": dict(place.settings.document),
        "note": str(place.note),
        "idle": idle,
    }
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(os.open(place.log, flags, 0o600), "ab"))
        receiving, sending = os.pipe()
        ready = stack.enter_context(open(receiving, "rb"))
        try:
            # Keys go neither through the command line nor through a file.
            subprocess.run(
                [*interpreter.command("pygenvm.localnet.modules.process"), f"--ready-fd={sending}"],
                input=json.dumps(job).encode(),
                stdout=log,
                stderr=log,
                pass_fds=(sending,),
                cwd=place.settings.folder,
                start_new_session=True,
                timeout=limits.MODULE_READY_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"the {place.settings.name} module has not begun to start") from error
        finally:
            os.close(sending)
        message = _read_message(ready)
    if message is None:
        raise Unavailable(f"the {place.settings.name} module does not start; {place.log} may say why")
    if "error" in message:
        raise Unavailable(f"the {place.settings.name} module does not start: {message['error']}")
    return str(message["address"])


def _read_message(ready: IO[bytes]) -> dict[str, Any] | None:
    """What a process says when it has started, or has not; None if it ends, or takes too long, without a word."""
    import select

    data = b""
    deadline = time.monotonic() + limits.MODULE_READY_SECONDS
    while len(data) < limits.MODULE_NOTE_BYTES:
        readable, _, _ = select.select([ready], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(ready.fileno(), limits.MODULE_NOTE_BYTES) if readable else b""
        if not chunk:
            break
        data += chunk
    try:
        message: dict[str, Any] = json.loads(data)
    except ValueError:
        return None
    return message


async def _connect(name: ModuleName, address: str, hello: bytes) -> _Session:
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    try:
        connection = await connect(
            address,
            compression=None,
            user_agent_header=None,
            proxy=None,
            open_timeout=limits.MODULE_CONNECT_SECONDS,
            ping_interval=None,
            max_size=MODULE_MESSAGE_BYTES,
        )
        await connection.send(hello)
    except (OSError, WebSocketException) as error:
        raise _NotThere from error
    return _Session(name, connection)


class _Session:
    def __init__(self, name: ModuleName, connection: ClientConnection) -> None:
        self._name = name
        self._connection = connection

    async def ask(self, frame: bytes) -> bytes:
        from websockets.exceptions import WebSocketException

        try:
            await self._connection.send(frame)
            answer = await self._connection.recv(decode=False)
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"the {self._name} module has ended during the request") from error
        return bytes(answer)

    async def close(self) -> None:
        await self._connection.close()
