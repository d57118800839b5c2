"""A manager that serves, in a thread; its executors and modules are small shell scripts that do as they are told."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from pygenvm.executor.runner.version import Version
from pygenvm.manager.app import make_app, quiet_access_log
from pygenvm.manager.core import Manager
from pygenvm.manager.executions.local import LocalExecutors
from pygenvm.manager.log import ManagerLog
from pygenvm.manager.modules import ModuleProcesses
from pygenvm.manager.permits import Permits
from pygenvm.manager.versions import Executors

T = TypeVar("T")

#: Does what words among ``extra_args`` say: ``--sleep=SECONDS``, ``--say=TEXT``, ``--exit=CODE``.
_EXECUTOR = """\
#!/bin/sh
seconds=0; text=; code=0
for word in "$@"; do
  case "$word" in
    parse-version-pattern) cat > /dev/null; echo v0.2.16; exit 0 ;;
    --sleep=*) seconds=${word#*=} ;;
    --say=*) text=${word#*=} ;;
    --exit=*) code=${word#*=} ;;
  esac
done
sleep "$seconds"
[ -z "$text" ] || printf '%s\\n' "$text"
[ "$code" = 0 ] || echo "failed as it was told to" >&2
exit "$code"
"""
#: Listens at once, and goes on until it is told to end.
_MODULE = """\
#!/bin/sh
for word in "$@"; do
  case "$word" in --ready-fd=*) ready=${word#*=} ;; esac
done
cat > /dev/null
echo '{"listening": true}' > "/proc/self/fd/$ready"
exec sleep 1000
"""


class LiveManager:
    """``url`` is where it serves; :meth:`call` runs something in its event loop."""

    def __init__(self, manager: Manager, app: web.Application, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.manager = manager
        self.app = app
        self.url = url
        self._loop = loop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        return self.wait(called())


@contextmanager
def live_manager(root: Path, *, token: str | None = None, permits: int = 8, port: int = 0) -> Iterator[LiveManager]:
    """Serves at a free port of 127.0.0.1; ``root`` is its folder."""
    executor = _program(root / "executor" / "vTEST" / "bin" / "genvm", _EXECUTOR)
    assert executor.is_file()
    module = _program(root / "module", _MODULE)
    started: list[LiveManager | BaseException] = []
    ready = threading.Event()

    async def serve() -> None:
        with open(os.devnull, "wb") as nowhere:
            log = ManagerLog(fd=nowhere.fileno())
            manager = Manager(
                executors=Executors(root, Version(0, 2, 16), None, "vTEST"),
                permits=Permits(permits),
                backend=LocalExecutors(idle=0),
                modules=ModuleProcesses(log, command=[str(module)]),
                log=log,
            )
            log.observe(manager.feed.logged)
            quiet_access_log()
            app = make_app(manager, token=token)
            runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
                manager.start()
                stop = asyncio.Event()
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                live = LiveManager(manager, app, url, asyncio.get_running_loop())
                stops.append(stop)
                started.append(live)
                ready.set()
                await stop.wait()
            finally:
                await manager.close()
                await runner.cleanup()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.append(error)
            raise
        finally:
            ready.set()

    stops: list[asyncio.Event] = []
    thread = threading.Thread(target=run, name="manager", daemon=True)
    thread.start()
    ready.wait(30)
    live = started[0]
    if isinstance(live, BaseException):
        raise live
    try:
        yield live
    finally:
        live.call(stops[0].set)
        thread.join(60)
        assert not thread.is_alive()


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
