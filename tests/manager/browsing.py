"""A headless Chromium for tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none, and says what installs one."""
    try:
        program = find_browser()
    except BrowserMissing as error:
        pytest.skip(str(error))
    # Chromium has no sandbox for root; the pages are ours.
    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=words)
        try:
            yield browser
        finally:
            browser.close()
