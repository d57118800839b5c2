"""What the services of an author's machine are configured with.

Whoever says nothing gets the documents that the services come with: the web under the usual rules of admission, and
the language models whose keys are in the environment. A file (``--llm-config``, ``--web-config``) has the same keys,
and only those that are to be others need to be in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygenvm.executor.module_protocol.modules import ModuleName
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.modules.broker import Unavailable

#: How the text begins that tells of it, for :mod:`localnet.chain.explain`.
NO_MODEL = "no language model is configured"

#: Keys that are not the author's to choose: others must not reach the services of a user.
_OURS = ("bind_address", "path_token")
#: What services take from the environment besides their configuration.
_VARIABLES = ("GENVM_BROWSER", "PLAYWRIGHT_BROWSERS_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
#: A text of more characters is no path of a file.
_PATH_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one service: a document without placeholders. It may have keys in it."""

    name: ModuleName
    document: Mapping[str, Any]
    folder: Path
    """Where the paths in it begin."""

    def digest(self) -> str:
        """The same for all commands that can share a process, and for no others."""
        said = [
            sys.executable,
            self.name,
            str(self.folder),
            self.document,
            {name: os.environ.get(name) for name in _VARIABLES},
            _state_of_code(),
            _state_of(self.document, self.folder),
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:32]


def read_settings(name: ModuleName, path: Path | None, on_warning: Callable[[str], None] = lambda _: None) -> Settings:
    """The configuration of a service; ``path`` is the author's file.

    :param on_warning: called with what is to be said of keys of the file that nobody reads.
    :raises BadRequest: the file cannot be read or used.
    """
    from pygenvm.executor.config import executable_dir
    from pygenvm.modules.config import ConfigError, located, read_document, read_text
    from pygenvm.modules.keys import unknown_keys_in

    document = read_document(_shipped(name), None, executable_dir())
    if path:
        try:
            text = read_text(path)
            own = read_document(path, text, executable_dir())
            document |= own
            with located(path, text):
                _check(name, document)
        except ConfigError as error:
            raise BadRequest(f"--{name}-config: {error}") from error
        for warning in unknown_keys_in(path, text, name, own):
            on_warning(f"--{name}-config: {warning}")
    for key in _OURS:
        document.pop(key, None)
    return Settings(name, document, path.absolute().parent if path else Path("/"))


def _check(name: ModuleName, document: Mapping[str, Any]) -> None:
    """Reads a document as the service will. :raises ConfigError: it cannot be used."""
    from pygenvm.modules.config import common_settings

    common_settings(document)
    if name == "llm":
        from pygenvm.modules.llm.settings import read_settings as read_llm

        # That there is none is said when one is asked for.
        read_llm(document, allow_empty_backends=True)
    else:
        from pygenvm.modules.web.settings import read_settings as read_web

        read_web(document)


def check_usable(settings: Settings) -> None:
    """Says early what the service would say of every prompt.

    :raises Unavailable: no language model can be asked.
    """
    if settings.name == "llm":
        from pygenvm.modules.llm.settings import usable_backends

        if not usable_backends(dict(settings.document)):
            raise Unavailable(NO_MODEL)


def _shipped(name: ModuleName) -> Path:
    """The configuration that a service comes with."""
    import pygenvm.modules

    return Path(pygenvm.modules.__path__[0]) / name / "default.yaml"


def _state_of_code() -> int:
    """Changes when what the services are made of does: a process goes on with what it has imported."""
    import pygenvm.modules

    sources = (file for folder in pygenvm.modules.__path__ for file in Path(folder).rglob("*.*"))
    return max(os.stat(file).st_mtime_ns for file in sources if file.suffix in (".py", ".lua", ".yaml"))


def _state_of(value: Any, folder: Path) -> list[int]:
    """The same for the files that a document names, such as scripts and answers."""
    if isinstance(value, Mapping | list):
        items = value.values() if isinstance(value, Mapping) else value
        return [time for item in items for time in _state_of(item, folder)]
    if isinstance(value, str) and len(value) <= _PATH_CHARACTERS:
        with contextlib.suppress(OSError, ValueError):
            return [os.stat(folder / value).st_mtime_ns]
    return []
