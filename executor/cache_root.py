"""The folder for everything that is built or downloaded.

Imports next to nothing: a run that is handed over waits for it.
"""

import os


def find() -> str | None:
    """``$PYGENVM_CACHE``, else ``pygenvm`` in the user's cache; None: there is no home directory."""
    own = os.environ.get("PYGENVM_CACHE")
    if own:
        return os.path.abspath(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The base directory specification says that a relative path is to be ignored.
    if os.path.isabs(shared):
        return os.path.join(shared, "pygenvm")
    home = os.path.expanduser("~")
    return os.path.join(home, ".cache", "pygenvm") if os.path.isabs(home) else None
