# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Rarely needed parts of the API (spec sdk/01 §3.9)."""
__all__ = ('emit_raw_event', 'user_error_immediate')
import typing
from ..py import calldata
from ._internal.gl_call import gl_call, rollback

def user_error_immediate(reason: str) -> typing.NoReturn:
    """End the VM with a user error at once: nothing is unwound, nothing can catch it."""

def emit_raw_event(topics: list[bytes], blob: calldata.Encodable) -> None:
    """Deliver an event made by hand: at most 4 topics of 32 bytes, ``blob`` a map with string keys."""
