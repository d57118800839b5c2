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


def make_private(path: str) -> None:
    """Make a folder, and those above it that are not there, for this user only, whatever the umask is.

    :raises OSError: that is not possible.
    """
    for folder in way_to(path):
        try:  # noqa: SIM105 (contextlib is not loaded)
            os.mkdir(folder, mode=0o700)
        except FileExistsError:
            pass


def way_to(path: "str | os.PathLike[str]") -> list[str]:
    """All folders above ``path``, the first one first, and ``path``; ``..`` stays as it is."""
    # The working directory need not be there if nobody needs it.
    way = [os.fspath(path) if os.path.isabs(path) else os.path.join(os.getcwd(), path)]
    while (above := os.path.dirname(way[-1])) != way[-1]:
        way.append(above)
    return way[::-1]
