"""Configuration of the services: YAML with placeholders, and the keys that all of them have (spec modules/01 §3).

A service reads its document through :class:`Fields`, whose errors name the key. Keys that nobody reads are ignored,
as those of other versions must be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pygenvm.executor import config as executor_config
from pygenvm.executor.config import LOG_LEVELS, genvm_version, parse_yaml
from pygenvm.executor.limits import CONFIG_BYTES_MAX, MODULE_ANSWER_SECONDS
from pygenvm.executor.terminal_text import one_line
from pygenvm.modules import limits
from pygenvm.modules.templating import UnknownVariable, expand_config

T = TypeVar("T")

#: The default of keys that must be there.
REQUIRED: Final[Any] = object()

#: Where a key stands in a document: names of keys, and indexes of lists.
Key = Sequence[str | int]


class ConfigError(executor_config.ConfigError):
    """A configuration cannot be used: which key of which file, what is wrong with it, and what to do."""

    def __init__(
        self, what: str, *, key: Key = (), remedy: str = "", file: str | None = None, line: int | None = None
    ) -> None:
        self.what = what
        self.key = tuple(key)
        self.remedy = remedy
        self.file = file
        self.line = line
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.key).removeprefix(".")
        # A configuration comes from a person, pieces of it from anywhere.
        text = one_line(f"{place}{name}{': ' if name else ''}{what}")
        super().__init__(f"{text}\n  {one_line(remedy)}" if remedy else text)


class Fields:
    """Typed reading of one mapping of a document. What is wrong is a :class:`ConfigError` with the key.

    A reading method without ``default`` requires the key; null counts as absent.
    """

    def __init__(self, items: Any, key: Key = ()) -> None:
        self.key = tuple(key)
        if not isinstance(items, Mapping):
            raise ConfigError(f"must be a mapping, not {_shown(items)}", key=key)
        self._items = items

    def __iter__(self) -> Iterator[str]:
        """The names of all keys, in the order of the document."""
        for name in self._items:
            if not isinstance(name, str):
                raise ConfigError(f"the key {_shown(name)} must be a text; write it in quotes", key=self.key)
            yield name

    def __contains__(self, name: str) -> bool:
        return self._items.get(name) is not None

    def error(self, name: str, what: str, *, remedy: str = "") -> ConfigError:
        """For a value that has the right type and still will not do."""
        return ConfigError(what, key=(*self.key, name), remedy=remedy)

    def raw(self, name: str, default: Any = REQUIRED, /) -> Any:
        """The value as it stands."""
        value = self._items.get(name)
        if value is not None:
            return value
        if default is REQUIRED:
            raise self.error(name, "is missing", remedy="--print-config shows every key with its meaning")
        return default

    def text(self, name: str, default: T = REQUIRED, *, choices: Iterable[str] = ()) -> str | T:
        value = self.raw(name, default)
        if value is default:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"must be a text, not {_shown(value)}", remedy="put it in quotes")
        allowed = list(choices)
        if allowed and value not in allowed:
            raise self.error(name, f"{_shown(value)} is none of {', '.join(allowed)}")
        return value

    def integer(self, name: str, default: T = REQUIRED, *, low: int = 0, high: int | None = None) -> int | T:
        value = self.raw(name, default)
        if value is default:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"must be a whole number, not {_shown(value)}")
        self._check_range(name, value, low, high)
        return value

    def number(self, name: str, default: T = REQUIRED, *, low: float = 0, high: float | None = None) -> float | T:
        value = self.raw(name, default)
        if value is default:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
            raise self.error(name, f"must be a number, not {_shown(value)}")
        self._check_range(name, value, low, high)
        return float(value)

    def _check_range(self, name: str, value: float, low: float, high: float | None) -> None:
        if value < low:
            raise self.error(name, f"must be at least {low:g}, not {_shown(value)}")
        if high is not None and value > high:
            raise self.error(name, f"must be at most {high:g}, not {_shown(value)}")

    def boolean(self, name: str, default: T = REQUIRED) -> bool | T:
        value = self.raw(name, default)
        if value is default:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"must be true or false, not {_shown(value)}")
        return value

    def texts(self, name: str, default: T = REQUIRED) -> list[str] | T:
        value = self.raw(name, default)
        if value is default:
            return default
        if not isinstance(value, list):
            raise self.error(name, f"must be a list of texts, not {_shown(value)}")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise ConfigError(f"must be a text, not {_shown(item)}", key=(*self.key, name, index))
        return list(value)

    def text_map(self, name: str, default: T = REQUIRED) -> dict[str, str] | T:
        value = self.raw(name, default)
        if value is default:
            return default
        section = Fields(value, (*self.key, name))
        return {item: section.text(item) for item in section}

    def section(self, name: str, default: Mapping[str, Any] = REQUIRED) -> Fields:
        """A mapping inside this one."""
        return Fields(self.raw(name, default), (*self.key, name))

    def sections(self, name: str, default: Mapping[str, Any] = REQUIRED) -> dict[str, Fields]:
        """A mapping of names to mappings, in the order of the document."""
        section = self.section(name, default)
        return {item: section.section(item) for item in section}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


# --- the document ---------------------------------------------------------------------------------


def variables(exe_dir: Path) -> dict[str, str]:
    """What ``${name}`` may be. ``modulesDir`` is ours: where the scripts are that come with the program."""
    return {
        "exeDir": str(exe_dir),
        "genvmVersion": genvm_version(),
        "modulesDir": str(Path(__file__).parent),
    }


def read_document(path: Path | None, text: str | None, exe_dir: Path) -> dict[str, Any]:
    """The configuration in the file ``path``, or in ``text``, with ``${…}`` replaced everywhere.

    :raises ConfigError: it cannot be read, is too big, is not YAML or has an unknown variable.
    """
    text = read_text(path) if text is None else text
    with located(path, text):
        try:
            value = parse_yaml(text.encode("utf-8", "surrogatepass"))
        except executor_config.ConfigError as error:
            raise ConfigError(" ".join(str(error).split())) from error
        return expanded(value, exe_dir)


def expanded(value: Any, exe_dir: Path) -> dict[str, Any]:
    """A document that did not come from a file, with ``${…}`` replaced; ``value`` stays as it is.

    :raises ConfigError: it is no mapping, or has an unknown variable.
    """
    fields = Fields(value)
    known = variables(exe_dir)
    found: dict[str, Any] = {}
    for name in fields:
        try:
            found[expand_config(name, known, os.environ)] = expand_config(fields.raw(name, None), known, os.environ)
        except UnknownVariable as error:
            raise ConfigError(str(error), key=(name,)) from error
    return found


def read_text(path: Path | None) -> str:
    """:raises ConfigError: the file cannot be read, or is too big."""
    if path is None:
        raise ValueError("neither a file nor a text")
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        remedy = "--print-config prints one to begin with" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path), remedy=remedy) from error
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(f"more than {CONFIG_BYTES_MAX} bytes", file=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", file=str(path), line=line) from error


@contextmanager
def located(path: Path | None, text: str) -> Iterator[None]:
    """Errors raised inside say where in the file ``path`` with this ``text`` their key stands."""
    try:
        yield
    except ConfigError as error:
        if path is None or error.file is not None:
            raise
        line = _line(text, error.key)
        raise ConfigError(error.what, key=error.key, remedy=error.remedy, file=str(path), line=line) from error


def _line(text: str, key: Key) -> int | None:
    """Line of the key, or of the innermost mapping around it that is there. None without a key."""
    import yaml

    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError):
        return None
    line: int | None = None
    for part in key:
        children: list[tuple[Any, Any, Any]] = []
        if isinstance(node, yaml.MappingNode):
            children = [(name.value, name, value) for name, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            children = [(index, value, value) for index, value in enumerate(node.value)]
        for name, place, value in children:
            if name == part:
                line, node = place.start_mark.line + 1, value
                break
        else:
            break
    return line


# --- keys that all services have ------------------------------------------------------------------


@dataclass(frozen=True)
class CommonSettings:
    """The keys common to all services; those with a default here need not be in the document."""

    bind_address: str
    lua_script_path: str
    vm_count: int
    lua_path: str
    signer_url: str
    signer_headers: Mapping[str, str]
    threads: int
    blocking_threads: int
    log_disable: tuple[str, ...] = ()
    log_level: str = "info"
    path_token: str = ""
    request_seconds: float = limits.REQUEST_SECONDS
    sessions_max: int = limits.SESSIONS
    session_idle_seconds: float = limits.SESSION_IDLE_SECONDS
    grace_seconds: float = limits.GRACE_SECONDS
    #: None: what :mod:`modules.scripting` has for all.
    script_instructions: int | None = None
    script_memory_bytes: int | None = None
    script_slice_seconds: float | None = None


_TOKEN_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def common_settings(document: Mapping[str, Any]) -> CommonSettings:
    """:raises ConfigError: a key is missing or has a value that will not do."""
    fields = Fields(document)
    bind_address(document)
    fields.raw("log_disable")
    log = log_settings(document)
    return CommonSettings(
        bind_address=fields.text("bind_address"),
        lua_script_path=fields.text("lua_script_path"),
        vm_count=fields.integer("vm_count", low=1, high=limits.SCRIPT_VMS),
        lua_path=fields.text("lua_path"),
        signer_url=fields.text("signer_url"),
        signer_headers=fields.text_map("signer_headers"),
        threads=fields.integer("threads", low=1),
        blocking_threads=fields.integer("blocking_threads", low=1),
        log_disable=log.disabled,
        log_level=log.level,
        path_token=path_token(fields),
        # The executor waits no longer.
        request_seconds=fields.number("request_seconds", limits.REQUEST_SECONDS, low=1, high=MODULE_ANSWER_SECONDS),
        sessions_max=fields.integer("sessions_max", limits.SESSIONS, low=1),
        session_idle_seconds=fields.number("session_idle_seconds", limits.SESSION_IDLE_SECONDS, low=1),
        grace_seconds=fields.number("grace_seconds", limits.GRACE_SECONDS),
        script_instructions=fields.integer("script_instructions", None, low=1),
        script_memory_bytes=fields.integer("script_memory_bytes", None, low=1 << 20),
        script_slice_seconds=fields.number("script_slice_seconds", None, low=0.01),
    )


@dataclass(frozen=True)
class LogSettings:
    """What is logged: from which level on, and patterns of targets that are silent."""

    level: str
    disabled: tuple[str, ...]


def log_settings(document: Mapping[str, Any]) -> LogSettings:
    """:raises ConfigError: there is no such level."""
    fields = Fields(document)
    level = fields.text("log_level", "info").lower()
    level = "warn" if level == "warning" else level
    if level not in LOG_LEVELS:
        raise fields.error("log_level", f"{_shown(level)} is none of {', '.join(LOG_LEVELS)}")
    parts = fields.text("log_disable", "").split(",")
    return LogSettings(level, tuple(filter(None, (part.strip() for part in parts))))


def bind_address(document: Mapping[str, Any], default: Any = REQUIRED) -> tuple[str, int]:
    """Host and port.

    :raises ConfigError: they are missing, or no address.
    """
    fields = Fields(document)
    try:
        return host_and_port(fields.text("bind_address", default))
    except ConfigError:
        raise
    except ValueError as error:
        raise fields.error("bind_address", str(error), remedy="write HOST:PORT, for example 127.0.0.1:3031") from None


def path_token(fields: Fields) -> str:
    """What every path of a service begins with; empty: nothing.

    :raises ConfigError: it is not made for paths.
    """
    token = fields.text("path_token", "")
    if not _TOKEN_CHARS.issuperset(token):
        raise fields.error("path_token", "may only have letters, digits, - and _")
    return token


def host_and_port(address: str) -> tuple[str, int]:
    """``127.0.0.1:3031`` or ``[::1]:3031`` apart.

    :raises ValueError: it is neither.
    """
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{_shown(address)} has an IPv6 address that is not in [brackets]")
    if not colon or not host:
        raise ValueError(f"{_shown(address)} is no address with a port")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 1 << 16):
        raise ValueError(f"{_shown(port)} is no port")
    return host, int(port)
