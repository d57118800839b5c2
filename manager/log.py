"""The manager's log: levels that change at run time, for single targets too, and somebody who watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pygenvm.executor.config import LOG_LEVELS
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.modules.log import ABSENT, Logger

#: What the page shows of a record's fields.
_SHOWN_CHARACTERS = 500


class ManagerLog(Logger):
    """All loggers made from one by :meth:`bound` share the levels and whoever watches."""

    def __init__(self, *, fd: int = 1, level: str = "info", disabled: Iterable[str] = ()) -> None:
        super().__init__(fd=fd, level=level, disabled=disabled)
        self._levels: dict[str, int] = {"": LOG_LEVELS.index(level)}
        self._observers: list[Callable[[dict[str, Any]], None]] = []
        # What is left out is decided per record.
        self._lowest = 0

    def set_level(self, level: str, target: str | None = None) -> None:
        """For all targets, or for ``target`` (``genvm_modules::manager``) and what is below it.

        :raises RequestError: too many targets have a level of their own, or ``target`` is too long for one.
        """
        if not target:
            self._levels.clear()
        elif len(target) > limits.LOG_TARGET_CHARS:
            raise RequestError(f"target has more than {limits.LOG_TARGET_CHARS} characters")
        elif target not in self._levels and len(self._levels) > limits.LOG_TARGETS:
            raise RequestError(f"{limits.LOG_TARGETS} targets have levels already; without a target all have the same")
        self._levels[target or ""] = LOG_LEVELS.index(level)

    def observe(self, observer: Callable[[dict[str, Any]], None]) -> None:
        """``observer`` is given what is written, masked."""
        self._observers.append(observer)

    def write(self, level: int, target: str, message: str, extras: Mapping[str, object], file: str) -> None:
        if level < self._lowest_of(target) or self._is_disabled(target):
            return
        super().write(level, target, message, extras, file)
        if self._observers:
            fields = {**self._fields, **extras}
            fields.pop("genvm_id", None)
            shown = " ".join(
                # A secret must not be cut before it is found.
                f"{name}={self.secrets.mask(str(value))[:_SHOWN_CHARACTERS]}"
                for name, value in fields.items()
                if value not in (ABSENT, "")
            )
            record = {
                "time": time.time_ns() // 1_000_000,
                "level": LOG_LEVELS[level],
                "target": target,
                "message": self.secrets.mask(message),
                "fields": shown[: 2 * _SHOWN_CHARACTERS],
                "id": self._fields.get("genvm_id", extras.get("genvm_id")),
            }
            for observer in self._observers:
                observer(record)

    def _lowest_of(self, target: str) -> int:
        while target not in self._levels:
            target = target.rpartition("::")[0]
        return self._levels[target]
