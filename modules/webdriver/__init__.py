"""The rendering service: pages as text, HTML or picture, by headless Chromium (spec modules/03 §10)."""
