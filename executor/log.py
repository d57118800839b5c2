"""JSON lines for operators (spec executor/10 "Log").

Whoever can make a run log as often as he likes gets a rationed logger (:meth:`Logger.rationed`). Records that every
run has once, its metrics and its failure, are no part of any ration, so that nobody can hide them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pygenvm.executor.config import LOG_LEVELS, Config
from pygenvm.executor.limits import (
    LOG_BYTES_SHOWN,
    LOG_DEPTH_MAX,
    LOG_ITEMS_MAX,
    LOG_LIBRARY_BYTES,
    LOG_TEXT_CHARS_MAX,
)
from pygenvm.executor.outcome import steps_of
from pygenvm.executor.primitives.address import Address

if TYPE_CHECKING:
    import logging

_SOURCES = os.path.dirname(os.path.dirname(__file__)) + os.sep


class Logger:
    """Writes one JSON object per record to a descriptor, in one piece, from any thread.

    The keys are ``level``, ``target``, ``message``, those of the record, ``file`` and ``ts`` in this order. The target
    is the ``LOG_TARGET`` of the calling module (``executor::supervisor``): a name for operators' filters, which stays
    when the code moves. Nothing is raised when the descriptor is closed or full: a log is never
    worth a run.
    """

    def __init__(self, *, fd: int, level: str = "info", disabled: Iterable[str] = ()) -> None:
        self._fd = fd
        #: Index in ``LOG_LEVELS`` of what is still written.
        self.lowest = LOG_LEVELS.index(level)
        patterns = list(disabled)
        self._disabled = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._disabled_trees = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        self._lock = threading.Lock()
        #: Bytes that may still be written; None: as many as one likes.
        self._ration: int | None = None

    @classmethod
    def from_config(cls, config: Config, *, fd: int, level: str | None = None) -> Logger:
        """Logger of a process; all :class:`Remarks` take the same way, rationed."""
        logger = cls(fd=fd, level=level or config.log_level, disabled=config.log_disable)
        Remarks.destination = logger.rationed(LOG_LIBRARY_BYTES)
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
        if level < self.lowest or self._is_disabled(target) or self._ration == 0:
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
        if level < self.lowest:
            return
        frame = sys._getframe(2)
        target = str(frame.f_globals.get("LOG_TARGET") or frame.f_globals.get("__name__", "")).replace(".", "::")
        self.write(level, target, message, extras, _place(frame))

    def _is_disabled(self, target: str) -> bool:
        return target in self._disabled or any(
            target == tree or target.startswith(tree + "::") for tree in self._disabled_trees
        )


class Remarks:
    """Warnings of code that does not know in whose process it works, under a name like ``executor.derived``.

    They go to the :class:`Logger` of the process (:meth:`Logger.from_config`), rationed. In a process that has none
    they go to the ``logging`` package, loaded only then: it would take a twentieth of the time of a new executor.
    """

    destination: ClassVar[Logger | None] = None

    def __init__(self, name: str) -> None:
        self._name = name

    def warning(self, message: str, *values: object) -> None:
        """``message`` is a format for ``values``."""
        if self.destination is None:
            self.logger.warning(message, *values, stacklevel=2)
            return
        target = self._name.replace(".", "::")
        self.destination.write(LOG_LEVELS.index("warn"), target, message % values, {}, _place(sys._getframe(1)))

    @property
    def logger(self) -> logging.Logger:
        """One of the ``logging`` package that goes the same way, for libraries that want one."""
        from pygenvm.executor.forward import library_logger

        return library_logger(self._name, self.destination)


def log_line(level: int, target: str, message: str, extras: Mapping[str, object], file: str) -> bytes:
    """One record as it is written."""
    pairs: list[tuple[str, object]] = [("level", LOG_LEVELS[level]), ("target", target), ("message", message)]
    pairs += extras.items()
    pairs += (("file", file), ("ts", str(time.time_ns() // 1_000_000)))
    # Not a dict: a record may have a `message` of its own.
    body = ",".join(f"{json.dumps(key)}:{_json(value)}" for key, value in pairs)
    return f"{{{body}}}\n".encode("utf-8", "backslashreplace")


def relative(path: str) -> str:
    """How records name a file of ours."""
    return path.removeprefix(_SOURCES)


def _place(frame: FrameType) -> str:
    return f"{relative(frame.f_code.co_filename)}:{frame.f_lineno}"


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
            # As `math.isfinite`, which is a library to load.
            return value if abs(value) < float("inf") else str(value)
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
    steps = [(step.tb_frame.f_code, step.tb_lineno) for step in steps_of(error)][-LOG_DEPTH_MAX:]
    places = [f"{relative(code.co_filename)}:{line} {code.co_name}" for code, line in steps]
    return {"causes": causes, "traceback": places}
