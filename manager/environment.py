"""Variables that clients set at run time, for configurations of modules that name them (spec modules/04 §4).

They go along with every process that is started, and the operating system bounds what does: all of them, and the
command line beside them. Their values are hidden in the log, and so is the one before: a module may still have it.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping

from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.modules.log import Secrets

#: Variables with which a process can be made to run something else: loader, interpreters, shells, and where they look.
_REFUSED_NAMES = re.compile(
    r"(LD_|DYLD_|PYTHON|GLIBC_|GCONV_|MALLOC_|BASH_|LUA_|NODE_|PERL|RUBY|JAVA_|_JAVA|OPENSSL_|SSLKEYLOG).*"
    r"|PATH|ENV|IFS|SHELL|SHELLOPTS|HOME|TMPDIR|NLSPATH|LOCPATH|HOSTALIASES|RESOLV_HOST_CONF|PYGENVM_CACHE|XDG_.*",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Environment:
    """What was set, over ``variables``."""

    def __init__(self, secrets: Secrets, variables: MutableMapping[str, str] = os.environ) -> None:
        self._secrets = secrets
        self._variables = variables
        #: The last two values of each, the current one last.
        self._set: dict[str, tuple[str, str]] = {}

    def set(self, name: str, value: str) -> None:
        """:raises RequestError: a name or value that a process must not have, or too many of them."""
        if not _NAME.fullmatch(name):
            raise RequestError("invalid env var key: letters, digits and _, at most 128, not beginning with a digit")
        if _REFUSED_NAMES.fullmatch(name):
            raise RequestError(f"invalid env var key: {name} changes which programs run, and is set where they start")
        if name not in self._set and len(self._set) >= limits.VARIABLES_MAX:
            raise RequestError(f"invalid env var key: {limits.VARIABLES_MAX} others are set already")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise RequestError("invalid env var value: half a character") from None
        if "\0" in value:
            raise RequestError("invalid env var value: it has a zero character in it")
        others = sum(len(one.encode()) for other, (_, one) in self._set.items() if other != name)
        if others + size > limits.VARIABLES_BYTES:
            raise RequestError(
                f"invalid env var value: it has {size} bytes, the others {others}, and all may have "
                f"{limits.VARIABLES_BYTES} together"
            )
        older, old = self._set.setdefault(name, ("", ""))
        self._variables[name] = value
        if value != old:
            self._set[name] = (old, value)
            self._secrets.add(value)
            self._secrets.discard(older)
