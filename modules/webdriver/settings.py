"""Settings of the rendering service; ``default.yaml`` explains each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pygenvm.modules import limits
from pygenvm.modules.config import Fields, path_token

DEFAULT_FILE: Final = Path(__file__).parent / "default.yaml"
DEFAULT_ADDRESS: Final = "127.0.0.1:4444"

Choice = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Settings:
    """Keys other than ``bind_address`` and those of the log."""

    path_token: str = ""
    always_allow_hosts: tuple[str, ...] = ()
    executable: str = ""
    sandbox: Choice = "auto"
    namespace: Choice = "auto"
    user_agent: str = ""
    renders_per_browser: int = limits.RENDERS_PER_BROWSER
    concurrency: int = 0
    queue: int = limits.RENDERS_WAITING
    queue_seconds: float = limits.RENDER_QUEUE_SECONDS
    load_seconds_max: float = limits.RENDER_LOAD_SECONDS
    wait_seconds_max: float = limits.RENDER_WAIT_SECONDS
    text_bytes_max: int = limits.RENDER_TEXT_BYTES
    page_bytes_max: int = limits.RENDER_PAGE_BYTES
    process_bytes_max: int = limits.BROWSER_PROCESS_BYTES
    heap_megabytes_max: int = limits.BROWSER_HEAP_MEGABYTES
    memory_bytes_max: int = limits.BROWSER_MEMORY_BYTES

    @property
    def places(self) -> int:
        """Renders at a time."""
        return self.concurrency or limits.RENDERS_PER_CORE * (os.cpu_count() or 1)


def read_settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of :class:`Settings` from a configuration document.

    :raises ConfigError: a key has a value that will not do.
    """
    fields, default = Fields(document), Settings()
    return {
        "path_token": path_token(fields),
        "always_allow_hosts": tuple(fields.texts("always_allow_hosts", [])),
        "executable": fields.text("executable", default.executable),
        "sandbox": _choice(fields, "sandbox"),
        "namespace": _choice(fields, "namespace"),
        "user_agent": fields.text("user_agent", default.user_agent),
        "renders_per_browser": fields.integer("renders_per_browser", default.renders_per_browser, low=1, high=500),
        "concurrency": fields.integer("concurrency", default.concurrency, high=256),
        "queue": fields.integer("queue", default.queue),
        "queue_seconds": fields.number("queue_seconds", default.queue_seconds),
        "load_seconds_max": fields.number("load_seconds_max", default.load_seconds_max, low=0.1),
        "wait_seconds_max": fields.number("wait_seconds_max", default.wait_seconds_max),
        "text_bytes_max": fields.integer("text_bytes_max", default.text_bytes_max, low=1),
        "page_bytes_max": fields.integer("page_bytes_max", default.page_bytes_max, low=1),
        "process_bytes_max": fields.integer("process_bytes_max", default.process_bytes_max, low=200 << 20),
        "heap_megabytes_max": fields.integer("heap_megabytes_max", default.heap_megabytes_max, low=16),
        "memory_bytes_max": fields.integer("memory_bytes_max", default.memory_bytes_max, low=400 << 20),
    }


def _choice(fields: Fields, name: str) -> str:
    value = fields.raw(name, "auto")
    # YAML reads `on` and `off` as truth values.
    if isinstance(value, bool):
        return "on" if value else "off"
    return fields.text(name, "auto", choices=("auto", "on", "off"))
