"""Waiting for events (spec executor/06 "Function by function", row poll_oneoff)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor.subvm.wasip1.abi import NOTSUP

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.state import Guest


def poll_oneoff(vm: Guest, subscriptions: int, events: int, count: int, occurred: int) -> int:
    """Nothing ever happens later: files are in memory and the clock stands still."""
    return NOTSUP
