"""What a manager is started with: its configuration file, and the command line over it (spec modules/04 §1)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pygenvm.executor.config import LOG_LEVELS, executable_dir
from pygenvm.modules.config import ConfigError, Fields, located, read_document, read_text

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3999
#: Executors that wait for runs, where the file does not say.
IDLE_EXECUTORS = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration file. Unknown keys are ignored."""

    log_disable: tuple[str, ...] = ()
    log_level: str = "info"
    manifest_path: Path | None = None
    """None: every installed version is available at any time."""
    idle_executors: int = IDLE_EXECUTORS
    executor_config: Path | None = None
    """Configuration of this installation's own executor."""
    token_file: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    permits: int | None = None


def read_settings(path: Path | None) -> Settings:
    """The file ``path``, else the one that belongs to the program, else what is built in.

    :raises ConfigError: it cannot be read or used.
    """
    exe_dir = executable_dir()
    if path is None:
        path = exe_dir.parent / "config" / "genvm-manager.yaml"
        if not path.is_file():
            return Settings(manifest_path=_shipped_manifest(exe_dir))
    text = read_text(path)
    document = read_document(path, text, exe_dir)
    with located(path, text):
        fields = Fields(document)
        level = fields.text("log_level", "info").lower()
        level = "warn" if level == "warning" else level
        if level not in LOG_LEVELS:
            raise fields.error("log_level", f"{level[:40]!r} is none of {', '.join(LOG_LEVELS)}")
        for name in ("threads", "blocking_threads"):
            fields.integer(name, 1, low=1)
        manifest = _path(fields, "manifest_path")
        certificate, key = _path(fields, "tls_certificate"), _path(fields, "tls_key")
        if (certificate is None) != (key is None):
            raise ConfigError("tls_certificate and tls_key go together")
        return Settings(
            log_disable=tuple(filter(None, (part.strip() for part in fields.text("log_disable", "").split(",")))),
            log_level=level,
            manifest_path=manifest or _shipped_manifest(exe_dir),
            idle_executors=fields.integer("idle_executors", IDLE_EXECUTORS, high=64),
            executor_config=_path(fields, "executor_config"),
            token_file=_path(fields, "token_file"),
            tls_certificate=certificate,
            tls_key=key,
            permits=fields.integer("permits", None, low=2, high=100_000),
        )


def _path(fields: Fields, name: str) -> Path | None:
    text = fields.text(name, None)
    return Path(text) if text else None


def _shipped_manifest(exe_dir: Path) -> Path | None:
    path = exe_dir.parent / "data" / "manifest.yaml"
    return path if path.is_file() else None


def is_loopback(host: str) -> bool:
    """:raises ValueError: not an IP literal."""
    return ipaddress.ip_address(host).is_loopback


def read_token(path: Path) -> str:
    """:raises ConfigError: the file cannot be read, or has no token that is hard to guess."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the token cannot be read: {error}") from error
    if len(text) < 16 or not text.isprintable() or " " in text:
        raise ConfigError(f"{path}: a token has at least 16 printable characters and no blanks")
    return text
