"""Networks for tests, most of them with contracts that are small Python functions."""

from __future__ import annotations
