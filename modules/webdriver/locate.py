"""Where the browser is, or what one command installs it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Environment variable that names the program.
VARIABLE = "GENVM_BROWSER"
#: Programs on the search path, best first: the shell is three times as fast as the full browser, takes a third of its
#: memory, and asks nobody anything by itself.
_NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome-stable")
#: The real program behind a distribution's script, which adds flags to the full browser.
_BEHIND_SCRIPT = {
    "chromium-headless-shell": "/usr/lib/chromium/chromium-headless-shell",
    "chromium": "/usr/lib/chromium/chromium",
}
#: Below the folder of Playwright's own browsers.
_DOWNLOADED = (
    "chromium_headless_shell-*/chrome-headless-shell-*/chrome-headless-shell",
    "chromium_headless_shell-*/chrome-linux/headless_shell",
    "chromium_headless_shell-*/chrome-mac/headless_shell",
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)


class BrowserMissing(Exception):
    """There is no Chromium, or no Playwright; the text says what to do."""


def has_package() -> bool:
    """Whether this is a Debian, whose packages have the headless shell."""
    if shutil.which("apt-get") is None:
        return False
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def install_command() -> str:
    """What installs a browser here, in one command."""
    if has_package():
        return ("" if os.geteuid() == 0 else "sudo ") + "apt-get install -y chromium-headless-shell"
    libraries = "--with-deps " if sys.platform == "linux" else ""
    return f"{sys.executable} -m playwright install {libraries}--only-shell chromium"


def find_browser(configured: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """The browser program: the configured one, ``$GENVM_BROWSER``, one on the search path, Playwright's own.

    :raises BrowserMissing: there is none.
    """
    for source, named in (("executable", configured), (f"${VARIABLE}", environ.get(VARIABLE, ""))):
        if named:
            found = shutil.which(named, path=environ.get("PATH"))
            if found is None:
                raise BrowserMissing(f"{source} names {named}, which is no program")
            return _real(found)
    for name in _NAMES:
        if found := shutil.which(name, path=environ.get("PATH")):
            return _real(found)
    for path in _downloaded(environ):
        return path
    raise BrowserMissing(f"no Chromium is installed to render pages with; this installs one: {install_command()}")


def _real(found: str) -> Path:
    behind = _BEHIND_SCRIPT.get(Path(found).name, "")
    return Path(behind if found.startswith("/usr/bin/") and os.access(behind, os.X_OK) else found)


def _downloaded(environ: Mapping[str, str]) -> Iterator[Path]:
    """Playwright's own, newest first."""
    folder = environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    if folder in ("", "0"):
        cache = Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser()
        folder = str(cache / "ms-playwright")
    for pattern in _DOWNLOADED:
        yield from (path for path in sorted(Path(folder).glob(pattern), reverse=True) if os.access(path, os.X_OK))
