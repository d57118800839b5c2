"""``python -m tests.browser``: a Chromium for the tests, if this machine lets us install one without asking.

As root, where there is apt-get, it is installed. Everywhere else it is said which one command does that. Never an
error: tests that need a browser are left out without one, and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser, install_command

_APT_SECONDS = 300.0
_APT_OPTIONS = ("-qq", "-o=Acquire::Retries=0", "-o=Acquire::http::Timeout=20", "-o=DPkg::Lock::Timeout=60")


def ensure_browser() -> str | None:
    """None if there is a browser, perhaps by now; else what to do to have one."""
    try:
        find_browser()
    except BrowserMissing:
        if _may_install() and _install():
            return None
        return f"tests that need a Chromium are left out; this installs one: {install_command()}"
    return None


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install() -> bool:
    print("installing chromium-headless-shell for the tests", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    package = ("install", "-y", "--no-install-recommends", "chromium-headless-shell")
    # Package lists may be old or missing; where they are new enough, the network is used once.
    for command in (package, ("update",), package):
        try:
            done = subprocess.run(
                ["apt-get", *_APT_OPTIONS, *command],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_APT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if command is package and done.returncode == 0:
            break
    try:
        find_browser()
    except BrowserMissing:
        return False
    return True


if __name__ == "__main__":
    if text := ensure_browser():
        print(text)
