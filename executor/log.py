"""JSON lines for operators (spec executor/10 "Log").

Whoever can make a run log as often as he likes gets a rationed logger (:meth:`Logger.rationed`). Records that every
run has once, its metrics and its failure, are no part of any ration, so that nobody can hide them.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Self

from pygenvm.executor.config import LOG_LEVELS, Config
from pygenvm.executor.limits import (
    LOG_BYTES_SHOWN,
    LOG_DEPTH_MAX,
    LOG_ITEMS_MAX,
    LOG_LIBRARY_BYTES,
    LOG_TEXT_CHARS_MAX,
)
from pygenvm.executor.primitives.address import Address

_SOURCES = str(Path(__file__).parent.parent) + os.sep


class Logger:
    """Writes one JSON object per record to a descriptor, in one piece, from any thread.

    The keys are ``level``, ``target``, ``message``, those of the record, ``file`` and ``ts`` in this order. The target
    is the ``LOG_TARGET`` of the calling module (``executor::supervisor``): a name for operators' filters, which stays
    when the code moves. Nothing is raised when the descriptor is closed or full: a log is never
    worth a run.
    """

    def __init__(self, *, fd: int, level: str = "info", disabled: Iterable[str] = ()) -> None:
        self._fd = fd
        self._lowest = LOG_LEVELS.index(level)
        patterns = list(disabled)
        self._disabled = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._disabled_trees = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        self._lock = threading.Lock()
        #: Bytes that may still be written; None: as many as one likes.
        self._ration: int | None = None

    @classmethod
    def from_config(cls, config: Config, *, fd: int, level: str | None = None) -> Logger:
        """Logger of a process; records of the ``logging`` package from ``executor`` take the same way, rationed."""
        logger = cls(fd=fd, level=level or config.log_level, disabled=config.log_disable)
        library = logging.getLogger("executor")
        library.handlers = [Forward(logger.rationed(LOG_LIBRARY_BYTES))]
        library.setLevel(_LOGGING_LEVELS[logger._lowest])
        library.propagate = False
        return logger

    def rationed(self, size: int) -> Self:
        """The same, for at most ``size`` bytes of records; instead of the first that exceeds them stands ``left out``.

        That one has the level and target of what it stands for, and nothing comes behind it.
        """
        logger = object.__new__(type(self))
        logger.__dict__.update(self.__dict__, _ration=size)
        return logger

    def trace(self, message: str, /, **extras: object) -> None:
        self._log(0, message, extras)

    def debug(self, message: str, /, **extras: object) -> None:
        self._log(1, message, extras)

    def info(self, message: str, /, **extras: object) -> None:
        self._log(2, message, extras)

    def warn(self, message: str, /, **extras: object) -> None:
        self._log(3, message, extras)

    def error(self, message: str, /, **extras: object) -> None:
        self._log(4, message, extras)

    def write(self, level: int, target: str, message: str, extras: Mapping[str, object], file: str) -> None:
        """Write a record unless its level (index in ``LOG_LEVELS``) or target is switched off."""
        if level < self._lowest or self._is_disabled(target) or self._ration == 0:
            return
        data = log_line(level, target, message, extras, file)
        with self._lock:
            if self._ration is not None:
                if not self._ration:
                    return
                if len(data) > self._ration:
                    data = log_line(level, target, "left out", {}, file)
                    self._ration = 0
                else:
                    self._ration -= len(data)
            self._put(data)

    def _put(self, line: bytes) -> None:
        """Write a whole line; the lock is held."""
        data = memoryview(line)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return

    def _log(self, level: int, message: str, extras: Mapping[str, object]) -> None:
        if level < self._lowest:
            return
        frame = sys._getframe(2)
        target = str(frame.f_globals.get("LOG_TARGET") or frame.f_globals.get("__name__", "")).replace(".", "::")
        self.write(level, target, message, extras, _place(frame))

    def _is_disabled(self, target: str) -> bool:
        return target in self._disabled or any(
            target == tree or target.startswith(tree + "::") for tree in self._disabled_trees
        )


_LOGGING_LEVELS = (1, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class Forward(logging.Handler):
    """Takes records of the ``logging`` package to a :class:`Logger`."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = max(index for index, number in enumerate(_LOGGING_LEVELS) if number <= max(record.levelno, 1))
        error = record.exc_info[1] if record.exc_info else None
        extras = {} if error is None else {"error": error}
        file = f"{_relative(record.pathname)}:{record.lineno}"
        self._logger.write(level, record.name.replace(".", "::"), record.getMessage(), extras, file)


def log_line(level: int, target: str, message: str, extras: Mapping[str, object], file: str) -> bytes:
    """One record as it is written."""
    pairs: list[tuple[str, object]] = [("level", LOG_LEVELS[level]), ("target", target), ("message", message)]
    pairs += extras.items()
    pairs += (("file", file), ("ts", str(time.time_ns() // 1_000_000)))
    # Not a dict: a record may have a `message` of its own.
    body = ",".join(f"{json.dumps(key)}:{_json(value)}" for key, value in pairs)
    return f"{{{body}}}\n".encode("utf-8", "backslashreplace")


def _relative(path: str) -> str:
    return path.removeprefix(_SOURCES)


def _place(frame: FrameType) -> str:
    return f"{_relative(frame.f_code.co_filename)}:{frame.f_lineno}"


def _json(value: object) -> str:
    return _encode(_plain(value, LOG_DEPTH_MAX))


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _plain(value: object, levels: int) -> Any:
    """``value`` as JSON has it; big values are cut."""
    match value:
        case None | bool():
            return value
        case int():
            # Python refuses to write longer numbers in decimal.
            return int(value) if value.bit_length() <= 4096 else f"{hex(value)[:64]}…"
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            text = str(value)
            if len(text) > LOG_TEXT_CHARS_MAX:
                text = text[:LOG_TEXT_CHARS_MAX] + "…"
            return "$" + text if text.startswith("$") else text
        case bytes() | bytearray() | memoryview():
            return _bytes_text(bytes(value))
        case Address():
            return f"$Address({value.as_bytes.hex()})"
        case BaseException():
            return error_record(value)
    if levels == 0:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:LOG_ITEMS_MAX]
        return {str(key): _plain(item, levels - 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, levels - 1) for item in list(value)[:LOG_ITEMS_MAX]]
    return _plain(str(value), levels)


def _bytes_text(data: bytes) -> str:
    if len(data) <= LOG_BYTES_SHOWN:
        return f"$Bytes({data.hex()})"
    half = LOG_BYTES_SHOWN // 2
    return f"$Bytes({data[:half].hex()}…{data[-half:].hex()}; {len(data)} bytes)"


def error_record(error: BaseException) -> dict[str, Any]:
    """The chain of causes, outermost first, and where the error was raised, innermost frame last."""
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < LOG_DEPTH_MAX:
        causes.append(_plain(f"{type(cause).__name__}: {cause}", 0))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    frames = traceback.extract_tb(error.__traceback__, limit=-LOG_DEPTH_MAX)
    places = [f"{_relative(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    return {"causes": causes, "traceback": places}
