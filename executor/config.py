"""The executor's configuration file (spec executor/10 "Configuration file") and the cache folder."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pygenvm.executor import cache_root as cache_root_of_user
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.limits import CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX, CONFIG_NUMBER_CHARS_MAX

# Paths are texts in what a run needs: pathlib takes as long to load as a quarter of Python's own start.
if TYPE_CHECKING:
    from importlib.machinery import PathFinder
    from pathlib import Path
else:
    from _frozen_importlib_external import PathFinder

LOG_LEVELS = ("trace", "debug", "info", "warn", "error")

#: Packages that carry runners, made by :mod:`runners.dist`.
PACKAGES_OF_RUNNERS = ("pygenvm_runners", "pygenvm_runners_numeric")

# Compiled by those who have a configuration file.
_VARIABLE = r"\$\{([^}]*)\}"
_ENVIRONMENT = r"ENV\[([A-Za-z0-9_]+)\]"
_LLM_ADDRESS = "ws://127.0.0.1:3031"
_WEB_ADDRESS = "ws://127.0.0.1:3032"
_CACHE_DIR = "${exeDir}/../.cache/"
_RUNNERS_DIR = "${exeDir}/../../../runners/"
_REGISTRY_DIR = "${exeDir}/../data"


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the file or key and what is wrong with it."""


class Config(metaclass=Frozen):
    """Settings of one executor process. ``log_disable`` holds the patterns of targets to silence."""

    runners_dir: str
    registry_dir: str
    cache_dir: str
    llm_address: str = _LLM_ADDRESS
    web_address: str = _WEB_ADDRESS
    threads: int = 2
    blocking_threads: int = 4
    log_level: str = "info"
    log_disable: tuple[str, ...] = ()
    modules_named: frozenset[str] = frozenset()
    """Of ``llm`` and ``web`` those whose address the file names."""
    packaged_runners: tuple[str, ...] = ()
    """Folders of installed packages with more runners: ``runners/``, ``registry/`` and ``compiled/`` of each."""

    @property
    def packaged_modules(self) -> list[str]:
        """Where those packages have compiled modules."""
        return [os.path.join(folder, "compiled") for folder in self.packaged_runners]


def cache_root() -> Path:
    """Folder for everything that is built or downloaded: ``$PYGENVM_CACHE``, else ``pygenvm`` in the user's cache.

    :raises ConfigError: there is no home directory.
    """
    from pathlib import Path

    return Path(_cache_root())


def _cache_root() -> str:
    found = cache_root_of_user.find()
    if found is None:
        raise ConfigError("there is no home directory for the cache; set PYGENVM_CACHE")
    return found


def packaged_runners() -> tuple[str, ...]:
    """Folders of the packages with runners that are installed for this Python; nothing of them is imported."""
    found = []
    for name in PACKAGES_OF_RUNNERS:
        # That of importlib.util would import the packages above.
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(os.path.dirname(spec.origin))
    return tuple(found)


def executable_dir() -> Path:
    """Directory of the running program; links are not followed, so a linked program finds the files beside the link."""
    from pathlib import Path

    return Path(_executable_dir())


def _executable_dir() -> str:
    return os.path.dirname(os.path.abspath(sys.argv[0]))


def genvm_version() -> str:
    """What ``${genvmVersion}`` stands for: ``v`` and the version of the installed distribution."""
    from importlib.metadata import version

    return f"v{version('pygenvm')}"


def load_config(path: str | None = None) -> Config:
    """The configuration in ``path``, else in ``${exeDir}/../config/genvm.yaml``, else the built-in one.

    The built-in one uses runners, registry and cache of :func:`cache_root`, and :func:`packaged_runners`.

    :raises ConfigError: the file cannot be read or used.
    """
    if path is None:
        shipped = os.path.join(os.path.dirname(_executable_dir()), "config", "genvm.yaml")
        if not os.path.isfile(shipped):
            root = _cache_root()
            runners, registry, own = (os.path.join(root, name) for name in ("runners", "registry", "executor"))
            return Config(runners, registry, own, packaged_runners=packaged_runners())
        path = shipped
    try:
        with open(path, "rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: more than {CONFIG_BYTES_MAX} bytes")
    try:
        return _config(_expand(_document(data)))
    except ConfigError as error:
        # A run with a sound configuration does not pay for this import.
        from pygenvm.executor.terminal_text import one_line

        # YAML's own texts have several lines, and pieces of the file.
        raise ConfigError(f"{path}: {one_line(' '.join(str(error).split()))}") from error


@lru_cache(maxsize=1)
def _document(data: bytes) -> Any:
    """Once for all executors of a pool: what the variables in it stand for they find out by themselves."""
    return parse_yaml(data)


def parse_yaml(data: bytes, *, aliases: bool = False) -> Any:
    """The document; repeated keys, deep nesting and, unless they are allowed, aliases are refused.

    :raises ConfigError: not YAML, or one of these; the text tells the line, and may have several.
    """
    if data.startswith(b"{"):
        # JSON, as programs write it, is YAML, and is read in a tenth of the time that the other import takes.
        from pygenvm.executor.json_text import parse_json

        with contextlib.suppress(ValueError):
            return parse_json(data.decode(), max_chars=CONFIG_BYTES_MAX, max_depth=CONFIG_DEPTH_MAX)
    # A run without a configuration file does not pay for this import.
    import yaml

    def place(mark: yaml.Mark) -> str:
        return f"line {mark.line + 1}, column {mark.column + 1}"

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if not aliases and self.check_event(yaml.AliasEvent):
                raise ConfigError("aliases are not supported")
            if self.depth == CONFIG_DEPTH_MAX:
                raise ConfigError(f"nested more than {CONFIG_DEPTH_MAX} levels deep")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            kind = node.tag.rpartition(":")[2]
            if isinstance(node, yaml.ScalarNode) and kind != "str" and len(node.value) > CONFIG_NUMBER_CHARS_MAX:
                raise ConfigError(f"a value of {len(node.value)} characters for a {kind}, {place(node.start_mark)}")
            try:
                return super().construct_object(node, deep)
            except ConfigError:
                raise
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise ConfigError(f"a value that is no {kind}, {place(node.start_mark)}") from error

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            found = super().construct_mapping(node, deep)
            if len(found) != len(node.value):
                names = [(key.tag, str(key.value)) for key, _ in node.value]
                again = next((key for at, (key, _) in enumerate(node.value) if names[at] in names[:at]), node)
                name = f" {str(again.value)[:80]!r}" if again is not node else ""
                raise ConfigError(f"a repeated key{name}, {place(again.start_mark)}")
            return found

    try:
        return yaml.load(data, Loader)
    except yaml.MarkedYAMLError as error:
        # YAML's own text shows the place as pieces of the file on lines of their own.
        where = f", {place(error.problem_mark)}" if error.problem_mark else ""
        within = f" {error.context}" if error.context else ""
        within += f" that begins in line {error.context_mark.line + 1}" if within and error.context_mark else ""
        raise ConfigError(f"not YAML{where}: {error.problem}{within}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from error


def _expand(value: Any) -> Any:
    """``value`` with the variables in all its strings replaced."""
    if isinstance(value, str):
        return re.sub(_VARIABLE, lambda match: _variable(match[1]), value)
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    return value


def _variable(name: str) -> str:
    environment = re.fullmatch(_ENVIRONMENT, name)
    if environment:
        return os.environ.get(environment[1], "")
    if name == "exeDir":
        return _executable_dir()
    if name == "genvmVersion":
        return genvm_version()
    raise ConfigError(f"unknown variable ${{{name}}}; there are exeDir, genvmVersion and ENV[NAME]")


def _config(items: Any) -> Config:
    if not isinstance(items, dict):
        raise ConfigError("the file must hold a mapping")
    modules = _optional(items, "modules", dict, {})
    level = _optional(items, "log_level", str, "info").lower()
    level = "warn" if level == "warning" else level
    if level not in LOG_LEVELS:
        raise ConfigError(f"log_level {level!r} is none of {', '.join(LOG_LEVELS)}")
    return Config(
        runners_dir=_folder(items, "runners_dir", _RUNNERS_DIR),
        registry_dir=_folder(items, "registry_dir", _REGISTRY_DIR),
        cache_dir=_folder(items, "cache_dir", _CACHE_DIR),
        llm_address=_module(modules, "llm", _LLM_ADDRESS),
        web_address=_module(modules, "web", _WEB_ADDRESS),
        threads=_thread_count(items, "threads"),
        blocking_threads=_thread_count(items, "blocking_threads"),
        log_level=level,
        log_disable=tuple(filter(None, (part.strip() for part in _required(items, "log_disable", str).split(",")))),
        modules_named=frozenset(name for name in ("llm", "web") if _module(modules, name, "")),
        packaged_runners=_folders(items, "packaged_runners"),
    )


def _optional(items: dict[Any, Any], key: str, kind: type, default: Any) -> Any:
    value = items.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(f"{key} must be a {_KIND_NAMES[kind]}")
    return value


def _folder(items: dict[Any, Any], key: str, default: str) -> str:
    name: str = _optional(items, key, str, _expand(default))
    return _path(key, name)


def _folders(items: dict[Any, Any], key: str) -> tuple[str, ...]:
    names: list[Any] = _optional(items, key, list, [])
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{key} must be a list of strings")
    return tuple(_path(key, name) for name in names)


def _path(key: str, name: str) -> str:
    try:
        if b"\0" not in os.fsencode(name):
            return name
    except UnicodeEncodeError:
        pass
    raise ConfigError(f"{key} cannot be the name of a folder")


def _required(items: dict[Any, Any], key: str, kind: type) -> Any:
    if items.get(key) is None:
        raise ConfigError(f"{key} is missing")
    return _optional(items, key, kind, None)


_KIND_NAMES = {str: "string", int: "whole number", dict: "mapping", list: "list"}


def _thread_count(items: dict[Any, Any], key: str) -> int:
    count: int = _required(items, key, int)
    if count < 1:
        raise ConfigError(f"{key} must be positive")
    return count


def _module(modules: dict[Any, Any], name: str, default: str) -> str:
    section = _optional(modules, name, dict, {})
    address: str = _optional(section, "address", str, default)
    return address
