"""From the ``logging`` package into the log of the process; loaded only by those who use that package."""

from __future__ import annotations

import logging

from pygenvm.executor.log import Logger, relative

_LEVELS = (1, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


def library_logger(name: str, destination: Logger | None) -> logging.Logger:
    """The package's logger called ``name``. With a ``destination`` all below ``executor`` go there from now on."""
    if destination is not None:
        library = logging.getLogger("executor")
        library.handlers = [Forward(destination)]
        library.setLevel(_LEVELS[destination.lowest])
        library.propagate = False
    return logging.getLogger(name)


class Forward(logging.Handler):
    """Takes records of the ``logging`` package to a :class:`Logger`."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = max(index for index, number in enumerate(_LEVELS) if number <= max(record.levelno, 1))
        error = record.exc_info[1] if record.exc_info else None
        extras = {} if error is None else {"error": error}
        file = f"{relative(record.pathname)}:{record.lineno}"
        self._logger.write(level, record.name.replace(".", "::"), record.getMessage(), extras, file)
