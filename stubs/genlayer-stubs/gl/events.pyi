# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Events that the VM delivers (spec sdk/04 §9)."""
__all__ = ('Event',)
from ..py._internal.event import Event as _Event
from ._internal.gl_call import gl_call

class Event(_Event, abstract=True):
    """Base of a contract's event classes: ``class E(gl.Event): def __init__(self, a: T, b: U, /, **blob): ...``."""

    def emit(self) -> None:
        """Deliver the event: one request, sent at once."""
