"""Addresses of :mod:`manager.client`; what it asks is tested with whole runs."""

from __future__ import annotations

import pytest

from pygenvm.manager.client import BlockingManagerClient, ManagerClient


@pytest.mark.parametrize("url", ["127.0.0.1:3999", "localhost", "unix://relative", "ftp://x", ""])
def test_addresses_that_are_none(url: str) -> None:
    for kind in (ManagerClient, BlockingManagerClient):
        with pytest.raises(ValueError, match="begins with"):
            kind(url)
