"""Configuration, where the browser is looked for, and the text of a page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pygenvm.modules.config import ConfigError, read_document
from pygenvm.modules.log import Logger
from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser, install_command
from pygenvm.modules.webdriver.render import visible_text
from pygenvm.modules.webdriver.service import make
from pygenvm.modules.webdriver.settings import DEFAULT_ADDRESS, DEFAULT_FILE, Settings, read_settings
from tests.browser import ensure_browser


def test_shipped_file_says_what_holds_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENVM_WEBDRIVER_TOKEN", raising=False)
    document = read_document(DEFAULT_FILE, None, Path("/"))

    assert Settings(**read_settings(document)) == Settings() == Settings(**read_settings({}))
    assert document["bind_address"] == DEFAULT_ADDRESS
    assert set(document) == set(read_settings({})) | {"bind_address", "log_level", "log_disable"}


def test_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENVM_WEBDRIVER_TOKEN", "abc")

    assert read_settings(read_document(DEFAULT_FILE, None, Path("/")))["path_token"] == "abc"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"sandbox": "maybe"}, "sandbox: 'maybe' is none of auto, on, off"),
        ({"concurrency": -1}, "concurrency: must be at least 0"),
        ({"page_bytes_max": "1 GB"}, "page_bytes_max: must be a whole number"),
        ({"renders_per_browser": 0}, "renders_per_browser: must be at least 1"),
        ({"path_token": "a/b"}, "path_token: may only have letters, digits, - and _"),
        ({"bind_address": "4444"}, "bind_address: .* no address with a port"),
    ],
)
def test_values_that_will_not_do(document: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(document, log=Logger(level="error"))


def test_on_and_off_are_texts_too() -> None:
    assert [read_settings({"namespace": value})["namespace"] for value in (True, False, "auto")] == [
        "on",
        "off",
        "auto",
    ]


def test_command_line_adds_to_the_document() -> None:
    service = make({"always_allow_hosts": ["a.test"]}, log=Logger(level="error"), port=0, always_allow_hosts=["b.test"])

    assert service.settings.always_allow_hosts == ("a.test", "b.test")


# --- the browser ---


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


def test_browser_is_looked_for_in_order(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path / "bin"), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "playwright")}
    with pytest.raises(BrowserMissing, match="no Chromium is installed") as missing:
        find_browser(environ=environ)
    assert install_command() in str(missing.value)

    shell = "chromium_headless_shell-%d/chrome-headless-shell-linux64/chrome-headless-shell"
    found = [
        _program(tmp_path / "playwright" / "chromium-1" / "chrome-linux" / "chrome"),
        _program(tmp_path / "playwright" / (shell % 1)),
        _program(tmp_path / "playwright" / (shell % 2)),
        _program(tmp_path / "bin" / "google-chrome-stable"),
        _program(tmp_path / "bin" / "chromium"),
        _program(tmp_path / "bin" / "chromium-headless-shell"),
    ]
    for path in reversed(found):
        assert find_browser(environ=environ) == path
        path.unlink()

    mine = _program(tmp_path / "mine")
    other = _program(tmp_path / "other")
    environ["GENVM_BROWSER"] = str(mine)
    assert find_browser(environ=environ) == mine
    assert find_browser(str(other), environ) == other
    mine.unlink()
    with pytest.raises(BrowserMissing, match=rf"\$GENVM_BROWSER names {mine}, which is no program"):
        find_browser(environ=environ)


@pytest.mark.skipif(not os.access("/usr/lib/chromium/chromium-headless-shell", os.X_OK), reason="not Debian's package")
def test_program_behind_the_script_of_a_distribution() -> None:
    assert find_browser("chromium-headless-shell", {"PATH": "/usr/bin"}) == Path(
        "/usr/lib/chromium/chromium-headless-shell"
    )


def test_without_playwright() -> None:
    code = "import sys; sys.modules['playwright'] = None; import pygenvm.modules.webdriver.service"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert f"BrowserMissing: pages are rendered with Playwright; this installs it: {sys.executable}" in ended.stderr


def test_tests_install_a_browser_where_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ensure_browser() == f"tests that need a Chromium are left out; this installs one: {install_command()}"

    installer = _program(tmp_path / "apt-get")
    calls, wanted = tmp_path / "calls", tmp_path / "chromium-headless-shell"
    installer.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexit 100\n')
    assert "sudo apt-get install -y chromium-headless-shell" in str(ensure_browser())
    assert not calls.exists()

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ensure_browser() is not None
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == [wanted.name, "update", wanted.name]

    installer.write_text(f"#!/bin/sh\n: > {wanted}\n/bin/chmod +x {wanted}\n")
    assert ensure_browser() is None
    calls.unlink()
    assert ensure_browser() is None
    assert not calls.exists()


# --- text ---


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("", ""),
        ("  a \t b  ", "a b"),
        ("a\n b \n  c", "a\nb\nc"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n b", "a\n\nb"),
        ("\n\n\na\n", "\n\na\n"),
        ("a\u00a0\u2003\u3000b\u2028c\ufeff", "a b c"),
        ("a\r\nb\u0085c\u001cd", "a\nb\u0085c\u001cd"),
        ("cell\tcell\nnext", "cell cell\nnext"),
    ],
)
def test_visible_text(text: str, visible: str) -> None:
    assert visible_text(text) == visible


def test_visible_text_of_much() -> None:
    assert visible_text(" \n" * 2_000_000) == "\n\n"
