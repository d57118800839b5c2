"""What is said of the processes of services before any is needed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pygenvm.executor.config import cache_root
from pygenvm.localnet import limits
from pygenvm.localnet.errors import BadRequest

#: Environment variable: seconds without a session after which a service ends.
IDLE_VARIABLE = "PYGENVM_MODULES_IDLE"


def own_folder() -> Path:
    """Where the services of this user are noted: in the folder for such things, or in the cache.

    :raises ConfigError: there is no home directory.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) / "pygenvm-modules" if os.path.isabs(runtime) else cache_root() / "modules"


def idle_seconds() -> float:
    """:raises BadRequest: the environment does not have a number there."""
    text = os.environ.get(IDLE_VARIABLE) or str(limits.MODULE_IDLE_SECONDS)
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= limits.MODULE_IDLE_SECONDS_MAX:
            return float(text)
    raise BadRequest(f"{IDLE_VARIABLE} is {text!r:.80}, not a number of seconds")
