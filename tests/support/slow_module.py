"""A module that is allowed and takes the compiler seconds."""

from __future__ import annotations

import functools

from tests.support.execution import wat


@functools.cache
def slow_module(functions: int = 60, blocks: int = 2_500) -> bytes:
    """Functions with many branches; the entry function returns at once."""
    body = "(block (br_if 0 (local.get 0)))" * blocks
    slow = f"(func (param i32) {body})" * functions
    return wat(f'(module (func (export "_start")) {slow})')
