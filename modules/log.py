"""The log of a service: JSON lines on stdout, without secrets, and never so much that the service stands still.

The format is the executor's (:mod:`executor.log`, spec modules/04 §1). Records of a session carry its ``cookie``;
others have ``<absent>`` there (spec modules/01 §2.2).
"""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
import time
import urllib.parse
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeVar

from pygenvm.executor import log as executor_log
from pygenvm.executor.forward import Forward
from pygenvm.executor.limits import LOG_DEPTH_MAX, LOG_ITEMS_MAX, LOG_TEXT_CHARS_MAX
from pygenvm.executor.log import error_record, log_line
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.limits import (
    COOKIE_CHARS,
    LOG_BYTES_PER_MINUTE,
    LOG_SESSION_BYTES,
    LOG_WAITING_BYTES,
    SECRET_CHARS_MIN,
)

LOG_TARGET = "genvm_modules::log"
MASK = "***"
ABSENT = "<absent>"

#: How the names of headers begin whose values are no secret: they stand in the answers of servers too.
_OPEN_HEADERS = ("accept", "content-", "cache-", "connection", "date", "from", "host", "user-agent")

T = TypeVar("T")


class Secrets:
    """Values that must not leave the service: keys, tokens, headers for the signer.

    They are found by value, wherever they have got to: also as they stand in a URL and in JSON text. Short ones
    (:data:`SECRET_CHARS_MIN`) are not looked for: the key of a server that needs none is ``x``.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        #: How often each was added.
        self._values: Counter[str] = Counter()
        #: The longest first: one may contain another.
        self._texts: list[str] = []
        self._data: list[bytes] = []
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """From now on ``value`` is hidden."""
        value = value.strip()
        if len(value) < SECRET_CHARS_MIN:
            return
        self._values[value] += 1
        if self._values[value] == 1:
            self._collect()

    def discard(self, value: str) -> None:
        """``value`` is no secret any more, unless it was added more often than this is said."""
        value = value.strip()
        if value not in self._values:
            return
        self._values[value] -= 1
        if not self._values[value]:
            del self._values[value]
            self._collect()

    def _collect(self) -> None:
        forms: set[str] = set()
        for value in self._values:
            forms |= {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
            forms |= {json.dumps(value)[1:-1], repr(value)[1:-1]}
        self._texts = sorted(forms, key=len, reverse=True)
        self._data = [form.encode() for form in self._texts]

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Hide the values of HTTP headers, but for those that every request has; of ``Bearer KEY`` the key too."""
        for name, value in headers.items():
            if not name.lower().startswith(_OPEN_HEADERS):
                self.add(value)
                self.add(value.split(" ")[-1])

    def mask(self, value: T) -> T:
        """``value`` with the secrets in its texts and byte strings replaced; also in those of lists and maps."""
        if not self._texts:
            return value
        return _masked(value, self._texts, self._data)  # type: ignore[no-any-return]

    def found_in(self, data: bytes) -> bool:
        """Whether some secret stands in ``data``."""
        return any(form in data for form in self._data)

    def mask_error(self, error: ModuleError) -> ModuleError:
        """``error`` without secrets; to be asked for before it becomes a text, which shows bytes as numbers."""
        return ModuleError(self.mask(error.causes), fatal=error.fatal, ctx=self.mask(error.ctx))


def _masked(value: Any, texts: list[str], data: list[bytes]) -> Any:
    match value:
        case str():
            for text in texts:
                value = value.replace(text, MASK)
            return value
        case bytes():
            for part in data:
                value = value.replace(part, MASK.encode())
            return value
        case Mapping():
            return {_masked(key, texts, data): _masked(item, texts, data) for key, item in value.items()}
        case list():
            return [_masked(item, texts, data) for item in value]
        case tuple():
            return tuple(_masked(item, texts, data) for item in value)
    return value


class Logger(executor_log.Logger):
    """The executor's logger with secrets masked and fields that all its records have."""

    def __init__(
        self, *, fd: int = 1, level: str = "info", disabled: Iterable[str] = (), secrets: Secrets | None = None
    ) -> None:
        super().__init__(fd=fd, level=level, disabled=disabled)
        self.secrets = secrets or Secrets()
        self._fields: Mapping[str, object] = {"cookie": ABSENT}
        self._outlet = _Outlet(fd)

    def bound(self, **fields: object) -> Self:
        """The same, with ``fields`` in every record."""
        logger = object.__new__(type(self))
        logger.__dict__.update(self.__dict__, _fields={**self._fields, **fields})
        return logger

    def of_session(self, cookie: str) -> Self:
        """The log of one session, for as much as one session may write."""
        return self.bound(cookie=cookie[:COOKIE_CHARS]).rationed(LOG_SESSION_BYTES)

    def write(self, level: int, target: str, message: str, extras: Mapping[str, object], file: str) -> None:
        if level < self.lowest or self._is_disabled(target):
            return
        fields = {**extras, **{name: value for name, value in self._fields.items() if name not in extras}}
        shown = {name: self.secrets.mask(_cut(value, LOG_DEPTH_MAX)) for name, value in fields.items()}
        super().write(level, target, self.secrets.mask(message), shown, file)

    def _put(self, line: bytes) -> None:
        self._outlet.put(line)

    def flush(self, seconds: float = 1.0) -> None:
        """Wait until all records are written, at most so long."""
        self._outlet.flush(seconds)


def _cut(value: object, levels: int) -> object:
    """``value`` as containers of plain values, no bigger than a record can show."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            # A little more than is shown: a secret must not be cut before it is found.
            return value[: LOG_TEXT_CHARS_MAX * 2]
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case BaseException():
            return error_record(value)
    if levels == 0:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:LOG_ITEMS_MAX]
        return {str(key): _cut(item, levels - 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cut(item, levels - 1) for item in list(value)[:LOG_ITEMS_MAX]]
    return str(value)[: LOG_TEXT_CHARS_MAX * 2]


def take_over_logging(log: Logger) -> None:
    """Records that libraries make with the ``logging`` package, from warnings on, go to ``log``."""
    root = logging.getLogger()
    root.handlers = [Forward(log)]
    root.setLevel(logging.WARNING)


class _Outlet:
    """Where lines go: at most so many bytes a minute, and without waiting for a reader that does not read.

    A thread writes to pipes and sockets, which can be full; what waits for it is bounded. Lines that are left out are
    counted, and the next line that is written tells how many there were.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._minute = 0
        self._left = 0
        self._left_out = 0
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None
        try:
            kind = os.fstat(fd).st_mode
        except OSError:
            kind = stat.S_IFREG
        # Whoever sits at a terminal can stop it.
        self._may_block = not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)) or os.isatty(fd)

    def put(self, line: bytes) -> None:
        with self._changed:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                self._minute, self._left = minute, LOG_BYTES_PER_MINUTE
            if len(line) > self._left or self._size + len(line) > LOG_WAITING_BYTES:
                self._left_out += 1
                return
            self._left -= len(line)
            if self._left_out:
                extras = {"records": self._left_out, "cookie": ABSENT}
                line = log_line(3, LOG_TARGET, "left out", extras, "log.py:0") + line
                self._left_out = 0
            if not self._may_block:
                _write(self._fd, line)
                return
            self._waiting.append(line)
            self._size += len(line)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
                self._writer.start()
            self._changed.notify_all()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            _write(self._fd, line)
            with self._changed:
                self._waiting.popleft()
                self._size -= len(line)
                self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)


def _write(fd: int, line: bytes) -> None:
    data = memoryview(line)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        # A log is never worth a request.
        return
