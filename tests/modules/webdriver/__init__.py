"""Tests of :mod:`modules.webdriver` with a real Chromium and pages of their own."""
